import { execFile } from 'node:child_process'
import { appendFile, chown, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createClient, type Latchkey, unwrap } from '@latchkey/sdk'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommandLine } from '../server/cli/run.ts'
import { readConfig } from '../server/config.ts'
import { type Running, start } from '../server/start.ts'
import { type OwnPostgres, openOwnPostgres } from './fault-run/own-postgres.ts'
import { readPage } from './markdown.ts'
import { serverKey } from './world.ts'

const page = await readPage(new URL('../docs/operations.md', import.meta.url))
const secret = { LATCHKEY_SECRET: serverKey }
const owner = { email: 'owner@backup.example', password: 'a lantern under the stairs' }
const pauseMilliseconds = 15
const longestWaitMilliseconds = 20_000

/** What was acknowledged to whoever created and deleted tokens, until some moment. */
interface Acknowledged {
  live: Token[]
  deleted: Token[]
}

interface Token {
  id: string
  secret: string
}

describe('a database of one’s own, backed up as the page on operations says while it serves', {
  timeout: 120_000,
}, () => {
  let stack: AsyncDisposableStack
  let backup: string
  let failed: OwnPostgres
  let serviceSecret: string
  let sessionToken: string
  /** All that was acknowledged before PostgreSQL failed, and what had been some time before. */
  let atTheEnd: Acknowledged
  let before: Acknowledged
  let beforeAt: string

  beforeAll(async () => {
    stack = new AsyncDisposableStack()
    failed = stack.use(await openOwnPostgres())
    backup = join(dirname(failed.data), 'kept')
    await makeDirectory(backup)
    await makeDirectory(join(backup, 'wal'))
    await configure(failed.data, 'archive_mode')
    await failed.start()

    const environment = { ...settingsFor(failed), TOKEN_CREATION_LIMIT: '0' }
    const latchkey = await startLatchkey({
      ...environment,
      BOOTSTRAP_ORGANIZATION: 'Backup',
      BOOTSTRAP_EMAIL: owner.email,
      BOOTSTRAP_PASSWORD: owner.password,
    })
    serviceSecret = latchkey.firstAccess?.service?.secret ?? ''
    const stranger = createClient({ url: latchkey.address })
    sessionToken = unwrap((await stranger.signIn({ input: owner })).signIn).sessionToken
    const work = startWork(stranger.with({ credential: sessionToken }))
    await work.untilDone(6)

    const session = new pg.Client({ connectionString: failed.url })
    await session.connect()
    await session.query(page.block('sql', 'pg_backup_start'))
    await work.untilDone(6)
    await shell(page.block('sh', 'tar --create'), { PGDATA: failed.data })
    await work.untilDone(6)
    const { rows } = await session.query<{ labelfile: string }>(page.block('sql', 'pg_backup_stop'))
    await writeFile(join(backup, 'backup_label'), rows[0]?.labelfile ?? '')
    await session.end()
    await work.untilDone(10)

    before = await work.pause()
    const [now] = await failed.run<{ now: string }>('select now()::text as now')
    beforeAt = now?.now ?? ''
    await delay(pauseMilliseconds)
    work.resume()
    await work.untilDone(15)
    await archive(failed)
    // Only in what the server has not archived yet.
    await work.untilDone(15)
    atTheEnd = await work.pause()
    await failed.stop('immediate')
    await latchkey.close()
  }, 120_000)
  afterAll(() => stack.disposeAsync())

  it('has each file in the archive once, whole, and never another under the same name', async () => {
    const [, command = ''] = /archive_command = '(.+)'/.exec(page.block('ini', 'archive_mode')) ?? []
    const written = join(backup, 'written')
    const put = async (text: string) => {
      await writeFile(written, text)
      await shell(command.replaceAll('%p', written).replaceAll('%f', 'tried'), {})
    }
    await put('one')
    // As after a crash between the archiving and the note of it.
    await put('one')
    await expect(put('another')).rejects.toThrow()
    expect(await readFile(join(backup, 'wal/tried'), 'utf8')).toBe('one')
    await rm(join(backup, 'wal/tried'))
  })

  it('loses nothing that was acknowledged before it failed', async () => {
    const restored = await restore({ withUnarchived: true })
    const latchkey = await serveFrom(restored)
    expect(await refusedOf(latchkey, atTheEnd.live)).toEqual([])
    expect(await acceptedOf(latchkey, atTheEnd.deleted)).toEqual([])
    expect(atTheEnd.live.length).toBeGreaterThan(10)
    expect(atTheEnd.deleted.length).toBeGreaterThan(10)
    await expectToBeWhole(restored, latchkey)
  })

  it('is as it was at a moment that is named, before a mistake, also where only the archive is left', async () => {
    const restored = await restore({ moment: beforeAt })
    const latchkey = await serveFrom(restored)
    expect(await refusedOf(latchkey, before.live)).toEqual([])
    expect(await acceptedOf(latchkey, before.deleted)).toEqual([])
    // What the page warns of.
    const deletedSince = before.live.filter((token) => atTheEnd.deleted.includes(token))
    expect(deletedSince.length).toBeGreaterThan(5)
    const createdSince = [...atTheEnd.live, ...atTheEnd.deleted].filter(
      (token) => !before.live.includes(token) && !before.deleted.includes(token),
    )
    expect(createdSince.length).toBeGreaterThan(5)
    expect(await acceptedOf(latchkey, createdSince)).toEqual([])
    await expectToBeWhole(restored, latchkey)
  })

  /** The lines that the page has for `postgresql.conf`, or those that are given instead. */
  async function configure(data: string, setting: string, change = (lines: string) => lines): Promise<void> {
    const lines = change(page.block('ini', setting)).replaceAll('/backup/', `${backup}/`)
    await appendFile(join(data, 'postgresql.conf'), `\n${lines}`)
  }

  /** What the page has for a shell, where the backup is. */
  async function shell(script: string, environment: Record<string, string>): Promise<void> {
    const commands = script.replaceAll('/backup/', `${backup}/`)
    await promisify(execFile)('sh', ['-euc', commands], { env: { PATH: process.env.PATH ?? '', ...environment } })
  }

  /** For the user that PostgreSQL runs as. */
  async function makeDirectory(path: string): Promise<void> {
    const { uid, gid } = await stat(dirname(path))
    await mkdir(path, { mode: 0o700 })
    await chown(path, uid, gid)
  }

  /** As `archive_timeout` has it done in the end. */
  async function archive(postgres: OwnPostgres): Promise<void> {
    const [switched] = await postgres.run<{ file: string }>('select pg_walfile_name(pg_switch_wal()) as file')
    const isArchived = () =>
      stat(join(backup, 'wal', switched?.file ?? '')).then(
        () => true,
        () => false,
      )
    await until(isArchived)
  }

  /** A server on the restored data, once it takes writes. */
  async function restore({ withUnarchived = false, moment }: { withUnarchived?: boolean; moment?: string }) {
    const directory = await mkdtemp(join(tmpdir(), 'latchkey-restored-'))
    stack.defer(() => rm(directory, { recursive: true, force: true }))
    const home = join(directory, 'postgres')
    await mkdir(home)
    // Not PostgreSQL's, but what the tests' own way of starting one looks for beside the data.
    await cp(join(dirname(failed.data), 'password'), join(home, 'password'))
    const { uid, gid } = await stat(failed.data)
    await chown(home, uid, gid)
    const environment = { PGDATA: join(home, 'data'), FAILED: failed.data }
    await shell(page.block('sh', 'tar --extract'), environment)
    if (withUnarchived) await shell(page.block('sh', '$FAILED'), environment)
    await configure(environment.PGDATA, 'restore_command')
    if (moment !== undefined)
      await configure(environment.PGDATA, 'recovery_target_time', (lines) =>
        lines.replace(/(?<=recovery_target_time = ')[^']+/, moment),
      )
    const postgres = stack.use(await openOwnPostgres({ directory }))
    await postgres.start()
    const isWritable = async () =>
      (await postgres.run<{ recovering: boolean }>('select pg_is_in_recovery() as recovering'))[0]?.recovering === false
    await until(isWritable)
    return postgres
  }

  const settingsFor = ({ url }: OwnPostgres) => ({ ...secret, DATABASE_URL: url })

  async function startLatchkey(environment: Record<string, string>): Promise<Running> {
    const config = readConfig({ ...environment, PORT: '0' })
    const said: string[] = []
    const running = await start(config, {
      log: pino({ level: 'silent' }),
      announce: (text) => said.push(text),
    })
    if (!environment.BOOTSTRAP_EMAIL) expect(said, 'it is migrated already').toEqual([])
    return running
  }

  async function serveFrom(postgres: OwnPostgres): Promise<Running> {
    const running = await startLatchkey(settingsFor(postgres))
    stack.defer(() => running.close())
    return running
  }

  async function refusedOf(latchkey: Running, tokens: readonly Token[]): Promise<Token[]> {
    const accepted = await acceptedOf(latchkey, tokens)
    return tokens.filter((token) => !accepted.includes(token))
  }
  async function acceptedOf({ address }: Running, tokens: readonly Token[]): Promise<Token[]> {
    const service = createClient({ url: address, credential: serviceSecret })
    const verdicts = await Promise.all(tokens.map(({ secret: token }) => service.verifyToken({ token })))
    return tokens.filter((_token, index) => verdicts[index]?.verifyToken.active)
  }

  /** Goes on with the session of before, is confined by row-level security, and nobody has touched the audit log. */
  async function expectToBeWhole(postgres: OwnPostgres, { address }: Running): Promise<void> {
    expect((await fetch(`${address}/readyz`)).ok).toBe(true)
    const admin = createClient({ url: address, credential: sessionToken })
    unwrap((await admin.createToken({ input: { label: 'After the restoration', roleId: 'role_ci' } })).createToken)
    const counted = 'select count(*) > 0 as some from integration_tokens'
    expect(await postgres.run(counted)).toEqual([{ some: true }])
    const client = new pg.Client({ connectionString: postgres.url, options: '-c role=latchkey_server' })
    await client.connect()
    expect((await client.query(counted)).rows).toEqual([{ some: false }])
    await client.end()
    const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
    input.end()
    const code = await runCommandLine(['audit', 'verify'], {
      input,
      output,
      errors,
      environment: settingsFor(postgres),
    })
    expect([code, String(output.read())]).toEqual([0, expect.stringContaining('None was changed, removed or added.')])
  }
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + longestWaitMilliseconds
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('It does not come to be in time.')
    await delay(pauseMilliseconds)
  }
}

