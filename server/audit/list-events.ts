import { and, asc, desc, eq, gte, inArray, lt, sql } from 'drizzle-orm'
import { type Page, type PageRequest, pageOf, readPageRequest } from '../database/keyset.ts'
import { auditEvents } from '../database/tables.ts'
import { withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'

export type AuditEvent = typeof auditEvents.$inferSelect

export interface AuditEventFilter {
  actions: readonly string[] | null
  targetId: string | null
  after: Date | null
  before: Date | null
}

const list = 'auditEvents'

/** Newest first. Throws `Fault` BAD_REQUEST for a page that cannot be. */
export async function listEvents(
  { database, principal }: Acting,
  { filter, page }: { filter: AuditEventFilter; page: PageRequest },
): Promise<Page<AuditEvent>> {
  const bounds = readPageRequest(list, page)
  const { size, backward, after, before } = bounds
  const direction = backward ? asc : desc
  const key = sql`(${auditEvents.at}, ${auditEvents.id})`
  const rows = await withOrganization(database, principal, (transaction) =>
    transaction
      .select({ event: auditEvents, value: sql<string>`${auditEvents.at}::text` })
      .from(auditEvents)
      .where(
        and(
          eq(auditEvents.organizationId, principal.organizationId),
          filter.actions ? inArray(auditEvents.action, [...filter.actions]) : undefined,
          filter.targetId === null ? undefined : eq(auditEvents.targetId, filter.targetId),
          filter.after ? gte(auditEvents.at, filter.after) : undefined,
          filter.before ? lt(auditEvents.at, filter.before) : undefined,
          after ? sql`${key} < (${after.value}::timestamptz, ${after.id})` : undefined,
          before ? sql`${key} > (${before.value}::timestamptz, ${before.id})` : undefined,
        ),
      )
      .orderBy(direction(auditEvents.at), direction(auditEvents.id))
      .limit(size + 1),
  )
  return pageOf(
    list,
    bounds,
    rows.map(({ event, value }) => ({ node: event, position: { value, id: event.id } })),
  )
}

export async function findEvent({ database, principal }: Acting, eventId: string): Promise<AuditEvent | null> {
  const [event] = await withOrganization(database, principal, (transaction) =>
    transaction
      .select()
      .from(auditEvents)
      .where(and(eq(auditEvents.organizationId, principal.organizationId), eq(auditEvents.id, sql`${eventId}`))),
  )
  return event ?? null
}
