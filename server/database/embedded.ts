import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import {
  boundLog,
  type Cluster,
  findPostmaster,
  openCluster,
  ownServerAdvice,
  type Postmaster,
  readLogTail,
  readPostmasterFile,
  type StartedPostmaster,
  startPostmaster,
  stopPostmaster,
} from './embedded-cluster.ts'

/**
 * A real PostgreSQL that belongs to one data directory and, for as long as it runs, to this process alone. What was
 * committed survives the end of this process, of PostgreSQL and of both, however they end.
 */
export interface EmbeddedDatabase {
  /** `postgres://…` of a superuser on 127.0.0.1, with a generated password. It stays the same until `stop`. */
  url: string
  /** `taken-over` where PostgreSQL was found running, because the process that started it was killed. */
  origin: 'started' | 'taken-over'
  /** Shuts PostgreSQL down cleanly and leaves nothing running. Further calls wait for the first. */
  stop(): Promise<void>
}

/** Another process works on the data directory. It was not disturbed. */
export class DataDirectoryInUse extends Error {
  constructor(directory: string, holder: string) {
    super(
      `The data directory ${directory} is in use by ${holder}. ` +
        'Stop that first, or set DATABASE_URL so that both share one PostgreSQL server.',
    )
  }
}

/** A session that holds the lock of the data directory. PostgreSQL releases it by itself when the holder dies. */
interface Ownership {
  client: pg.Client
  /** Settles when the session is over, for whatever reason. */
  ended: Promise<void>
  postmaster: Postmaster
  origin: EmbeddedDatabase['origin']
}

/** Any number that no other program is likely to lock: the first bytes of SHA-256("latchkey data directory"). */
const advisoryLock = 1_391_790_711
const startsAtMost = 5
const readyMilliseconds = 30_000
const stoppingMilliseconds = 5_000
const pollMilliseconds = 20
/** PostgreSQL logs a line for every question that comes too early. */
const slowPollMilliseconds = 500
const slowAfterMilliseconds = 5_000
const reclaimMilliseconds = 500
const logCheckMilliseconds = 60_000

/**
 * Starts PostgreSQL on the directory, which is made when it is not there, or takes over the one that a killed process
 * left running. Throws `DataDirectoryInUse` where another process owns it, and an error with the end of PostgreSQL's log
 * where it does not come up. When PostgreSQL ends by itself later, it is started again under the same address.
 */
export async function startEmbeddedDatabase(options: {
  directory: string
  announce: (message: string) => void
}): Promise<EmbeddedDatabase> {
  const { announce } = options
  const cluster = await openCluster(options.directory)
  const stopping = new AbortController()
  const first = await takeOwnership({ cluster, announce, stopping: stopping.signal })
  const { origin, postmaster } = first
  if (origin === 'taken-over') {
    announce(
      `PostgreSQL was still running, as process ${postmaster.pid}, after a Latchkey that was killed: taken over.`,
    )
  }

  let ownership: Ownership | null = null
  let reclaiming: Promise<void> | null = null
  let stopped: Promise<void> | null = null

  const hold = (held: Ownership) => {
    ownership = held
    void held.ended.then(() => {
      if (stopping.signal.aborted) return
      ownership = null
      reclaiming = reclaim()
    })
  }

  const reclaim = async () => {
    const { port } = postmaster
    let complaint = ''
    while (!ownership) {
      try {
        const held = await takeOwnership({ cluster, announce, stopping: stopping.signal, port })
        // Another Latchkey came and was killed meanwhile; the address of its server is not the one that was promised.
        if (held.postmaster.port !== port) await close(cluster, held)
        else hold(held)
      } catch (error) {
        if (stopping.signal.aborted) return
        const message = error instanceof Error ? error.message : String(error)
        if (message !== complaint) announce(message)
        complaint = message
        await delay(reclaimMilliseconds, undefined, { ref: false, signal: stopping.signal }).catch(() => {})
      }
    }
    announce('The connection to PostgreSQL was lost and is there again.')
  }

  const logCheck = setInterval(() => void boundLog(cluster).catch(() => {}), logCheckMilliseconds).unref()
  const shutDown = async () => {
    stopping.abort()
    clearInterval(logCheck)
    await reclaiming
    if (ownership) await close(cluster, ownership)
  }

  hold(first)
  return {
    url: `postgres://postgres:${cluster.password}@127.0.0.1:${postmaster.port}/postgres?sslmode=disable`,
    origin,
    stop: () => {
      stopped ??= shutDown()
      return stopped
    },
  }
}

interface OwnershipOptions {
  cluster: Cluster
  announce: (message: string) => void
  /** Once aborted, a server is still claimed, so that it can be stopped, but none is started. */
  stopping: AbortSignal
  /** Where a server that has to be started shall listen; any free port if left out. */
  port?: number
}

/**
 * Looks, claims or starts, and looks again, so that whatever others do to the directory at the same moment ends in one of
 * them owning it. PostgreSQL refuses a second server on the same data, and its lock a second owner of the same server.
 */
