import type { WebhookEventType } from '@latchkey/sdk'

interface Words {
  name: string
  about?: string
}

const words: Record<WebhookEventType, Words> = {
  TOKEN_CREATED: { name: 'Token created' },
  TOKEN_UPDATED: { name: 'Token changed', about: 'It has another label, description or expiry.' },
  TOKEN_ENABLED: { name: 'Token enabled' },
  TOKEN_DISABLED: { name: 'Token disabled' },
  TOKEN_REGENERATED: { name: 'Token regenerated', about: 'It has a new value.' },
  TOKEN_DELETED: { name: 'Token deleted' },
  TOKEN_EXPIRING: { name: 'Token expires soon', about: 'Told 14 days before, then 3 days and 1 day.' },
  TOKEN_EXPIRED: { name: 'Token expired' },
  TOKEN_RETIRED_SECRET_USED: {
    name: 'Retired value presented',
    about: 'Something still has a value from before a regeneration. Told once an hour at most.',
  },
  WEBHOOK_TEST: { name: 'Test message' },
}

export function isEventType(text: string): text is WebhookEventType {
  return Object.hasOwn(words, text)
}

/** Those that a webhook can be told of or not: a test comes whatever was chosen. */
export const eventTypes: readonly WebhookEventType[] = Object.keys(words)
  .filter(isEventType)
  .filter((type) => type !== 'WEBHOOK_TEST')

export const wordsOf = (type: WebhookEventType): Words => words[type]

/** “All events”, or how many of them. */
export function describeEventTypes(chosen: readonly WebhookEventType[]): string {
  const count = eventTypes.filter((type) => chosen.includes(type)).length
  return count === eventTypes.length ? 'All events' : `${count} of ${eventTypes.length}`
}
