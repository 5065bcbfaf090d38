import type { Action } from '../audit/record-event.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import { isId, type MemberId, type OrganizationId } from '../identifiers.ts'
import { followGroups } from '../organizations/groups.ts'
import type { Provisioning } from './acting.ts'
import { isJson, scopeOfResource } from './attribute-path.ts'
import type { Filter } from './filter.ts'
import {
  addGroupMembers,
  countGroupRows,
  findStrangers,
  type GroupCondition,
  type GroupRow,
  groupNameKey,
  insertGroupRow,
  listGroupRows,
  removeGroupMembers,
  removeGroupRow,
  updateGroupRow,
} from './group-rows.ts'
import { readResource, requireSchema } from './input.ts'
import { type Listed, type ListQuery, readFilter, selectPage } from './list-query.ts'
import { applyPatch } from './patch.ts'
import { groupSchema, groupUrn, type Json } from './schemas.ts'
import { invalid, notFound } from './scim-error.ts'
import { provision, readExternalId, versionIn } from './users.ts'
import { requireVersion, versionOf } from './version.ts'

export const groupScope = scopeOfResource(groupSchema)

interface GroupContent {
  displayName: string
  externalId: string | null
  members: MemberId[]
}

/** Throws `ScimError`. */
export async function createGroup(acting: Provisioning, body: Json): Promise<Json> {
  requireSchema(body, groupUrn)
  const content = readContent(readResource(body, groupSchema, groupScope))
  return provision(acting, async (transaction, organizationId) => {
    await requireMembers(transaction, organizationId, content.members)
    const id = await insertGroupRow(transaction, acting, content)
    await addGroupMembers(transaction, { organizationId, id }, content.members)
    const changes = await followGroups(transaction, { organizationId, memberIds: content.members })
    const created: Action = { action: 'group.created', target: { name: content.displayName, id } }
    return { result: groupOf(await readRow(transaction, organizationId, id), acting), actions: [created, ...changes] }
  })
}

/** Throws `ScimError` 404 for what is no group here, wherever else it may be. */
export async function findGroup(acting: Provisioning, id: string): Promise<Json> {
  const { database, principal } = acting
  return withOrganization(database, principal, async (transaction) =>
    groupOf(await readRow(transaction, principal.organizationId, id), acting),
  )
}

async function readRow(transaction: Transaction, organizationId: OrganizationId, id: string): Promise<GroupRow> {
  const [row] = await listGroupRows(transaction, organizationId, { condition: { id }, withMembers: true })
  if (!row) throw notFound()
  return row
}

/** Reads who the members are only where the answer or the filter needs it. Throws `ScimError`. */
export async function listGroups(acting: Provisioning, query: ListQuery, needsMembers: boolean): Promise<Listed> {
  const { database, principal } = acting
  const { organizationId } = principal
  const filter = readFilter(query, groupScope)
  const withMembers =
    needsMembers ||
    filter?.mentions.has('members') === true ||
    query.sortBy?.toLowerCase().startsWith('members') === true
  return withOrganization(database, principal, async (transaction) => {
    if (!filter && query.sortBy === null) {
      const page = { limit: query.count, offset: query.startIndex - 1, withMembers }
      const rows = await listGroupRows(transaction, organizationId, page)
      const total = await countGroupRows(transaction, organizationId)
      return { total, resources: rows.map((row) => groupOf(row, acting)) }
    }
    const condition = filter ? indexedCondition(filter) : {}
    const rows = await listGroupRows(transaction, organizationId, { condition, withMembers })
    return selectPage(
      rows.map((row) => groupOf(row, acting)),
      filter,
      query,
      groupScope,
    )
  })
}

function indexedCondition({ equality }: Filter): GroupCondition {
  if (equality?.attribute === 'displayName') return { nameKey: groupNameKey(equality.value) }
  if (equality?.attribute === 'externalId') return { externalId: equality.value }
  if (equality?.attribute === 'id') return { id: equality.value }
  return {}
}

/** Throws `ScimError`. */
export function replaceGroup(acting: Provisioning, id: string, body: Json, ifMatch: string | null): Promise<Json> {
  requireSchema(body, groupUrn)
  const resource = readResource(body, groupSchema, groupScope)
  return changeGroup(acting, { id, ifMatch }, () => resource)
}

/** Throws `ScimError`. */
export function patchGroup(acting: Provisioning, id: string, body: Json, ifMatch: string | null): Promise<Json> {
  return changeGroup(acting, { id, ifMatch }, (before) => applyPatch(before, body, groupScope))
}

