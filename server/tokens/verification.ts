import type { OrganizationId, RoleId } from '../identifiers.ts'
import type { AccessTokenCredential, Credential, IntegrationTokenCredential } from '../identity/credential.ts'
import type { Presented } from '../identity/credential-rows.ts'
import type { Authentication } from '../identity/principal.ts'
import type { Way } from '../observability/metrics.ts'
import { type OrganizationRole, permissionsOf } from '../organizations/roles.ts'
import type { Digester } from './secret.ts'

/** The answer about a presented token that is to be accepted. */
export interface AcceptedToken {
  active: true
  kind: 'INTEGRATION_TOKEN' | 'ACCESS_TOKEN'
  organizationId: OrganizationId
  tokenId: string
  label: string | null
  roleId: RoleId | null
  memberId: string | null
  organizationRole: OrganizationRole | null
  permissions: readonly string[]
  createdAt: Date
  expiresAt: Date | null
  /** How long after the answer that is, by the database's clock. */
  expiresInMilliseconds: number | null
}

/** The address of a use as a service reports it. What cannot be one is left out: an admin is shown it, and PostgreSQL stores no NUL. */
export function reportedAddress(text: string | null | undefined): string | null {
  return text && /^[\x21-\x7e]{1,100}$/.test(text) ? text : null
}

/** A token that is on record, in whatever state. */
type PresentedToken = IntegrationTokenCredential | AccessTokenCredential

/** Null for whatever is not to be accepted, for any reason. `usedFrom` is kept as the address of its last use. Throws as `find` does. */
export async function verifyToken(
  authentication: Authentication,
  { token, usedFrom }: { token: string; usedFrom: string | null },
  isGone?: () => boolean,
): Promise<AcceptedToken | null> {
  const { credentials, digester } = authentication
  const [credential = null] = await credentials.find([readToken(digester, token)], isGone)
  return judge(authentication, credential, { usedFrom, way: 'verifyToken' })
}

/** A look-up of many tokens that was begun before the caller was known. */
export interface BegunLookup {
  hashes: readonly string[]
  found: Promise<(Credential | null)[]>
}

/**
 * Leaves no trace, and tells nobody anything: `verifyTokenHashes` takes the result up once the caller is known, who was
 * then looked up by the same statement. Each `hash` is the lower-case hexadecimal SHA-256 of a token's value.
 */
export function beginLookup(
  { credentials, digester }: Authentication,
  hashes: readonly string[],
  isGone?: () => boolean,
): BegunLookup {
  const found = credentials.find(hashes.map(digester.readHash), isGone)
  // Whoever takes it up hears of a failure; a caller who is refused has nobody who does.
  found.catch(() => undefined)
  return { hashes, found }
}

/** The same for many, each given as its hash, in the order asked. */
export async function verifyTokenHashes(
  authentication: Authentication & { begunLookup: BegunLookup | null },
  { hashes, usedFrom }: { hashes: readonly string[]; usedFrom: readonly (string | null)[] },
  isGone?: () => boolean,
): Promise<(AcceptedToken | null)[]> {
  const { begunLookup } = authentication
  const isBegun =
    begunLookup?.hashes.length === hashes.length && hashes.every((hash, n) => hash === begunLookup.hashes[n])
  const found = await (isBegun ? begunLookup : beginLookup(authentication, hashes, isGone)).found
  return found.map((credential, index) => {
    const from = usedFrom[index] ?? null
    return judge(authentication, credential, { usedFrom: from, way: 'verifyTokenDigests' })
  })
}

/** What a presented token is looked up by. Null for whatever is no token, as another credential is not. */
export function readToken(digester: Digester, secret: string): Presented | null {
  const presented = digester.read(secret)
  return presented?.kind === 'integrationToken' || presented?.kind === 'accessToken' ? presented : null
}

/**
 * The verdict about what is on record of a presented token, which counts as a use. The look-up leaves no trace: that is for
 * this, once the caller is known to be entitled to ask.
 */
export function judge(
  { lastUse, metrics }: Authentication,
  found: Credential | null,
  { usedFrom, way }: { usedFrom: string | null; way: Way },
): AcceptedToken | null {
  const verified = metrics.verifications[way]
  const presented = isToken(found) ? found : null
  if (presented) lastUse.record(presented, usedFrom)
  if (!presented?.accepted) {
    verified.refused.value++
    return null
  }
  verified.accepted.value++
  return acceptedToken(presented)
}

function isToken(credential: Credential | null): credential is PresentedToken {
  return credential?.kind === 'integrationToken' || credential?.kind === 'accessToken'
}

function acceptedToken(credential: PresentedToken): AcceptedToken {
  const { organizationId, createdAt, expiresAt, expiresInMilliseconds } = credential
  if (credential.kind === 'integrationToken') {
    const { tokenId, label, roleId, permissions } = credential
    return {
      active: true,
      kind: 'INTEGRATION_TOKEN',
      organizationId,
      tokenId,
      label,
      roleId,
      memberId: null,
      organizationRole: null,
      permissions,
      createdAt,
      expiresAt,
      expiresInMilliseconds,
    }
  }
  const { accessTokenId, memberId, organizationRole } = credential
  return {
    active: true,
    kind: 'ACCESS_TOKEN',
    organizationId,
    tokenId: accessTokenId,
    label: null,
    roleId: null,
    memberId,
    organizationRole,
    permissions: permissionsOf[organizationRole],
    createdAt,
    expiresAt,
    expiresInMilliseconds,
  }
}
