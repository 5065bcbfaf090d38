import { and, eq, lte, ne, sql } from 'drizzle-orm'
import { recordEvent } from '../audit/record-event.ts'
import {
  idempotencyKeys,
  integrationTokens,
  invitations,
  sessions,
  tokenSecrets,
  webhookDeliveries,
  whenEnding,
} from '../database/tables.ts'
import { withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import type { OrganizationId } from '../identifiers.ts'
import { nameError } from '../log.ts'

const everyMilliseconds = 60 * 60 * 1_000
const deliveryLogDays = 30

/** Removes, an hour after the start and every hour after that, what is kept for a time only. Gives a function that stops it. */
export function startRetention(dependencies: Dependencies, { retentionDays }: { retentionDays: number }): () => void {
  const timer = setInterval(() => {
    purge(dependencies, { retentionDays }).catch((error: unknown) => {
      dependencies.log.warn({ error: nameError(error) }, 'the purge failed; it is tried again in an hour')
    })
  }, everyMilliseconds)
  timer.unref()
  return () => clearInterval(timer)
}

/**
 * Removes tokens that expired, and secrets that were retired, longer than the retention period ago, sessions that have
 * ended, invitations that have expired, idempotency keys older than their 24 hours, and deliveries that ended, of events of more than 30 days ago. Several
 * instances may do it at once.
 */
export async function purge(dependencies: Dependencies, { retentionDays }: { retentionDays: number }): Promise<void> {
  const { database } = dependencies
  const { rows } = await database.lookup.query<{ id: OrganizationId }>('select id from organizations order by id')
  for (const { id } of rows) {
    await purgeOrganization(dependencies, id, retentionDays)
    await purgeDeliveries(dependencies, id)
  }
  const { server } = database
  for (const table of ['sign_in_attempts', 'rates']) {
    await server.query(`delete from ${table} where expire < (extract(epoch from now()) * 1000)::bigint`)
  }
}

async function purgeOrganization(
  dependencies: Dependencies,
  organizationId: OrganizationId,
  retentionDays: number,
): Promise<void> {
  const before = sql`now() - ${retentionDays} * interval '1 day'`
  await withOrganization(dependencies.database, { organizationId }, async (transaction) => {
    await transaction
      .delete(sessions)
      .where(and(eq(sessions.organizationId, organizationId), lte(sessions.expiresAt, sql`now()`)))
    await transaction
      .delete(invitations)
      .where(and(eq(invitations.organizationId, organizationId), lte(invitations.expiresAt, sql`now()`)))
    await transaction
      .delete(idempotencyKeys)
      .where(
        and(
          eq(idempotencyKeys.organizationId, organizationId),
          lte(idempotencyKeys.createdAt, sql`now() - interval '24 hours'`),
        ),
      )
    await transaction
      .delete(tokenSecrets)
      .where(and(eq(tokenSecrets.organizationId, organizationId), lte(tokenSecrets.acceptedUntil, before)))
    const purged = await transaction
      .delete(integrationTokens)
      .where(and(eq(integrationTokens.organizationId, organizationId), sql`${sql.raw(whenEnding)} <= ${before}`))
      .returning({ id: integrationTokens.id, label: integrationTokens.label })
    for (const { id, label } of purged) {
      await recordEvent(transaction, dependencies, {
        organizationId,
        action: 'token.purged',
        actor: { name: 'Latchkey', id: null },
        origin: { ipAddress: null, userAgent: null },
        target: { name: label, id },
      })
    }
  })
}

/** Not together with what is recorded: a webhook that is being deleted holds its deliveries after the log. */
async function purgeDeliveries({ database }: Dependencies, organizationId: OrganizationId): Promise<void> {
  await withOrganization(database, { organizationId }, (transaction) =>
    transaction
      .delete(webhookDeliveries)
      .where(
        and(
          eq(webhookDeliveries.organizationId, organizationId),
          ne(webhookDeliveries.status, 'PENDING'),
          lte(webhookDeliveries.createdAt, sql`now() - ${deliveryLogDays} * interval '1 day'`),
        ),
      ),
  )
}
