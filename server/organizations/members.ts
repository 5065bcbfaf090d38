import { and, eq, sql } from 'drizzle-orm'
import { members, organizations, people } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { MemberId, OrganizationId } from '../identifiers.ts'
import type { OrganizationRole } from './roles.ts'

export interface Organization {
  id: OrganizationId
  name: string
  slug: string
  createdAt: Date
}

export interface Member {
  id: MemberId
  email: string
  displayName: string
  role: OrganizationRole
  active: boolean
  createdAt: Date
}

export const memberColumns = {
  id: members.id,
  email: people.email,
  displayName: members.displayName,
  role: members.role,
  active: members.active,
  createdAt: members.createdAt,
}

/** Null for the columns of an outer join that found no member. */
export function memberOf(row: { [Key in keyof Member]: Member[Key] | null }): Member | null {
  const { id, email, displayName, role, active, createdAt } = row
  if (id === null || email === null || displayName === null || role === null || active === null || createdAt === null)
    return null
  return { id, email, displayName, role, active, createdAt }
}

export async function readOrganization(
  transaction: Transaction,
  { organizationId }: { organizationId: OrganizationId },
): Promise<Organization> {
  const [organization] = await transaction.select().from(organizations).where(eq(organizations.id, organizationId))
  if (!organization) throw new Error('The organization of a credential that was just accepted is gone.')
  return organization
}

export async function findMember(
  transaction: Transaction,
  { organizationId, memberId }: { organizationId: OrganizationId; memberId: string },
): Promise<Member | null> {
  const [member] = await transaction
    .select(memberColumns)
    .from(members)
    .innerJoin(people, eq(people.id, members.personId))
    .where(and(eq(members.organizationId, organizationId), eq(members.id, sql`${memberId}`)))
  return member ?? null
}
