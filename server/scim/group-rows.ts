import { and, asc, count, eq, type SQL, sql } from 'drizzle-orm'
import { groupMembers, groups, members } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { createId, type GroupId, type MemberId, type OrganizationId } from '../identifiers.ts'

const ofGroup = sql`from group_members gm join members m on m.organization_id = gm.organization_id and m.id = gm.member_id
  where gm.organization_id = ${groups.organizationId} and gm.group_id = ${groups.id}`

const columns = {
  id: groups.id,
  displayName: groups.displayName,
  externalId: groups.externalId,
  createdAt: groups.createdAt,
  changedAt: groups.changedAt,
  /** Changes with who the members are and what they are called. */
  membersDigest: sql<string>`(select md5(coalesce(string_agg(m.id || ' ' || m.display_name, e'\\n' order by m.id), '')) ${ofGroup})`,
}

type Member = { id: MemberId; displayName: string }
const memberList = sql<
  Member[]
>`(select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'displayName', m.display_name) order by m.id), '[]') ${ofGroup})`
const noMembers = sql<null>`null`

/** A group as identity providers know it. */
export interface GroupRow {
  id: GroupId
  displayName: string
  externalId: string | null
  createdAt: Date
  changedAt: Date
  membersDigest: string
  /** Null where they were not asked for. */
  members: Member[] | null
}

export interface GroupCondition {
  id?: string
  /** As `groupNameKey` makes it. */
  nameKey?: string
  externalId?: string
}

const own = (organizationId: OrganizationId, { id, nameKey, externalId }: GroupCondition): SQL | undefined =>
  and(
    eq(groups.organizationId, organizationId),
    id === undefined ? undefined : eq(groups.id, sql`${id}`),
    nameKey === undefined ? undefined : eq(groups.nameKey, nameKey),
    externalId === undefined ? undefined : eq(groups.externalId, externalId),
  )

/** In the order in which they were made. */
export async function listGroupRows(
  transaction: Transaction,
  organizationId: OrganizationId,
  {
    condition = {},
    limit,
    offset,
    withMembers,
  }: { condition?: GroupCondition; limit?: number; offset?: number; withMembers: boolean },
): Promise<GroupRow[]> {
  const rows = transaction
    .select({ ...columns, members: withMembers ? memberList : noMembers })
    .from(groups)
    .where(own(organizationId, condition))
    .orderBy(asc(groups.id))
    .$dynamic()
  if (limit !== undefined) rows.limit(limit)
  if (offset !== undefined) rows.offset(offset)
  return rows
}

export async function countGroupRows(transaction: Transaction, organizationId: OrganizationId): Promise<number> {
  const [row] = await transaction.select({ all: count() }).from(groups).where(eq(groups.organizationId, organizationId))
  return row?.all ?? 0
}

/** As names are compared: without regard to case. */
export const groupNameKey = (displayName: string) => displayName.trim().normalize('NFC').toLowerCase()

interface GroupContent {
  displayName: string
  externalId: string | null
}

const storedContent = ({ displayName, externalId }: GroupContent) => ({
  displayName,
  nameKey: groupNameKey(displayName),
  externalId,
})

export async function insertGroupRow(
  transaction: Transaction,
  acting: Acting,
  content: GroupContent,
): Promise<GroupId> {
  const id = createId('group', acting)
  const { organizationId } = acting.principal
  await transaction.insert(groups).values({ id, organizationId, ...storedContent(content) })
  return id
}

export async function updateGroupRow(
  transaction: Transaction,
  { organizationId, id }: { organizationId: OrganizationId; id: GroupId },
  content: GroupContent,
): Promise<void> {
  await transaction.update(groups).set(storedContent(content)).where(own(organizationId, { id }))
}

export async function removeGroupRow(
  transaction: Transaction,
  { organizationId, id }: { organizationId: OrganizationId; id: GroupId },
): Promise<void> {
  await transaction.delete(groups).where(own(organizationId, { id }))
}

/** Those of the ids that are no members of the organization, wherever else they may be. */
export async function findStrangers(
  transaction: Transaction,
  organizationId: OrganizationId,
  ids: readonly string[],
): Promise<string[]> {
  const found = await transaction
    .select({ id: members.id })
    .from(members)
    .where(and(eq(members.organizationId, organizationId), sql`${members.id} = any(${sql.param([...ids])}::text[])`))
  const known = new Set<string>(found.map(({ id }) => id))
  return ids.filter((id) => !known.has(id))
}

export async function addGroupMembers(
  transaction: Transaction,
  { organizationId, id }: { organizationId: OrganizationId; id: GroupId },
  memberIds: readonly MemberId[],
): Promise<void> {
  if (memberIds.length === 0) return
  await transaction.execute(
    sql`insert into group_members (organization_id, group_id, member_id)
      select ${organizationId}, ${id}, unnest(${sql.param([...memberIds])}::text[])`,
  )
}

export async function removeGroupMembers(
  transaction: Transaction,
  { organizationId, id }: { organizationId: OrganizationId; id: GroupId },
  memberIds: readonly MemberId[],
): Promise<void> {
  if (memberIds.length === 0) return
  await transaction
    .delete(groupMembers)
    .where(
      and(
        eq(groupMembers.organizationId, organizationId),
        eq(groupMembers.groupId, id),
        sql`${groupMembers.memberId} = any(${sql.param([...memberIds])}::text[])`,
      ),
    )
}
