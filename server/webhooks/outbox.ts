import { type SQL, sql } from 'drizzle-orm'
import { webhookDeliveries } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { Clock, RandomBytes } from '../dependencies.ts'
import { createId, type EventId, type OrganizationId, type TokenId, type WebhookId } from '../identifiers.ts'
import type { WebhookEventType } from './event-types.ts'

/** For how long it is tried to deliver an event. */
export const deliveryTime = sql`interval '3 days'`

/** What a receiver is told: an event of the organization, and nothing secret. */
export interface WebhookEvent {
  id: EventId
  type: WebhookEventType
  organizationId: OrganizationId
  /** By the database's clock. */
  at: Date
  token: { id: TokenId; label: string } | null
  /** Who did it, as they were called then; null for what nobody did. */
  actor: { id: string | null; name: string } | null
  /** What the type has besides. */
  details?: Record<string, string | number>
}

interface Sources {
  now: Clock
  randomBytes: RandomBytes
}

export type Delivery = typeof webhookDeliveries.$inferSelect

/** Of one organization. */
export const mostWebhooks = 10

/**
 * Puts an event into the outbox, for each webhook of the organization that is to be told of its type. A statement that goes
 * with the one that records the event, under the lock of the audit chain, so that it commits with what it tells of or not
 * at all, the order in the outbox is that in which things happened, and nobody waits for it longer than for the record.
 */
export function outboxStatement(sources: Sources, event: WebhookEvent): SQL {
  const { organizationId, id, type, token } = event
  const ids = Array.from({ length: mostWebhooks }, () => createId('webhookDelivery', sources))
  return sql`insert into webhook_deliveries
    (id, organization_id, webhook_id, event_id, event_type, token_id, payload, give_up_at)
    select (${sql.param(ids)}::text[])[row_number() over ()], organization_id, id, ${id}, ${type}, ${token?.id ?? null}::text,
      ${payloadOf(event)}, now() + ${deliveryTime}
    from webhooks where organization_id = ${organizationId} and enabled and event_types @> array[${type}]`
}

export type NewDelivery = Pick<
  Delivery,
  'organizationId' | 'webhookId' | 'eventId' | 'eventType' | 'tokenId' | 'payload'
>

export const deliveryOf = (webhookId: WebhookId, event: WebhookEvent): NewDelivery => ({
  organizationId: event.organizationId,
  webhookId,
  eventId: event.id,
  eventType: event.type,
  tokenId: event.token?.id ?? null,
  payload: payloadOf(event),
})

function payloadOf({ type, at, organizationId, token, actor, details }: WebhookEvent): string {
  const data = { organizationId, ...(token && { tokenId: token.id, label: token.label }), actor, ...details }
  return JSON.stringify({ type, timestamp: at.toISOString(), data })
}

const mostAtOnce = 1_000

/** In the order given, under the lock of the audit chain. */
export async function addDeliveries(
  transaction: Transaction,
  sources: Sources,
  deliveries: readonly NewDelivery[],
): Promise<Delivery[]> {
  const giveUpAt = sql`now() + ${deliveryTime}`
  const added: Delivery[] = []
  for (let at = 0; at < deliveries.length; at += mostAtOnce) {
    const values = deliveries
      .slice(at, at + mostAtOnce)
      .map((delivery) => ({ ...delivery, id: createId('webhookDelivery', sources), giveUpAt }))
    added.push(...(await transaction.insert(webhookDeliveries).values(values).returning()))
  }
  return added
}
