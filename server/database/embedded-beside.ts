import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { DataDirectoryInUse, startEmbeddedDatabase } from './embedded.ts'
import { readPostmasterFile } from './embedded-cluster.ts'

/** Any number that no other program is likely to lock: the first bytes of SHA-256("latchkey beside"). */
const advisoryLock = 2_682_209_338
const patienceMilliseconds = 15_000

/** What an owner of a data directory calls its session; those beside it have a name that does not look like one. */
const ownerName = '^latchkey [0-9]+$'

export interface SharedDatabase {
  url: string
  /** Ends the use. PostgreSQL is stopped where this process started it, once the others beside have finished. */
  close(): Promise<void>
}

/**
 * The PostgreSQL of the data directory, for a command that has a moment's work: beside the Latchkey that serves from it,
 * which is not disturbed, or else, for that moment, as its owner. Commands that run at the same time wait for one another
 * where one of them is the owner.
 */
export async function openBeside(options: {
  directory: string
  announce: (message: string) => void
}): Promise<SharedDatabase> {
  const deadline = Date.now() + patienceMilliseconds
  for (;;) {
    const joined = await joinOwner(options.directory)
    if (joined) return joined
    try {
      const { url, stop } = await startEmbeddedDatabase(options)
      return { url, close: () => stopAfterOthers(url, stop) }
    } catch (error) {
      // Another process came to own the directory since it was looked at.
      if (!(error instanceof DataDirectoryInUse) || Date.now() > deadline) throw error
    }
  }
}

/** Null where nobody owns a running server, and where whoever does is about to stop it. */
async function joinOwner(directory: string): Promise<SharedDatabase | null> {
  const home = join(directory, 'postgres')
  // Whatever cannot be read here, the owner's way of opening the directory explains better.
  const password = (await readFile(join(home, 'password'), 'utf8').catch(() => '')).trim()
  const data = join(home, 'data')
  const postmaster = await readPostmasterFile(data)
  if (!password || !postmaster?.port) return null
  const url = `postgres://postgres:${password}@127.0.0.1:${postmaster.port}/postgres?sslmode=disable`
  const client = openSession(url)
  try {
    await client.connect()
    const { rows } = await client.query<{ owned: boolean }>(
      `select exists (select from pg_locks join pg_stat_activity using (pid)
        where locktype = 'advisory' and granted and application_name ~ $1) as owned`,
      [ownerName],
    )
    if (rows[0]?.owned) {
      await client.query('select pg_advisory_lock_shared($1)', [advisoryLock])
      // A server that stops ends its sessions one by one, and this one may have got the lock of one that ended before it.
      if (!(await readPostmasterFile(data))?.isStopping) return { url, close: () => client.end() }
    }
  } catch {
    // A server that is starting, stopping or someone else's: looked at again by whoever asked.
  }
  await client.end().catch(() => undefined)
  return null
}

/** The lock is held until PostgreSQL has ended, so that nobody joins a server that is about to stop. */
async function stopAfterOthers(url: string, stop: () => Promise<void>): Promise<void> {
  const client = openSession(url)
  try {
    await client.connect()
    await client.query('select pg_advisory_lock($1)', [advisoryLock])
  } catch {
    // Others that take so long are cut off, as when PostgreSQL fails under them.
  }
  try {
    await stop()
  } finally {
    await client.end().catch(() => undefined)
  }
}

function openSession(connectionString: string): pg.Client {
  const client = new pg.Client({
    connectionString,
    application_name: `latchkey beside ${process.pid}`,
    connectionTimeoutMillis: 2_000,
    query_timeout: patienceMilliseconds,
    keepAlive: true,
  })
  // Without a listener, a PostgreSQL that goes away would end this process.
  client.on('error', () => undefined)
  return client
}
