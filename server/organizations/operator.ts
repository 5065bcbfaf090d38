import { eq } from 'drizzle-orm'
import { recordEvent } from '../audit/record-event.ts'
import { members, organizations, people } from '../database/tables.ts'
import { constraintOf, sqlState } from '../database/unavailable.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import { createId, type OrganizationId, type PersonId } from '../identifiers.ts'
import { passwordProblem } from '../identity/passwords.ts'
import { findPerson, listMemberships, removeSessions } from '../identity/repository.ts'
import { emailKey } from '../identity/service.ts'
import type { OrganizationRole } from './roles.ts'

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
  /** Null for a person who already has one from another organization. */
  password: string | null
}

/** Makes the organization with its one owner. Throws `OperatorError`. */
export async function createOrganization(
  dependencies: Dependencies,
  { name, slug, owner }: NewOrganization,
): Promise<{ id: OrganizationId; slug: string }> {
  const organization = { id: createId('organization', dependencies), name: name.trim(), slug: slug ?? slugOf(name) }
  if (organization.name.length < 1 || organization.name.length > 100)
    throw new OperatorError('The name of an organization has 1 to 100 characters.')
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(organization.slug)) {
    throw new OperatorError(
      'The slug has 1 to 63 lower-case letters, digits and hyphens, and begins and ends with a letter or a digit. Give one with --slug.',
    )
  }
  return naming(async () => {
    await withOrganization(dependencies.database, { organizationId: organization.id }, async (transaction) => {
      await transaction.insert(organizations).values(organization)
      await recordEvent(transaction, dependencies, {
        ...operator,
        organizationId: organization.id,
        action: 'organization.created',
        target: { name: organization.name, id: organization.id },
      })
      await insertMember(transaction, dependencies, organization.id, { ...owner, role: 'OWNER' })
    })
    return organization
  })
}

/** Adds a person, new or known from another organization. Throws `OperatorError`. */
export async function addMember(
  dependencies: Dependencies,
  { organization, role, ...member }: NewMember & { organization: string; role: OrganizationRole },
): Promise<void> {
  const organizationId = await requireOrganization(dependencies, organization)
  await naming(() =>
    withOrganization(dependencies.database, { organizationId }, (transaction) =>
      insertMember(transaction, dependencies, organizationId, { ...member, role }),
    ),
  )
}

/** Ends every session of the person. Throws `OperatorError`. */
export async function setPassword(
  dependencies: Dependencies,
  { email, password }: { email: string; password: string },
): Promise<void> {
  const person = await findPerson(dependencies.database, emailKey(email))
  if (!person) throw new OperatorError('Nobody has this email address. Add them with “latchkey member add”.')
  const [membership] = await listMemberships(dependencies.database, person.id)
  if (!membership) throw new OperatorError('The person is an active member of no organization.')
  const passwordHash = await hashChecked(dependencies, password)
  const organizationId = membership.organization.id
  await withOrganization(dependencies.database, { organizationId, personId: person.id }, async (transaction) => {
    await transaction.update(people).set({ passwordHash }).where(eq(people.id, person.id))
    await removeSessions(transaction, { personId: person.id })
    await recordEvent(transaction, dependencies, {
      ...operator,
      organizationId,
      action: 'member.password_set',
      target: { name: person.email, id: membership.memberId },
    })
  })
  await dependencies.signInLimit.reset(person.email)
}

async function insertMember(
  transaction: Transaction,
  dependencies: Dependencies,
  organizationId: OrganizationId,
  { email, displayName, password, role }: NewMember & { role: OrganizationRole },
): Promise<void> {
  const address = emailKey(email)
  if (!/^[^\s@]+@[^\s@]+$/.test(address) || address.length > 320)
    throw new OperatorError('This is not an email address.')
  const personId = await findOrInsertPerson(transaction, dependencies, address, password)
  const id = createId('member', dependencies)
  await transaction.insert(members).values({
    id,
    organizationId,
    personId,
    role,
    displayName: displayName?.trim() || address.slice(0, address.indexOf('@')),
  })
  await recordEvent(transaction, dependencies, {
    ...operator,
    organizationId,
    action: 'member.added',
    target: { name: address, id },
  })
}

async function findOrInsertPerson(
  transaction: Transaction,
  dependencies: Dependencies,
  email: string,
  password: string | null,
): Promise<PersonId> {
  const [known] = await transaction.select({ id: people.id }).from(people).where(eq(people.email, email))
  if (known && password !== null) {
    throw new OperatorError(
      'The person already has a password, from another organization. Leave the password out, or change it with “latchkey member set-password”.',
    )
  }
  if (known) return known.id
  if (password === null) throw new OperatorError('A person who is new needs a password.')
  const id = createId('person', dependencies)
  await transaction.insert(people).values({ id, email, passwordHash: await hashChecked(dependencies, password) })
  return id
}

async function hashChecked({ passwords }: Dependencies, password: string): Promise<string> {
  const problem = passwordProblem(password)
  if (problem) throw new OperatorError(problem)
  return passwords.hash(password)
}

async function requireOrganization({ database }: Dependencies, slug: string): Promise<OrganizationId> {
  const { rows } = await database.lookup.query<{ id: OrganizationId }>('select id from organizations where slug = $1', [
    slug,
  ])
  if (!rows[0])
    throw new OperatorError('There is no organization of this slug. Make one with “latchkey organization create”.')
  return rows[0].id
}

export async function hasOrganizations({ database }: Dependencies): Promise<boolean> {
  const { rows } = await database.lookup.query<{ any: boolean }>('select exists (select from organizations) as any')
  return rows[0]?.any ?? false
}

function slugOf(name: string): string {
  const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase()
  return plain
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 63)
}

const taken: Record<string, string> = {
  organizations_slug_unique: 'Another organization has this slug. Give another one with --slug.',
  members_person_id_organization_id_key: 'The person is a member of this organization already.',
  members_one_owner: 'The organization has its owner already; there is exactly one.',
  people_email_unique: 'The person was added by someone else at this moment. Try again.',
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
