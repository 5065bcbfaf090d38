import { isDeepStrictEqual } from 'node:util'
import { type Action, recordActions } from '../audit/record-event.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import { findOrInsertPerson } from '../identity/repository.ts'
import { emailKey } from '../identity/service.ts'
import { lockOrganization } from '../organizations/groups.ts'
import { emailProblem, memberNameProblem, nameOf } from '../organizations/operator.ts'
import type { Provisioning } from './acting.ts'
import { isJson, scopeOfResource } from './attribute-path.ts'
import type { Filter } from './filter.ts'
import { readResource, requireSchema } from './input.ts'
import { type Listed, type ListQuery, readFilter, selectPage } from './list-query.ts'
import { applyPatch } from './patch.ts'
import { type Json, userSchema, userUrn } from './schemas.ts'
import { invalid, notFound, ScimError } from './scim-error.ts'
import { conflict, namingConflicts } from './uniqueness.ts'
import {
  countUserRows,
  findUserRow,
  giveToPerson,
  insertUserRow,
  listUserRows,
  lockUserRow,
  removeUserRow,
  type UserCondition,
  type UserRow,
  updateUserRow,
} from './user-rows.ts'
import { requireVersion, versionOf } from './version.ts'

export const userScope = scopeOfResource(userSchema)

/** What an identity provider says of a user, and Latchkey keeps. */
interface UserContent {
  email: string
  displayName: string
  active: boolean
  externalId: string | null
  attributes: Json
}

/** A member with the role MEMBER, whose person has no password where nobody knew them. Throws `ScimError`. */
export async function createUser(acting: Provisioning, body: Json): Promise<Json> {
  requireSchema(body, userUrn)
  const { email, ...content } = readContent(readResource(body, userSchema, userScope), null)
  return provision(acting, async (transaction, organizationId) => {
    if (await findUserRow(transaction, organizationId, { email })) throw conflict(takenUserName)
    const personId = await findOrInsertPerson(transaction, acting, email)
    const id = await insertUserRow(transaction, acting, { organizationId, personId, ...content })
    const user = await readUser(transaction, acting, id)
    const target = { name: email, id }
    const inactive: Action[] = content.active ? [] : [{ action: 'member.deactivated', target }]
    return { result: user, actions: [{ action: 'member.added', target }, ...inactive] }
  })
}

const takenUserName = 'members_person_id_organization_id_key'

/** Throws `ScimError` 404 for what is not a member here, wherever else it may be. */
export async function findUser(acting: Provisioning, id: string): Promise<Json> {
  const { database, principal } = acting
  return withOrganization(database, principal, (transaction) => readUser(transaction, acting, id))
}

async function readUser(transaction: Transaction, acting: Provisioning, id: string): Promise<Json> {
  const row = await findUserRow(transaction, acting.principal.organizationId, { id })
  if (!row) throw notFound()
  return userOf(row, acting)
}

/** Throws `ScimError`. */
export async function listUsers(acting: Provisioning, query: ListQuery): Promise<Listed> {
  const { database, principal } = acting
  const { organizationId } = principal
  const filter = readFilter(query, userScope)
  return withOrganization(database, principal, async (transaction) => {
    if (!filter && query.sortBy === null) {
      const page = { limit: query.count, offset: query.startIndex - 1 }
      const rows = await listUserRows(transaction, organizationId, page)
      const total = await countUserRows(transaction, organizationId)
      return { total, resources: rows.map((row) => userOf(row, acting)) }
    }
    const condition = filter ? indexedCondition(filter) : {}
    const rows = await listUserRows(transaction, organizationId, { condition })
    return selectPage(
      rows.map((row) => userOf(row, acting)),
      filter,
      query,
      userScope,
    )
  })
}

/** What an index can find of the filter, which is tried on what it finds all the same. */
function indexedCondition({ equality }: Filter): UserCondition {
  if (equality?.attribute === 'userName') return { email: emailKey(equality.value) }
  if (equality?.attribute === 'externalId') return { externalId: equality.value }
  if (equality?.attribute === 'id') return { id: equality.value }
  return {}
}

