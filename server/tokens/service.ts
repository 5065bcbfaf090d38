import { recordAction } from '../audit/record-event.ts'
import { type Page, type PageRequest, pageOf, readPageRequest } from '../database/keyset.ts'
import { constraintOf, sqlState } from '../database/unavailable.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { createId, type OrganizationId, type TokenId } from '../identifiers.ts'
import { type OrganizationPrincipal, principalId } from '../identity/principal.ts'
import { lockOrganization } from '../organizations/groups.ts'
import { countSecret } from '../rate-limits.ts'
import { InvalidInput } from '../refusal.ts'
import { defaultExpiry, readPolicy, requireAllowed } from './policy.ts'
import { ConfirmationNeeded, IdempotencyKeyReused, LabelTaken, TokenNotFound } from './refusals.ts'
import type { IntegrationToken, TokenFilter, TokenSort } from './repository.ts'
import * as repository from './repository.ts'
import { listRoles, type TokenRole } from './roles.ts'
import { type Digester, digestBytes, splitDigests } from './secret.ts'
import { ciRoleId, newToken, overlap, readInput, tokenChange } from './token-input.ts'

/** A token, with the one showing of its secret. */
export interface IssuedToken {
  token: IntegrationToken
  secret: string
}

/** The roles that the caller may give: a service account, `role_ci` alone. */
export async function listGrantableRoles({ database, principal }: Acting): Promise<TokenRole[]> {
  return withOrganization(database, principal, async (transaction) =>
    grantable(principal, await listRoles(transaction, principal)),
  )
}

function grantable(principal: Acting['principal'], roles: TokenRole[]): TokenRole[] {
  return principal.kind === 'member' ? roles : roles.filter(({ id }) => id === ciRoleId)
}

export async function findToken({ database, principal }: Acting, tokenId: string): Promise<IntegrationToken | null> {
  return withOrganization(database, principal, (transaction) =>
    repository.findToken(transaction, { organizationId: principal.organizationId, tokenId }),
  )
}

export interface TokenListing extends Page<IntegrationToken> {
  /** Counted when it is asked for, up to 10,000. */
  totalCount(): Promise<number>
}

/** Throws `Fault` BAD_REQUEST for a page that cannot be. */
export async function listTokens(
  { database, principal }: Acting,
  { filter, sort, page }: { filter: TokenFilter; sort: TokenSort; page: PageRequest },
): Promise<TokenListing> {
  const list = repository.listOf(sort)
  const bounds = readPageRequest(list, page)
  const { organizationId } = principal
  const rows = await withOrganization(database, principal, (transaction) =>
    repository.listTokens(transaction, { organizationId, filter, sort, bounds }),
  )
  return {
    ...pageOf(list, bounds, rows),
    totalCount: () =>
      withOrganization(database, principal, (transaction) =>
        repository.countTokens(transaction, { organizationId, filter }),
      ),
  }
}