async function changeGroup(
  acting: Provisioning,
  { id, ifMatch }: { id: string; ifMatch: string | null },
  change: (before: Json) => Json,
): Promise<Json> {
  return provision(acting, async (transaction, organizationId) => {
    const row = await readRow(transaction, organizationId, id)
    const before = groupOf(row, acting)
    requireVersion(ifMatch, versionIn(before))
    const content = readContent(change(before))
    const membersBefore = (row.members ?? []).map((member) => member.id)
    const added = without(content.members, membersBefore)
    const removed = without(membersBefore, content.members)
    const isRenamed = content.displayName !== row.displayName || content.externalId !== row.externalId
    if (!isRenamed && added.length === 0 && removed.length === 0) return { result: before, actions: [] }
    await requireMembers(transaction, organizationId, added)
    const own = { organizationId, id: row.id }
    await updateGroupRow(transaction, own, content)
    await removeGroupMembers(transaction, own, removed)
    await addGroupMembers(transaction, own, added)
    const changes = await followGroups(transaction, { organizationId, memberIds: [...added, ...removed] })
    const updated: Action = { action: 'group.updated', target: { name: content.displayName, id: row.id } }
    return {
      result: groupOf(await readRow(transaction, organizationId, row.id), acting),
      actions: [updated, ...changes],
    }
  })
}

function without<T>(ids: readonly T[], others: readonly T[]): T[] {
  const excluded = new Set(others)
  return ids.filter((id) => !excluded.has(id))
}

/** Its members stay, with the role that their other groups make of them. Throws `ScimError`. */
export async function deleteGroup(acting: Provisioning, id: string, ifMatch: string | null): Promise<void> {
  await provision(acting, async (transaction, organizationId) => {
    const row = await readRow(transaction, organizationId, id)
    requireVersion(ifMatch, versionIn(groupOf(row, acting)))
    await removeGroupRow(transaction, { organizationId, id: row.id })
    const memberIds = (row.members ?? []).map((member) => member.id)
    const changes = await followGroups(transaction, { organizationId, memberIds })
    const deleted: Action = { action: 'group.deleted', target: { name: row.displayName, id: row.id } }
    return { result: null, actions: [deleted, ...changes] }
  })
}

async function requireMembers(
  transaction: Transaction,
  organizationId: OrganizationId,
  ids: readonly MemberId[],
): Promise<void> {
  const [stranger] = await findStrangers(transaction, organizationId, ids)
  if (stranger !== undefined) throw noSuchMember(stranger)
}

const noSuchMember = (id: string) =>
  invalid('invalidValue', `“members” holds ${id}, which is no user of the organization. Create the user first.`)

/** Throws `ScimError` invalidValue. */
function readContent({ displayName, externalId = null, members = [] }: Json): GroupContent {
  const name = typeof displayName === 'string' ? displayName.trim() : ''
  if (name === '' || name.length > 320 || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(name)) {
    throw invalid('invalidValue', '“displayName” has 1 to 320 characters, all on one line.')
  }
  const values: unknown[] = [members].flat()
  const ids = values.map((member) => {
    const { value, type = 'User' } = isJson(member) ? member : {}
    if (type !== 'User') throw invalid('invalidValue', 'A group has users in it, and no other groups.')
    if (typeof value !== 'string')
      throw invalid('invalidValue', 'Each of “members” has the id of a user as its “value”.')
    if (!isId('member', value)) throw noSuchMember(`“${value.slice(0, 100)}”`)
    return value
  })
  return { displayName: name, externalId: readExternalId(externalId), members: [...new Set(ids)] }
}

/** The group as it is answered. */
function groupOf(row: GroupRow, { base }: Provisioning): Json {
  const { id, displayName, externalId, membersDigest } = row
  const members = row.members?.map((member) => ({
    value: member.id,
    $ref: `${base}/Users/${member.id}`,
    display: member.displayName,
    type: 'User',
  }))
  return {
    schemas: [groupUrn],
    id,
    ...(externalId !== null && { externalId }),
    displayName,
    ...(members && members.length > 0 && { members }),
    meta: {
      resourceType: 'Group',
      created: row.createdAt.toISOString(),
      lastModified: row.changedAt.toISOString(),
      location: `${base}/Groups/${id}`,
      version: versionOf([id, displayName, externalId, membersDigest]),
    },
  }
}
