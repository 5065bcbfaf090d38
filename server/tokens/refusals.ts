import { Refusal } from '../refusal.ts'

export class TokenNotFound extends Refusal {
  constructor() {
    super('There is no such token in the organization. It may have been deleted; look at the list again.')
  }
}

/** Its message says what would come of it, and how to do it all the same. */
export class ConfirmationNeeded extends Refusal {}

export class LabelTaken extends Refusal {
  constructor(label: string, what: 'token' | 'role') {
    super(`Another ${what} is already called “${label}”. Choose another label.`)
  }
}

export class TokenRoleNotFound extends Refusal {
  constructor() {
    super('The organization has no such role of its own. Managed roles cannot be changed; look at the list again.')
  }
}

export class TokenRoleInUse extends Refusal {
  readonly tokenCount: number
  constructor(tokens: string, tokenCount: number) {
    const [have, them] = tokenCount === 1 ? ['has', 'it'] : ['have', 'them']
    super(`${tokens} ${have} this role. Delete ${them} first, or take the role’s permissions away.`)
    this.tokenCount = tokenCount
  }
}

export class TooManyTokenRoles extends Refusal {
  constructor(most: number) {
    super(`An organization has ${most} roles of its own at most. Delete one that is not needed any more.`)
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
