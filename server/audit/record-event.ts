import { auditEvents } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { Clock, RandomBytes } from '../dependencies.ts'
import { createId, type OrganizationId } from '../identifiers.ts'
import type { OrganizationPrincipal, Origin } from '../identity/principal.ts'

/** Every action that the log can hold. */
export const auditActions = [
  'access.denied',
  'access_token.reset',
  'member.added',
  'member.password_set',
  'organization.created',
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
] as const
export type AuditAction = (typeof auditActions)[number]

interface Target {
  name: string
  id: string | null
}

interface NewEvent {
  organizationId: OrganizationId
  action: AuditAction
  /** As they are called now: the log keeps it when the name changes or goes. */
  actor: Target
  origin: Origin
  target?: Target | undefined
}

interface Sources {
  now: Clock
  randomBytes: RandomBytes
}

/** Commits with the transaction of what it records, so that neither is without the other. */
export async function recordEvent(
  transaction: Transaction,
  { now, randomBytes }: Sources,
  { organizationId, action, actor, origin, target }: NewEvent,
): Promise<void> {
  await transaction.insert(auditEvents).values({
    id: createId('event', { now, randomBytes }),
    organizationId,
    action,
    actor: actor.name,
    actorId: actor.id,
    target: target?.name ?? null,
    targetId: target?.id ?? null,
    ipAddress: origin.ipAddress,
    userAgent: origin.userAgent?.slice(0, 300) ?? null,
  })
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
    actor: { name: principal.name, id: principalId(principal) },
    origin,
    target,
  })
}

export function principalId(principal: OrganizationPrincipal): string {
  return principal.kind === 'member' ? principal.memberId : principal.tokenId
}