/** Throws `InvalidInput`, `LabelTaken`, `IdempotencyKeyReused`. */
export async function createToken(acting: Acting, input: unknown): Promise<IssuedToken> {
  const { database, principal, digester } = acting
  const { label, description, roleId, idempotencyKey, ...given } = readInput(newToken, input)
  await countSecret(acting)
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    const tokenId = createId('token', acting)
    let issued = digester.issue('integrationToken')
    if (idempotencyKey !== null) {
      const claimUnder = (keyId: string) => ({
        digest: digester.digestUnder(
          keyId,
          'idempotency key',
          JSON.stringify([organizationId, principalId(principal), idempotencyKey]),
        ),
        organizationId,
        inputDigest: digester.digestUnder(
          keyId,
          'token input',
          // JSON would write one that was left out, which is the policy’s to say, as it writes null.
          JSON.stringify([label, description, roleId, given.expiresAt === null ? 'never' : given.expiresAt]),
        ),
        salt: acting.randomBytes(32),
        tokenId,
      })
      const secretFor = (salt: Buffer, keyId: string) =>
        digester.derive('integrationToken', salt, idempotencyKey, keyId)
      const again = (earlier: repository.IdempotencyRecord, keyId: string) =>
        answerAgain(transaction, digester, {
          earlier,
          inputDigest: claimUnder(keyId).inputDigest,
          issued: secretFor(earlier.salt, keyId),
        })
      for (const keyId of digester.formerKeyIds) {
        const earlier = await repository.findIdempotencyKey(transaction, claimUnder(keyId))
        if (earlier) return again(earlier, keyId)
      }
      const claim = claimUnder(digester.keyId)
      const earlier = await repository.claimIdempotencyKey(transaction, claim)
      if (earlier) return again(earlier, digester.keyId)
      issued = secretFor(claim.salt, digester.keyId)
    }
    const role = grantable(principal, await listRoles(transaction, { organizationId })).find(({ id }) => id === roleId)
    if (!role) throw new InvalidInput([roleIssue(principal)])
    const { now, ...policy } = await readPolicy(transaction, principal)
    const expiresAt = given.expiresAt === undefined ? defaultExpiry(policy, now) : given.expiresAt
    requireAllowed(policy, { expiresAt, madeAt: now })
    await writeChecked({ principal, label }, () =>
      repository.insertToken(
        transaction,
        {
          id: tokenId,
          organizationId,
          label,
          description,
          roleId: role.id,
          expiresAt,
          createdByMemberId: principal.kind === 'member' ? principal.memberId : null,
          createdByTokenId: makerOf(principal),
        },
        issued.record,
      ),
    )
    const token = await read(transaction, organizationId, tokenId)
    if (token.status === 'EXPIRED') throw new InvalidInput([expiryIssue])
    await recordAction(transaction, acting, 'token.created', { name: token.label, id: token.id })
    return { token, secret: issued.secret }
  })
}

/** The answer to a creation once more: the same token and, since it is derived and not stored, the same secret. */
async function answerAgain(
  transaction: Transaction,
  digester: Digester,
  {
    earlier,
    inputDigest,
    issued,
  }: { earlier: repository.IdempotencyRecord; inputDigest: Buffer; issued: { secret: string } },
): Promise<IssuedToken> {
  if (!earlier.inputDigest.equals(inputDigest)) throw new IdempotencyKeyReused('another input')
  const digests = splitDigests(digester.read(issued.secret)?.digest ?? '').map(digestBytes)
  const works = await repository.isAcceptedSecret(transaction, { ...earlier, digests })
  const token = works && (await repository.findToken(transaction, earlier))
  if (!token) throw new IdempotencyKeyReused('token changed')
  return { token, secret: issued.secret }
}

/** Throws `InvalidInput`, `LabelTaken`, `TokenNotFound`, `ConfirmationNeeded`. */
export async function updateToken(
  acting: Acting,
  tokenId: string,
  input: unknown,
  force = false,
): Promise<IntegrationToken> {
  const { database, principal } = acting
  const change = readInput(tokenChange, input)
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    if (change.enabled === false) await requireConfirmation(transaction, { organizationId, tokenId, force })
    const before = await repository.lockToken(transaction, { organizationId, tokenId })
    if (!before) throw new TokenNotFound()
    if (change.expiresAt && change.expiresAt <= before.now) throw new InvalidInput([expiryIssue])
    const after = {
      label: change.label ?? before.label,
      description: change.description === undefined ? before.description : change.description,
      expiresAt: change.expiresAt === undefined ? before.expiresAt : change.expiresAt,
      enabled: change.enabled ?? before.enabled,
    }
    const target = { name: after.label, id: before.id }
    if (after.expiresAt?.getTime() !== before.expiresAt?.getTime()) {
      const madeAt = await repository.readMadeAt(transaction, { organizationId, tokenId: before.id })
      requireAllowed(await readPolicy(transaction, principal), { ...after, madeAt })
    }
    const described =
      after.label !== before.label ||
      after.description !== before.description ||
      after.expiresAt?.getTime() !== before.expiresAt?.getTime()
    if (described || after.enabled !== before.enabled) {
      await writeChecked({ principal, label: after.label }, () =>
        repository.changeToken(transaction, { organizationId, tokenId: before.id }, after),
      )
    }
    if (described) await recordAction(transaction, acting, 'token.updated', target)
    if (after.enabled !== before.enabled) {
      await recordAction(transaction, acting, after.enabled ? 'token.enabled' : 'token.disabled', target)
    }
    return read(transaction, organizationId, before.id)
  })
}

