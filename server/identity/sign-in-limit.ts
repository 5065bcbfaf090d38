import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import type { Database } from '../database/pool.ts'
import type { Digester } from '../tokens/secret.ts'

const mostAttempts = 10
const windowSeconds = 15 * 60

/** Bounds the guesses at one account's password, on all instances together. */
export interface SignInLimit {
  /** Counts one attempt, before the password is looked at. Gives the seconds to wait, or null when the attempt may go on. */
  count(email: string): Promise<number | null>
  /** Forgets the attempts, after one that succeeded. */
  reset(email: string): Promise<void>
}

export function createSignInLimit({ database, digester }: { database: Database; digester: Digester }): SignInLimit {
  const limiter = new RateLimiterPostgres({
    storeClient: database.server,
    storeType: 'pool',
    tableName: 'sign_in_attempts',
    tableCreated: true,
    clearExpiredByTimeout: false,
    keyPrefix: '',
    points: mostAttempts,
    duration: windowSeconds,
  })
  // The table keeps no address of anyone, account or not.
  const keyOf = (email: string) => digester.digestOf('sign-in attempts', email).toString('base64url')
  return {
    async count(email) {
      try {
        await limiter.consume(keyOf(email))
        return null
      } catch (error) {
        if (error instanceof RateLimiterRes) return Math.max(1, Math.ceil(error.msBeforeNext / 1000))
        throw error
      }
    },
    async reset(email) {
      await limiter.delete(keyOf(email))
    },
  }
}