/** Throws `ScimError`. */
export function replaceUser(acting: Provisioning, id: string, body: Json, ifMatch: string | null): Promise<Json> {
  requireSchema(body, userUrn)
  const resource = readResource(body, userSchema, userScope)
  return changeUser(acting, { id, ifMatch }, () => resource)
}

/** Throws `ScimError`. */
export function patchUser(acting: Provisioning, id: string, body: Json, ifMatch: string | null): Promise<Json> {
  return changeUser(acting, { id, ifMatch }, (before) => applyPatch(before, body, userScope))
}

async function changeUser(
  acting: Provisioning,
  { id, ifMatch }: { id: string; ifMatch: string | null },
  change: (before: Json) => Json,
): Promise<Json> {
  return provision(acting, async (transaction, organizationId) => {
    const row = await lockUserRow(transaction, organizationId, id)
    if (!row) throw notFound()
    const before = userOf(row, acting)
    requireVersion(ifMatch, versionIn(before))
    const content = readContent(change(before), row)
    const { email, ...others } = content
    const { active, ...described } = others
    const isDescribed = !isDeepStrictEqual(described, {
      displayName: row.displayName,
      externalId: row.externalId,
      attributes: row.attributes,
    })
    const isReAddressed = email !== row.email
    if (!isDescribed && !isReAddressed && active === row.active) return { result: before, actions: [] }
    requireUnprotected(row)
    if (isReAddressed) await reAddress(transaction, acting, row, email)
    await updateUserRow(transaction, { organizationId, id: row.id }, others)
    const target = { name: email, id: row.id }
    const actions: Action[] = []
    if (isDescribed || isReAddressed) actions.push({ action: 'member.updated', target })
    if (active !== row.active) actions.push({ action: active ? 'member.activated' : 'member.deactivated', target })
    return { result: await readUser(transaction, acting, row.id), actions }
  })
}

/** The membership ends; the person stays where another organization has them. Throws `ScimError`. */
export async function deleteUser(acting: Provisioning, id: string, ifMatch: string | null): Promise<void> {
  await provision(acting, async (transaction, organizationId) => {
    const row = await lockUserRow(transaction, organizationId, id)
    if (!row) throw notFound()
    requireVersion(ifMatch, versionIn(userOf(row, acting)))
    requireUnprotected(row)
    await removeUserRow(transaction, acting, row)
    return { result: null, actions: [{ action: 'member.removed', target: { name: row.email, id: row.id } }] }
  })
}

/** One such transaction of the organization at a time; its events come last. */
export async function provision<T>(
  acting: Provisioning,
  work: (
    transaction: Transaction,
    organizationId: Provisioning['principal']['organizationId'],
  ) => Promise<{ result: T; actions: Action[] }>,
): Promise<T> {
  const { database, principal } = acting
  return namingConflicts(() =>
    withOrganization(database, principal, async (transaction) => {
      await lockOrganization(transaction, principal.organizationId)
      const { result, actions } = await work(transaction, principal.organizationId)
      await recordActions(transaction, acting, actions)
      return result
    }),
  )
}

/** Whoever holds the provisioning token must not be able to lock out, or to become, those who manage it. */
function requireUnprotected({ role, roleFromGroups }: UserRow): void {
  if (role === 'OWNER') {
    throw new ScimError(
      403,
      'This user is the organization’s owner, whom no identity provider changes. Leave them out of provisioning, or hand the organization over first.',
    )
  }
  if (role === 'SUPER_ADMIN' && !roleFromGroups) {
    throw new ScimError(
      403,
      'This user was made a super admin by hand, and no identity provider changes them. Have an owner give them another role first, or leave them out of provisioning.',
    )
  }
}

