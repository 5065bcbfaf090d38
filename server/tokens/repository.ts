import { and, arrayContains, desc, eq, gt, inArray, isNull, or, sql } from 'drizzle-orm'
import type { Position } from '../database/keyset.ts'
import {
  idempotencyKeys,
  integrationTokens,
  members,
  people,
  tokenRoles,
  tokenSecrets,
  tokenUses,
} from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { MemberId, OrganizationId, RoleId, TokenId } from '../identifiers.ts'
import { type Member, memberColumns, memberOf } from '../organizations/members.ts'
import { findPage, type Listing, type TokenSort, usesOfToken } from './listing.ts'
import { roleColumns, roleOf, type TokenRole } from './roles.ts'
import type { SecretRecord } from './secret.ts'
import { status, type TokenStatus } from './status.ts'
import { labelKey, searchText } from './token-input.ts'

export { countTokens, type TokenFilter, type TokenSort, tokenSorts } from './listing.ts'

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

const tokenColumns = {
  id: integrationTokens.id,
  label: integrationTokens.label,
  description: integrationTokens.description,
  status,
  createdAt: integrationTokens.createdAt,
  expiresAt: integrationTokens.expiresAt,
  lastUsedAt: tokenUses.lastUsedAt,
  lastUsedFrom: tokenUses.lastUsedFrom,
  retiredSecretLastUsedAt: tokenUses.retiredSecretLastUsedAt,
}

function selectTokens(transaction: Transaction) {
  return transaction
    .select({ token: tokenColumns, role: roleColumns, createdBy: memberColumns })
    .from(integrationTokens)
    .innerJoin(tokenRoles, eq(tokenRoles.id, integrationTokens.roleId))
    .innerJoin(tokenUses, usesOfToken)
    .leftJoin(
      members,
      and(
        eq(members.organizationId, integrationTokens.organizationId),
        eq(members.id, integrationTokens.createdByMemberId),
      ),
    )
    .leftJoin(people, eq(people.id, members.personId))
}

export async function findToken(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: string },
): Promise<IntegrationToken | null> {
  const rows = await selectTokens(transaction).where(ownToken(organizationId, tokenId))
  const [token] = await withSecrets(transaction, organizationId, rows)
  return token ?? null
}

/** A list is named by its order, since a cursor is a place in that order. */
export const listOf = (sort: TokenSort) => `integrationTokens ${sort}`

/** One more than the page's size is read. Costs the same on a list of any length. */
export async function listTokens(
  transaction: Transaction,
  listing: Listing,
  tries = 3,
): Promise<{ node: IntegrationToken; position: Position }[]> {
  const { organizationId } = listing
  const positions = await findPage(transaction, listing)
  const ids = positions.map(({ id }) => id)
  const rows = await selectTokens(transaction).where(
    and(eq(integrationTokens.organizationId, organizationId), sql`${integrationTokens.id} = any(${sql.param(ids)})`),
  )
  // One was deleted in between. A page that comes out short would look like the last.
  if (rows.length < positions.length && tries > 1) return listTokens(transaction, listing, tries - 1)
  const tokens = new Map<string, IntegrationToken>()
  for (const token of await withSecrets(transaction, organizationId, rows)) tokens.set(token.id, token)
  return positions.flatMap((position) => {
    const node = tokens.get(position.id)
    return node ? [{ node, position }] : []
  })
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

/**
 * What the change of a token starts from. Whoever else would change it waits until the transaction ends. The lock comes
 * first, in a statement of the token alone, so that what is read after it is what the last change left, wherever it is.
 */
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

/** When the token's current secret was made. */
export async function readMadeAt(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: TokenId },
): Promise<Date> {
  const [secret] = await transaction
    .select({ madeAt: tokenSecrets.createdAt })
    .from(tokenSecrets)
    .where(
      and(
        eq(tokenSecrets.organizationId, organizationId),
        eq(tokenSecrets.tokenId, tokenId),
        isNull(tokenSecrets.acceptedUntil),
      ),
    )
  if (!secret) throw new Error('A token has no current secret.')
  return secret.madeAt
}

