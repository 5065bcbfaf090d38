import { Refusal } from '../refusal.ts'

export class TokenNotFound extends Refusal {
  constructor() {
    super('There is no such token in the organization. It may have been deleted; look at the list again.')
  }
}

export class ConfirmationNeeded extends Refusal {
  constructor() {
    super(
      'This is the last SCIM token that is in use: provisioning stops with it. Send force: true to do it all the same.',
    )
  }
}

export class LabelTaken extends Refusal {
  constructor(label: string) {
    super(`Another token is already called “${label}”. Choose another label.`)
  }
}

export class IdempotencyKeyReused extends Refusal {
  constructor(why: 'another input' | 'token changed') {
    super(
      why === 'another input'
        ? 'The idempotency key was used within 24 hours with another input. Use a new key for each token.'
        : 'The token that this idempotency key made has been deleted or regenerated since. Use a new key to make another.',
    )
  }
}
