import { and, asc, count, eq, type SQL, sql } from 'drizzle-orm'
import { accessTokens, members, people, sessions } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { createId, type GroupId, type MemberId, type OrganizationId, type PersonId } from '../identifiers.ts'
import type { Json } from './schemas.ts'

const columns = {
  id: members.id,
  personId: members.personId,
  email: people.email,
  displayName: members.displayName,
  role: members.role,
  roleFromGroups: members.roleFromGroups,
  active: members.active,
  externalId: members.externalId,
  attributes: members.attributes,
  createdAt: members.createdAt,
  changedAt: members.changedAt,
  groups: sql<{ id: GroupId; displayName: string }[]>`(
    select coalesce(jsonb_agg(jsonb_build_object('id', g.id, 'displayName', g.display_name) order by g.id), '[]')
    from group_members gm join groups g on g.organization_id = gm.organization_id and g.id = gm.group_id
    where gm.organization_id = ${members.organizationId} and gm.member_id = ${members.id})`,
}

/** A member as identity providers know them. */
export type UserRow = Awaited<ReturnType<typeof listUserRows>>[number]

export interface UserCondition {
  id?: string
  /** In lower case. */
  email?: string
  externalId?: string
}

const own = (organizationId: OrganizationId, { id, email, externalId }: UserCondition): SQL | undefined =>
  and(
    eq(members.organizationId, organizationId),
    id === undefined ? undefined : eq(members.id, sql`${id}`),
    email === undefined ? undefined : eq(people.email, email),
    externalId === undefined ? undefined : eq(members.externalId, externalId),
  )

/** In the order in which they became members. */
export function listUserRows(
  transaction: Transaction,
  organizationId: OrganizationId,
  { condition = {}, limit, offset }: { condition?: UserCondition; limit?: number; offset?: number } = {},
) {
  const rows = transaction
    .select(columns)
    .from(members)
    .innerJoin(people, eq(people.id, members.personId))
    .where(own(organizationId, condition))
    .orderBy(asc(members.id))
    .$dynamic()
  if (limit !== undefined) rows.limit(limit)
  if (offset !== undefined) rows.offset(offset)
  return rows
}

export async function countUserRows(transaction: Transaction, organizationId: OrganizationId): Promise<number> {
  const [row] = await transaction
    .select({ all: count() })
    .from(members)
    .where(eq(members.organizationId, organizationId))
  return row?.all ?? 0
}

/** Within a transaction that provisions, it stays as it is read. */
export async function findUserRow(
  transaction: Transaction,
  organizationId: OrganizationId,
  condition: UserCondition,
): Promise<UserRow | null> {
  const [row] = await listUserRows(transaction, organizationId, { condition })
  return row ?? null
}

/** So that nothing else changes the member until the transaction ends. */
export async function lockUserRow(
  transaction: Transaction,
  organizationId: OrganizationId,
  id: string,
): Promise<UserRow | null> {
  await transaction.execute(
    sql`select from members where organization_id = ${organizationId} and id = ${id} for no key update`,
  )
  return findUserRow(transaction, organizationId, { id })
}

interface NewUserRow {
  organizationId: OrganizationId
  personId: PersonId
  displayName: string
  active: boolean
  externalId: string | null
  attributes: Json
}

export async function insertUserRow(transaction: Transaction, acting: Acting, row: NewUserRow): Promise<MemberId> {
  const id = createId('member', acting)
  await transaction.insert(members).values({ id, role: 'MEMBER', roleFromGroups: true, ...row })
  return id
}

export async function updateUserRow(
  transaction: Transaction,
  { organizationId, id }: { organizationId: OrganizationId; id: MemberId },
  change: Partial<NewUserRow>,
): Promise<void> {
  await transaction
    .update(members)
    .set(change)
    .where(and(eq(members.organizationId, organizationId), eq(members.id, id)))
}

/** Whether the person is a member of no other organization, and becomes one of none until the transaction ends. */
async function isOnlyHere(
  transaction: Transaction,
  { database }: Acting,
  { organizationId, personId }: { organizationId: OrganizationId; personId: PersonId },
): Promise<boolean> {
  await transaction.execute(sql`select from people where id = ${personId} for update`)
  const { rows } = await database.lookup.query(
    'select from members where person_id = $1 and organization_id <> $2 limit 1',
    [personId, organizationId],
  )
  return rows.length === 0
}

/** The member is another person from now on. What the one before held of it, sessions and the access token, is refused. */
export async function giveToPerson(
  transaction: Transaction,
  acting: Acting,
  { id, personId: before }: UserRow,
  personId: PersonId,
): Promise<void> {
  const { organizationId } = acting.principal
  const sessionsHere = and(eq(sessions.organizationId, organizationId), eq(sessions.personId, before))
  await transaction.delete(sessions).where(sessionsHere)
  const tokenHere = and(eq(accessTokens.organizationId, organizationId), eq(accessTokens.memberId, id))
  await transaction.delete(accessTokens).where(tokenHere)
  await updateUserRow(transaction, { organizationId, id }, { personId })
  await removeUnneededPerson(transaction, acting, before)
}

/** Sessions, the access token and places in groups go with the membership; what the member created stays. */
export async function removeUserRow(
  transaction: Transaction,
  acting: Acting,
  { id, personId }: UserRow,
): Promise<void> {
  const { organizationId } = acting.principal
  await transaction.execute(
    sql`update groups set changed_at = now() where organization_id = ${organizationId} and id in (
      select group_id from group_members where organization_id = ${organizationId} and member_id = ${id})`,
  )
  await transaction.delete(members).where(and(eq(members.organizationId, organizationId), eq(members.id, id)))
  await removeUnneededPerson(transaction, acting, personId)
}

/** Whoever is a member of another organization stays. */
async function removeUnneededPerson(transaction: Transaction, acting: Acting, personId: PersonId): Promise<void> {
  const { organizationId } = acting.principal
  if (!(await isOnlyHere(transaction, acting, { organizationId, personId }))) return
  await transaction.delete(people).where(eq(people.id, personId))
}
