import { recordAction, recordEvent } from '../audit/record-event.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting, Dependencies } from '../dependencies.ts'
import { Fault } from '../fault.ts'
import { createId } from '../identifiers.ts'
import type { MemberPrincipal, Origin } from './principal.ts'
import { NotAMember, SignInRefused, TooManyAttempts } from './refusals.ts'
import type { AccessToken, Membership, Person } from './repository.ts'
import * as repository from './repository.ts'

/** A session that has just begun, with the one showing of its secret. */
export interface SignedIn {
  principal: MemberPrincipal
  sessionToken: string
  expiresAt: Date
}

/** Longer than any address that mail is delivered to (RFC 5321), and than any password that could have been set. */
const longestEmail = 320
const longestPresentedPassword = 1_024

/** As addresses are compared: without regard to case. */
export function emailKey(email: string): string {
  return email.trim().normalize('NFC').toLowerCase()
}

/**
 * Signs in to the organization named by `slug` or else to the one last used. Takes the same time, and says the same, for an
 * unknown address, a wrong password and a deactivated member. Throws `SignInRefused`, `TooManyAttempts`.
 */
export async function signIn(
  dependencies: Dependencies & { origin: Origin },
  { email, password, slug }: { email: string; password: string; slug: string | null },
): Promise<SignedIn> {
  const { database, passwords, signInLimit, origin } = dependencies
  const key = emailKey(email)
  if (key.length > longestEmail || password.length > longestPresentedPassword) throw new SignInRefused()
  const retryAfterSeconds = await signInLimit.count(key)
  const person = await repository.findPerson(database, key)
  const memberships = person ? await repository.listMemberships(database, person.id) : []
  const membership = person && chooseMembership(person, memberships, slug)
  const right = retryAfterSeconds === null && (await passwords.verify(password, person?.passwordHash ?? null))
  if (!right || !person || !membership) {
    const concerned = membership ?? memberships[0]
    if (person && concerned) await recordRefusal(dependencies, { person, membership: concerned, origin })
    throw retryAfterSeconds === null ? new SignInRefused() : new TooManyAttempts(retryAfterSeconds)
  }
  await signInLimit.reset(key)
  return withOrganization(database, scopeOf(membership), async (transaction) => {
    const signedIn = await beginSession(transaction, dependencies, { person, membership, expiresAt: null })
    await recordAction(transaction, { ...dependencies, principal: signedIn.principal }, 'session.signed_in')
    return signedIn
  })
}

function chooseMembership(person: Person, memberships: Membership[], slug: string | null): Membership | undefined {
  if (slug !== null) return memberships.find(({ organization }) => organization.slug === slug)
  return memberships.find(({ organization }) => organization.id === person.lastOrganizationId) ?? memberships[0]
}

const scopeOf = ({ organization, personId }: Membership) => ({ organizationId: organization.id, personId })

async function recordRefusal(
  dependencies: Dependencies,
  { person, membership, origin }: { person: Person; membership: Membership; origin: Origin },
): Promise<void> {
  await withOrganization(dependencies.database, scopeOf(membership), (transaction) =>
    recordEvent(transaction, dependencies, {
      organizationId: membership.organization.id,
      action: 'session.sign_in_failed',
      actor: { name: person.email, id: membership.memberId },
      origin,
    }),
  )
}

async function beginSession(
  transaction: Transaction,
  dependencies: Dependencies & { origin: Origin },
  {
    person,
    membership,
    expiresAt,
  }: { person: { id: Person['id']; email: string }; membership: Membership; expiresAt: Date | null },
): Promise<SignedIn> {
  const { digester, origin } = dependencies
  const { secret, record } = digester.issue('session')
  const session = createId('session', dependencies)
  const organizationId = membership.organization.id
  const end = await repository.insertSession(
    transaction,
    { id: session, organizationId, personId: person.id, origin, expiresAt },
    record,
  )
  await repository.rememberOrganization(transaction, { personId: person.id, organizationId })
  const { memberId, personId, role } = membership
  return {
    principal: {
      kind: 'member',
      organizationId,
      memberId,
      personId,
      role,
      name: person.email,
      by: { session, expiresAt: end },
    },
    sessionToken: secret,
    expiresAt: end,
  }
}

/** Gives whether a session ended: an access token is none. */
export async function signOut(acting: Acting<MemberPrincipal>): Promise<boolean> {
  const { database, principal } = acting
  const { by } = principal
  if (!('session' in by)) return false
  return withOrganization(database, principal, async (transaction) => {
    const ended = await repository.removeSession(transaction, { personId: principal.personId, sessionId: by.session })
    if (ended) await recordAction(transaction, acting, 'session.signed_out')
    return ended
  })
}

/**
 * The session goes on in another of the person's organizations, under a new secret and until the same end. Throws
 * `NotAMember`, and `Fault` FORBIDDEN for an access token, which would otherwise open organizations that it is not for.
 */
export async function switchOrganization(acting: Acting<MemberPrincipal>, slug: string): Promise<SignedIn> {
  const { database, principal } = acting
  const { by } = principal
  if (!('session' in by)) {
    await withOrganization(database, principal, (transaction) =>
      recordAction(transaction, acting, 'access.denied', { name: 'switchOrganization', id: null }),
    )
    throw new Fault(
      'FORBIDDEN',
      'Only a session can be switched. Sign in to the other organization, or use its access token.',
    )
  }
  const memberships = await repository.listMemberships(database, principal.personId)
  const membership = memberships.find(({ organization }) => organization.slug === slug)
  if (!membership) throw new NotAMember()
  return withOrganization(database, scopeOf(membership), async (transaction) => {
    const ended = await repository.removeSession(transaction, { personId: principal.personId, sessionId: by.session })
    if (!ended) throw new Fault('UNAUTHENTICATED', 'The session has ended. Sign in again.')
    const signedIn = await beginSession(transaction, acting, {
      person: { id: principal.personId, email: principal.name },
      membership,
      expiresAt: by.expiresAt,
    })
    await recordAction(transaction, { ...acting, principal: signedIn.principal }, 'session.switched')
    return signedIn
  })
}

/** The old access token and every session of the person, in whichever organization, are refused once this has answered. */
export async function resetAccessToken(
  acting: Acting<MemberPrincipal>,
): Promise<{ accessToken: AccessToken; secret: string }> {
  const { database, principal, digester } = acting
  return withOrganization(database, principal, async (transaction) => {
    const { secret, record } = digester.issue('accessToken')
    const { organizationId, memberId, personId } = principal
    const accessToken = await repository.replaceAccessToken(
      transaction,
      { id: createId('accessToken', acting), organizationId, memberId },
      record,
    )
    await repository.removeSessions(transaction, { personId })
    await recordAction(transaction, acting, 'access_token.reset', { name: principal.name, id: accessToken.id })
    return { accessToken, secret }
  })
}

export async function findAccessToken({ database, principal }: Acting<MemberPrincipal>): Promise<AccessToken | null> {
  return withOrganization(database, principal, (transaction) => repository.findAccessToken(transaction, principal))
}
