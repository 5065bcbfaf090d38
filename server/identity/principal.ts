import type { RequestRecord } from '../http/request-log.ts'
import type {
  AccessTokenId,
  MemberId,
  OrganizationId,
  PersonId,
  RoleId,
  ServiceId,
  SessionId,
  TokenId,
} from '../identifiers.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { OrganizationRole } from '../organizations/roles.ts'
import type { Digester } from '../tokens/secret.ts'
import type { Credential } from './credential.ts'
import type { CredentialLookup } from './credential-lookup.ts'
import type { LastUse } from './last-use.ts'

export interface MemberPrincipal {
  kind: 'member'
  organizationId: OrganizationId
  memberId: MemberId
  personId: PersonId
  role: OrganizationRole
  /** The email address. */
  name: string
  by: { session: SessionId; expiresAt: Date } | { accessToken: AccessTokenId }
}

export interface TokenPrincipal {
  kind: 'integrationToken'
  organizationId: OrganizationId
  tokenId: TokenId
  roleId: RoleId
  /** The label. */
  name: string
  permissions: readonly string[]
}

export interface ServicePrincipal {
  kind: 'service'
  serviceId: ServiceId
  name: string
  permissions: readonly string[]
}

/** Whoever a request comes from. A member and a token act in exactly one organization; a service in none. */
export type Principal = MemberPrincipal | TokenPrincipal | ServicePrincipal
export type OrganizationPrincipal = MemberPrincipal | TokenPrincipal

/** From where a request came. */
export interface Origin {
  ipAddress: string | null
  userAgent: string | null
  /** Whether the caller has hung up, so that nobody waits for the answer; absent where that cannot be known. */
  isGone?: () => boolean
  /** What the log will tell of it; absent where there is no request, as at the command line. */
  request?: RequestRecord
}

/** Of a request over HTTP. */
export type RequestOrigin = Origin & { request: RequestRecord }

export interface Authentication {
  credentials: CredentialLookup
  digester: Digester
  lastUse: LastUse
  metrics: Pick<Metrics, 'verifications'>
}

/** The principal of a presented secret, of any of the four kinds. Null as for `admit`. Throws as `find` does. */
export async function authenticate(
  authentication: Authentication,
  secret: string,
  origin: Origin,
): Promise<Principal | null> {
  const [credential = null] = await authentication.credentials.find(
    [authentication.digester.read(secret)],
    origin.isGone,
  )
  return admit(authentication, credential, origin)
}

/**
 * The one way from a credential, as it was looked up, to a principal, which counts as a use. Null for one that is not good
 * now, whatever the reason.
 */
export function admit(
  { lastUse, metrics: { verifications } }: Authentication,
  credential: Credential | null,
  origin: Origin,
): Principal | null {
  if (credential) lastUse.record(credential, origin.ipAddress)
  if (!credential?.accepted) {
    verifications.credential.refused.value++
    return null
  }
  verifications.credential.accepted.value++
  const principal = principalOf(credential)
  if (origin.request) origin.request.principal = principalId(principal)
  return principal
}

export function principalId(principal: Principal): MemberId | TokenId | ServiceId {
  switch (principal.kind) {
    case 'member':
      return principal.memberId
    case 'integrationToken':
      return principal.tokenId
    case 'service':
      return principal.serviceId
  }
}

function principalOf(credential: Credential): Principal {
  switch (credential.kind) {
    case 'service':
      return {
        kind: 'service',
        serviceId: credential.serviceId,
        name: credential.name,
        permissions: credential.permissions,
      }
    case 'integrationToken': {
      const { organizationId, tokenId, roleId, label, permissions } = credential
      return { kind: 'integrationToken', organizationId, tokenId, roleId, name: label, permissions }
    }
    case 'session':
    case 'accessToken': {
      const { organizationId, memberId, personId, organizationRole, email } = credential
      return {
        kind: 'member',
        organizationId,
        memberId,
        personId,
        role: organizationRole,
        name: email,
        by:
          credential.kind === 'session'
            ? { session: credential.sessionId, expiresAt: credential.expiresAt ?? credential.createdAt }
            : { accessToken: credential.accessTokenId },
      }
    }
  }
}
