import { and, asc, count, eq, sql } from 'drizzle-orm'
import { type Action, recordActions } from '../audit/record-event.ts'
import { groupMembers, groups, members, people } from '../database/tables.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import type { GroupId, MemberId, OrganizationId } from '../identifiers.ts'
import { GroupNotFound } from './refusals.ts'
import { type GroupRole, type OrganizationRole, organizationRoles } from './roles.ts'

/** A group of the organization's identity provider. */
export interface Group {
  id: GroupId
  displayName: string
  /** What the group makes of its members; null where it says nothing of their role. */
  role: GroupRole | null
  memberCount: number
}

const groupColumns = { id: groups.id, displayName: groups.displayName, role: groups.role }

/** In the order of their names. */
export async function listGroups({ database, principal }: Acting): Promise<Group[]> {
  return withOrganization(database, principal, (transaction) =>
    transaction
      .select({ ...groupColumns, memberCount: count(groupMembers.memberId) })
      .from(groups)
      .leftJoin(
        groupMembers,
        and(eq(groupMembers.organizationId, groups.organizationId), eq(groupMembers.groupId, groups.id)),
      )
      .where(eq(groups.organizationId, principal.organizationId))
      .groupBy(groups.id)
      .orderBy(asc(groups.nameKey), asc(groups.id)),
  )
}

/** The members have the role that follows from it once this has answered. Throws `GroupNotFound`. */
export async function setGroupRole(
  acting: Acting,
  { groupId, role }: { groupId: string; role: GroupRole | null },
): Promise<Group> {
  const { database, principal } = acting
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    await lockOrganization(transaction, organizationId)
    const [group] = await transaction
      .update(groups)
      .set({ role })
      .where(and(eq(groups.organizationId, organizationId), eq(groups.id, sql`${groupId}`)))
      .returning(groupColumns)
    if (!group) throw new GroupNotFound()
    const memberIds = await listMemberIds(transaction, { organizationId, groupId: group.id })
    const changes = await followGroups(transaction, { organizationId, memberIds })
    const target = { name: group.displayName, id: group.id }
    await recordActions(transaction, acting, [{ action: 'group.role_set', target }, ...changes])
    return { ...group, memberCount: memberIds.length }
  })
}

/**
 * Comes first where what is changed has to be seen together, such as members and groups, or all roles: one such transaction
 * of the organization then waits for another, and sees what it did.
 */
export async function lockOrganization(transaction: Transaction, organizationId: OrganizationId): Promise<void> {
  await transaction.execute(sql`select from organizations where id = ${organizationId} for no key update`)
}

export async function listMemberIds(
  transaction: Transaction,
  { organizationId, groupId }: { organizationId: OrganizationId; groupId: GroupId },
): Promise<MemberId[]> {
  const rows = await transaction
    .select({ memberId: groupMembers.memberId })
    .from(groupMembers)
    .where(and(eq(groupMembers.organizationId, organizationId), eq(groupMembers.groupId, groupId)))
    .orderBy(asc(groupMembers.memberId))
  return rows.map(({ memberId }) => memberId)
}

/**
 * Gives these members the role that their groups make of them, where it is for groups to say. Gives what is to be
 * recorded of it.
 */
export async function followGroups(
  transaction: Transaction,
  { organizationId, memberIds }: { organizationId: OrganizationId; memberIds: readonly MemberId[] },
): Promise<Action[]> {
  if (memberIds.length === 0) return []
  const roles = sql<OrganizationRole[]>`array(
    select g.role from group_members gm
    join groups g on g.organization_id = gm.organization_id and g.id = gm.group_id
    where gm.organization_id = ${members.organizationId} and gm.member_id = ${members.id} and g.role is not null)`
  const standing = await transaction
    .select({
      id: members.id,
      email: people.email,
      role: members.role,
      roleFromGroups: members.roleFromGroups,
      roles,
    })
    .from(members)
    .innerJoin(people, eq(people.id, members.personId))
    .where(and(eq(members.organizationId, organizationId), isAmong(memberIds)))
    .orderBy(asc(members.id))
    .for('update', { of: members })
  const changed = standing.flatMap((member) => {
    const role = roleByGroups(member)
    return role === member.role ? [] : [{ ...member, role }]
  })
  for (const role of organizationRoles) {
    const ids = changed.filter((member) => member.role === role).map(({ id }) => id)
    if (ids.length === 0) continue
    await transaction
      .update(members)
      .set({ role, roleFromGroups: true })
      .where(and(eq(members.organizationId, organizationId), isAmong(ids)))
  }
  return changed.map(({ id, email }) => ({ action: 'member.role_changed', target: { name: email, id } }))
}

/** As one parameter, however many they are. */
const isAmong = (memberIds: readonly MemberId[]) => sql`${members.id} = any(${sql.param([...memberIds])}::text[])`

/**
 * A role that was given by hand stays, but for a plain member's, which a group may raise. The owner's is never a group's to
 * say.
 */
export function roleByGroups({
  role,
  roleFromGroups,
  roles,
}: {
  role: OrganizationRole
  roleFromGroups: boolean
  roles: readonly OrganizationRole[]
}): OrganizationRole {
  const highest = organizationRoles.find((one) => roles.includes(one))
  if (role === 'OWNER') return role
  if (roleFromGroups) return highest ?? 'MEMBER'
  const raises = role === 'MEMBER' && (highest === 'SUPER_ADMIN' || highest === 'POWER_USER')
  return raises ? highest : role
}
