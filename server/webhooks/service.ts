import { and, asc, count, desc, eq, inArray, sql } from 'drizzle-orm'
import { actorOf, lockLog, recordAction, recordEvent } from '../audit/record-event.ts'
import { type Page, type PageRequest, pageOf, readPageRequest } from '../database/keyset.ts'
import { webhookAttempts, webhookDeliveries, webhooks } from '../database/tables.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting, Dependencies } from '../dependencies.ts'
import { createId, type OrganizationId, type WebhookId } from '../identifiers.ts'
import { InvalidInput } from '../refusal.ts'
import { overlap, readInput } from '../tokens/token-input.ts'
import type { DeliveryStatus } from './event-types.ts'
import { addDeliveries, type Delivery, deliveryOf, deliveryTime, mostWebhooks, type NewDelivery } from './outbox.ts'
import { AddressRefused } from './receiver-address.ts'
import { DeliveryNotFound, TooManyWebhooks, WebhookNotFound } from './refusals.ts'
import { newWebhook, webhookChange } from './webhook-input.ts'

// Whatever changes webhooks holds the end of the audit chain from its beginning on: events are put into the outbox under
// the same lock, so that each of them finds a webhook as it was before, or as it is after.

type Row = typeof webhooks.$inferSelect
export type Webhook = Omit<Row, 'secret' | 'formerSecret' | 'keyId' | 'expiriesToldUntil'>
export type WebhookAttempt = typeof webhookAttempts.$inferSelect
export type LoggedDelivery = Delivery & { log: WebhookAttempt[] }

/** Its secret is not in it. */
const webhookColumns = {
  id: webhooks.id,
  organizationId: webhooks.organizationId,
  url: webhooks.url,
  description: webhooks.description,
  eventTypes: webhooks.eventTypes,
  enabled: webhooks.enabled,
  createdAt: webhooks.createdAt,
  failingSince: webhooks.failingSince,
  lastDeliveredAt: webhooks.lastDeliveredAt,
  formerSecretUntil:
    sql<Date | null>`case when ${webhooks.formerSecretUntil} > now() then ${webhooks.formerSecretUntil} end`.mapWith(
      webhooks.formerSecretUntil,
    ),
}

const ownWebhook = (organizationId: OrganizationId, webhookId: string) =>
  and(eq(webhooks.organizationId, organizationId), eq(webhooks.id, sql`${webhookId}`))

/** Oldest first. */
export async function listWebhooks({ database, principal }: Acting): Promise<Webhook[]> {
  return withOrganization(database, principal, (transaction) =>
    transaction
      .select(webhookColumns)
      .from(webhooks)
      .where(eq(webhooks.organizationId, principal.organizationId))
      .orderBy(asc(webhooks.createdAt), asc(webhooks.id)),
  )
}

export async function findWebhook({ database, principal }: Acting, webhookId: string): Promise<Webhook | null> {
  return withOrganization(database, principal, (transaction) =>
    readWebhook(transaction, principal.organizationId, webhookId),
  )
}

async function readWebhook(
  transaction: Transaction,
  organizationId: OrganizationId,
  webhookId: string,
): Promise<Webhook | null> {
  const [webhook] = await transaction.select(webhookColumns).from(webhooks).where(ownWebhook(organizationId, webhookId))
  return webhook ?? null
}

/** How the audit log calls a webhook: by its host, since the rest of an address may be secret. */
const targetOf = ({ id, url }: Pick<Webhook, 'id' | 'url'>) => ({ name: new URL(url).host, id })

/** A webhook, with the one showing of its secret. */
export interface IssuedWebhook {
  webhook: Webhook
  secret: string
}

