import { eq, type SQL, sql } from 'drizzle-orm'
import type { Logger } from 'pino'
import { auditEvents, auditHeads } from '../database/tables.ts'
import { afterCommit, type Transaction } from '../database/with-organization.ts'
import type { Clock, RandomBytes } from '../dependencies.ts'
import { createId, isId, type OrganizationId } from '../identifiers.ts'
import { type OrganizationPrincipal, type Origin, principalId } from '../identity/principal.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Digester } from '../tokens/secret.ts'
import { isRecordedType } from '../webhooks/event-types.ts'
import { outboxStatement } from '../webhooks/outbox.ts'
import { hashOf, linkAfter } from './chain.ts'

/** Every action that the log can hold. */
export const auditActions = [
  'access.denied',
  'access_token.reset',
  'group.created',
  'group.deleted',
  'group.role_set',
  'group.updated',
  'invitation.accepted',
  'invitation.revoked',
  'member.activated',
  'member.added',
  'member.deactivated',
  'member.invited',
  'member.password_change_failed',
  'member.password_changed',
  'member.password_set',
  'member.removed',
  'member.role_changed',
  'member.updated',
  'organization.created',
  'organization.domain_added',
  'organization.domain_removed',
  'session.ended',
  'session.others_ended',
  'session.replaced',
  'session.sign_in_failed',
  'session.signed_in',
  'session.signed_out',
  'session.switched',
  'token.created',
  'token.deleted',
  'token.disabled',
  'token.enabled',
  'token.purged',
  'token.regenerated',
  'token.retired_secret_used',
  'token.updated',
  'token_policy.updated',
  'token_role.created',
  'token_role.deleted',
  'token_role.updated',
  'webhook.created',
  'webhook.deleted',
  'webhook.disabled',
  'webhook.enabled',
  'webhook.redelivered',
  'webhook.secret_regenerated',
  'webhook.tested',
  'webhook.updated',
] as const
export type AuditAction = (typeof auditActions)[number]

interface Target {
  name: string
  id: string | null
}

/** What a principal did, on its way into the log. */
export interface Action {
  action: AuditAction
  target?: Target | undefined
}

interface NewEvent {
  action: AuditAction
  /** As they are called now: the log keeps it when the name changes or goes. */
  actor: Target
  origin: Origin
  target?: Target | undefined
}

interface Sources {
  now: Clock
  randomBytes: RandomBytes
  digester: Digester
  log: Logger
  metrics: Pick<Metrics, 'auditEvents'>
}

/**
 * Commits with the transaction of what it records, so that neither is without the other, and so does what webhooks are told
 * of it. From here to its end, the organization's other transactions wait before they record theirs: it comes last, after
 * every other lock but those of webhooks, so that no two wait for each other.
 */
export async function recordEvent(
  transaction: Transaction,
  sources: Sources,
  { organizationId, ...event }: NewEvent & { organizationId: OrganizationId },
): Promise<void> {
  const made = madeOf(event, sources)
  const { action: type, actor, target } = event
  const token = target?.id && isId('token', target.id) ? { id: target.id, label: target.name } : null
  await appendEvents(transaction, sources, {
    organizationId,
    events: [made],
    tell: (at) =>
      isRecordedType(type) ? outboxStatement(sources, { id: made.id, type, organizationId, at, token, actor }) : null,
  })
  tellOfEvents(transaction, sources, { organizationId, events: [made], origin: event.origin })
}

/** So that from a request’s id, which the log keeps, its events are found, and from an event its request. */
function tellOfEvents(
  transaction: Transaction,
  { log, metrics }: Sources,
  { organizationId, events, origin }: { organizationId: OrganizationId; events: readonly PastEvent[]; origin: Origin },
): void {
  afterCommit(transaction, () => {
    for (const { id, action } of events) {
      metrics.auditEvents({ action }).value++
      log.info({ request: origin.request?.id, event: id, action, organization: organizationId }, 'audit event recorded')
    }
  })
}

/** Waits for the organization's other transactions to have recorded what they do, and lets none do so before this one ends. */
export async function lockLog(transaction: Transaction, organizationId: OrganizationId): Promise<void> {
  await transaction
    .select({ position: auditHeads.position })
    .from(auditHeads)
    .where(eq(auditHeads.organizationId, organizationId))
    .for('update')
}

const madeOf = ({ action, actor, origin, target }: NewEvent, sources: Sources): PastEvent => ({
  id: createId('event', sources),
  action,
  actor: actor.name,
  actorId: actor.id,
  target: target?.name ?? null,
  targetId: target?.id ?? null,
  ipAddress: origin.ipAddress,
  userAgent: origin.userAgent?.slice(0, 300) ?? null,
})

