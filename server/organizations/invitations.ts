import { and, desc, eq, gt, inArray, type SQL, sql } from 'drizzle-orm'
import { type Action, recordAction, recordActions } from '../audit/record-event.ts'
import { invitations, members, organizationDomains, people } from '../database/tables.ts'
import { DatabaseUnavailable, isUnavailable } from '../database/unavailable.ts'
import { inEachOrganization, type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting, Dependencies } from '../dependencies.ts'
import { createId, type InvitationId, type MemberId, type OrganizationId, type PersonId } from '../identifiers.ts'
import { passwordProblem } from '../identity/passwords.ts'
import type { MemberPrincipal, Origin } from '../identity/principal.ts'
import { SignInRefused } from '../identity/refusals.ts'
import {
  findOrInsertPerson,
  findPerson,
  listMemberships,
  rememberOrganization,
  storePassword,
} from '../identity/repository.ts'
import { beginSession, emailKey, requirePassword, type SignedIn } from '../identity/service.ts'
import { removeReplaced } from '../identity/sessions.ts'
import { countSecret } from '../rate-limits.ts'
import { type InputIssue, InvalidInput } from '../refusal.ts'
import { digestBytes, splitDigests } from '../tokens/secret.ts'
import { lockOrganization } from './groups.ts'
import { type Member, memberColumns, readOrganization } from './members.ts'
import { emailProblem, memberNameProblem, nameOf } from './operator.ts'
import { AlreadyMember, InvitationNotFound, oneOwner, TooManyInvitations } from './refusals.ts'
import type { OrganizationRole } from './roles.ts'

export interface Invitation {
  id: InvitationId
  email: string
  role: OrganizationRole
  /** Whether the operator has confirmed that the address's domain is the organization's, whose word for an address then counts. */
  domainConfirmed: boolean
  createdAt: Date
  expiresAt: Date
  createdBy: Member
}

const goodForDays = 7
const mostOpen = 200

const domainConfirmed = sql<boolean>`exists (
  select from ${organizationDomains} where ${organizationDomains.organizationId} = ${invitations.organizationId}
    and ${organizationDomains.domain} = split_part(${invitations.email}, '@', 2))`

/** Joined with whoever made it: what an admin has made is good only while they are one. */
const isGood = (): SQL | undefined =>
  and(gt(invitations.expiresAt, sql`now()`), members.active, inArray(members.role, ['OWNER', 'SUPER_ADMIN']))

const madeByMember = and(
  eq(members.organizationId, invitations.organizationId),
  eq(members.id, invitations.createdByMemberId),
)

/** Those that can be accepted now, the newest first. */
export async function listInvitations({ database, principal }: Acting): Promise<Invitation[]> {
  return withOrganization(database, principal, (transaction) => select(transaction, principal.organizationId))
}

function select(transaction: Transaction, organizationId: OrganizationId, condition?: SQL): Promise<Invitation[]> {
  return transaction
    .select({
      id: invitations.id,
      email: invitations.email,
      role: invitations.role,
      domainConfirmed,
      createdAt: invitations.createdAt,
      expiresAt: invitations.expiresAt,
      createdBy: memberColumns,
    })
    .from(invitations)
    .innerJoin(members, madeByMember)
    .innerJoin(people, eq(people.id, members.personId))
    .where(and(eq(invitations.organizationId, organizationId), isGood(), condition))
    .orderBy(desc(invitations.createdAt), desc(invitations.id))
}

/**
 * Takes the place of an earlier invitation of the same address. The secret is shown this once. Throws `InvalidInput`,
 * `AlreadyMember`, `TooManyInvitations`, `RateLimited`.
 */
