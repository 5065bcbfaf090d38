import { isOfKind } from '../identifiers.ts'
import { isOrganizationRole } from '../organizations/roles.ts'
import {
  currentDigest,
  digestAt,
  type PresentedDigest,
  type PresentedHash,
  type PresentedSecret,
} from '../tokens/secret.ts'
import type { Credential } from './credential.ts'
import { sessionIdleHours } from './session-lifetime.ts'

/** What can be looked up: a secret that was presented, or the hash of one. */
export type Presented = PresentedSecret | PresentedHash

/** Most of what a row costs is the driver's making values of it; what is needed is made here. */
export const asText = { getTypeParser: () => (text: string) => text }

/** `extract` would compute in numeric, which takes several times as long. */
const milliseconds = (expression: string) => `date_part('epoch', ${expression}) * 1000`
const usedRecently = (column: string) => `coalesce(${column} > now() - interval '45 seconds', false)`
/**
 * Joins the row of a key, which is the only one, or of a person’s memberships the one that meets the condition. `offset 0`
 * lets PostgreSQL do nothing else than look by that key: left its choice, it reads a table from end to end that was empty when it was analyzed last, as often as there are rows to be joined
 * to, until a connection’s plan is made anew.
 */
const joinOne = (table: string, as: string, key: string, condition = 'true') =>
  `join lateral (select * from ${table} where ${key} offset 0) ${as} on ${condition}`

/**
 * What each kind of credential is found in, and its part of the statement, in rows of one shape: the table, the question,
 * and what is known. Expiry is decided here, by the database's clock.
 */
export const tables: { select: (asked: (table: string) => string) => string }[] = [
  {
    select: (asked) => `
      select 0, asked.n, s.token_id, s.organization_id, s.token_label, s.token_role_id,
        array_to_string(r.permissions, ' '), null, null,
        ${milliseconds('s.token_created_at')}, ${milliseconds('least(s.token_expires_at, s.accepted_until)')},
        ${milliseconds('least(s.token_expires_at, s.accepted_until) - now()')},
        s.token_enabled and coalesce(least(s.token_expires_at, s.accepted_until) > now(), true),
        coalesce(s.accepted_until <= now(), false), ${usedRecently('s.last_used_at')}
      from ${asked('token_secrets')}
      ${joinOne('token_roles', 'r', 'id = s.token_role_id')}`,
  },
  {
    select: (asked) => `
      select 1, asked.n, s.id, s.organization_id, p.email, m.role, null, m.id, m.person_id,
        ${milliseconds('s.created_at')}, null, null, m.active, false, ${usedRecently('s.last_used_at')}
      from ${asked('access_tokens')}
      ${joinOne('members', 'm', 'id = s.member_id', 'm.organization_id = s.organization_id')}
      ${joinOne('people', 'p', 'id = m.person_id')}`,
  },
  {
    select: (asked) => `
      select 2, asked.n, s.id, s.organization_id, p.email, m.role, null, m.id, m.person_id,
        ${milliseconds('s.created_at')}, ${milliseconds('s.expires_at')}, ${milliseconds('s.expires_at - now()')},
        m.active and s.expires_at > now() and s.last_used_at > now() - interval '${sessionIdleHours} hours',
        false, ${usedRecently('s.last_used_at')}
      from ${asked('sessions')}
      ${joinOne('members', 'm', 'person_id = s.person_id', 'm.organization_id = s.organization_id')}
      ${joinOne('people', 'p', 'id = m.person_id')}`,
  },
  {
    select: (asked) => `
      select 3, asked.n, s.id, null, s.name, null, array_to_string(s.permissions, ' '), null, null,
        ${milliseconds('s.created_at')}, null, null, true, false, ${usedRecently('s.last_used_at')}
      from ${asked('services')}`,
  },
]

/** In which of them each kind is looked for, one after another: nearly every hash is an integration token’s. */
export const tablesOf: Record<Presented['kind'], readonly number[]> = {
  integrationToken: [0],
  accessToken: [1],
  session: [2],
  service: [3],
  bearer: [0, 1],
}

