import { randomBytes } from 'node:crypto'
import { link, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Logger } from 'pino'
import { checkout } from './checkout.ts'
import type { Config } from './config.ts'
import { startEmbeddedDatabase } from './database/embedded.ts'
import { openBeside } from './database/embedded-beside.ts'
import { isMigrated, migrateDatabase } from './database/migrate.ts'
import { isUnavailable } from './database/unavailable.ts'
import type { Dependencies } from './dependencies.ts'
import { Foreseen } from './explain.ts'
import type { Tracing } from './observability/tracing.ts'
import { openDependencies } from './open-dependencies.ts'

const connectTimeoutMilliseconds = 5_000

export interface OpeningOptions {
  log: Logger
  /** Hears what the one who waits should know. */
  announce: (message: string) => void
  /** For a moment's work, also beside a Latchkey that serves from the same data directory. */
  beside?: boolean
  tracing?: Tracing | null
}

export interface Opened {
  dependencies: Dependencies
  close(): Promise<void>
}

/** Opens and migrates the configured database, or else the embedded one, with everything that the rules need. */
export async function openConfigured(config: Config, options: OpeningOptions): Promise<Opened> {
  const { url: databaseUrl, close } = await openDatabaseServer(config, options)
  try {
    const applied = (await isUpToDate(databaseUrl)) ? 0 : await migrateDatabase(databaseUrl)
    if (applied > 0) options.announce(`Brought the database up to date: ${countMigrations(applied)}.`)
    const [serverKey, ...formerServerKeys] = config.serverKeys ?? [await keptSecret(dataDirectory(config))]
    const dependencies = await openDependencies({
      databaseUrl,
      databaseConnections: config.databaseConnections,
      serverKey,
      formerServerKeys,
      tokenPrefix: config.tokenPrefix,
      rateLimits: config.rateLimits,
      webhookNetworks: config.webhookNetworks,
      log: options.log,
      tracing: options.tracing ?? null,
    })
    return {
      dependencies,
      async close() {
        await dependencies.close()
        // Connections that are ending anyway are no news when their PostgreSQL stops under them.
        if (config.databaseUrl === null) options.log.level = 'silent'
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Where PostgreSQL is, once one runs. Throws `DataDirectoryInUse`, and `Foreseen` where the embedded one does not start. */
export async function openDatabaseServer(
  config: Config,
  { announce, beside = false }: Pick<OpeningOptions, 'announce' | 'beside'>,
): Promise<{ url: string; close(): Promise<void> }> {
  if (config.databaseUrl !== null) return { url: config.databaseUrl, close: async () => undefined }
  const directory = dataDirectory(config)
  try {
    if (beside) return await openBeside({ directory, announce })
    const { url, stop } = await startEmbeddedDatabase({ directory, announce })
    return { url, close: stop }
  } catch (error) {
    // What the embedded database has foreseen, it says in errors of no class of their own.
    if (!(error instanceof Error) || error.constructor !== Error || 'code' in error) throw error
    throw new Foreseen(error.message, { cause: error })
  }
}

export const countMigrations = (count: number) => `${count} ${count === 1 ? 'migration' : 'migrations'} applied`

/** The server and the command line mean the same directory, wherever the command line is called. */
function dataDirectory(config: Config): string {
  return resolve(fileURLToPath(checkout), config.dataDirectory)
}

/**
 * Asked before migrating, which takes a login that may create things even where there is nothing to create. Throws soon
 * where no server answers.
 */
export async function isUpToDate(connectionString: string): Promise<boolean> {
  const pool = new pg.Pool({
    connectionString,
    max: 1,
    connectionTimeoutMillis: connectTimeoutMilliseconds,
    application_name: `latchkey migrations ${process.pid}`,
  })
  pool.on('error', () => undefined)
  try {
    return await isMigrated(pool)
  } catch (error) {
    if (isUnavailable(error)) throw error
    // A database without tables, or one that refuses the login: migrating tells which.
    return false
  } finally {
    await pool.end()
  }
}

/** The server key beside the embedded database, made at the first start: whole, or not at all. */
async function keptSecret(directory: string): Promise<string> {
  const file = join(directory, 'secret')
  const known = await readSecret(file)
  if (known !== null) return known
  const made = join(directory, `secret-${process.pid}`)
  try {
    await writeFile(made, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600, flush: true })
    // Of several that make one at once, the first to arrive provides it.
    await link(made, file).catch((error: unknown) => {
      if (!hasCode(error, 'EEXIST')) throw error
    })
    await syncDirectory(directory)
  } finally {
    await rm(made, { force: true })
  }
  return (await readSecret(file)) ?? ''
}

async function readSecret(file: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return null
    throw error
  })
  if (text === null) return null
  const secret = text.trim()
  if (secret.length >= 32) return secret
  throw new Foreseen(
    `The server key in ${file} is damaged. Restore the file from a backup; without it no password and no token is accepted.`,
  )
}

/** Every token depends on the key, so it has to survive a power failure as surely as they do. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