export interface NewToken {
  id: TokenId
  organizationId: OrganizationId
  label: string
  description: string | null
  roleId: RoleId
  expiresAt: Date | null
  createdByMemberId: MemberId | null
  createdByTokenId: TokenId | null
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

/**
 * Stores the secret under another server key. It goes and comes back, since the digest is what it is laid out by: where
 * tables are spread over machines, it may come to be on another one. Whoever would change its token waits.
 */
export async function moveSecret(
  transaction: Transaction,
  { organizationId, tokenId, digest }: { organizationId: OrganizationId; tokenId: TokenId; digest: Buffer },
  to: { digest: Buffer; keyId: string },
): Promise<void> {
  if (!(await lockToken(transaction, { organizationId, tokenId }))) return
  const [secret] = await transaction
    .delete(tokenSecrets)
    .where(and(eq(tokenSecrets.organizationId, organizationId), eq(tokenSecrets.digest, digest)))
    .returning()
  if (secret) await transaction.insert(tokenSecrets).values({ ...secret, ...to })
}

export async function isAcceptedSecret(
  transaction: Transaction,
  { organizationId, tokenId, digests }: { organizationId: OrganizationId; tokenId: TokenId; digests: Buffer[] },
): Promise<boolean> {
  const rows = await transaction
    .select({ tokenId: tokenSecrets.tokenId })
    .from(tokenSecrets)
    .where(
      and(
        eq(tokenSecrets.organizationId, organizationId),
        eq(tokenSecrets.tokenId, tokenId),
        inArray(tokenSecrets.digest, digests),
        acceptedSecret,
      ),
    )
  return rows.length > 0
}

/** The token's secrets go with it. */
export async function removeToken(
  transaction: Transaction,
  {
    organizationId,
    tokenId,
    createdByTokenId,
  }: { organizationId: OrganizationId; tokenId: string; createdByTokenId: TokenId | null },
): Promise<{ id: TokenId; label: string } | null> {
  const isCreators = createdByTokenId === null ? undefined : eq(integrationTokens.createdByTokenId, createdByTokenId)
  const [removed] = await transaction
    .delete(integrationTokens)
    .where(and(ownToken(organizationId, tokenId), isCreators))
    .returning({ id: integrationTokens.id, label: integrationTokens.label })
  return removed ?? null
}

const provisioning = 'scim:provision'
const inUseDays = 30

/** Whether the token's role lets it provision, whatever became of it. */
export async function mayProvision(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: string },
): Promise<boolean> {
  const found = await transaction
    .select({ id: integrationTokens.id })
    .from(integrationTokens)
    .innerJoin(tokenRoles, eq(tokenRoles.id, integrationTokens.roleId))
    .where(and(ownToken(organizationId, tokenId), arrayContains(tokenRoles.permissions, [provisioning])))
  return found.length > 0
}

/** Whether the token is accepted and has provisioned within 30 days, and no other such token has. */
export async function isLastProvisioning(
  transaction: Transaction,
  { organizationId, tokenId }: { organizationId: OrganizationId; tokenId: string },
): Promise<boolean> {
  const inUse = await transaction
    .select({ id: integrationTokens.id })
    .from(integrationTokens)
    .innerJoin(tokenRoles, eq(tokenRoles.id, integrationTokens.roleId))
    .innerJoin(tokenUses, usesOfToken)
    .where(
      and(
        eq(integrationTokens.organizationId, organizationId),
        arrayContains(tokenRoles.permissions, [provisioning]),
        integrationTokens.enabled,
        or(isNull(integrationTokens.expiresAt), gt(integrationTokens.expiresAt, sql`now()`)),
        gt(tokenUses.lastUsedAt, sql`now() - ${inUseDays} * interval '1 day'`),
      ),
    )
    .limit(2)
  const [only, another] = inUse
  return only?.id === tokenId && another === undefined
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
      select coalesce(last_used_at <= greatest(accepted_until, now() - interval '1 hour'), true) as due
      from token_secrets where digest = ${digest} and organization_id = ${organizationId} for update
    )
    update token_secrets set last_used_at = now() from before
    where digest = ${digest} and organization_id = ${organizationId}
    returning hint, due`)
  await transaction
    .update(tokenUses)
    .set({ retiredSecretLastUsedAt: sql`now()` })
    .where(and(eq(tokenUses.organizationId, organizationId), eq(tokenUses.tokenId, tokenId)))
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
      set: { inputDigest: record.inputDigest, salt: record.salt, tokenId: record.tokenId, createdAt: sql`now()` },
      setWhere: sql`${idempotencyKeys.createdAt} <= now() - interval '24 hours'`,
    })
    .returning({ digest: idempotencyKeys.digest })
  if (claimed) return null
  const [earlier] = await transaction.select().from(idempotencyKeys).where(sameKey(record))
  return earlier ?? null
}

/** What took the key within 24 hours. */
export async function findIdempotencyKey(
  transaction: Transaction,
  key: Pick<IdempotencyRecord, 'digest' | 'organizationId'>,
): Promise<IdempotencyRecord | null> {
  const [earlier] = await transaction
    .select()
    .from(idempotencyKeys)
    .where(and(sameKey(key), gt(idempotencyKeys.createdAt, sql`now() - interval '24 hours'`)))
  return earlier ?? null
}

const sameKey = ({ digest, organizationId }: Pick<IdempotencyRecord, 'digest' | 'organizationId'>) =>
  and(eq(idempotencyKeys.digest, digest), eq(idempotencyKeys.organizationId, organizationId))
