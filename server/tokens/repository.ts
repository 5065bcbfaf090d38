import { and, asc, desc, eq, gt, inArray, isNull, or, type SQL, sql } from 'drizzle-orm'
import type { PageBounds, Position } from '../database/keyset.ts'
import { idempotencyKeys, integrationTokens, members, people, tokenRoles, tokenSecrets } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { MemberId, OrganizationId, RoleId, TokenId } from '../identifiers.ts'
import { type Member, memberColumns, memberOf } from '../organizations/members.ts'
import { roleColumns, roleOf, type TokenRole } from './roles.ts'
import type { SecretRecord } from './secret.ts'
import { status, type TokenStatus } from './status.ts'
import { labelKey, searchText } from './token-input.ts'

export interface TokenSecret {
  hint: string
  createdAt: Date
  acceptedUntil: Date | null
  lastUsedAt: Date | null
}

export interface IntegrationToken {
  id: TokenId
  label: string
  description: string | null
  role: TokenRole
  status: TokenStatus
  createdAt: Date
  createdBy: Member | null
  expiresAt: Date | null
  lastUsedAt: Date | null
  lastUsedFrom: string | null
  retiredSecretLastUsedAt: Date | null
  secrets: TokenSecret[]
}

export const tokenSorts = [
  'CREATED_AT_DESC',
  'CREATED_AT_ASC',
  'LABEL_ASC',
  'LAST_USED_AT_DESC',
  'EXPIRES_AT_ASC',
] as const
export type TokenSort = (typeof tokenSorts)[number]

export interface TokenFilter {
  search: string | null
  roleIds: readonly string[] | null
  statuses: readonly TokenStatus[]
}

/** Each has an index of its own, which ends with the id. */
const sorts: Record<TokenSort, { key: SQL; type: SQL; descending: boolean }> = {
  CREATED_AT_DESC: { key: sql`${integrationTokens.createdAt}`, type: sql`timestamptz`, descending: true },
  CREATED_AT_ASC: { key: sql`${integrationTokens.createdAt}`, type: sql`timestamptz`, descending: false },
  LABEL_ASC: { key: sql`${integrationTokens.labelKey}`, type: sql`text`, descending: false },
  LAST_USED_AT_DESC: {
    key: sql`coalesce(${integrationTokens.lastUsedAt}, '-infinity'::timestamptz)`,
    type: sql`timestamptz`,
    descending: true,
  },
  EXPIRES_AT_ASC: {
    key: sql`coalesce(${integrationTokens.expiresAt}, 'infinity'::timestamptz)`,
    type: sql`timestamptz`,
    descending: false,
  },
}

/** A filter that matches no more than this is answered from what it matches; one that matches more, from the sort's index. */
const fewMatches = 1_000
/** Counting stops here, so that it costs the same however many there are. */
const mostCounted = 10_000

const tokenColumns = {
  id: integrationTokens.id,
  label: integrationTokens.label,
  description: integrationTokens.description,
  status,
  createdAt: integrationTokens.createdAt,
  expiresAt: integrationTokens.expiresAt,
  lastUsedAt: integrationTokens.lastUsedAt,
  lastUsedFrom: integrationTokens.lastUsedFrom,
  retiredSecretLastUsedAt: integrationTokens.retiredSecretLastUsedAt,
}

function selectTokens(transaction: Transaction, position: SQL<string>) {
  return transaction
    .select({ token: tokenColumns, role: roleColumns, createdBy: memberColumns, position })
    .from(integrationTokens)
    .innerJoin(tokenRoles, eq(tokenRoles.id, integrationTokens.roleId))
    .leftJoin(members, eq(members.id, integrationTokens.createdByMemberId))
    .leftJoin(people, eq(people.id, members.personId))
}

export async function findToken(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: string },
): Promise<IntegrationToken | null> {
  const rows = await selectTokens(transaction, sql`''`).where(ownToken(organizationId, tokenId))
  const [token] = await withSecrets(transaction, organizationId, rows)
  return token ?? null
}

