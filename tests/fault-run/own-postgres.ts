import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import {
  findPostmaster,
  openCluster,
  readLogTail,
  startPostmaster,
  stopPostmaster,
} from '../../server/database/embedded-cluster.ts'

/** A PostgreSQL that nobody looks after: it comes and goes as it is told, and always has the same address. */
export interface OwnPostgres extends AsyncDisposable {
  /** Of a superuser. */
  url: string
  /** Where its data is. */
  data: string
  /** Until it takes connections, repairs after a crash included. */
  start(): Promise<void>
  /** `fast` ends every session and writes everything down; `immediate` drops everything at once, as a crash does. */
  stop(how: 'fast' | 'immediate'): Promise<void>
  /** All of its processes stand still, with their connections open, until `thaw`. */
  freeze(): Promise<void>
  /** Until it takes connections. */
  thaw(): Promise<void>
  /** Its first process, and then those that it has started. */
  processes(): Promise<number[]>
  run<Row extends pg.QueryResultRow>(statement: string): Promise<Row[]>
}

const startingMilliseconds = 60_000
const pollMilliseconds = 30

/** Asks for the programs of another PostgreSQL than npm's, by their directory: `npm run test:postgres` is run with it. */
const askedFor = process.env.LATCHKEY_TESTS_POSTGRES

/** On data of its own, or on what is in a directory that is given. Leaves nothing behind, and nothing running. */
export async function openOwnPostgres(
  given: { directory?: string | undefined; programs?: string | undefined } = {},
): Promise<OwnPostgres> {
  const { directory = await mkdtemp(join(tmpdir(), 'latchkey-own-postgres-')), programs = askedFor } = given
  // Before 17 it has no locale but those of the system, and this one is in all of them.
  const cluster = await openCluster(directory, programs ? { programs, locale: ['--locale=C.UTF-8'] } : undefined)
  const port = await findFreePort()
  const url = `postgres://postgres:${cluster.password}@127.0.0.1:${port}/postgres?sslmode=disable`
  let frozen: number[] = []

  async function run<Row extends pg.QueryResultRow>(statement: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000 })
    client.on('error', () => undefined)
    try {
      await client.connect()
      return (await client.query<Row>(statement)).rows
    } finally {
      await client.end()
    }
  }
  async function untilItAnswers(): Promise<void> {
    const deadline = performance.now() + startingMilliseconds
    while (
      !(await run('select').then(
        () => true,
        () => false,
      ))
    ) {
      if (performance.now() > deadline) throw new Error(`PostgreSQL does not come up:\n${await readLogTail(cluster)}`)
      await delay(pollMilliseconds)
    }
  }
  async function processes(): Promise<number[]> {
    const postmaster = (await findPostmaster(cluster))?.pid
    if (postmaster === undefined) return []
    const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
    const pairs = table.map((line) => line.trim().split(/\s+/).map(Number))
    return [postmaster, ...pairs.flatMap(([pid, parent]) => (pid && parent === postmaster ? [pid] : []))]
  }
  async function stop(how: 'fast' | 'immediate'): Promise<void> {
    const postmaster = await findPostmaster(cluster)
    if (postmaster) await stopPostmaster(cluster, postmaster.pid, { answers: how === 'fast' })
  }
  async function start(): Promise<void> {
    await startPostmaster(cluster, port)
    await untilItAnswers()
  }
  function resume(): void {
    for (const pid of frozen) signal(pid, 'SIGCONT')
    frozen = []
  }

  return {
    url,
    data: cluster.data,
    run,
    start,
    stop,
    processes,
    async freeze() {
      const [postmaster] = await processes()
      if (postmaster === undefined) throw new Error('PostgreSQL does not run.')
      // The one that starts the others first, so that no more come.
      signal(postmaster, 'SIGSTOP')
      frozen = await processes()
      for (const pid of frozen) signal(pid, 'SIGSTOP')
    },
    async thaw() {
      resume()
      await untilItAnswers()
    },
    async [Symbol.asyncDispose]() {
      resume()
      await stop('fast')
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** One that nobody listens at now. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (typeof address !== 'object' || !address) throw new Error('There is no free port.')
  return address.port
}

/** One that has ended meanwhile needs no signal any more. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