export async function inviteMember(
  acting: Acting<MemberPrincipal>,
  input: { email: string; role: OrganizationRole },
): Promise<{ invitation: Invitation; secret: string }> {
  const { database, principal, digester } = acting
  const { organizationId } = principal
  const issues: InputIssue[] = []
  const problem = emailProblem(input.email)
  if (problem) issues.push({ path: 'email', message: problem })
  if (input.role === 'OWNER') issues.push(oneOwner)
  if (issues.length > 0) throw new InvalidInput(issues)
  await countSecret(acting)
  const email = emailKey(input.email)
  const id = createId('invitation', acting)
  const { secret, record } = digester.issue('invitation')
  return withOrganization(database, principal, async (transaction) => {
    await lockOrganization(transaction, organizationId)
    if (await findMembership(transaction, organizationId, email)) throw new AlreadyMember()
    const own = eq(invitations.organizationId, organizationId)
    await transaction.delete(invitations).where(and(own, eq(invitations.email, email)))
    const open = await select(transaction, organizationId)
    if (open.length >= mostOpen) throw new TooManyInvitations(mostOpen)
    await transaction.insert(invitations).values({
      id,
      organizationId,
      email,
      role: input.role,
      digest: record.digest,
      keyId: record.keyId,
      createdByMemberId: principal.memberId,
      expiresAt: sql`now() + ${goodForDays} * interval '1 day'`,
    })
    const [invitation] = await select(transaction, organizationId, eq(invitations.id, id))
    // Whoever invites was an admin a moment ago, and is none any more.
    if (!invitation) throw new InvitationNotFound()
    await recordAction(transaction, acting, 'member.invited', { name: email, id })
    return { invitation, secret }
  })
}

/** Its link is refused once this has answered. Throws `InvitationNotFound`. */
export async function revokeInvitation(acting: Acting, id: string): Promise<InvitationId> {
  const { database, principal } = acting
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    const [revoked] = await transaction
      .delete(invitations)
      .where(and(eq(invitations.organizationId, organizationId), eq(invitations.id, sql`${id}`)))
      .returning({ id: invitations.id, email: invitations.email })
    if (!revoked) throw new InvitationNotFound()
    await recordAction(transaction, acting, 'invitation.revoked', { name: revoked.email, id: revoked.id })
    return revoked.id
  })
}

/** What an invitation offers to whoever holds its secret. */
export interface InvitationOffer {
  id: InvitationId
  organizationId: OrganizationId
  /** Its name. */
  organization: string
  email: string
  role: OrganizationRole
  /** Whether the person has no password, and may choose one by it. */
  choosesPassword: boolean
  expiresAt: Date
}

/** Looks across organizations: the secret alone tells of which it is. Null for one that is not good now. */
export async function findOffer(
  { database, digester }: Pick<Dependencies, 'database' | 'digester'>,
  secret: string,
): Promise<InvitationOffer | null> {
  const presented = digester.readInvitation(secret)
  if (presented === null) return null
  try {
    const { rows } = await database.lookup.query<InvitationOffer>(
      `select i.id, i.organization_id as "organizationId", o.name as organization, i.email, i.role,
         p.password_hash is null and d.domain is not null as "choosesPassword", i.expires_at as "expiresAt"
       from invitations i
       join organizations o on o.id = i.organization_id
       join members m on m.organization_id = i.organization_id and m.id = i.created_by_member_id
       left join people p on p.email = i.email
       left join organization_domains d on d.organization_id = i.organization_id and d.domain = split_part(i.email, '@', 2)
       where i.digest = any($1) and i.expires_at > now() and m.active and m.role in ('OWNER', 'SUPER_ADMIN')`,
      [splitDigests(presented).map(digestBytes)],
    )
    return rows[0] ?? null
  } catch (error) {
    throw isUnavailable(error) ? new DatabaseUnavailable(error) : error
  }
}

/**
 * Whoever has a password proves with it that they are the person of the address, as when they sign in. Whoever has none
 * chooses one where the organization's word for the address counts, and is refused elsewhere: an admin could otherwise become
 * anyone whom another organization is yet to add. Throws `InvalidInput`, `InvitationNotFound`, `SignInRefused`,
 * `TooManyAttempts`.
 */
