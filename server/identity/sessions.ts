import { recordDenial } from '../audit/record-denial.ts'
import { recordEvent } from '../audit/record-event.ts'
import { inEachOrganization, moveTo, type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { Fault } from '../fault.ts'
import type { OrganizationId, SessionId } from '../identifiers.ts'
import type { MemberPrincipal } from './principal.ts'
import { SessionNotFound } from './refusals.ts'
import type { Session } from './repository.ts'
import * as repository from './repository.ts'

const mostListed = 200

export interface ListedSession extends Session {
  /** Whether it is the one that asks. */
  current: boolean
}

/**
 * What the caller may see and end: by a session, the person's sessions everywhere. An access token belongs to one
 * organization, and so do the sessions in its reach: whoever has got hold of it learns nothing of the others.
 */
const reachOf = ({ by, personId, organizationId }: MemberPrincipal) => ({
  personId,
  onlyIn: 'session' in by ? null : organizationId,
})

/** The same for row-level security. */
const scopeOf = ({ by, personId, organizationId }: MemberPrincipal) =>
  'session' in by ? { organizationId, personId } : { organizationId }

const ownSession = ({ by }: MemberPrincipal) => ('session' in by ? by.session : null)

/** The 200 that were used last, the latest first. */
export async function listSessions({ database, principal }: Acting<MemberPrincipal>): Promise<ListedSession[]> {
  const sessions = await repository.listSessions(database, reachOf(principal), mostListed)
  const own = ownSession(principal)
  return sessions.map((session) => ({ ...session, current: session.id === own }))
}

/** The session is refused once this has answered. Throws `SessionNotFound`. */
export async function endSession(
  acting: Acting<MemberPrincipal>,
  sessionId: string,
): Promise<{ id: SessionId; current: boolean }> {
  const { database, principal } = acting
  return withOrganization(database, scopeOf(principal), async (transaction) => {
    const ended = await repository.removeSession(transaction, { ...reachOf(principal), sessionId })
    if (!ended) throw new SessionNotFound()
    const { id, organizationId } = ended
    await recordEnd(transaction, acting, { organizationId, action: 'session.ended', target: id })
    return { id, current: id === ownSession(principal) }
  })
}

/** Gives how many there were. */
export async function endOtherSessions(acting: Acting<MemberPrincipal>): Promise<number> {
  const { database, principal } = acting
  return withOrganization(database, scopeOf(principal), async (transaction) => {
    const kept = ownSession(principal)
    const ended = await repository.removeSessions(transaction, { ...reachOf(principal), kept })
    const organizationIds = new Set(ended.map(({ organizationId }) => organizationId))
    await inEachOrganization(
      transaction,
      Array.from(organizationIds, (organizationId) => ({ organizationId })),
      ({ organizationId }) =>
        recordEnd(transaction, acting, { organizationId, action: 'session.others_ended', target: null }),
    )
    return ended.length
  })
}

/** In the log of the organization in which the session acted, from whichever it was ended. */
async function recordEnd(
  transaction: Transaction,
  acting: Acting<MemberPrincipal>,
  {
    organizationId,
    action,
    target,
  }: { organizationId: OrganizationId; action: 'session.ended' | 'session.others_ended'; target: SessionId | null },
): Promise<void> {
  const { principal, origin } = acting
  await moveTo(transaction, organizationId)
  const memberId = await repository.readMemberId(transaction, { organizationId, personId: principal.personId })
  await recordEvent(transaction, acting, {
    organizationId,
    action,
    actor: { name: principal.name, id: memberId },
    origin,
    target: { name: principal.name, id: target ?? memberId },
  })
}

/** Ends the session of another sign-in, perhaps of another person in another organization. Null where it has ended before. */
export async function removeReplaced(
  transaction: Transaction,
  principal: MemberPrincipal,
): Promise<{ organizationId: OrganizationId; principal: MemberPrincipal } | null> {
  const { organizationId, personId } = principal
  const sessionId = ownSession(principal)
  if (sessionId === null) return null
  await moveTo(transaction, organizationId)
  const removed = await repository.removeSession(transaction, { personId, sessionId })
  return removed && { organizationId, principal }
}

/** Throws `Fault` FORBIDDEN in these words for an access token, and records that it tried. */
export async function requireSession(
  acting: Acting<MemberPrincipal>,
  { field, words }: { field: string; words: string },
): Promise<{ session: SessionId; expiresAt: Date }> {
  const { by } = acting.principal
  if ('session' in by) return by
  await recordDenial(acting, field)
  throw new Fault('FORBIDDEN', words)
}

export const sessionEnded = () => new Fault('UNAUTHENTICATED', 'The session has ended. Sign in again.')
