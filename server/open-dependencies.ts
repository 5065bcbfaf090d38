import { randomBytes as systemRandomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { openDatabase } from './database/pool.ts'
import type { Clock, Dependencies, RandomBytes } from './dependencies.ts'
import { createCredentialLookup } from './identity/credential-lookup.ts'
import { createLastUse } from './identity/last-use.ts'
import { createPasswords } from './identity/passwords.ts'
import { createSignInLimit } from './identity/sign-in-limit.ts'
import { createInvalidations } from './tokens/invalidation.ts'
import { createDigester } from './tokens/secret.ts'

export interface DependencySettings {
  /** Of a database that is migrated. */
  databaseUrl: string
  databaseConnections: number
  serverKey: string
  tokenPrefix: string
  log: Logger
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
  tokenPrefix: prefix,
  log,
  passwordCost: cost = 12,
  now = () => new Date(),
  randomBytes = systemRandomBytes,
}: DependencySettings): Promise<Dependencies & { close(): Promise<void> }> {
  const database = await openDatabase({ url, connections, log })
  const digester = createDigester({ serverKey, prefix, randomBytes })
  const lastUse = createLastUse({ database, log, now, randomBytes })
  const invalidations = createInvalidations({ url, log })
  return {
    database,
    now,
    randomBytes,
    digester,
    lastUse,
    invalidations,
    passwords: createPasswords({ serverKey, cost }),
    signInLimit: createSignInLimit({ database, digester }),
    credentials: createCredentialLookup(database),
    log,
    async close() {
      await invalidations.close()
      await lastUse.close()
      await database.close()
    },
  }
}
