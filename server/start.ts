import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { createApp } from './app.ts'
import type { Config } from './config.ts'
import { startEmbeddedDatabase } from './database/embedded.ts'
import { migrateDatabase } from './database/migrate.ts'
import type { Dependencies } from './dependencies.ts'
import { openDependencies } from './open-dependencies.ts'
import { bootstrap, type FirstAccess, generatePassword } from './organizations/bootstrap.ts'
import { startRetention } from './tokens/retention.ts'

/** Opens and migrates the configured database, or else the embedded one, with everything that the rules need. */
export async function openConfigured(
  config: Config,
  { log, announce }: { log: Logger; announce: (message: string) => void },
): Promise<{ dependencies: Dependencies; embedded: boolean; close(): Promise<void> }> {
  const directory = resolve(config.dataDirectory)
  const embedded = config.databaseUrl === null ? await startEmbeddedDatabase({ directory, announce }) : null
  try {
    const databaseUrl = config.databaseUrl ?? embedded?.url ?? ''
    const applied = await migrateDatabase(databaseUrl)
    if (applied > 0) announce(`Applied ${applied} ${applied === 1 ? 'migration' : 'migrations'}.`)
    const dependencies = await openDependencies({
      databaseUrl,
      databaseConnections: config.databaseConnections,
      serverKey: config.secret ?? (await keptSecret(directory)),
      tokenPrefix: config.tokenPrefix,
      log,
    })
    return {
      dependencies,
      embedded: embedded !== null,
      async close() {
        await dependencies.close()
        await embedded?.stop()
      },
    }
  } catch (error) {
    await embedded?.stop()
    throw error
  }
}

/** The server key beside the embedded database, made at the first start. */
async function keptSecret(directory: string): Promise<string> {
  const file = join(directory, 'secret')
  try {
    await mkdir(directory, { recursive: true })
    await writeFile(file, `${randomBytes(32).toString('base64url')}\n`, { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  return (await readFile(file, 'utf8')).trim()
}

export interface Running {
  /** Where it listens. */
  address: string
  firstAccess: FirstAccess | null
  /** Lets requests under way finish, writes what is remembered, and closes everything. */
  close(): Promise<void>
}

const drainMilliseconds = 10_000

/** The whole server, as `npm start` runs it. */
export async function start(
  config: Config,
  { log, announce }: { log: Logger; announce: (message: string) => void },
): Promise<Running> {
  const { dependencies, embedded, close } = await openConfigured(config, { log, announce })
  try {
    const first = config.bootstrap ?? (embedded ? firstOfEmbedded() : null)
    const firstAccess = first && (await bootstrap(dependencies, first))
    const server = createServer(createApp(dependencies, config))
    server.requestTimeout = 30_000
    server.headersTimeout = 10_000
    // Longer than load balancers keep an idle connection, so that it is they who close it.
    server.keepAliveTimeout = 75_000
    await listen(server, config)
    const stopRetention = startRetention(dependencies, { retentionDays: config.expiredTokenRetentionDays })
    const bound = server.address()
    const port = typeof bound === 'object' && bound ? bound.port : config.port
    const host = config.host.includes(':') ? `[${config.host}]` : config.host
    return {
      address: `http://${host}:${port}`,
      firstAccess,
      async close() {
        stopRetention()
        await drain(server, dependencies)
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

const firstOfEmbedded = () => ({
  organization: 'Example',
  email: 'owner@example.com',
  password: generatePassword(randomBytes),
})

function listen(server: Server, { host, port }: Config): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function drain(server: Server, { invalidations }: Dependencies): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // Streams never end by themselves.
  await invalidations.close()
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), drainMilliseconds)
  await closed
  clearTimeout(timer)
}
