import { and, asc, desc, eq, inArray, type SQL, sql } from 'drizzle-orm'
import { recordAction } from '../audit/record-event.ts'
import { type Page, type PageRequest, pageOf, readPageRequest } from '../database/keyset.ts'
import { members, people } from '../database/tables.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import type { OrganizationId } from '../identifiers.ts'
import { InvalidInput } from '../refusal.ts'
import { lockOrganization } from './groups.ts'
import { findMember, type Member, memberColumns } from './members.ts'
import { MemberNotFound, OwnerProtected, oneOwner } from './refusals.ts'
import type { OrganizationRole } from './roles.ts'

export interface MemberFilter {
  search: string | null
  roles: readonly OrganizationRole[] | null
  active: boolean | null
}

export interface MemberListing extends Page<Member> {
  /** Counted when it is asked for, up to 10,000. */
  totalCount(): Promise<number>
}

const list = 'members'
const mostCounted = 10_000

/** In the order of their addresses. Throws `Fault` BAD_REQUEST for a page that cannot be. */
export async function listMembers(
  { database, principal }: Acting,
  { filter, page }: { filter: MemberFilter; page: PageRequest },
): Promise<MemberListing> {
  const bounds = readPageRequest(list, page)
  const { size, backward, after, before } = bounds
  const direction = backward ? desc : asc
  const key = sql`(${people.email}, ${members.id})`
  const matching = matches(principal.organizationId, filter)
  const rows = await withOrganization(database, principal, (transaction) =>
    transaction
      .select(memberColumns)
      .from(members)
      .innerJoin(people, eq(people.id, members.personId))
      .where(
        and(
          matching,
          after ? sql`${key} > (${after.value}, ${after.id})` : undefined,
          before ? sql`${key} < (${before.value}, ${before.id})` : undefined,
        ),
      )
      .orderBy(direction(people.email), direction(members.id))
      .limit(size + 1),
  )
  return {
    ...pageOf(
      list,
      bounds,
      rows.map((node) => ({ node, position: { value: node.email, id: node.id } })),
    ),
    totalCount: () =>
      withOrganization(database, principal, (transaction) =>
        transaction.$count(
          transaction
            .select({ id: members.id })
            .from(members)
            .innerJoin(people, eq(people.id, members.personId))
            .where(matching)
            .limit(mostCounted)
            .as('found'),
        ),
      ),
  }
}

function matches(organizationId: OrganizationId, { search, roles, active }: MemberFilter): SQL | undefined {
  const text = search?.toLowerCase()
  return and(
    eq(members.organizationId, organizationId),
    text ? sql`strpos(${people.email} || ' ' || lower(${members.displayName}), ${text}) > 0` : undefined,
    roles ? inArray(members.role, [...roles]) : undefined,
    active === null ? undefined : eq(members.active, active),
  )
}

/**
 * The role is the member’s at once, on every instance, and no group changes it from now on but to raise a MEMBER’s. Throws
 * `InvalidInput`, `MemberNotFound`, `OwnerProtected`.
 */
export async function setMemberRole(
  acting: Acting,
  { memberId, role }: { memberId: string; role: OrganizationRole },
): Promise<Member> {
  if (role === 'OWNER') throw new InvalidInput([oneOwner])
  return changing(acting, memberId, async (transaction, member) => {
    if (member.role === role) return
    await transaction.update(members).set({ role, roleFromGroups: false }).where(own(acting, member))
    await recordAction(transaction, acting, 'member.role_changed', { name: member.email, id: member.id })
  })
}

/**
 * A deactivated member is out of the organization from this moment on, by session and by access token; the tokens that they
 * created stay, as they are the organization’s. Active again, they sign in as before. Throws `MemberNotFound`,
 * `OwnerProtected`.
 */
export async function setMemberActive(
  acting: Acting,
  { memberId, active }: { memberId: string; active: boolean },
): Promise<Member> {
  return changing(acting, memberId, async (transaction, member) => {
    if (member.active === active) return
    await transaction.update(members).set({ active }).where(own(acting, member))
    const action = active ? 'member.activated' : 'member.deactivated'
    await recordAction(transaction, acting, action, { name: member.email, id: member.id })
  })
}

const own = ({ principal }: Acting, { id }: Member) =>
  and(eq(members.organizationId, principal.organizationId), eq(members.id, id))

/** In turn with identity providers, who may change the same member. The owner is changed by nobody. */
async function changing(
  { database, principal }: Acting,
  memberId: string,
  work: (transaction: Transaction, member: Member) => Promise<void>,
): Promise<Member> {
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    await lockOrganization(transaction, organizationId)
    const member = await findMember(transaction, { organizationId, memberId })
    if (!member) throw new MemberNotFound()
    if (member.role === 'OWNER') throw new OwnerProtected()
    await work(transaction, member)
    return (await findMember(transaction, { organizationId, memberId })) ?? member
  })
}
