import type { Pool, QueryResult } from 'pg'
import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import type { Database } from './database/pool.ts'
import type { Acting } from './dependencies.ts'
import { RateLimited } from './fault.ts'
import { addressBlock } from './http/client-address.ts'
import { type Principal, principalId } from './identity/principal.ts'
import type { Count } from './observability/instruments.ts'
import type { Metrics } from './observability/metrics.ts'
import type { RateLimitSettings } from './rate-limit-settings.ts'
import type { Digester } from './tokens/secret.ts'

/** Bounds how often something is done, on all instances together. Throws what the database throws where it is away. */
export interface RateLimit {
  /** Counts once, or as often as is said. Gives the seconds to wait, or null where it may be done. Without a limit, asks nobody. */
  count(whose: string, times?: number): Promise<number | null>
  /** Counts once less, for what turned out not to count. */
  giveBack(whose: string): Promise<void>
  /** Forgets all that was counted. */
  reset(whose: string): Promise<void>
}

export type RateLimits = Record<keyof RateLimitSettings, RateLimit>

const quarterOfAnHour = 15 * 60
const minute = 60

export function createRateLimits(
  dependencies: { database: Database; digester: Digester; metrics: Pick<Metrics, 'rateLimitHits'> },
  most: RateLimitSettings,
): RateLimits {
  const limit = (options: LimitOptions) => createRateLimit(dependencies, options)
  const { rateLimitHits: hits } = dependencies.metrics
  const signIns = { table: 'sign_in_attempts', seconds: quarterOfAnHour } as const
  const rates = { table: 'rates', seconds: minute } as const
  return {
    signInsByAccount: limit({
      ...signIns,
      purpose: 'sign-in attempts',
      most: most.signInsByAccount,
      hits: hits.signInsByAccount,
    }),
    signInsByAddress: limit({
      ...signIns,
      purpose: 'sign-in attempts from an address',
      most: most.signInsByAddress,
      hits: hits.signInsByAddress,
      keyOf: addressBlock,
    }),
    secrets: limit({ ...rates, purpose: 'secrets issued', most: most.secrets, hits: hits.secrets }),
    verifications: limit({ ...rates, purpose: 'verifications', most: most.verifications, hits: hits.verifications }),
  }
}

interface LimitOptions {
  table: 'sign_in_attempts' | 'rates'
  seconds: number
  most: number
  purpose: string
  /** How often it has refused. */
  hits: Count
  /** What is counted as one. */
  keyOf?: (whose: string) => string
}

const unlimited: RateLimit = {
  count: async () => null,
  giveBack: async () => undefined,
  reset: async () => undefined,
}

function createRateLimit(
  { database, digester }: { database: Database; digester: Digester },
  { table, seconds, most, purpose, hits, keyOf = (whose) => whose }: LimitOptions,
): RateLimit {
  if (most === 0) return unlimited
  const limiter = new DatabaseClockLimiter(database.server, { table, most, seconds })
  // The tables keep no address of anyone, neither where mail goes nor where requests come from.
  const digestOf = (whose: string) => digester.digestOf(purpose, keyOf(whose)).toString('base64url')
  return {
    async count(whose, times = 1) {
      try {
        await limiter.consume(digestOf(whose), times)
        return null
      } catch (error) {
        if (!(error instanceof RateLimiterRes)) throw error
        hits.value++
        return Math.max(1, Math.ceil(error.msBeforeNext / 1000))
      }
    },
    async giveBack(whose) {
      await limiter.reward(digestOf(whose))
    },
    async reset(whose) {
      await limiter.delete(digestOf(whose))
    },
  }
}

const nowMilliseconds = '(extract(epoch from clock_timestamp()) * 1000)::bigint'

/**
 * The library counts by the clock of its process. Of two instances whose clocks differ by more than the time of a limit, one
 * would find every count over, and begin it anew; the database has one clock for all.
 */
class DatabaseClockLimiter extends RateLimiterPostgres {
  readonly #pool: Pool
  readonly #table: string

  constructor(pool: Pool, { table, most, seconds }: { table: string; most: number; seconds: number }) {
    super({
      storeClient: pool,
      storeType: 'pool',
      tableName: table,
      tableCreated: true,
      clearExpiredByTimeout: false,
      keyPrefix: '',
      points: most,
      duration: seconds,
    })
    this.#pool = pool
    this.#table = table
  }

  _upsert(key: string, points: number, milliseconds: number, force = false): Promise<QueryResult<CountedRow>> {
    return this.#pool.query<CountedRow>({
      name: `count in ${this.#table}`,
      text: `insert into ${this.#table} as counted (key, points, expire) values ($1, $2, ${nowMilliseconds} + $3)
        on conflict (key) do update set
          points = case when $4 or counted.expire <= ${nowMilliseconds} then $2 else counted.points + $2 end,
          expire = case when $4 or counted.expire <= ${nowMilliseconds} then excluded.expire else counted.expire end
        returning points, (expire - ${nowMilliseconds})::float8 as "millisecondsLeft"`,
      values: [key, points, milliseconds, force],
    })
  }

  _getRateLimiterRes(_key: string, changed: number, { rows: [row] }: QueryResult<CountedRow>): RateLimiterRes {
    const consumed = row?.points ?? changed
    const left = Math.max(0, row?.millisecondsLeft ?? 0)
    return new RateLimiterRes(Math.max(0, this.points - consumed), left, consumed, consumed === changed)
  }
}

interface CountedRow {
  points: number
  millisecondsLeft: number
}

/** Before a secret is made. Throws `RateLimited` where the caller has had too many within the minute. */
export async function countSecret({ limits, principal }: Acting): Promise<void> {
  const retryAfterSeconds = await limits.secrets.count(principalId(principal))
  if (retryAfterSeconds !== null) {
    throw new RateLimited('Too many tokens were created, regenerated or reset within a minute.', retryAfterSeconds)
  }
}

/** Before a verdict is given about so many tokens. Throws `RateLimited` where the caller has asked about too many within the minute. */
export async function countVerifications(
  { limits, principal }: { limits: RateLimits; principal: Principal | null },
  times: number,
): Promise<void> {
  if (!principal) return
  const retryAfterSeconds = await limits.verifications.count(principalId(principal), times)
  if (retryAfterSeconds !== null) {
    throw new RateLimited('Too many tokens were verified within a minute.', retryAfterSeconds)
  }
}
