import { Refusal } from '../refusal.ts'

export class WebhookNotFound extends Refusal {
  constructor() {
    super('There is no such webhook in the organization. It may have been deleted; look at the list again.')
  }
}

export class TooManyWebhooks extends Refusal {
  constructor(most: number) {
    super(`An organization has ${most} webhooks at most. Delete one that is not needed any more.`)
  }
}

export class DeliveryNotFound extends Refusal {
  constructor() {
    super('There is no such delivery in the organization. Those that have ended are kept for 30 days.')
  }
}