export async function acceptInvitation(
  dependencies: Dependencies & { origin: Origin },
  {
    secret,
    password,
    displayName,
    replacing,
  }: { secret: string; password: string; displayName: string | null; replacing: MemberPrincipal | null },
): Promise<SignedIn> {
  const { database, passwords } = dependencies
  const offer = await findOffer(dependencies, secret)
  if (!offer) throw new InvitationNotFound()
  const { organizationId, email } = offer
  const name = displayName?.trim() || nameOf(email)
  const issues: InputIssue[] = []
  const nameProblem = memberNameProblem(name)
  if (nameProblem) issues.push({ path: 'displayName', message: nameProblem })
  const problem = offer.choosesPassword ? passwordProblem(password, email) : null
  if (problem) issues.push({ path: 'password', message: problem })
  if (issues.length > 0) throw new InvalidInput(issues)

  const known = offer.choosesPassword
    ? await findPerson(database, email)
    : (await requirePassword(dependencies, { email, password }, (_person, [first]) => first ?? null)).person
  const newHash = offer.choosesPassword ? await passwords.hash(password) : null
  // Of whoever chooses one nothing is proven, also where they have one by now.
  const provenHash = offer.choosesPassword ? null : known?.passwordHash
  const elsewhere = known ? await listMemberships(database, known.id) : []

  return withOrganization(database, { organizationId }, async (transaction) => {
    await lockOrganization(transaction, organizationId)
    const { role, domainConfirmed } = await take(transaction, offer)
    const personId = await findOrInsertPerson(transaction, dependencies, email)
    const { passwordHash } = await rememberOrganization(transaction, { organizationId, personId })
    // What was found of the person may have changed since.
    if (passwordHash === null) {
      if (newHash === null || !domainConfirmed) throw new SignInRefused()
      await storePassword(transaction, { personId, passwordHash: newHash })
    } else if (passwordHash !== provenHash && !(await passwords.verify(password, passwordHash))) {
      throw new SignInRefused()
    }
    const before = await findMembership(transaction, organizationId, email)
    if (before && !before.active) throw new SignInRefused()
    const member = before ?? (await insert(transaction, dependencies, { organizationId, personId, role, name }))
    const organization = await readOrganization(transaction, { organizationId })
    const membership = { organization, memberId: member.id, personId, role: member.role }
    const signedIn = await beginSession(transaction, dependencies, {
      person: { id: personId, email },
      membership,
      expiresAt: null,
    })
    const { principal } = signedIn
    const own = { name: email, id: member.id }
    const chosen: Action[] = passwordHash === null ? [{ action: 'member.password_set', target: own }] : []
    const added: Action[] = before ? [] : [{ action: 'member.added', target: own }]
    const accepted: Action = { action: 'invitation.accepted', target: { name: email, id: offer.id } }
    const replaced = replacing && (await removeReplaced(transaction, replacing))
    await inEachOrganization(
      transaction,
      [
        ...(replaced ? [{ ...replaced, actions: [{ action: 'session.replaced' as const }] }] : []),
        ...elsewhere
          .filter(({ organization }) => organization.id !== organizationId)
          .map(({ organization: { id }, memberId }) => ({
            organizationId: id,
            principal: { ...principal, organizationId: id, memberId },
            actions: chosen.map(({ action }): Action => ({ action, target: { name: email, id: memberId } })),
          })),
        {
          organizationId,
          principal,
          actions: [accepted, ...added, ...chosen, { action: 'session.signed_in' as const }],
        },
      ],
      ({ principal, actions }) => recordActions(transaction, { ...dependencies, principal }, actions),
    )
    return signedIn
  })
}

/** It is gone with this, and whoever else presents it at this moment waits, and finds none. Throws `InvitationNotFound`. */
async function take(transaction: Transaction, { id, organizationId }: InvitationOffer): Promise<Invitation> {
  const [invitation] = await select(transaction, organizationId, eq(invitations.id, id))
  if (!invitation) throw new InvitationNotFound()
  await transaction
    .delete(invitations)
    .where(and(eq(invitations.organizationId, organizationId), eq(invitations.id, id)))
  return invitation
}

async function findMembership(
  transaction: Transaction,
  organizationId: OrganizationId,
  email: string,
): Promise<{ id: MemberId; role: OrganizationRole; active: boolean } | null> {
  const [member] = await transaction
    .select({ id: members.id, role: members.role, active: members.active })
    .from(members)
    .innerJoin(people, eq(people.id, members.personId))
    .where(and(eq(members.organizationId, organizationId), eq(people.email, email)))
  return member ?? null
}

async function insert(
  transaction: Transaction,
  dependencies: Dependencies,
  {
    organizationId,
    personId,
    role,
    name,
  }: { organizationId: OrganizationId; personId: PersonId; role: OrganizationRole; name: string },
): Promise<{ id: MemberId; role: OrganizationRole }> {
  const id = createId('member', dependencies)
  await transaction.insert(members).values({ id, organizationId, personId, role, displayName: name })
  return { id, role }
}
