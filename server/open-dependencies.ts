import { randomBytes as systemRandomBytes } from 'node:crypto'
import { BlockList } from 'node:net'
import type { Logger } from 'pino'
import { openDatabase } from './database/pool.ts'
import type { Clock, Dependencies, RandomBytes } from './dependencies.ts'
import { createCredentialLookup } from './identity/credential-lookup.ts'
import { createLastUse } from './identity/last-use.ts'
import { createPasswords } from './identity/passwords.ts'
import { createMetrics } from './observability/metrics.ts'
import type { Tracing } from './observability/tracing.ts'
import { defaultRateLimits, type RateLimitSettings } from './rate-limit-settings.ts'
import { createRateLimits } from './rate-limits.ts'
import { createInvalidations } from './tokens/invalidation.ts'
import { createDigester } from './tokens/secret.ts'
import { createReceiverAddresses, type Lookup } from './webhooks/receiver-address.ts'
import { createSigningSecrets } from './webhooks/signing-secret.ts'

export interface DependencySettings {
  /** Of a database that is migrated. */
  databaseUrl: string
  databaseConnections: number
  serverKey: string
  /** Under which secrets and passwords are accepted as well, so that the server key can be rotated. */
  formerServerKeys?: readonly string[]
  tokenPrefix: string
  log: Logger
  tracing?: Tracing | null
  rateLimits?: RateLimitSettings
  /** Where webhooks may lead besides the public internet: nowhere, unless it is said. */
  webhookNetworks?: BlockList
  /** Finds the addresses of a webhook's host; the system's own unless another is given. */
  lookup?: Lookup
  /** bcrypt's, as a power of two. */
  passwordCost?: number
  now?: Clock
  randomBytes?: RandomBytes
}

/** Opens all that the rules need, to be closed in the opposite order: what is remembered is written before the database goes. */
export async function openDependencies({
  databaseUrl: url,
  databaseConnections: connections,
  serverKey,
  formerServerKeys = [],
  tokenPrefix: prefix,
  log,
  tracing = null,
  rateLimits = defaultRateLimits,
  webhookNetworks: allowedNetworks = new BlockList(),
  lookup,
  passwordCost: cost = 12,
  now = () => new Date(),
  randomBytes = systemRandomBytes,
}: DependencySettings): Promise<Dependencies & { close(): Promise<void> }> {
  const metrics = createMetrics()
  const database = await openDatabase({ url, connections, log, metrics, tracing })
  const digester = createDigester({ serverKey, formerServerKeys, prefix, randomBytes })
  const lastUse = createLastUse({ database, log, now, randomBytes, digester, metrics })
  const invalidations = createInvalidations({ url, log, metrics })
  return {
    database,
    now,
    randomBytes,
    digester,
    lastUse,
    invalidations,
    passwords: createPasswords({ serverKey, formerServerKeys, cost, metrics }),
    limits: createRateLimits({ database, digester, metrics }, rateLimits),
    credentials: createCredentialLookup({ lookup: database.lookup, metrics, tracing }),
    signingSecrets: createSigningSecrets({ serverKey, formerServerKeys, randomBytes }),
    receiverAddresses: createReceiverAddresses({ allowedNetworks, lookup }),
    log,
    metrics,
    tracing,
    async close() {
      await invalidations.close()
      await lastUse.close()
      await database.close()
    },
  }
}
