import { and, eq } from 'drizzle-orm'
import { recordEvent } from '../audit/record-event.ts'
import { members, organizationDomains, organizations, people } from '../database/tables.ts'
import { constraintOf, sqlState } from '../database/unavailable.ts'
import { inEachOrganization, type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import { createId, type OrganizationId, type PersonId } from '../identifiers.ts'
import { passwordProblem } from '../identity/passwords.ts'
import { findPerson, listMemberships, type Person, removeSessions, storePassword } from '../identity/repository.ts'
import { emailKey } from '../identity/service.ts'
import { type OrganizationRole, organizationRoles } from './roles.ts'

/** What the operator asked for cannot be done. Says why and what to do instead. */
export class OperatorError extends Error {}

/** The operator works beside the API, on the machine itself, and is in the log under this name. */
const operator = {
  actor: { name: 'operator', id: null },
  origin: { ipAddress: null, userAgent: 'latchkey command line' },
}

export interface NewOrganization {
  name: string
  /** Made from the name where it is left out. */
  slug?: string | undefined
  owner: NewMember
}

export interface NewMember {
  email: string
  displayName?: string | undefined
  /** Null for a person who is known already, from another organization. */
  password: string | null
}

export interface OrganizationListing {
  name: string
  slug: string
  /** The email address. */
  owner: string | null
  members: number
  /** Of email addresses, as the operator has confirmed. */
  domains: string[]
  createdAt: Date
}

export interface MemberListing {
  email: string
  name: string
  role: OrganizationRole
  active: boolean
  createdAt: Date
}

/** Makes the organization with its one owner. Throws `OperatorError`. */
export async function createOrganization(
  dependencies: Dependencies,
  { name, slug, owner }: NewOrganization,
): Promise<{ id: OrganizationId; name: string; slug: string; owner: MemberListing }> {
  const organization = { id: createId('organization', dependencies), name: name.trim(), slug: slug ?? slugOf(name) }
  refuse(organizationNameProblem(name) ?? slugProblem(organization.slug))
  return naming(() =>
    withOrganization(dependencies.database, { organizationId: organization.id }, async (transaction) => {
      await transaction.insert(organizations).values(organization)
      await recordEvent(transaction, dependencies, {
        ...operator,
        organizationId: organization.id,
        action: 'organization.created',
        target: { name: organization.name, id: organization.id },
      })
      const member = await insertMember(transaction, dependencies, organization.id, { ...owner, role: 'OWNER' })
      return { ...organization, owner: member }
    }),
  )
}

/** The one of that slug, or all of them in the order of their slugs. Throws `OperatorError` where there is none of that slug. */
export async function findOrganizations(
  { database }: Dependencies,
  slug: string | null,
): Promise<{ id: OrganizationId; slug: string }[]> {
  const { rows } = await database.lookup.query<{ id: OrganizationId; slug: string }>(
    'select id, slug from organizations where $1::text is null or slug = $1 order by slug',
    [slug],
  )
  if (slug !== null && rows.length === 0) throw new OperatorError(noSuchOrganization)
  return rows
}

const noSuchOrganization =
  'There is no organization with this slug. “latchkey organization list” shows those that there are.'

/** In the order of their names. */
export async function listOrganizations({ database }: Dependencies): Promise<OrganizationListing[]> {
  const { rows } = await database.lookup.query<OrganizationListing>(
    `select o.name, o.slug, o.created_at as "createdAt", max(p.email) filter (where m.role = 'OWNER') as owner, count(m.id)::int as members,
       array(select domain from organization_domains d where d.organization_id = o.id order by 1) as domains
     from organizations o left join members m on m.organization_id = o.id left join people p on p.id = m.person_id
     group by o.id order by o.name, o.id`,
  )
  return rows
}

/**
 * From now on the organization's word counts for whose the addresses of the domain are: by an invitation to one of them, whoever
 * has no password chooses it. Throws `OperatorError`.
 */
export async function addDomain(
  dependencies: Dependencies,
  { organization, domain }: { organization: string; domain: string },
): Promise<string> {
  refuse(domainProblem(domain))
  const organizationId = await requireOrganization(dependencies, organization)
  const key = domainKey(domain)
  await naming(() =>
    withOrganization(dependencies.database, { organizationId }, async (transaction) => {
      await transaction.insert(organizationDomains).values({ domain: key, organizationId })
      await recordDomain(transaction, dependencies, {
        organizationId,
        action: 'organization.domain_added',
        domain: key,
      })
    }),
  )
  return key
}

/** Whoever has a password by then keeps it. Throws `OperatorError`. */
export async function removeDomain(
  dependencies: Dependencies,
  { organization, domain }: { organization: string; domain: string },
): Promise<string> {
  const organizationId = await requireOrganization(dependencies, organization)
  const key = domainKey(domain)
  await withOrganization(dependencies.database, { organizationId }, async (transaction) => {
    const removed = await transaction
      .delete(organizationDomains)
      .where(and(eq(organizationDomains.organizationId, organizationId), eq(organizationDomains.domain, key)))
      .returning({ domain: organizationDomains.domain })
    if (removed.length === 0) {
      throw new OperatorError(
        `${organization} has no domain ${key}. “latchkey organization list” shows those that it has.`,
      )
    }
    await recordDomain(transaction, dependencies, {
      organizationId,
      action: 'organization.domain_removed',
      domain: key,
    })
  })
  return key
}

async function recordDomain(
  transaction: Transaction,
  dependencies: Dependencies,
  {
    organizationId,
    action,
    domain,
  }: {
    organizationId: OrganizationId
    action: 'organization.domain_added' | 'organization.domain_removed'
    domain: string
  },
): Promise<void> {
  await recordEvent(transaction, dependencies, {
    ...operator,
    organizationId,
    action,
    target: { name: domain, id: organizationId },
  })
}

/** Adds a person, new or known from another organization. Throws `OperatorError`. */
export async function addMember(
  dependencies: Dependencies,
  { organization, role, ...member }: NewMember & { organization: string; role: OrganizationRole },
): Promise<MemberListing> {
  const organizationId = await requireOrganization(dependencies, organization)
  return naming(() =>
    withOrganization(dependencies.database, { organizationId }, (transaction) =>
      insertMember(transaction, dependencies, organizationId, { ...member, role }),
    ),
  )
}

/** From the most to the least powerful, and in the order of their addresses. Throws `OperatorError`. */
export async function listMembers(dependencies: Dependencies, slug: string): Promise<MemberListing[]> {
  const organizationId = await requireOrganization(dependencies, slug)
  const rows = await withOrganization(dependencies.database, { organizationId }, (transaction) =>
    transaction
      .select(listingColumns)
      .from(members)
      .innerJoin(people, eq(people.id, members.personId))
      .where(eq(members.organizationId, organizationId))
      .orderBy(people.email),
  )
  const rank = ({ role }: MemberListing) => organizationRoles.indexOf(role)
  return rows.sort((one, other) => rank(one) - rank(other))
}

const listingColumns = {
  email: people.email,
  name: members.displayName,
  role: members.role,
  active: members.active,
  createdAt: members.createdAt,
}

/** Throws `OperatorError` for a person who cannot be given a password. */
export async function requirePerson({ database }: Dependencies, email: string): Promise<Person> {
  const person = await findPerson(database, emailKey(email))
  if (!person) {
    throw new OperatorError(
      `Nobody has the email address ${emailKey(email)}. “latchkey member list” shows who there is, and “latchkey member add” adds them.`,
    )
  }
  return person
}

/**
 * Ends every session of the person, and is in the log of every organization in which they are an active member. Throws
 * `OperatorError`.
 */
export async function setPassword(
  dependencies: Dependencies,
  { email, password }: { email: string; password: string },
): Promise<void> {
  const person = await requirePerson(dependencies, email)
  const memberships = await listMemberships(dependencies.database, person.id)
  const [first] = memberships
  if (!first) throw new OperatorError(`${person.email} is an active member of no organization.`)
  const passwordHash = await hashChecked(dependencies, person.email, password)
  const scope = { organizationId: first.organization.id, personId: person.id }
  await withOrganization(dependencies.database, scope, async (transaction) => {
    await storePassword(transaction, { personId: person.id, passwordHash })
    await removeSessions(transaction, { personId: person.id })
    await inEachOrganization(
      transaction,
      memberships.map(({ organization, memberId }) => ({ organizationId: organization.id, memberId })),
      ({ organizationId, memberId }) =>
        recordEvent(transaction, dependencies, {
          ...operator,
          organizationId,
          action: 'member.password_set',
          target: { name: person.email, id: memberId },
        }),
    )
  })
  await dependencies.limits.signInsByAccount.reset(person.email)
}

/**
 * A deactivated member is out of the organization from this moment on, by session and by access token; the tokens that they
 * created stay, as they are the organization’s. Active again, they sign in as before. Throws `OperatorError`, also for the
 * owner, whom an organization always has.
 */
export async function setMemberActive(
  dependencies: Dependencies,
  { organization, email, active }: { organization: string; email: string; active: boolean },
): Promise<void> {
  const organizationId = await requireOrganization(dependencies, organization)
  const person = await requirePerson(dependencies, email)
  await withOrganization(dependencies.database, { organizationId, personId: person.id }, async (transaction) => {
    const own = and(eq(members.organizationId, organizationId), eq(members.personId, person.id))
    const [member] = await transaction
      .select({ id: members.id, role: members.role, active: members.active })
      .from(members)
      .where(own)
      .for('update')
    if (!member) throw new OperatorError(`${person.email} is no member of ${organization}.`)
    if (member.role === 'OWNER') throw new OperatorError('The owner of an organization cannot be deactivated.')
    if (member.active === active)
      throw new OperatorError(`${person.email} is ${active ? 'active' : 'deactivated'} already.`)
    await transaction.update(members).set({ active }).where(own)
    await recordEvent(transaction, dependencies, {
      ...operator,
      organizationId,
      action: active ? 'member.activated' : 'member.deactivated',
      target: { name: person.email, id: member.id },
    })
  })
}

async function insertMember(
  transaction: Transaction,
  dependencies: Dependencies,
  organizationId: OrganizationId,
  { email, displayName, password, role }: NewMember & { role: OrganizationRole },
): Promise<MemberListing> {
  const address = emailKey(email)
  const name = displayName?.trim() || nameOf(address)
  refuse(emailProblem(email) ?? memberNameProblem(name))
  const personId = await findOrInsertPerson(transaction, dependencies, address, password)
  const id = createId('member', dependencies)
  const [member] = await transaction
    .insert(members)
    .values({ id, organizationId, personId, role, displayName: name })
    .returning({ active: members.active, createdAt: members.createdAt })
  if (!member) throw new Error('A member was not inserted.')
  await recordEvent(transaction, dependencies, {
    ...operator,
    organizationId,
    action: 'member.added',
    target: { name: address, id },
  })
  return { email: address, name, role, ...member }
}

/** How a member is called whose name nobody gave. */
export const nameOf = (email: string) => emailKey(email).replace(/@.*$/s, '')

async function findOrInsertPerson(
  transaction: Transaction,
  dependencies: Dependencies,
  email: string,
  password: string | null,
): Promise<PersonId> {
  const [known] = await transaction.select({ id: people.id }).from(people).where(eq(people.email, email))
  if (known && password !== null) {
    throw new OperatorError(
      `${email} is known already, from another organization, and signs in as there. Leave the password out, or change it with “latchkey member set-password”.`,
    )
  }
  if (known) return known.id
  if (password === null) throw new OperatorError(`${email} is new here and needs a password.`)
  const id = createId('person', dependencies)
  await transaction.insert(people).values({ id, email, passwordHash: await hashChecked(dependencies, email, password) })
  return id
}

async function hashChecked({ passwords }: Dependencies, email: string, password: string): Promise<string> {
  refuse(passwordProblem(password, email))
  return passwords.hash(password)
}

async function requireOrganization(dependencies: Dependencies, slug: string): Promise<OrganizationId> {
  const [organization] = await findOrganizations(dependencies, slug)
  if (!organization) throw new OperatorError(noSuchOrganization)
  return organization.id
}

function refuse(problem: string | null): void {
  if (problem) throw new OperatorError(problem)
}

const control = /[\p{Cc}\p{Zl}\p{Zp}]/u

/** What is wrong with each of these, in words for the operator; null if nothing. */
export function organizationNameProblem(name: string): string | null {
  const length = [...name.trim()].length
  return length >= 1 && length <= 100 && !control.test(name)
    ? null
    : 'The name of an organization has 1 to 100 characters, all on one line.'
}

export function memberNameProblem(name: string): string | null {
  const length = [...name.trim()].length
  return length >= 1 && length <= 320 && !control.test(name)
    ? null
    : 'The name of a member has 1 to 320 characters, all on one line.'
}

export function slugProblem(slug: string): string | null {
  if (slug === '') return 'No slug can be made from this name: it has no letter from a to z and no digit. Choose one.'
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(slug)
    ? null
    : 'A slug has 1 to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or a digit.'
}

export function emailProblem(email: string): string | null {
  const address = emailKey(email)
  return /^[^\s@]+@[^\s@]+$/.test(address) && address.length <= 320 && !control.test(address)
    ? null
    : 'An email address has the form name@example.com.'
}

const domainKey = (domain: string) => emailKey(domain)

export function domainProblem(domain: string): string | null {
  const key = domainKey(domain)
  return /^[^\s@.]+(?:\.[^\s@.]+)+$/.test(key) && key.length <= 253 && !control.test(key)
    ? null
    : 'A domain is what follows the @ in an email address, such as acme.example.'
}

/** How far a database has come: without an organization, without anyone who has ever signed in, or beyond. */
export type Usage = 'empty' | 'untouched' | 'in use'

export async function readUsage({ database }: Dependencies): Promise<Usage> {
  const { rows } = await database.lookup.query<{ usage: Usage }>(
    `select case when not exists (select from organizations) then 'empty'
       when not exists (select from people where last_organization_id is not null) then 'untouched' else 'in use' end as usage`,
  )
  return rows[0]?.usage ?? 'empty'
}

export async function hasOrganizations({ database }: Dependencies): Promise<boolean> {
  const { rows } = await database.lookup.query<{ any: boolean }>('select exists (select from organizations) as any')
  return rows[0]?.any ?? false
}

/** Empty where the name has nothing to make one from. */
export function slugOf(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  return plain
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 63)
    .replace(/-+$/, '')
}

const taken: Record<string, string> = {
  organizations_slug_unique: 'Another organization has this slug. Give another one with --slug.',
  members_person_id_organization_id_key: 'The person is a member of this organization already.',
  members_one_owner: 'The organization has its owner already; there is exactly one.',
  people_email_unique: 'The person was added by someone else at this moment. Try again.',
  organization_domains_pkey: 'An organization has this domain already; “latchkey organization list” shows which.',
  services_name_unique: 'Another service has this name. Choose another, or remove that one first.',
}

export async function naming<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const problem = sqlState(error) === '23505' ? taken[constraintOf(error) ?? ''] : undefined
    throw problem ? new OperatorError(problem) : error
  }
}
