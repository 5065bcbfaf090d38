/** What webhooks are told of that the audit log holds as well, under the same name. */
const recordedTypes = [
  'token.created',
  'token.updated',
  'token.enabled',
  'token.disabled',
  'token.regenerated',
  'token.deleted',
  'token.retired_secret_used',
] as const
export type RecordedEventType = (typeof recordedTypes)[number]

/** All that a webhook can be told of. */
export const webhookEventTypes = [...recordedTypes, 'token.expiring', 'token.expired', 'webhook.test'] as const
export type WebhookEventType = (typeof webhookEventTypes)[number]

export const isRecordedType = (action: string): action is RecordedEventType =>
  recordedTypes.some((type) => type === action)

export const deliveryStatuses = ['PENDING', 'DELIVERED', 'FAILED'] as const
export type DeliveryStatus = (typeof deliveryStatuses)[number]