const statements = new Map<string, string>()

/** The digests of a table's questions come as one value, 32 bytes each, in the order in which the rows count them. */
export function statementOf(concerned: number[]): string {
  const key = concerned.join()
  const known = statements.get(key)
  if (known) return known
  const parts = concerned.map((table, index) => {
    const digests = `$${index + 1}::bytea`
    return tables[table]?.select(
      (name) => `generate_series(0, length(${digests}) / 32 - 1) asked(n)
        ${joinOne(name, 's', `digest = substring(${digests} from asked.n * 32 + 1 for 32)`)}`,
    )
  })
  const text = parts.join('\nunion all')
  statements.set(key, text)
  return text
}

/** As PostgreSQL writes them. */
export type Row = [
  table: string,
  question: string,
  id: string,
  organizationId: string | null,
  name: string,
  role: string | null,
  permissions: string | null,
  memberId: string | null,
  personId: string | null,
  createdAt: string,
  expiresAt: string | null,
  expiresIn: string | null,
  accepted: string,
  retired: string,
  usedRecently: string,
]

/** Each in one literal: of a hundred thousand rows a second, what is put together from parts costs as much as the rest. */
export function readRow(presented: PresentedDigest, row: Row): Credential {
  const [
    table,
    place,
    id,
    organizationId,
    name,
    role,
    permissions,
    memberId,
    personId,
    createdAt,
    expiresAt,
    expiresIn,
  ] = row
  const digest = digestAt(presented, Number(place))
  const current = currentDigest(presented)
  const accepted = row[12] === 't'
  const usedRecently = row[14] === 't'
  const created = new Date(Number(createdAt))
  const expires = expiresAt === null ? null : new Date(Number(expiresAt))
  const expiresInMilliseconds = expiresIn === null ? null : Number(expiresIn)
  if (table === '3' && isOfKind('service', id)) {
    return {
      kind: 'service',
      digest,
      currentDigest: current,
      accepted,
      usedRecently,
      createdAt: created,
      expiresAt: expires,
      expiresInMilliseconds,
      serviceId: id,
      name,
      permissions: splitPermissions(permissions),
    }
  }
  if (organizationId && isOfKind('organization', organizationId) && role) {
    if (table === '0' && isOfKind('token', id) && isOfKind('role', role)) {
      return {
        kind: 'integrationToken',
        digest,
        currentDigest: current,
        accepted,
        usedRecently,
        createdAt: created,
        expiresAt: expires,
        expiresInMilliseconds,
        tokenId: id,
        organizationId,
        label: name,
        roleId: role,
        permissions: splitPermissions(permissions),
        retired: row[13] === 't',
      }
    }
    if (
      memberId &&
      isOfKind('member', memberId) &&
      personId &&
      isOfKind('person', personId) &&
      isOrganizationRole(role)
    ) {
      const known = {
        digest,
        currentDigest: current,
        accepted,
        usedRecently,
        createdAt: created,
        expiresAt: expires,
        expiresInMilliseconds,
      }
      const member = { organizationId, memberId, personId, email: name, organizationRole: role }
      if (table === '1' && isOfKind('accessToken', id))
        return { ...known, ...member, kind: 'accessToken', accessTokenId: id }
      if (table === '2' && isOfKind('session', id)) return { ...known, ...member, kind: 'session', sessionId: id }
    }
  }
  throw new Error('A row does not have the form that its table promises.')
}

const mostPermissionTexts = 1_000
const permissionTexts = new Map<string, readonly string[]>()

/** Few roles give most tokens theirs. */
function splitPermissions(text: string | null): readonly string[] {
  if (!text) return []
  const known = permissionTexts.get(text)
  if (known) return known
  if (permissionTexts.size >= mostPermissionTexts) permissionTexts.clear()
  const permissions = Object.freeze(text.split(' '))
  permissionTexts.set(text, permissions)
  return permissions
}
