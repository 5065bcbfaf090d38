import { randomBytes } from 'node:crypto'
import type { Server } from 'node:net'
import { setTimeout as delay, setImmediate as untilRead } from 'node:timers/promises'
import type { Logger } from 'pino'
import { createHttpServer, type HttpServer } from './app.ts'
import { BadSetting, type Config } from './config.ts'
import type { Dependencies } from './dependencies.ts'
import { Foreseen } from './explain.ts'
import { builtConsole } from './http/console.ts'
import { createMetricsServer } from './observability/metrics-server.ts'
import type { StartedTracing } from './observability/start-tracing.ts'
import { openConfigured } from './open-configured.ts'
import { bootstrap, type FirstAccess, generatePassword } from './organizations/bootstrap.ts'
import { OperatorError, readUsage, type Usage } from './organizations/operator.ts'
import { startRetention } from './tokens/retention.ts'
import { startDeliveries } from './webhooks/delivery.ts'

export interface Running {
  /** Where it listens, as this machine reaches it. */
  address: string
  /** Where its metrics are; null unless METRICS_PORT is set. */
  metricsAddress: string | null
  /** Null unless this start made the first organization. */
  firstAccess: FirstAccess | null
  usage: Usage
  /**
   * From now on `/readyz` says that requests had better go elsewhere. For as long as the settings say they are answered all
   * the same; then those under way finish, what is remembered is written, and everything is closed.
   */
  close(): Promise<void>
}

const drainMilliseconds = 10_000
const drainPollMilliseconds = 25

/** The whole server, as `npm start` runs it. Whatever it had opened is closed again where it cannot start. */
export async function start(
  config: Config,
  { log, announce }: { log: Logger; announce: (message: string) => void },
): Promise<Running> {
  const traces = await openTracing(config, log)
  const opened = await openConfigured(config, { log, announce, tracing: traces?.tracing ?? null }).catch(
    async (error: unknown) => {
      await traces?.close()
      throw error
    },
  )
  const { dependencies } = opened
  const close = async () => {
    await opened.close()
    // Last, so that nothing of what was done on the way is missing.
    await traces?.close()
  }
  try {
    let stopping = false
    const server = createHttpServer(dependencies, {
      ...config,
      consoleDirectory: builtConsole,
      isStopping: () => stopping,
    })
    await listen(server, config)
    const shut = (one: { close(): unknown; closeAllConnections(): void }) => {
      one.close()
      one.closeAllConnections()
    }
    const listening = [() => shut(server)]
    try {
      const metricsServer = config.metricsPort === null ? null : createMetricsServer(dependencies.metrics)
      if (metricsServer && config.metricsPort !== null) {
        await listen(metricsServer, { host: config.host, port: config.metricsPort, setting: 'METRICS_PORT' })
        listening.push(() => shut(metricsServer))
      }
      // Not before it listens: where the port is taken, nobody would ever be shown the password.
      const firstAccess = await openFirst(dependencies, config)
      const stopRetention = startRetention(dependencies, { retentionDays: config.expiredTokenRetentionDays })
      const stopDeliveries = startDeliveries(dependencies)
      dependencies.invalidations.listen()
      return {
        address: addressOf(server, config),
        metricsAddress: metricsServer && addressOf(metricsServer, config),
        firstAccess,
        usage: await readUsage(dependencies),
        async close() {
          stopping = true
          stopRetention()
          // Load balancers ask whether it is ready every few seconds, and send it requests until they have heard that it is not.
          await delay(config.shutdownDelaySeconds * 1_000)
          await Promise.all([drain(server, dependencies), stopDeliveries()])
          await close()
          if (metricsServer) shut(metricsServer)
        },
      }
    } catch (error) {
      for (const close of listening) close()
      throw error
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** An embedded database that is empty is filled unasked; a server of one's own, by the settings. */
async function openFirst(dependencies: Dependencies, config: Config): Promise<FirstAccess | null> {
  if (config.bootstrap) {
    try {
      return await bootstrap(dependencies, config.bootstrap)
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      throw new BadSetting(
        `The first organization cannot be made from the settings BOOTSTRAP_ORGANIZATION, BOOTSTRAP_EMAIL and BOOTSTRAP_PASSWORD. ${error.message}`,
      )
    }
  }
  if (config.databaseUrl !== null) return null
  return bootstrap(dependencies, {
    organization: 'Example',
    email: 'owner@example.com',
    password: generatePassword(randomBytes),
  })
}

/** The SDK is loaded only where it is asked for. */
async function openTracing({ tracing }: Config, log: Logger): Promise<StartedTracing | null> {
  if (!tracing) return null
  const { startTracing } = await import('./observability/start-tracing.ts')
  return startTracing(tracing, { log })
}

async function listen(
  server: Server,
  { host, port, setting = 'PORT' }: { host: string; port: number; setting?: 'PORT' | 'METRICS_PORT' },
): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port }, () => {
        server.off('error', reject)
        resolve()
      })
    })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    const problem = typeof code === 'string' ? listenProblems[code] : undefined
    throw problem ? new Foreseen(problem({ host, port, setting }), { cause: error }) : error
  }
}

interface Place {
  host: string
  port: number
  setting: string
}

const notHere = ({ host }: Place) =>
  `${host} is no address of this machine. Set HOST to one that is, such as 127.0.0.1.`
const listenProblems: Record<string, (place: Place) => string> = {
  EADDRINUSE: ({ port, setting }) =>
    `Port ${port} is taken by another program. Stop that one, or choose another port: ${setting}=${port < 65_535 ? port + 1 : 4000} npm start`,
  EACCES: ({ port, setting }) => `This user may not listen at port ${port}. Set ${setting} to one above 1023.`,
  EADDRNOTAVAIL: notHere,
  ENOTFOUND: notHere,
  EAI_AGAIN: notHere,
}

/** A server that listens everywhere is reached here, too, under an address that a browser takes. */
function addressOf(server: Server, config: Config): string {
  const bound = server.address()
  const port = typeof bound === 'object' && bound ? bound.port : config.port
  const host = config.host === '0.0.0.0' ? '127.0.0.1' : config.host === '::' ? '::1' : config.host
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

async function drain(server: HttpServer, { invalidations }: Dependencies): Promise<void> {
  // A connection counts as idle as long as the request that has arrived on it waits to be read, which it would do in vain.
  await untilRead()
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // Streams never end by themselves.
  await invalidations.close()
  // A connection that has had its answer is idle again, and its client would keep it for minutes.
  const poll = setInterval(() => setImmediate(() => server.closeIdleConnections()), drainPollMilliseconds)
  const limit = setTimeout(() => server.closeAllConnections(), drainMilliseconds)
  await closed
  clearInterval(poll)
  clearTimeout(limit)
}
