import pg from 'pg'
import type { Logger } from 'pino'
import type { Metrics } from '../observability/metrics.ts'
import { traceStatements } from '../observability/trace-statements.ts'
import type { Tracing } from '../observability/tracing.ts'
import { DatabaseUnavailable, isUnavailable, sqlState } from './unavailable.ts'

/**
 * Two ways to the same database, by two roles of the server's own. `server` sees nothing but the organization that
 * `withOrganization` has set. `lookup` finds a presented credential in whichever organization it is, and can write nothing
 * but when one was last used.
 */
export interface Database {
  server: pg.Pool
  lookup: pg.Pool
  close(): Promise<void>
}

/** The login cannot work as the server's own roles, so that row-level security would not bind it. */
export class RolesMissing extends Error {}

const connectTimeoutMilliseconds = 1_000
/** Below the two seconds within which a caller is told that the database is away. */
export const queryTimeoutMilliseconds = 1_900

export interface DatabaseSettings {
  url: string
  /** Connections that this instance may hold in all. */
  connections: number
  log: Logger
  metrics: Metrics
  /** Null unless requests are traced. */
  tracing: Tracing | null
}

/** Throws `RolesMissing` where row-level security would not bind, and `DatabaseUnavailable` where nothing answers. */
export async function openDatabase({ url, connections, log, metrics, tracing }: DatabaseSettings): Promise<Database> {
  const lookupConnections = Math.max(2, Math.min(4, Math.floor(connections / 4)))
  const server = openPool({
    url,
    role: 'latchkey_server',
    connections: Math.max(2, connections - lookupConnections),
    log,
    tracing,
  })
  const lookup = openPool({
    url,
    role: 'latchkey_lookup',
    connections: lookupConnections,
    log,
    tracing,
    settings: lookupSettings,
  })
  for (const [name, pool] of Object.entries({ server, lookup })) {
    metrics.database.readPool(name, {
      totalCount: () => pool.totalCount,
      idleCount: () => pool.idleCount,
      waitingCount: () => pool.waitingCount,
      limit: pool.options.max,
    })
  }
  const close = async () => {
    await Promise.all([server.end(), lookup.end()])
  }
  try {
    await requireBoundRole(server)
    await requireBoundRole(lookup)
  } catch (error) {
    await close()
    throw error
  }
  return { server, lookup, close }
}

/**
 * A look-up goes through unique indexes, however many are asked for at once and whatever the statistics say; planned once,
 * since planning would cost more than the look-up. What it writes is when a credential was last used: a crash may forget
 * the last moment of that, and nobody waits for the disk.
 */
const lookupSettings =
  '-c synchronous_commit=off -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off'

/** A pool whose every connection works as `role`, whatever the login is. */
function openPool({
  url,
  role,
  connections,
  log,
  tracing,
  settings = '',
}: Omit<DatabaseSettings, 'metrics'> & { role: string; settings?: string }): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    options: `-c role=${role} -c timezone=UTC ${settings}`,
    application_name: `latchkey ${process.pid}`,
    max: connections,
    connectionTimeoutMillis: connectTimeoutMilliseconds,
    query_timeout: queryTimeoutMilliseconds,
    statement_timeout: queryTimeoutMilliseconds,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  })
  // Without a listener, a connection that drops while idle would end the process.
  pool.on('error', (error) => log.warn({ error: error.message }, 'an idle database connection was lost'))
  // The same for one that drops while a transaction has it: whoever asks by it is told with the next answer.
  pool.on('connect', (client) => client.on('error', () => undefined))
  if (tracing) traceStatements(pool, tracing)
  return pool
}

async function requireBoundRole(pool: pg.Pool): Promise<void> {
  const advice =
    'Latchkey works as the roles latchkey_server and latchkey_lookup, so that row-level security binds it. ' +
    'Let a login that may create roles run “latchkey migrate” once, and grant both roles to the login in DATABASE_URL.'
  try {
    const { rows } = await pool.query<{ bound: boolean }>(
      `select not (rolsuper or rolbypassrls)
         and not exists (select from pg_class where relowner = pg_roles.oid and relkind = 'r' and relnamespace = 'public'::regnamespace)
         as bound from pg_roles where rolname = current_user`,
    )
    if (!rows[0]?.bound) throw new RolesMissing(`The database role passes row-level security by. ${advice}`)
  } catch (error) {
    if (isUnavailable(error)) throw new DatabaseUnavailable(error)
    const state = sqlState(error)
    if (state === '22023' || state === '42501' || state === '42704')
      throw new RolesMissing(`The database login cannot take the server’s roles. ${advice}`)
    throw error
  }
}
