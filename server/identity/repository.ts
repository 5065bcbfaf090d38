import { and, eq, sql } from 'drizzle-orm'
import type { Pool } from 'pg'
import { accessTokens, people, sessions } from '../database/tables.ts'
import { DatabaseUnavailable, isUnavailable } from '../database/unavailable.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { AccessTokenId, MemberId, OrganizationId, PersonId, SessionId } from '../identifiers.ts'
import type { Organization } from '../organizations/members.ts'
import type { OrganizationRole } from '../organizations/roles.ts'
import type { SecretRecord } from '../tokens/secret.ts'
import type { Origin } from './principal.ts'
import { sessionAbsoluteDays } from './session-lifetime.ts'

/** A person's standing in one organization. */
export interface Membership {
  organization: Organization
  memberId: MemberId
  personId: PersonId
  role: OrganizationRole
}

export interface Person {
  id: PersonId
  email: string
  passwordHash: string | null
  lastOrganizationId: OrganizationId | null
}

/** Looks across organizations, as a sign-in must: it does not know yet to which it leads. */
export async function findPerson({ lookup }: { lookup: Pool }, email: string): Promise<Person | null> {
  const rows = await ask<Person>(
    lookup,
    `select id, email, password_hash as "passwordHash", last_organization_id as "lastOrganizationId" from people where email = $1`,
    email,
  )
  return rows[0] ?? null
}

/** The organizations in which the person is an active member, in the order of their names. */
export async function listMemberships({ lookup }: { lookup: Pool }, personId: PersonId): Promise<Membership[]> {
  type Row = Omit<Membership, 'organization'> & Organization
  const rows = await ask<Row>(
    lookup,
    `select o.id, o.name, o.slug, o.created_at as "createdAt", m.id as "memberId", m.person_id as "personId", m.role
     from members m join organizations o on o.id = m.organization_id where m.person_id = $1 and m.active order by o.name, o.id`,
    personId,
  )
  return rows.map(({ memberId, personId, role, ...organization }) => ({ organization, memberId, personId, role }))
}

async function ask<Row extends object>(lookup: Pool, text: string, value: string): Promise<Row[]> {
  try {
    return (await lookup.query<Row>(text, [value])).rows
  } catch (error) {
    throw isUnavailable(error) ? new DatabaseUnavailable(error) : error
  }
}

export interface NewSession {
  id: SessionId
  organizationId: OrganizationId
  personId: PersonId
  origin: Origin
  /** The end of the session that this one continues; null for one that begins. */
  expiresAt: Date | null
}

export async function insertSession(
  transaction: Transaction,
  { origin, expiresAt, ...session }: NewSession,
  { digest, keyId }: SecretRecord,
): Promise<Date> {
  const [inserted] = await transaction
    .insert(sessions)
    .values({
      ...session,
      digest,
      keyId,
      ipAddress: origin.ipAddress,
      userAgent: origin.userAgent?.slice(0, 300) ?? null,
      expiresAt: expiresAt ?? sql`now() + ${sessionAbsoluteDays} * interval '1 day'`,
    })
    .returning({ expiresAt: sessions.expiresAt })
  if (!inserted) throw new Error('A session was not inserted.')
  return inserted.expiresAt
}

/** Only a session of the person; gives whether there was one. */
export async function removeSession(
  transaction: Transaction,
  { personId, sessionId }: { personId: PersonId; sessionId: SessionId },
): Promise<boolean> {
  const removed = await transaction
    .delete(sessions)
    .where(and(eq(sessions.personId, personId), eq(sessions.id, sessionId)))
    .returning({ id: sessions.id })
  return removed.length > 0
}

/** In every organization in which the person has one. */
export async function removeSessions(transaction: Transaction, { personId }: { personId: PersonId }): Promise<void> {
  await transaction.delete(sessions).where(eq(sessions.personId, personId))
}

export async function rememberOrganization(
  transaction: Transaction,
  { personId, organizationId }: { personId: PersonId; organizationId: OrganizationId },
): Promise<void> {
  await transaction.update(people).set({ lastOrganizationId: organizationId }).where(eq(people.id, personId))
}

export interface AccessToken {
  id: AccessTokenId
  hint: string
  createdAt: Date
  lastUsedAt: Date | null
}

const accessTokenColumns = {
  id: accessTokens.id,
  hint: accessTokens.hint,
  createdAt: accessTokens.createdAt,
  lastUsedAt: accessTokens.lastUsedAt,
}

const ownAccessToken = ({ organizationId, memberId }: { organizationId: OrganizationId; memberId: MemberId }) =>
  and(eq(accessTokens.organizationId, organizationId), eq(accessTokens.memberId, memberId))

export async function findAccessToken(
  transaction: Transaction,
  owner: { organizationId: OrganizationId; memberId: MemberId },
): Promise<AccessToken | null> {
  const [token] = await transaction.select(accessTokenColumns).from(accessTokens).where(ownAccessToken(owner))
  return token ?? null
}

export async function replaceAccessToken(
  transaction: Transaction,
  { id, organizationId, memberId }: { id: AccessTokenId; organizationId: OrganizationId; memberId: MemberId },
  record: SecretRecord,
): Promise<AccessToken> {
  // Two resets at once: the second waits for the member's row, and then replaces what the first made.
  await transaction.execute(
    sql`select from members where organization_id = ${organizationId} and id = ${memberId} for update`,
  )
  await transaction.delete(accessTokens).where(ownAccessToken({ organizationId, memberId }))
  const [accessToken] = await transaction
    .insert(accessTokens)
    .values({ id, organizationId, memberId, ...record })
    .returning(accessTokenColumns)
  if (!accessToken) throw new Error('An access token was not inserted.')
  return accessToken
}
