import { Refusal } from '../refusal.ts'

export class SignInRefused extends Refusal {
  constructor() {
    super('The email address and the password do not fit together, or the account is not active.')
  }
}

export class TooManyAttempts extends Refusal {
  readonly retryAfterSeconds: number
  constructor(retryAfterSeconds: number) {
    const minutes = Math.ceil(retryAfterSeconds / 60)
    super(`Too many attempts to sign in. Try again in ${minutes === 1 ? 'a minute' : `${minutes} minutes`}.`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

export class NotAMember extends Refusal {
  constructor() {
    super('You are not a member of an organization of that name. Choose one of those that “viewer” lists.')
  }
}