/**
 * The member becomes the person of the new address, and never does a person get another one: nothing proves that it is
 * theirs, and with their password they would be waiting there for whichever organization adds its real owner.
 */
async function reAddress(transaction: Transaction, acting: Provisioning, row: UserRow, email: string): Promise<void> {
  const { organizationId } = acting.principal
  if (await findUserRow(transaction, organizationId, { email })) throw conflict(takenUserName)
  await giveToPerson(transaction, acting, row, await findOrInsertPerson(transaction, acting, email))
}

const longestExternalId = 500
const mostAttributeBytes = 16_384
/** What has a place of its own, or is not kept: a member of several organizations has one password, which none of them sets. */
const notAttributes = new Set([
  'schemas',
  'id',
  'externalId',
  'userName',
  'displayName',
  'active',
  'password',
  'groups',
  'meta',
])

/** Throws `ScimError` invalidValue. What a replacement leaves out of `active` and the name stays as it was. */
function readContent(resource: Json, before: UserRow | null): UserContent {
  const { userName, active = before?.active ?? true, externalId = null } = resource
  if (typeof userName !== 'string' || emailProblem(userName)) {
    throw invalid('invalidValue', '“userName” is the email address of the user, such as someone@example.com.')
  }
  if (typeof active !== 'boolean') throw invalid('invalidValue', '“active” is true or false.')
  const email = emailKey(userName)
  const displayName = (nameIn(resource) ?? before?.displayName ?? nameOf(email)).trim()
  if (memberNameProblem(displayName)) {
    throw invalid('invalidValue', '“displayName” has 1 to 320 characters, all on one line.')
  }
  return { email, displayName, active, externalId: readExternalId(externalId), attributes: attributesIn(resource) }
}

/** Throws `ScimError` invalidValue. */
export function readExternalId(externalId: unknown): string | null {
  if (externalId === null || externalId === '') return null
  if (typeof externalId !== 'string' || externalId.length > longestExternalId) {
    throw invalid('invalidValue', `“externalId” is a text of at most ${longestExternalId} characters.`)
  }
  return externalId
}

function attributesIn(resource: Json): Json {
  const attributes = Object.fromEntries(Object.entries(resource).filter(([name]) => !notAttributes.has(name)))
  if (Buffer.byteLength(JSON.stringify(attributes)) > mostAttributeBytes) {
    throw invalid('invalidValue', `The attributes of a user take at most ${mostAttributeBytes} bytes.`)
  }
  return attributes
}

/** Null where nothing says what the user is called. */
function nameIn({ displayName, name }: Json): string | null {
  const { formatted, givenName, familyName } = isJson(name) ? name : {}
  const whole = [givenName, familyName].filter((part) => typeof part === 'string' && part.trim() !== '').join(' ')
  const names: unknown[] = [displayName, formatted, whole]
  return names.filter((one) => typeof one === 'string').find((one) => one.trim() !== '') ?? null
}

/** The user as it is answered. */
function userOf(row: UserRow, { base }: Provisioning): Json {
  const extensions = Object.keys(row.attributes).filter((name) => name.includes(':'))
  const groups = row.groups.map(({ id, displayName }) => ({
    value: id,
    $ref: `${base}/Groups/${id}`,
    display: displayName,
    type: 'direct',
  }))
  const content: Json = {
    schemas: [userUrn, ...extensions],
    id: row.id,
    ...(row.externalId !== null && { externalId: row.externalId }),
    userName: row.email,
    displayName: row.displayName,
    active: row.active,
    ...row.attributes,
    ...(groups.length > 0 && { groups }),
  }
  return {
    ...content,
    meta: {
      resourceType: 'User',
      created: row.createdAt.toISOString(),
      lastModified: row.changedAt.toISOString(),
      location: `${base}/Users/${row.id}`,
      version: versionOf(content),
    },
  }
}

/** Of a resource as it is answered. */
export function versionIn({ meta }: Json): string {
  return isJson(meta) && typeof meta.version === 'string' ? meta.version : ''
}
