import type { Logger } from 'pino'
import type { Database } from './database/pool.ts'
import type { CredentialLookup } from './identity/credential-lookup.ts'
import type { LastUse } from './identity/last-use.ts'
import type { Passwords } from './identity/passwords.ts'
import type { OrganizationPrincipal, Origin, Principal } from './identity/principal.ts'
import type { Metrics } from './observability/metrics.ts'
import type { Tracing } from './observability/tracing.ts'
import type { RateLimits } from './rate-limits.ts'
import type { Invalidations } from './tokens/invalidation.ts'
import type { Digester } from './tokens/secret.ts'
import type { ReceiverAddresses } from './webhooks/receiver-address.ts'
import type { SigningSecrets } from './webhooks/signing-secret.ts'

export type Clock = () => Date
export type RandomBytes = (size: number) => Buffer

/** All that the rules reach for outside themselves. Passed in, so that a test can turn any of it. */
export interface Dependencies {
  database: Database
  /** For ids and the ages of last uses: whether something has expired is decided by the database's clock. */
  now: Clock
  randomBytes: RandomBytes
  digester: Digester
  passwords: Passwords
  limits: RateLimits
  credentials: CredentialLookup
  lastUse: LastUse
  invalidations: Invalidations
  signingSecrets: SigningSecrets
  receiverAddresses: ReceiverAddresses
  log: Logger
  metrics: Metrics
  /** Null unless requests are traced. */
  tracing: Tracing | null
}

/** A request of someone: what the rules need to act for them and to record it. */
export interface Acting<P extends Principal = OrganizationPrincipal> extends Dependencies {
  principal: P
  origin: Origin
}
