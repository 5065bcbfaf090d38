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
import type { OrganizationRole } from '../organizations/roles.ts'
import type { Digest } from '../tokens/secret.ts'

interface Known {
  /** As it is stored. */
  digest: Digest
  /** What it would be under the current server key: another where it is stored under a former one. */
  currentDigest: Digest
  /** Whether it is good now, by the database's clock. */
  accepted: boolean
  /** Whether its last use, as stored, is so recent that it need not be written again. */
  usedRecently: boolean
  createdAt: Date
  /** When `accepted` ends by itself. */
  expiresAt: Date | null
  /** How long after the look-up that is, by the database's clock. */
  expiresInMilliseconds: number | null
}

interface Members {
  organizationId: OrganizationId
  memberId: MemberId
  personId: PersonId
  email: string
  organizationRole: OrganizationRole
}

export interface IntegrationTokenCredential extends Known {
  kind: 'integrationToken'
  tokenId: TokenId
  organizationId: OrganizationId
  label: string
  roleId: RoleId
  permissions: readonly string[]
  /** A regeneration has replaced it, and its overlap is over. */
  retired: boolean
}

export interface AccessTokenCredential extends Known, Members {
  kind: 'accessToken'
  accessTokenId: AccessTokenId
}

interface SessionCredential extends Known, Members {
  kind: 'session'
  sessionId: SessionId
}

interface ServiceCredential extends Known {
  kind: 'service'
  serviceId: ServiceId
  name: string
  permissions: readonly string[]
}

/** What the database knows of a presented secret. */
export type Credential = IntegrationTokenCredential | AccessTokenCredential | SessionCredential | ServiceCredential