/** Throws `InvalidInput`, `TooManyWebhooks`. */
export async function createWebhook(acting: Acting, input: unknown): Promise<IssuedWebhook> {
  const { principal, signingSecrets } = acting
  const { url, description, eventTypes } = readInput(newWebhook, input)
  await requireReachable(acting, url)
  const { organizationId } = principal
  const id = createId('webhook', acting)
  const secret = signingSecrets.issue()
  return changing(acting, async (transaction) => {
    const own = eq(webhooks.organizationId, organizationId)
    const [{ existing } = { existing: 0 }] = await transaction.select({ existing: count() }).from(webhooks).where(own)
    if (existing >= mostWebhooks) throw new TooManyWebhooks(mostWebhooks)
    const [webhook] = await transaction
      .insert(webhooks)
      .values({
        id,
        organizationId,
        url: url.href,
        description,
        eventTypes,
        secret: signingSecrets.seal(id, secret),
        keyId: signingSecrets.keyId,
      })
      .returning(webhookColumns)
    if (!webhook) throw new Error('A webhook that was just added is gone.')
    await recordAction(transaction, acting, 'webhook.created', targetOf(webhook))
    return { webhook, secret }
  })
}

/** Throws `InvalidInput` for an address to which nothing would be sent. */
async function requireReachable({ receiverAddresses }: Acting, url: URL): Promise<void> {
  try {
    await receiverAddresses.resolve(url)
  } catch (error) {
    if (!(error instanceof AddressRefused)) throw error
    throw new InvalidInput([{ path: 'url', message: error.message }])
  }
}

/** Throws `InvalidInput`, `WebhookNotFound`. */
export async function updateWebhook(acting: Acting, webhookId: string, input: unknown): Promise<Webhook> {
  const change = readInput(webhookChange, input)
  if (change.url) await requireReachable(acting, change.url)
  const { organizationId } = acting.principal
  return changing(acting, async (transaction) => {
    const before = await readWebhook(transaction, organizationId, webhookId)
    if (!before) throw new WebhookNotFound()
    const described = {
      url: change.url?.href ?? before.url,
      description: change.description === undefined ? before.description : change.description,
      eventTypes: change.eventTypes ?? before.eventTypes,
    }
    const isAnother =
      described.url !== before.url ||
      described.description !== before.description ||
      described.eventTypes.join() !== before.eventTypes.join()
    if (isAnother) {
      await transaction.update(webhooks).set(described).where(ownWebhook(organizationId, before.id))
      await recordAction(transaction, acting, 'webhook.updated', targetOf({ ...before, ...described }))
    }
    if (change.enabled !== undefined && change.enabled !== before.enabled) {
      await setEnabled(transaction, { organizationId, webhookId: before.id, enabled: change.enabled })
      const action = change.enabled ? 'webhook.enabled' : 'webhook.disabled'
      await recordAction(transaction, acting, action, targetOf({ ...before, ...described }))
    }
    const after = await readWebhook(transaction, organizationId, before.id)
    if (!after) throw new Error('A webhook that the transaction holds is gone.')
    return after
  })
}

/** What waits is left alone from now on or, as if it had just happened, taken up again. */
async function setEnabled(
  transaction: Transaction,
  { organizationId, webhookId, enabled }: { organizationId: OrganizationId; webhookId: WebhookId; enabled: boolean },
): Promise<void> {
  const now = sql`now()`
  await transaction
    .update(webhooks)
    .set({ enabled, failingSince: null, ...(enabled && { expiriesToldUntil: now }) })
    .where(ownWebhook(organizationId, webhookId))
  await transaction
    .update(webhookDeliveries)
    .set(enabled ? { dueAt: now, giveUpAt: sql`now() + ${deliveryTime}` } : { dueAt: null })
    .where(
      and(
        eq(webhookDeliveries.organizationId, organizationId),
        eq(webhookDeliveries.webhookId, webhookId),
        eq(webhookDeliveries.status, 'PENDING'),
      ),
    )
}

/** A receiver has said that it is gone for good, as Standard Webhooks has it: the webhook is disabled. */
export async function disableGone(
  dependencies: Dependencies,
  { organizationId, webhookId }: { organizationId: OrganizationId; webhookId: WebhookId },
): Promise<void> {
  await withOrganization(dependencies.database, { organizationId }, async (transaction) => {
    await lockLog(transaction, organizationId)
    const webhook = await readWebhook(transaction, organizationId, webhookId)
    if (!webhook?.enabled) return
    await setEnabled(transaction, { organizationId, webhookId, enabled: false })
    await recordEvent(transaction, dependencies, {
      organizationId,
      action: 'webhook.disabled',
      actor: { name: 'Latchkey', id: null },
      origin: { ipAddress: null, userAgent: null },
      target: targetOf(webhook),
    })
  })
}