const mostAtOnce = 1_000

/** The events of all that a principal did in their organization, in this order. It comes last, as `recordEvent` does. */
export async function recordActions(
  transaction: Transaction,
  acting: Sources & { principal: OrganizationPrincipal; origin: Origin },
  actions: readonly Action[],
): Promise<void> {
  const { principal, origin } = acting
  const actor = actorOf(principal)
  const events = actions.map((action) => madeOf({ ...action, actor, origin }, acting))
  for (let at = 0; at < events.length; at += mostAtOnce) {
    const { organizationId } = principal
    await appendEvents(transaction, acting, { organizationId, events: events.slice(at, at + mostAtOnce) })
  }
  tellOfEvents(transaction, acting, { organizationId: principal.organizationId, events, origin })
}

/** An event on its way into the log; without an instant of its own, it is recorded now. */
interface PastEvent
  extends Omit<typeof auditEvents.$inferSelect, 'organizationId' | 'at' | 'position' | 'keyId' | 'hash'> {
  at?: Date
}

/**
 * At the end of the organization's chain, in the order given; as many as one statement takes. With them goes what `tell`
 * makes of the instant at which they are recorded.
 */
export async function appendEvents(
  transaction: Transaction,
  { digester }: Pick<Sources, 'digester'>,
  {
    organizationId,
    events,
    tell,
  }: { organizationId: OrganizationId; events: readonly PastEvent[]; tell?: (at: Date) => SQL | null },
): Promise<void> {
  const own = eq(auditHeads.organizationId, organizationId)
  const now = sql<Date>`now()::timestamptz(3)`.mapWith(auditEvents.at)
  const [head] = await transaction
    .select({ position: auditHeads.position, link: auditHeads.link, now })
    .from(auditHeads)
    .where(own)
    .for('update')
  // Without its end the chain cannot go on, and nothing is done that is not recorded.
  if (!head) throw new Error('The head of the organization’s audit chain is missing; see “latchkey audit verify”.')
  const { keyId } = digester
  let { position, link } = head
  const chained = events.map((event) => {
    position += 1
    const row = { ...wellFormed(event), at: event.at ?? head.now, organizationId, position, keyId }
    const hash = hashOf(digester, keyId, link, row)
    link = linkAfter(digester, { ...row, hash })
    return { ...row, hash }
  })
  // In one statement, since everyone else who records in the organization waits for it.
  const moved = transaction.update(auditHeads).set({ position, link }).where(own).returning()
  const added = transaction.insert(auditEvents).values(chained)
  const told = tell?.(head.now)
  await transaction.execute(sql`with moved as ${moved} ${told ? sql`, told as (${told})` : sql``} ${added.getSQL()}`)
}

/**
 * Takes as long as `recordEvent` does, with as many statements and a commit that waits for the disk, and records nothing:
 * for where there is no log to record in, and the time that it takes would tell so.
 */
export async function recordNothing(transaction: Transaction, organizationId: OrganizationId): Promise<void> {
  await transaction
    .select({ position: auditHeads.position, link: auditHeads.link })
    .from(auditHeads)
    .where(eq(auditHeads.organizationId, organizationId))
    .for('update')
  await transaction.execute(sql`select pg_logical_emit_message(true, 'latchkey', repeat(' ', 500))`)
}

/** As PostgreSQL will have it: half of a pair of surrogates becomes U+FFFD on the way there. */
function wellFormed(event: PastEvent): PastEvent {
  const whole = (text: string | null) => text?.toWellFormed() ?? null
  return {
    ...event,
    actor: event.actor.toWellFormed(),
    actorId: whole(event.actorId),
    target: whole(event.target),
    targetId: whole(event.targetId),
    ipAddress: whole(event.ipAddress),
    userAgent: whole(event.userAgent),
  }
}

/** The event of what a principal did in their organization. */
export async function recordAction(
  transaction: Transaction,
  acting: Sources & { principal: OrganizationPrincipal; origin: Origin },
  action: AuditAction,
  target?: Target,
): Promise<void> {
  const { principal, origin } = acting
  await recordEvent(transaction, acting, {
    organizationId: principal.organizationId,
    action,
    actor: actorOf(principal),
    origin,
    target,
  })
}

/** As they are called now. */
export const actorOf = (principal: OrganizationPrincipal): Target => ({
  name: principal.name,
  id: principalId(principal),
})
