import { and, eq, isNotNull, sql } from 'drizzle-orm'
import { webhookAttempts, webhookDeliveries, webhooks } from '../database/tables.ts'
import { withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import type { EventId, OrganizationId, TokenId, WebhookDeliveryId, WebhookId } from '../identifiers.ts'
import { createRetried, nameError, type Retried } from '../log.ts'
import { tellExpiries } from './expiry.ts'
import { type Outcome, sendMessage } from './send.ts'
import { disableGone } from './service.ts'

const lookEveryMilliseconds = 1_000
const tellExpiriesEveryMilliseconds = 30_000
/** For longer than a sending may take: past it, whichever instance began it is gone, and another may. */
const leaseSeconds = 60
/** Of one organization, so that receivers that hang take nobody else's turn; and of all together. */
const mostUnderWay = { ofOrganization: 4, inAll: 64 }
const firstDelaySeconds = 5
const longestDelaySeconds = 4 * 60 * 60
const gone = 410

/** A delivery that this instance is to send. */
interface Claimed {
  [column: string]: unknown
  id: WebhookDeliveryId
  webhookId: WebhookId
  eventId: EventId
  tokenId: TokenId | null
  payload: string
  /** Which sending it is, from 1 on. */
  attempt: number
  url: string
  secret: Buffer
  formerSecret: Buffer | null
  keyId: string
  /** By the database's clock, which the receiver's is closer to than that of an instance may be. */
  at: Date
}

/**
 * Sends what is in the outbox until it is stopped, as any number of instances may at once. An event is sent until its
 * receiver has answered with a 2xx, each time after twice the time, for three days; the events of one token one after the
 * other. Gives a function that stops it: what has had no answer by then is sent again by whoever comes next.
 */
export function startDeliveries(dependencies: Dependencies): () => Promise<void> {
  const stopping = new AbortController()
  const { signal } = stopping
  const { log } = dependencies
  const { webhooks: metrics } = dependencies.metrics
  let oldestDueAge = 0
  metrics.readOldestDueAge(() => oldestDueAge)
  const running = new Set<Promise<void>>()
  const placesTaken = new Map<OrganizationId, number>()
  let takenInAll = 0

  const take = (organizationId: OrganizationId, places: number) => {
    takenInAll += places
    placesTaken.set(organizationId, (placesTaken.get(organizationId) ?? 0) + places)
    if (placesTaken.get(organizationId) === 0) placesTaken.delete(organizationId)
  }

  async function sendDue(organizationId: OrganizationId): Promise<void> {
    const ownFree = mostUnderWay.ofOrganization - (placesTaken.get(organizationId) ?? 0)
    const free = Math.min(ownFree, mostUnderWay.inAll - takenInAll)
    if (free <= 0 || signal.aborted) return
    take(organizationId, free)
    let claimed: Claimed[] = []
    try {
      claimed = await claim(dependencies, { organizationId, most: free })
    } finally {
      take(organizationId, claimed.length - free)
    }
    for (const one of claimed) {
      const sendNext = async () => {
        await send(dependencies, { organizationId, claimed: one, signal }).finally(() => take(organizationId, -1))
        await sendDue(organizationId)
      }
      run(sendNext, (error) =>
        log.warn({ error: nameError(error) }, 'what became of a webhook message was not kept; it is sent again'),
      )
    }
  }

  function run(work: () => Promise<void>, onFailure: (error: unknown) => void): void {
    const done = work()
      .catch(onFailure)
      .finally(() => running.delete(done))
    running.add(done)
  }

  function every(milliseconds: number, retried: Retried, work: () => Promise<void>): NodeJS.Timeout {
    let busy = false
    const once = async () => {
      try {
        await work()
        retried.succeeded()
      } finally {
        busy = false
      }
    }
    return setInterval(() => {
      if (busy) return
      busy = true
      run(once, retried.failed)
    }, milliseconds).unref()
  }
  const timers = [
    every(
      lookEveryMilliseconds,
      createRetried(log, {
        failed: 'webhook messages that are due are not looked for; tried again every second',
        succeeded: 'webhook messages that are due are looked for again',
      }),
      async () => {
        const due = await listDue(dependencies)
        oldestDueAge = due[0]?.age ?? 0
        for (const { id } of due) await sendDue(id)
      },
    ),
    every(
      tellExpiriesEveryMilliseconds,
      createRetried(log, {
        failed: 'expiries are not told to webhooks; tried again every 30 seconds',
        succeeded: 'expiries are told to webhooks again',
      }),
      () => tellExpiries(dependencies),
    ),
  ]
  return async () => {
    for (const timer of timers) clearInterval(timer)
    stopping.abort()
    while (running.size > 0) await Promise.all(running)
  }
}

/** The organizations for which something is due, that which has waited longest first, and for how many seconds it has. */
async function listDue({ database }: Dependencies): Promise<{ id: OrganizationId; age: number }[]> {
  const { rows } = await database.lookup.query<{ id: OrganizationId; age: number }>(
    `select organization_id as id, extract(epoch from now() - min(due_at))::float8 as age from webhook_deliveries where status = 'PENDING' and due_at <= now()
     group by organization_id order by min(due_at)`,
  )
  return rows
}

/** Only the first of those that wait for a token, so that they arrive in order. */
async function claim(
  { database }: Dependencies,
  { organizationId, most }: { organizationId: OrganizationId; most: number },
): Promise<Claimed[]> {
  return withOrganization(database, { organizationId }, async (transaction) => {
    const { rows } = await transaction.execute<Claimed>(sql`
      with due as materialized (
        select id from webhook_deliveries due
        where organization_id = ${organizationId} and status = 'PENDING' and due_at <= now() and not exists (
          select from webhook_deliveries earlier
          where earlier.organization_id = due.organization_id and earlier.webhook_id = due.webhook_id
            and earlier.token_id = due.token_id and earlier.sequence < due.sequence and earlier.status = 'PENDING'
        )
        order by sequence limit ${most} for update skip locked
      )
      update webhook_deliveries claimed
      set due_at = now() + ${leaseSeconds} * interval '1 second', attempts = claimed.attempts + 1
      from due, webhooks
      where claimed.organization_id = ${organizationId} and claimed.id = due.id
        and webhooks.organization_id = claimed.organization_id and webhooks.id = claimed.webhook_id
      returning claimed.id, claimed.webhook_id as "webhookId", claimed.event_id as "eventId", claimed.token_id as "tokenId",
        claimed.payload, claimed.attempts as attempt, webhooks.url, webhooks.secret, webhooks.key_id as "keyId", now() as at,
        case when webhooks.former_secret_until > now() then webhooks.former_secret end as "formerSecret"`)
    return rows.map((row) => ({ ...row, at: new Date(row.at) }))
  })
}

async function send(
  dependencies: Dependencies,
  { organizationId, claimed, signal }: { organizationId: OrganizationId; claimed: Claimed; signal: AbortSignal },
): Promise<void> {
  let outcome: Outcome
  await takeUpCurrentKey(dependencies, { organizationId, claimed })
  try {
    outcome = await attempt(dependencies, claimed, signal)
  } catch (error) {
    if (!signal.aborted) throw error
    return release(dependencies, { organizationId, claimed })
  }
  const { statusCode, problem, durationMilliseconds } = outcome
  const { id: delivery, webhookId: webhook, attempt: number } = claimed
  const line = { delivery, webhook, attempt: number, status: statusCode, problem, ms: durationMilliseconds }
  const { webhooks: metrics } = dependencies.metrics
  metrics.seconds.observe(durationMilliseconds / 1_000)
  metrics[problem === null ? 'delivered' : 'failed'].value++
  if (problem === null) dependencies.log.info(line, 'webhook message delivered')
  else dependencies.log.warn(line, 'webhook message not delivered')
  await finish(dependencies, { organizationId, claimed, outcome })
  if (statusCode === gone) await disableGone(dependencies, { organizationId, webhookId: webhook })
}

async function attempt(
  { signingSecrets, receiverAddresses }: Dependencies,
  { webhookId, url, secret, formerSecret, eventId, payload, at }: Claimed,
  signal: AbortSignal,
): Promise<Outcome> {
  const sealed = formerSecret ? [secret, formerSecret] : [secret]
  const secrets = sealed.flatMap((one) => signingSecrets.open(webhookId, one) ?? [])
  if (secrets.length === 0) return { statusCode: null, problem: sealedElsewhere, durationMilliseconds: 0 }
  return sendMessage(receiverAddresses, {
    url: new URL(url),
    secrets,
    message: { id: eventId, payload },
    at,
    signal,
  })
}

const sealedElsewhere = 'It was not sent: its signing secret cannot be read any more. Regenerate the secret.'

/** Keeps what became of a sending, unless another instance has taken the delivery over in the meantime. */
async function finish(
  dependencies: Dependencies,
  { organizationId, claimed, outcome }: { organizationId: OrganizationId; claimed: Claimed; outcome: Outcome },
): Promise<void> {
  const { webhookId, tokenId } = claimed
  const succeeded = outcome.problem === null
  await withOrganization(dependencies.database, { organizationId }, async (transaction) => {
    const now = sql`now()`
    // Before the delivery, in the order in which a webhook and its deliveries are deleted.
    await transaction
      .update(webhooks)
      .set({
        failingSince: succeeded ? null : sql`coalesce(${webhooks.failingSince}, now())`,
        ...(succeeded && { lastDeliveredAt: now }),
      })
      .where(and(eq(webhooks.organizationId, organizationId), eq(webhooks.id, webhookId)))
    const [delivery] = await transaction
      .select({ isOver: sql<boolean>`${webhookDeliveries.giveUpAt} <= now()` })
      .from(webhookDeliveries)
      .where(own(organizationId, claimed))
      .for('update')
    if (!delivery) return
    await transaction.insert(webhookAttempts).values({
      organizationId,
      deliveryId: claimed.id,
      number: claimed.attempt,
      at: claimed.at,
      ...outcome,
    })
    const ends = succeeded || delivery.isOver
    const nextAt = ends ? now : sql`now() + ${delayOf(dependencies, claimed.attempt)} * interval '1 second'`
    if (ends) {
      await transaction
        .update(webhookDeliveries)
        .set({ status: succeeded ? 'DELIVERED' : 'FAILED', dueAt: null })
        .where(own(organizationId, claimed))
    }
    // Those behind it wait with it, and are not looked at in the meantime.
    await transaction
      .update(webhookDeliveries)
      .set({ dueAt: sql`least(${nextAt}, ${webhookDeliveries.giveUpAt})` })
      .where(
        and(
          eq(webhookDeliveries.organizationId, organizationId),
          eq(webhookDeliveries.webhookId, webhookId),
          tokenId === null ? eq(webhookDeliveries.id, claimed.id) : eq(webhookDeliveries.tokenId, tokenId),
          eq(webhookDeliveries.status, 'PENDING'),
          // There is none while the webhook is disabled.
          isNotNull(webhookDeliveries.dueAt),
        ),
      )
  })
}

/** Nobody else has sent it since. */
const own = (organizationId: OrganizationId, { id, attempt }: Claimed) =>
  and(
    eq(webhookDeliveries.organizationId, organizationId),
    eq(webhookDeliveries.id, id),
    eq(webhookDeliveries.attempts, attempt),
    eq(webhookDeliveries.status, 'PENDING'),
  )

/** Twice as long each time, and up to a tenth more, so that what failed together does not come back together. */
function delayOf({ randomBytes }: Dependencies, attempt: number): number {
  const seconds = Math.min(firstDelaySeconds * 2 ** (attempt - 1), longestDelaySeconds)
  return Math.round(seconds * (1 + (randomBytes(1)[0] ?? 0) / 2_560))
}

/** What is sealed under a former server key moves to the current one with its next use, as everything else does. */
async function takeUpCurrentKey(
  { database, signingSecrets: { keyId, open, seal } }: Dependencies,
  { organizationId, claimed }: { organizationId: OrganizationId; claimed: Claimed },
): Promise<void> {
  const { webhookId, secret, formerSecret } = claimed
  const opened = claimed.keyId === keyId ? null : open(webhookId, secret)
  if (opened === null) return
  const former = formerSecret === null ? null : open(webhookId, formerSecret)
  await withOrganization(database, { organizationId }, (transaction) =>
    transaction
      .update(webhooks)
      .set({ keyId, secret: seal(webhookId, opened), formerSecret: former === null ? null : seal(webhookId, former) })
      .where(and(eq(webhooks.organizationId, organizationId), eq(webhooks.id, webhookId), eq(webhooks.secret, secret))),
  )
}

/** Nothing is known of the sending, so that it counts for none. */
async function release(
  { database }: Dependencies,
  { organizationId, claimed }: { organizationId: OrganizationId; claimed: Claimed },
): Promise<void> {
  await withOrganization(database, { organizationId }, (transaction) =>
    transaction
      .update(webhookDeliveries)
      .set({ dueAt: sql`now()`, attempts: claimed.attempt - 1 })
      .where(and(own(organizationId, claimed), isNotNull(webhookDeliveries.dueAt))),
  )
}