/** A list is named by its order, since a cursor is a place in that order. */
export const listOf = (sort: TokenSort) => `integrationTokens ${sort}`

/** One more than the page's size is read. Costs the same on a list of any length. */
export async function listTokens(
  transaction: Transaction,
  {
    organizationId,
    filter,
    sort,
    bounds,
  }: { organizationId: OrganizationId; filter: TokenFilter; sort: TokenSort; bounds: PageBounds },
): Promise<{ node: IntegrationToken; position: Position }[]> {
  const { key, type, descending } = sorts[sort]
  const candidates = await findFew(transaction, organizationId, filter)
  const beyond = (position: Position, after: boolean) =>
    sql`(${key}, ${integrationTokens.id}) ${sql.raw(after === descending ? '<' : '>')} (${position.value}::${type}, ${position.id})`
  const direction = descending === bounds.backward ? asc : desc
  const rows = await selectTokens(transaction, sql<string>`(${key})::text`)
    .where(
      and(
        candidates ? inArray(integrationTokens.id, candidates) : undefined,
        matching(organizationId, filter),
        bounds.after ? beyond(bounds.after, true) : undefined,
        bounds.before ? beyond(bounds.before, false) : undefined,
      ),
    )
    .orderBy(direction(key), direction(integrationTokens.id))
    .limit(bounds.size + 1)
  const tokens = await withSecrets(transaction, organizationId, rows)
  return tokens.map((node, index) => ({ node, position: { value: rows[index]?.position ?? '', id: node.id } }))
}

/** How many tokens match, up to 10,000. */
export async function countTokens(
  transaction: Transaction,
  { organizationId, filter }: { organizationId: OrganizationId; filter: TokenFilter },
): Promise<number> {
  const candidates = await findFew(transaction, organizationId, filter)
  if (candidates) return candidates.length
  const counted = transaction
    .select({ one: sql`1`.as('one') })
    .from(integrationTokens)
    .where(matching(organizationId, filter))
    .limit(mostCounted)
    .as('counted')
  const [row] = await transaction.select({ count: sql<number>`count(*)::int` }).from(counted)
  return row?.count ?? 0
}

/** Every match where there are few; null where there are more. */
async function findFew(
  transaction: Transaction,
  organizationId: OrganizationId,
  filter: TokenFilter,
): Promise<TokenId[] | null> {
  let found: string[] | null = null
  if (filter.search) {
    const { rows } = await transaction.execute<{ id: string }>(
      sql`select token_ids_matching(${likePattern(filter.search)}, ${fewMatches + 1}) as id`,
    )
    if (rows.length <= fewMatches) found = rows.map(({ id }) => id)
  }
  const rows = await transaction
    .select({ id: integrationTokens.id })
    .from(integrationTokens)
    .where(
      and(
        found ? sql`${integrationTokens.id} = any(${sql.param(found)})` : undefined,
        matching(organizationId, filter),
      ),
    )
    .limit(fewMatches + 1)
  return rows.length <= fewMatches ? rows.map(({ id }) => id) : null
}

function matching(organizationId: OrganizationId, { search, roleIds, statuses }: TokenFilter): SQL | undefined {
  // The bare conditions, where they suffice, are those that an index knows.
  const wanted = new Set(statuses)
  const unexpired = or(isNull(integrationTokens.expiresAt), gt(integrationTokens.expiresAt, sql`now()`))
  return and(
    eq(integrationTokens.organizationId, organizationId),
    search ? sql`${integrationTokens.searchText} like ${likePattern(search)}` : undefined,
    roleIds ? sql`${integrationTokens.roleId} = any(${sql.param([...roleIds])})` : undefined,
    wanted.size === 3 ? undefined : sql`${status} = any(${sql.param([...wanted])})`,
    wanted.size === 1 && wanted.has('DISABLED') ? sql`not ${integrationTokens.enabled}` : undefined,
    wanted.size === 1 && wanted.has('EXPIRED')
      ? sql`coalesce(${integrationTokens.expiresAt}, 'infinity'::timestamptz) <= now()`
      : undefined,
    wanted.size === 1 && wanted.has('ACTIVE') ? and(sql`${integrationTokens.enabled}`, unexpired) : undefined,
  )
}

