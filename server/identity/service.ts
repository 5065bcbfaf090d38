import { recordAction, recordEvent, recordNothing } from '../audit/record-event.ts'
import { inEachOrganization, type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting, Dependencies } from '../dependencies.ts'
import { createId } from '../identifiers.ts'
import { countSecret } from '../rate-limits.ts'
import type { MemberPrincipal, Origin } from './principal.ts'
import { NotAMember, SignInRefused, TooManyAttempts } from './refusals.ts'
import type { AccessToken, Membership, Person } from './repository.ts'
import * as repository from './repository.ts'
import { removeReplaced, requireSession, sessionEnded } from './sessions.ts'

/** A session that has just begun, with the one showing of its secret. */
export interface SignedIn {
  principal: MemberPrincipal
  sessionToken: string
  expiresAt: Date
}

/** Longer than any address that mail is delivered to (RFC 5321), and than any password that could have been set. */
const longestEmail = 320
export const longestPresentedPassword = 1_024

/** As addresses are compared: without regard to case. */
export function emailKey(email: string): string {
  return email.trim().normalize('NFC').toLowerCase()
}

/**
 * Signs in to the organization named by `slug` or else to the one last used. Takes the same time, and says the same, for an
 * unknown address, a wrong password and a deactivated member. The session that the new one takes the place of, whosever it
 * is, ends with it. Throws `SignInRefused`, `TooManyAttempts`.
 */
export async function signIn(
  dependencies: Dependencies & { origin: Origin },
  {
    email,
    password,
    slug,
    replacing = null,
  }: { email: string; password: string; slug: string | null; replacing?: MemberPrincipal | null },
): Promise<SignedIn> {
  const { database, passwords } = dependencies
  const { person, chosen: membership } = await requirePassword(
    dependencies,
    { email, password },
    (person, memberships) => chooseMembership(person, memberships, slug),
  )
  const { passwordHash: oldHash } = person
  const newHash = oldHash && (await passwords.renew(password, oldHash))
  return withOrganization(database, scopeOf(membership), async (transaction) => {
    const now = await repository.rememberOrganization(transaction, scopeOf(membership))
    // Changed since it was found to be right: every session by the old one has been ended, and none begins. Another sign-in
    // may have renewed its hash alone.
    if (now.passwordHash !== oldHash && !(await passwords.verify(password, now.passwordHash))) throw new SignInRefused()
    if (newHash && now.passwordHash === oldHash) {
      await repository.storePassword(transaction, { personId: person.id, passwordHash: newHash })
    }
    const signedIn = await beginSession(transaction, dependencies, { person, membership, expiresAt: null })
    const { principal } = signedIn
    const replaced = replacing && (await removeReplaced(transaction, replacing))
    await inEachOrganization(
      transaction,
      [
        ...(replaced ? [{ ...replaced, action: 'session.replaced' as const }] : []),
        { organizationId: principal.organizationId, principal, action: 'session.signed_in' as const },
      ],
      ({ principal, action }) => recordAction(transaction, { ...dependencies, principal }, action),
    )
    return signedIn
  })
}

/**
 * Finds whose address and password these are, as an attempt to sign in: it is counted, recorded where it is refused, and
 * takes the same time whatever was wrong. `choose` says in which of their organizations it is meant, null for another one;
 * where it has none to say, the attempt is refused. Throws `SignInRefused`, `TooManyAttempts`.
 */
export async function requirePassword<Chosen extends Membership | null>(
  dependencies: Dependencies & { origin: Origin },
  { email, password }: { email: string; password: string },
  choose: (person: Person, memberships: Membership[]) => Chosen | undefined,
): Promise<{ person: Person; chosen: Chosen }> {
  const { database, passwords, limits, origin } = dependencies
  const key = emailKey(email)
  if (key.length > longestEmail || password.length > longestPresentedPassword) throw new SignInRefused()
  const retryAfterSeconds = await countSignIn(dependencies, key)
  const person = await repository.findPerson(database, key)
  const memberships = await repository.listMemberships(database, person?.id ?? createId('person', dependencies))
  const chosen = person ? choose(person, memberships) : undefined
  const right = retryAfterSeconds === null && (await passwords.verify(password, person?.passwordHash ?? null))
  if (!right || !person || chosen === undefined) {
    const concerned = chosen ?? memberships[0]
    if (person && concerned) await recordRefusal(dependencies, { person, membership: concerned, origin })
    else await recordNowhere(dependencies)
    throw retryAfterSeconds === null ? new SignInRefused() : new TooManyAttempts(retryAfterSeconds)
  }
  await limits.signInsByAccount.reset(key)
  if (origin.ipAddress !== null) await limits.signInsByAddress.giveBack(origin.ipAddress)
  return { person, chosen }
}

/** An attempt that its address has no more of does not count for the account, so that nobody locks out many others. */
async function countSignIn(
  { limits, origin }: Dependencies & { origin: Origin },
  account: string,
): Promise<number | null> {
  const wait = origin.ipAddress === null ? null : await limits.signInsByAddress.count(origin.ipAddress)
  return wait ?? limits.signInsByAccount.count(account)
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

/** The refusal of an address that is nobody's takes as long as that of another. */
async function recordNowhere(dependencies: Dependencies): Promise<void> {
  const organizationId = createId('organization', dependencies)
  await withOrganization(dependencies.database, { organizationId }, (transaction) =>
    recordNothing(transaction, organizationId),
  )
}

export async function beginSession(
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
    return ended !== null
  })
}

/**
 * The session goes on in another of the person's organizations, under a new secret and until the same end. Throws
 * `NotAMember`, and `Fault` FORBIDDEN for an access token, which would otherwise open organizations that it is not for.
 */
export async function switchOrganization(acting: Acting<MemberPrincipal>, slug: string): Promise<SignedIn> {
  const { database, principal } = acting
  const { session, expiresAt } = await requireSession(acting, {
    field: 'switchOrganization',
    words: 'Only a session can be switched. Sign in to the other organization, or use its access token.',
  })
  const memberships = await repository.listMemberships(database, principal.personId)
  const membership = memberships.find(({ organization }) => organization.slug === slug)
  if (!membership) throw new NotAMember()
  return withOrganization(database, scopeOf(membership), async (transaction) => {
    await repository.rememberOrganization(transaction, scopeOf(membership))
    const { personId } = principal
    const ended = await repository.removeSession(transaction, { personId, sessionId: session })
    if (!ended) throw sessionEnded()
    const signedIn = await beginSession(transaction, acting, {
      person: { id: personId, email: principal.name },
      membership,
      expiresAt,
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
  await countSecret(acting)
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