/** Throws `InvalidInput`, `WebhookNotFound`. */
export async function regenerateSecret(acting: Acting, webhookId: string, input: unknown): Promise<IssuedWebhook> {
  const { principal, signingSecrets } = acting
  const { overlapSeconds } = readInput(overlap, input)
  const { organizationId } = principal
  const secret = signingSecrets.issue()
  return changing(acting, async (transaction) => {
    const [before] = await transaction
      .select({ id: webhooks.id, secret: webhooks.secret })
      .from(webhooks)
      .where(ownWebhook(organizationId, webhookId))
      .for('no key update')
    if (!before) throw new WebhookNotFound()
    const opened = overlapSeconds > 0 ? signingSecrets.open(before.id, before.secret) : null
    const [webhook] = await transaction
      .update(webhooks)
      .set({
        secret: signingSecrets.seal(before.id, secret),
        formerSecret: opened === null ? null : signingSecrets.seal(before.id, opened),
        formerSecretUntil: opened === null ? null : sql`now() + ${overlapSeconds} * interval '1 second'`,
        keyId: signingSecrets.keyId,
      })
      .where(ownWebhook(organizationId, before.id))
      .returning(webhookColumns)
    if (!webhook) throw new Error('A webhook that the transaction holds is gone.')
    await recordAction(transaction, acting, 'webhook.secret_regenerated', targetOf(webhook))
    return { webhook, secret }
  })
}

/** With the log of its deliveries; nothing that waits is sent any more. Throws `WebhookNotFound`. */
export async function deleteWebhook(acting: Acting, webhookId: string): Promise<WebhookId> {
  return changing(acting, async (transaction) => {
    const [deleted] = await transaction
      .delete(webhooks)
      .where(ownWebhook(acting.principal.organizationId, webhookId))
      .returning({ id: webhooks.id, url: webhooks.url })
    if (!deleted) throw new WebhookNotFound()
    await recordAction(transaction, acting, 'webhook.deleted', targetOf(deleted))
    return deleted.id
  })
}

/** Sends a message in which nothing happened. Throws `WebhookNotFound`. */
export async function testWebhook(acting: Acting, webhookId: string): Promise<LoggedDelivery> {
  const { principal } = acting
  const { organizationId } = principal
  return changing(acting, async (transaction) => {
    const [webhook] = await transaction
      .select({ ...webhookColumns, now: sql<Date>`now()`.mapWith(webhooks.createdAt) })
      .from(webhooks)
      .where(ownWebhook(organizationId, webhookId))
    if (!webhook) throw new WebhookNotFound()
    const event = {
      id: createId('event', acting),
      type: 'webhook.test' as const,
      organizationId,
      at: webhook.now,
      token: null,
      actor: actorOf(principal),
    }
    const delivery = await add(transaction, acting, webhook, deliveryOf(webhook.id, event))
    await recordAction(transaction, acting, 'webhook.tested', targetOf(webhook))
    return delivery
  })
}

/**
 * Sends the event of a delivery once more, as a delivery of its own: its receiver knows it by its id. Throws
 * `DeliveryNotFound`.
 */
export async function redeliver(acting: Acting, deliveryId: string): Promise<LoggedDelivery> {
  const { organizationId } = acting.principal
  return changing(acting, async (transaction) => {
    const [earlier] = await transaction
      .select({ delivery: webhookDeliveries, webhook: webhookColumns })
      .from(webhookDeliveries)
      .innerJoin(
        webhooks,
        and(
          eq(webhooks.organizationId, webhookDeliveries.organizationId),
          eq(webhooks.id, webhookDeliveries.webhookId),
        ),
      )
      .where(ownDelivery(organizationId, deliveryId))
    if (!earlier) throw new DeliveryNotFound()
    const { webhook, delivery } = earlier
    const { webhookId, eventId, eventType, tokenId, payload } = delivery
    const again = { organizationId, webhookId, eventId, eventType, tokenId, payload }
    const added = await add(transaction, acting, webhook, again)
    await recordAction(transaction, acting, 'webhook.redelivered', targetOf(webhook))
    return added
  })
}