function likePattern(search: string): string {
  return `%${labelKey(search).replace(/[\\%_]/g, '\\$&')}%`
}

type TokenRow = Awaited<ReturnType<typeof selectTokens>>[number]

async function withSecrets(
  transaction: Transaction,
  organizationId: OrganizationId,
  rows: TokenRow[],
): Promise<IntegrationToken[]> {
  if (rows.length === 0) return []
  const secrets = await transaction
    .select({
      tokenId: tokenSecrets.tokenId,
      hint: tokenSecrets.hint,
      createdAt: tokenSecrets.createdAt,
      acceptedUntil: tokenSecrets.acceptedUntil,
      lastUsedAt: tokenSecrets.lastUsedAt,
    })
    .from(tokenSecrets)
    .where(
      and(
        eq(tokenSecrets.organizationId, organizationId),
        inArray(
          tokenSecrets.tokenId,
          rows.map(({ token }) => token.id),
        ),
        acceptedSecret,
      ),
    )
    .orderBy(desc(tokenSecrets.createdAt))
  return rows.map(({ token, role, createdBy }) => ({
    ...token,
    role: roleOf(role),
    createdBy: createdBy && memberOf(createdBy),
    secrets: secrets.filter(({ tokenId }) => tokenId === token.id),
  }))
}

const acceptedSecret = or(isNull(tokenSecrets.acceptedUntil), gt(tokenSecrets.acceptedUntil, sql`now()`))

const ownToken = (organizationId: OrganizationId, tokenId: string) =>
  and(eq(integrationTokens.organizationId, organizationId), eq(integrationTokens.id, sql`${tokenId}`))

/** What the change of a token starts from. Whoever else would change it waits until the transaction ends. */
export async function lockToken(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: string },
) {
  const [token] = await transaction
    .select({
      id: integrationTokens.id,
      label: integrationTokens.label,
      description: integrationTokens.description,
      expiresAt: integrationTokens.expiresAt,
      enabled: integrationTokens.enabled,
      now: sql<Date>`now()`.mapWith(integrationTokens.createdAt),
    })
    .from(integrationTokens)
    .where(ownToken(organizationId, tokenId))
    .for('update')
  return token ?? null
}

export interface NewToken {
  id: TokenId
  organizationId: OrganizationId
  label: string
  description: string | null
  roleId: RoleId
  expiresAt: Date | null
  createdByMemberId: MemberId | null
}

export async function insertToken(transaction: Transaction, token: NewToken, secret: SecretRecord): Promise<void> {
  await transaction.insert(integrationTokens).values({
    ...token,
    labelKey: labelKey(token.label),
    searchText: searchText(token.label, token.description),
  })
  await transaction.insert(tokenSecrets).values({ ...secret, organizationId: token.organizationId, tokenId: token.id })
}

export async function changeToken(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: TokenId },
  {
    label,
    description,
    expiresAt,
    enabled,
  }: { label: string; description: string | null; expiresAt: Date | null; enabled: boolean },
): Promise<void> {
  await transaction
    .update(integrationTokens)
    .set({
      label,
      labelKey: labelKey(label),
      description,
      searchText: searchText(label, description),
      expiresAt,
      enabled,
    })
    .where(ownToken(organizationId, tokenId))
}

