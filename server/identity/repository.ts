import { and, eq, ne, sql } from 'drizzle-orm'
import type { Pool } from 'pg'
import { accessTokens, members, people, sessions } from '../database/tables.ts'
import { DatabaseUnavailable, isUnavailable } from '../database/unavailable.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { Clock, RandomBytes } from '../dependencies.ts'
import {
  type AccessTokenId,
  createId,
  type MemberId,
  type OrganizationId,
  type PersonId,
  type SessionId,
} from '../identifiers.ts'
import type { Organization } from '../organizations/members.ts'
import type { OrganizationRole } from '../organizations/roles.ts'
import type { SecretRecord } from '../tokens/secret.ts'
import type { Origin } from './principal.ts'
import { sessionAbsoluteDays, sessionIdleHours } from './session-lifetime.ts'

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

/** The person of the address, whichever organizations know them; a new one has no password. */
export async function findOrInsertPerson(
  transaction: Transaction,
  dependencies: { now: Clock; randomBytes: RandomBytes },
  email: string,
): Promise<PersonId> {
  const known = await findPersonId(transaction, email)
  if (known) return known
  const id = createId('person', dependencies)
  await transaction.insert(people).values({ id, email }).onConflictDoNothing({ target: people.email })
  // Another organization may have made it at this moment.
  const made = await findPersonId(transaction, email)
  if (!made) throw new Error('A person who was just made is gone.')
  return made
}

/** Nobody gives them another address, nor removes them, until the transaction ends. */
async function findPersonId(transaction: Transaction, email: string): Promise<PersonId | null> {
  const [person] = await transaction
    .select({ id: people.id })
    .from(people)
    .where(eq(people.email, email))
    .for('key share')
  return person?.id ?? null
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

async function ask<Row extends object>(lookup: Pool, text: string, ...values: (string | null)[]): Promise<Row[]> {
  try {
    return (await lookup.query<Row>(text, values)).rows
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

export interface Session {
  id: SessionId
  organization: Organization
  createdAt: Date
  lastUsedAt: Date
  expiresAt: Date
  ipAddress: string | null
  userAgent: string | null
}

/** A person's sessions: those in every organization, or in the one that is named. */
export interface SessionReach {
  personId: PersonId
  onlyIn: OrganizationId | null
}

/** Those that are accepted now, the last used first. Looks across organizations, each of which the person may see. */
export async function listSessions(
  { lookup }: { lookup: Pool },
  { personId, onlyIn }: SessionReach,
  most: number,
): Promise<Session[]> {
  type Row = Omit<Session, 'organization'> & {
    organizationId: OrganizationId
    name: string
    slug: string
    organizationCreatedAt: Date
  }
  const rows = await ask<Row>(
    lookup,
    `select s.id, s.created_at as "createdAt", s.last_used_at as "lastUsedAt", s.expires_at as "expiresAt",
       s.ip_address as "ipAddress", s.user_agent as "userAgent",
       o.id as "organizationId", o.name, o.slug, o.created_at as "organizationCreatedAt"
     from sessions s
     join members m on m.person_id = s.person_id and m.organization_id = s.organization_id
     join organizations o on o.id = s.organization_id
     where s.person_id = $1 and ($2::text is null or s.organization_id = $2) and m.active
       and s.expires_at > now() and s.last_used_at > now() - interval '${sessionIdleHours} hours'
     order by s.last_used_at desc, s.id desc limit ${most}`,
    personId,
    onlyIn,
  )
  return rows.map(({ organizationId, name, slug, organizationCreatedAt, ...session }) => ({
    ...session,
    organization: { id: organizationId, name, slug, createdAt: organizationCreatedAt },
  }))
}

/** What is left of a session that was removed. */
export interface RemovedSession {
  id: SessionId
  organizationId: OrganizationId
}

const removedSession = { id: sessions.id, organizationId: sessions.organizationId }

const within = ({ personId, onlyIn = null }: { personId: PersonId; onlyIn?: OrganizationId | null }) =>
  and(eq(sessions.personId, personId), onlyIn === null ? undefined : eq(sessions.organizationId, onlyIn))

/** Null where the person has no such session. */
export async function removeSession(
  transaction: Transaction,
  { sessionId, ...reach }: { personId: PersonId; onlyIn?: OrganizationId | null; sessionId: string },
): Promise<RemovedSession | null> {
  const [removed] = await transaction
    .delete(sessions)
    .where(and(within(reach), eq(sessions.id, sql`${sessionId}`)))
    .returning(removedSession)
  return removed ?? null
}

/** All but the one that is kept. */
export async function removeSessions(
  transaction: Transaction,
  { kept = null, ...reach }: { personId: PersonId; onlyIn?: OrganizationId | null; kept?: SessionId | null },
): Promise<RemovedSession[]> {
  return transaction
    .delete(sessions)
    .where(and(within(reach), kept === null ? undefined : ne(sessions.id, kept)))
    .returning(removedSession)
}

/** The session goes on under another secret, until the same end. Null where it has ended. */
export async function renewSession(
  transaction: Transaction,
  { personId, sessionId }: { personId: PersonId; sessionId: SessionId },
  { digest, keyId }: SecretRecord,
): Promise<Date | null> {
  const [renewed] = await transaction
    .update(sessions)
    .set({ digest, keyId })
    .where(and(eq(sessions.personId, personId), eq(sessions.id, sessionId)))
    .returning({ expiresAt: sessions.expiresAt })
  return renewed?.expiresAt ?? null
}

/** As whom the log of the organization knows the person. */
export async function readMemberId(
  transaction: Transaction,
  { organizationId, personId }: { organizationId: OrganizationId; personId: PersonId },
): Promise<MemberId> {
  const [member] = await transaction
    .select({ id: members.id })
    .from(members)
    .where(and(eq(members.organizationId, organizationId), eq(members.personId, personId)))
  if (!member) throw new Error('The member whose session was removed is gone.')
  return member.id
}

/**
 * Comes first where sessions begin or end with the person's password: one such transaction then waits for another, and
 * sees what it did.
 */
export async function rememberOrganization(
  transaction: Transaction,
  { personId, organizationId }: { personId: PersonId; organizationId: OrganizationId },
): Promise<{ passwordHash: string | null }> {
  const [person] = await transaction
    .update(people)
    .set({ lastOrganizationId: organizationId })
    .where(eq(people.id, personId))
    .returning({ passwordHash: people.passwordHash })
  if (!person) throw new Error('A person whose membership was just read is gone.')
  return person
}

/** Comes first of what ends sessions with it, as `rememberOrganization` does of what begins them. */
export async function storePassword(
  transaction: Transaction,
  { personId, passwordHash }: { personId: PersonId; passwordHash: string },
): Promise<void> {
  await transaction.update(people).set({ passwordHash }).where(eq(people.id, personId))
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