const ownDelivery = (organizationId: OrganizationId, deliveryId: string) =>
  and(eq(webhookDeliveries.organizationId, organizationId), eq(webhookDeliveries.id, sql`${deliveryId}`))

/** To a disabled webhook as well, where it waits as the others do. */
async function add(
  transaction: Transaction,
  acting: Acting,
  { enabled }: Webhook,
  delivery: NewDelivery,
): Promise<LoggedDelivery> {
  const [added] = await addDeliveries(transaction, acting, [delivery])
  if (!added) throw new Error('A delivery that was just added is gone.')
  if (enabled) return { ...added, log: [] }
  await transaction.update(webhookDeliveries).set({ dueAt: null }).where(ownDelivery(delivery.organizationId, added.id))
  return { ...added, dueAt: null, log: [] }
}

export interface DeliveryFilter {
  statuses: readonly DeliveryStatus[] | null
  tokenId: string | null
}

const list = 'webhookDeliveries'

/** The latest first. Throws `Fault` BAD_REQUEST for a page that cannot be. */
export async function listDeliveries(
  { database, principal }: Acting,
  { webhookId, filter, page }: { webhookId: string; filter: DeliveryFilter; page: PageRequest },
): Promise<Page<LoggedDelivery>> {
  const bounds = readPageRequest(list, page)
  const { size, backward, after, before } = bounds
  const { organizationId } = principal
  const { sequence } = webhookDeliveries
  return withOrganization(database, principal, async (transaction) => {
    const rows = await transaction
      .select()
      .from(webhookDeliveries)
      .where(
        and(
          eq(webhookDeliveries.organizationId, organizationId),
          eq(webhookDeliveries.webhookId, sql`${webhookId}`),
          filter.statuses ? inArray(webhookDeliveries.status, [...filter.statuses]) : undefined,
          filter.tokenId === null ? undefined : eq(webhookDeliveries.tokenId, sql`${filter.tokenId}`),
          after ? sql`${sequence} < ${after.value}::bigint` : undefined,
          before ? sql`${sequence} > ${before.value}::bigint` : undefined,
        ),
      )
      .orderBy(backward ? asc(sequence) : desc(sequence))
      .limit(size + 1)
    const logged = await withLog(transaction, organizationId, rows)
    return pageOf(
      list,
      bounds,
      logged.map((node) => ({ node, position: { value: String(node.sequence), id: node.id } })),
    )
  })
}

export async function findDelivery(
  { database, principal }: Acting,
  deliveryId: string,
): Promise<LoggedDelivery | null> {
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    const rows = await transaction.select().from(webhookDeliveries).where(ownDelivery(organizationId, deliveryId))
    const [delivery] = await withLog(transaction, organizationId, rows)
    return delivery ?? null
  })
}

async function withLog(
  transaction: Transaction,
  organizationId: OrganizationId,
  deliveries: Delivery[],
): Promise<LoggedDelivery[]> {
  if (deliveries.length === 0) return []
  const ids = deliveries.map(({ id }) => id)
  const attempts = await transaction
    .select()
    .from(webhookAttempts)
    .where(and(eq(webhookAttempts.organizationId, organizationId), inArray(webhookAttempts.deliveryId, ids)))
    .orderBy(asc(webhookAttempts.number))
  const byDelivery = Map.groupBy(attempts, ({ deliveryId }) => deliveryId)
  return deliveries.map((delivery) => ({ ...delivery, log: byDelivery.get(delivery.id) ?? [] }))
}

function changing<T>({ database, principal }: Acting, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  return withOrganization(database, principal, async (transaction) => {
    await lockLog(transaction, principal.organizationId)
    return work(transaction)
  })
}
