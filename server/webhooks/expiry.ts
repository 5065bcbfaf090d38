import { and, eq, sql } from 'drizzle-orm'
import { lockLog } from '../audit/record-event.ts'
import { webhooks, whenEnding } from '../database/tables.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import { createId, type OrganizationId, type TokenId } from '../identifiers.ts'
import { addDeliveries, deliveryOf, type WebhookEvent } from './outbox.ts'

/** So many days before its end a token is told to expire; at none, to have expired. */
const noticeDays = [14, 3, 1, 0]
const mostAtOnce = 1_000
/** Not rounded to the column's milliseconds, which may be up: an expiry in between would be told by none. */
const upToNow = sql`date_trunc('milliseconds', now())`

/**
 * Puts into the outbox which tokens have come within one of the notices of their end since it was last done: once for each
 * webhook, however many instances do it. To be done twice a minute.
 */
export async function tellExpiries(dependencies: Dependencies): Promise<void> {
  const { rows } = await dependencies.database.lookup.query<{ id: OrganizationId }>(
    `select distinct organization_id as id from webhooks where enabled and expiries_told_until < now() - interval '20 seconds'`,
  )
  for (const { id } of rows) {
    let more = true
    while (more) more = await tellExpiriesOf(dependencies, id)
  }
}

/** Gives whether there are more. */
async function tellExpiriesOf(dependencies: Dependencies, organizationId: OrganizationId): Promise<boolean> {
  return withOrganization(dependencies.database, { organizationId }, async (transaction) => {
    // Whoever deletes or changes a token records it after this; what is recorded already, the list below knows of.
    await lockLog(transaction, organizationId)
    const enabled = and(eq(webhooks.organizationId, organizationId), webhooks.enabled)
    const told = await transaction
      .select({ id: webhooks.id, eventTypes: webhooks.eventTypes, since: webhooks.expiriesToldUntil })
      .from(webhooks)
      .where(enabled)
    const since = new Date(Math.min(...told.map((webhook) => webhook.since.getTime())))
    const events = told.length > 0 ? await listExpiries(transaction, dependencies, { organizationId, since }) : []
    await addDeliveries(
      transaction,
      dependencies,
      events.flatMap((event) =>
        told
          .filter((webhook) => webhook.since < event.at && webhook.eventTypes.includes(event.type))
          .map(({ id }) => deliveryOf(id, event)),
      ),
    )
    const last = events.length >= mostAtOnce ? events.at(-1) : undefined
    const until = last ? sql`${last.at.toISOString()}::timestamptz` : upToNow
    await transaction
      .update(webhooks)
      .set({ expiriesToldUntil: sql`greatest(${webhooks.expiriesToldUntil}, ${until})` })
      .where(enabled)
    return last !== undefined
  })
}

/**
 * In the order in which they fell due. All of one instant are in one part, so that the next part begins after it; the
 * instants have milliseconds, as `since` has.
 */
async function listExpiries(
  transaction: Transaction,
  sources: Pick<Dependencies, 'now' | 'randomBytes'>,
  { organizationId, since }: { organizationId: OrganizationId; since: Date },
): Promise<WebhookEvent[]> {
  const ending = sql.raw(whenEnding)
  const notice = sql`days * interval '1 day'`
  const { rows } = await transaction.execute<{
    id: TokenId
    label: string
    ends: string
    days: number
    at: string
  }>(sql`
    select id, label, days, to_char(expires_at, ${iso}) as ends, to_char(expires_at - ${notice}, ${iso}) as at
    from unnest(${sql.param(noticeDays)}::int[]) as notices(days) cross join lateral (
      select id, label, expires_at from integration_tokens where organization_id = ${organizationId}
        and ${ending} > ${since.toISOString()}::timestamptz + ${notice}
        and ${ending} <= ${upToNow} + ${notice}
    ) ending
    order by expires_at - ${notice} fetch first ${sql.raw(String(mostAtOnce))} rows with ties`)
  return rows.map(({ id, label, ends, days, at }) => ({
    id: createId('event', sources),
    type: days > 0 ? 'token.expiring' : 'token.expired',
    organizationId,
    at: new Date(at),
    token: { id, label },
    actor: null,
    details: days > 0 ? { expiresAt: ends, expiresInDays: days } : { expiresAt: ends },
  }))
}

const iso = 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'