/** Creates tokens, and deletes every other one of them later, one after the other. */
function startWork(admin: Latchkey) {
  const live: Token[] = []
  const deleted: Token[] = []
  let isPaused = false
  let count = 0
  let failure: unknown = null

  async function step(): Promise<void> {
    const oldest = count % 3 === 2 ? live[0] : undefined
    if (oldest) {
      unwrap((await admin.deleteToken({ input: { id: oldest.id } })).deleteToken)
      live.shift()
      deleted.push(oldest)
    } else {
      const input = { label: `Token ${count}`, roleId: 'role_ci' }
      const { token, secret } = unwrap((await admin.createToken({ input })).createToken)
      live.push({ id: token.id, secret })
    }
    count++
  }
  let working = go()
  async function go(): Promise<void> {
    try {
      for (; !isPaused; await delay(pauseMilliseconds)) await step()
    } catch (error) {
      failure = error
    }
  }
  return {
    /** Until as many more changes were acknowledged. */
    async untilDone(more: number): Promise<void> {
      for (const due = count + more; count < due; await delay(pauseMilliseconds)) if (failure) throw failure
    },
    async pause(): Promise<Acknowledged> {
      isPaused = true
      await working
      if (failure) throw failure
      return { live: [...live], deleted: [...deleted] }
    },
    resume(): void {
      isPaused = false
      working = go()
    },
  }
}