async function takeOwnership({ cluster, announce, stopping, port }: OwnershipOptions): Promise<Ownership> {
  let started: StartedPostmaster | null = null
  let starts = 0
  let lastSign = Date.now()
  let slowAt = Date.now() + slowAfterMilliseconds
  try {
    for (;;) {
      const postmaster = await findPostmaster(cluster)
      if (postmaster) {
        const claim = await claimServer(cluster, postmaster.port)
        if (claim.state === 'owned') {
          return { ...claim, postmaster, origin: postmaster.pid === started?.pid ? 'started' : 'taken-over' }
        }
        if (claim.state === 'busy') lastSign = Date.now()
      } else if (stopping.aborted) {
        throw new Error('The embedded PostgreSQL is being stopped.')
      } else if (!started || started.end !== null) {
        if (starts === startsAtMost) throw await explain(cluster, `did not start: ${started?.end}`)
        // What a killed server leaves, its other processes and its port, is gone after a moment.
        await delay(starts * 150)
        started = await startPostmaster(cluster, port ?? (await findFreePort()))
        starts += 1
      }
      if (Date.now() > slowAt) {
        announce('PostgreSQL is not ready yet; after a crash it first repairs its files.')
        slowAt = Number.POSITIVE_INFINITY
      }
      const patienceMilliseconds = stopping.aborted ? stoppingMilliseconds : readyMilliseconds
      if (Date.now() - lastSign > patienceMilliseconds) {
        throw await explain(cluster, `gave no sign of life for ${patienceMilliseconds / 1000} seconds`)
      }
      await delay(slowAt === Number.POSITIVE_INFINITY ? slowPollMilliseconds : pollMilliseconds)
    }
  } catch (error) {
    // A server that another process owns by now stays as it is, whoever started it.
    if (started?.pid && !(error instanceof DataDirectoryInUse)) {
      await stopPostmaster(cluster, started.pid, { answers: false }).catch(() => {})
    }
    throw error
  }
}

type Claim = { state: 'owned'; client: pg.Client; ended: Promise<void> } | { state: 'busy' } | { state: 'silent' }

/** The password proves both sides to one another: SCRAM tells a server that does not know it from one that does. */
async function claimServer({ directory, data, password }: Cluster, port: number): Promise<Claim> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: 'postgres',
    password,
    database: 'postgres',
    ssl: false,
    application_name: `latchkey ${process.pid}`,
    connectionTimeoutMillis: 2_000,
    query_timeout: 5_000,
    keepAlive: true,
  })
  // Without a listener, a PostgreSQL that goes away would end this process.
  client.on('error', () => {})
  const ended = new Promise<void>((resolve) => client.once('end', resolve))
  try {
    await client.connect()
    // The session of an owner that was just killed is over within the second.
    await client.query(`set lock_timeout = '1s'; select pg_advisory_lock(${advisoryLock})`)
    // A server that stops ends its sessions one by one, and this one may have got the lock of an owner that ended before it.
    if (!(await readPostmasterFile(data))?.isStopping) return { state: 'owned', client, ended }
    await client.end()
    return { state: 'busy' }
  } catch (error) {
    const state = error instanceof pg.DatabaseError ? error.code : undefined
    const refusal =
      state === '55P03'
        ? new DataDirectoryInUse(directory, await describeHolder(client))
        : state === '28P01'
          ? new Error(
              `The password beside the data in ${directory} is not PostgreSQL’s. Restore it, ${ownServerAdvice}.`,
            )
          : null
    await client.end()
    if (refusal) throw refusal
    return { state: state?.startsWith('57P') ? 'busy' : 'silent' }
  }
}

async function describeHolder(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ application_name: string }>(
    `select application_name from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and granted and classid = 0 and objid = $1`,
    [advisoryLock],
  )
  const process = /^latchkey (\d+)$/.exec(rows[0]?.application_name ?? '')?.[1]
  return process ? `another Latchkey (process ${process})` : 'another process'
}

/** The lock is held until PostgreSQL itself ends, so that nobody takes over a server that is shutting down. */
async function close(cluster: Cluster, { client, postmaster }: Ownership): Promise<void> {
  // PostgreSQL never ends by a clean shutdown that reaches it while it repairs itself after a crash.
  const answers = await client.query('select 1').then(
    () => true,
    () => false,
  )
  try {
    await stopPostmaster(cluster, postmaster.pid, { answers })
  } finally {
    await client.end()
  }
}

async function explain(cluster: Cluster, what: string): Promise<Error> {
  return new Error(
    `The embedded PostgreSQL ${what}. The end of its log, ${cluster.log}:\n${await readLogTail(cluster)}\n` +
      `Remove the cause and start again, ${ownServerAdvice}.`,
  )
}

async function findFreePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('The system gave no free port on 127.0.0.1.')
  return address.port
}