/** The new secret becomes the current one; the one before is accepted for the overlap; any older one no longer. */
export async function replaceSecret(
  transaction: Transaction,
  {
    organizationId,
    tokenId,
    overlapSeconds,
  }: { organizationId: OrganizationId; tokenId: TokenId; overlapSeconds: number },
  secret: SecretRecord,
): Promise<void> {
  const own = and(eq(tokenSecrets.organizationId, organizationId), eq(tokenSecrets.tokenId, tokenId))
  // Cut, not rounded up, to the column's milliseconds: rounded, a retired secret would be accepted for half of one.
  const instant = sql`date_trunc('milliseconds', now())`
  await transaction
    .update(tokenSecrets)
    .set({ acceptedUntil: instant })
    .where(and(own, gt(tokenSecrets.acceptedUntil, sql`now()`)))
  await transaction
    .update(tokenSecrets)
    .set({ acceptedUntil: sql`${instant} + ${overlapSeconds} * interval '1 second'` })
    .where(and(own, isNull(tokenSecrets.acceptedUntil)))
  await transaction.insert(tokenSecrets).values({ ...secret, organizationId, tokenId })
}

export async function isAcceptedSecret(
  transaction: Transaction,
  { organizationId, tokenId, digest }: { organizationId: OrganizationId; tokenId: TokenId; digest: Buffer },
): Promise<boolean> {
  const rows = await transaction
    .select({ tokenId: tokenSecrets.tokenId })
    .from(tokenSecrets)
    .where(
      and(
        eq(tokenSecrets.organizationId, organizationId),
        eq(tokenSecrets.tokenId, tokenId),
        eq(tokenSecrets.digest, digest),
        acceptedSecret,
      ),
    )
  return rows.length > 0
}

/** The token's secrets go with it. */
export async function removeToken(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: string },
): Promise<{ id: TokenId; label: string } | null> {
  const [removed] = await transaction
    .delete(integrationTokens)
    .where(ownToken(organizationId, tokenId))
    .returning({ id: integrationTokens.id, label: integrationTokens.label })
  return removed ?? null
}

/**
 * Marks that a retired secret was presented. Gives its hint where the log should hear of it: the first time, and after
 * that once an hour, so that a forgotten pipeline does not fill the log.
 */
export async function markRetiredUse(
  transaction: Transaction,
  { organizationId, tokenId, digest }: { organizationId: OrganizationId; tokenId: TokenId; digest: Buffer },
): Promise<{ hint: string } | null> {
  const { rows } = await transaction.execute<{ hint: string; due: boolean }>(sql`
    with before as (
      select digest, coalesce(last_used_at <= greatest(accepted_until, now() - interval '1 hour'), true) as due
      from token_secrets where digest = ${digest} and organization_id = ${organizationId} for update
    )
    update token_secrets set last_used_at = now() from before where token_secrets.digest = before.digest
    returning token_secrets.hint, before.due`)
  await transaction
    .update(integrationTokens)
    .set({ retiredSecretLastUsedAt: sql`now()` })
    .where(ownToken(organizationId, tokenId))
  const [marked] = rows
  return marked?.due ? { hint: marked.hint } : null
}

export interface IdempotencyRecord {
  digest: Buffer
  organizationId: OrganizationId
  inputDigest: Buffer
  salt: Buffer
  tokenId: TokenId
}

/** Takes the key for a new token, or gives what took it within 24 hours. Waits for a creation with the same key that is under way. */
export async function claimIdempotencyKey(
  transaction: Transaction,
  record: IdempotencyRecord,
): Promise<IdempotencyRecord | null> {
  const [claimed] = await transaction
    .insert(idempotencyKeys)
    .values(record)
    .onConflictDoUpdate({
      target: idempotencyKeys.digest,
      set: { ...record, createdAt: sql`now()` },
      setWhere: sql`${idempotencyKeys.createdAt} <= now() - interval '24 hours'`,
    })
    .returning({ digest: idempotencyKeys.digest })
  if (claimed) return null
  const [earlier] = await transaction
    .select()
    .from(idempotencyKeys)
    .where(and(eq(idempotencyKeys.digest, record.digest), eq(idempotencyKeys.organizationId, record.organizationId)))
  return earlier ?? null
}
