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
    super(`Too many attempts with a wrong password. Try again in ${minutes === 1 ? 'a minute' : `${minutes} minutes`}.`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

export class NotAMember extends Refusal {
  constructor() {
    super('You are not a member of an organization of that name. Choose one of those that “viewer” lists.')
  }
}

export class SessionNotFound extends Refusal {
  constructor() {
    super('There is no such session; it may have ended by now. Look at the list again.')
  }
}

export class WrongPassword extends Refusal {
  constructor() {
    super('That is not your current password. Enter the one with which you sign in now.')
  }
}
