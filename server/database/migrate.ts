import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { checkout } from '../checkout.ts'
import { sqlState } from './unavailable.ts'

const migrationsFolder = fileURLToPath(new URL('migrations', checkout))
/** Any number that no other program is likely to lock: the first bytes of SHA-256("latchkey migrations"). */
const advisoryLock = 2_965_050_503

/**
 * Whoever asks for a table that a migration waits for waits behind it, and is told after two seconds that the database is
 * away. So the migration gives up sooner, and tries again.
 */
const lockTimeoutMilliseconds = 1_000
const retryPauseMilliseconds = 1_000
const patienceMilliseconds = 60_000
const lockNotAvailable = '55P03'

/**
 * Brings the database up to this version's tables. Instances that start together wait for one another. Gives how many were
 * applied: all that were missing, or none where it throws.
 */
export async function migrateDatabase(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url, application_name: `latchkey migrations ${process.pid}` })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [advisoryLock])
    const before = await countApplied(client)
    await client.query(`set lock_timeout = ${lockTimeoutMilliseconds}`)
    await migratePatiently(client)
    return (await countApplied(client)) - before
  } finally {
    await client.end()
  }
}

/** Beside those who serve from the tables, and whoever else has them open, such as a dump. */
async function migratePatiently(client: pg.Client): Promise<void> {
  const deadline = performance.now() + patienceMilliseconds
  for (;;) {
    try {
      return await migrate(drizzle(client), { migrationsFolder })
    } catch (error) {
      if (sqlState(error) !== lockNotAvailable || performance.now() > deadline) throw error
    }
    await delay(retryPauseMilliseconds)
  }
}

/** Whether the database has every migration of this version. */
export async function isMigrated(pool: pg.Pool): Promise<boolean> {
  const newest = readMigrationFiles({ migrationsFolder }).at(-1)?.folderMillis ?? 0
  const { rows } = await pool.query<{ newest: string | null }>(
    'select max(created_at) as newest from drizzle.__drizzle_migrations',
  )
  return Number(rows[0]?.newest ?? 0) >= newest
}

async function countApplied(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ present: boolean }>(
    `select to_regclass('drizzle.__drizzle_migrations') is not null as present`,
  )
  if (!rows[0]?.present) return 0
  const { rows: counted } = await client.query<{ count: string }>('select count(*) from drizzle.__drizzle_migrations')
  return Number(counted[0]?.count ?? 0)
}