/** Concurrent calls take turns, so that of all the secrets given out the last committed is the one accepted. Throws `InvalidInput`, `TokenNotFound`. */
export async function regenerateToken(acting: Acting, tokenId: string, input: unknown): Promise<IssuedToken> {
  const { database, principal, digester } = acting
  const { overlapSeconds } = readInput(overlap, input)
  await countSecret(acting)
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    const token = await repository.lockToken(transaction, { organizationId, tokenId })
    if (!token) throw new TokenNotFound()
    const { secret, record } = digester.issue('integrationToken')
    await repository.replaceSecret(transaction, { organizationId, tokenId: token.id, overlapSeconds }, record)
    await recordAction(transaction, acting, 'token.regenerated', { name: token.label, id: token.id })
    return { token: await read(transaction, organizationId, token.id), secret }
  })
}

/**
 * The token and its audit event commit together, so that the log cannot miss a deletion. Throws `TokenNotFound`,
 * `ConfirmationNeeded`.
 */
export async function deleteToken(acting: Acting, tokenId: string, force = false): Promise<TokenId> {
  const { database, principal } = acting
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    // A service account may learn of no token but its own, and those do not provision.
    if (principal.kind === 'member') await requireConfirmation(transaction, { organizationId, tokenId, force })
    const token = await repository.removeToken(transaction, {
      organizationId,
      tokenId,
      createdByTokenId: makerOf(principal),
    })
    if (!token) throw new TokenNotFound()
    await recordAction(transaction, acting, 'token.deleted', { name: token.label, id: token.id })
    return token.id
  })
}

/** A service account, to which the tokens are confined that it made. Null for a member. */
const makerOf = (principal: OrganizationPrincipal) => (principal.kind === 'member' ? null : principal.tokenId)

const lastProvisioning =
  'This is the last SCIM token that is in use: provisioning stops with it. Send force: true to do it all the same.'

/** Of two SCIM tokens that are taken out of use at once, the second waits, and is found to be the last. */
async function requireConfirmation(
  transaction: Transaction,
  { organizationId, tokenId, force }: { organizationId: OrganizationId; tokenId: string; force: boolean },
): Promise<void> {
  if (force || !(await repository.mayProvision(transaction, { organizationId, tokenId }))) return
  await lockOrganization(transaction, organizationId)
  if (await repository.isLastProvisioning(transaction, { organizationId, tokenId }))
    throw new ConfirmationNeeded(lastProvisioning)
}

async function read(
  transaction: Transaction,
  organizationId: OrganizationId,
  tokenId: TokenId,
): Promise<IntegrationToken> {
  const token = await repository.findToken(transaction, { organizationId, tokenId })
  if (!token) throw new Error('A token that the transaction holds is gone.')
  return token
}

/**
 * The database decides, so that two at once cannot both have a label, and none has a role that goes at that moment. Throws
 * `LabelTaken`, `InvalidInput`.
 */
async function writeChecked(
  { principal, label }: { principal: OrganizationPrincipal; label: string },
  write: () => Promise<void>,
): Promise<void> {
  try {
    await write()
  } catch (error) {
    const broken = `${sqlState(error)} ${constraintOf(error)}`
    if (broken === '23505 integration_tokens_label_taken') throw new LabelTaken(label, 'token')
    if (broken === '23503 integration_tokens_role_id_token_roles_id_fk') throw new InvalidInput([roleIssue(principal)])
    throw error
  }
}

const expiryIssue = { path: 'expiresAt', message: 'The expiry date must lie in the future.' }

function roleIssue(principal: Acting['principal']) {
  return {
    path: 'roleId',
    message:
      principal.kind === 'member'
        ? 'There is no such role. Choose one of those that “tokenRoles” lists.'
        : 'A service account may create tokens of the role CI Token (role_ci) and no others.',
  }
}
