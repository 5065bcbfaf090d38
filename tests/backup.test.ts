import { appendFile, chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Running } from '../server/start.ts'
import { type OwnPostgres, openOwnPostgres } from './fault-run/own-postgres.ts'
import { isPostgres15Here, postgres15, programsEnvironment } from './postgres-15.ts'
import {
  type Acknowledged,
  type Credentials,
  expectToBeWhole,
  expectVerdicts,
  page,
  pauseMilliseconds,
  shell,
  startFirst,
  startRestored,
  startWork,
  until,
} from './restored.ts'

const ways = [
  { by: 'tar', programs: undefined, putInPlace: 'tar --extract' },
  // npm's PostgreSQL has no such program.
  ...(isPostgres15Here ? [{ by: 'pg_basebackup', programs: postgres15, putInPlace: 'cp --archive /backup/base' }] : []),
]

describe.each(ways)(
  'a database of one’s own, backed up by $by as the page on operations says while it serves',
  {
    timeout: 120_000,
  },
  ({ by, programs, putInPlace }) => {
    let stack: AsyncDisposableStack
    let backup: string
    let failed: OwnPostgres
    let account: { uid: number; gid: number }
    let credentials: Credentials
    /** All that was acknowledged before PostgreSQL failed, and what had been some time before. */
    let atTheEnd: Acknowledged
    let before: Acknowledged
    let beforeAt: string

    beforeAll(async () => {
      stack = new AsyncDisposableStack()
      failed = stack.use(await openOwnPostgres({ programs }))
      account = await stat(failed.data)
      backup = join(dirname(failed.data), 'kept')
      await makeDirectory(backup)
      await makeDirectory(join(backup, 'wal'))
      await configure(failed.data, 'archive_mode')
      await failed.start()

      const { latchkey, credentials: made, admin } = await startFirst(failed.url)
      credentials = made
      const work = startWork(admin)
      await work.untilDone(6)

      if (by === 'tar') await copyByHand(() => work.untilDone(6))
      else await run(page.block('sh', by), programsEnvironment(failed.url))
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
        await run(command.replaceAll('%p', written).replaceAll('%f', 'tried'))
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
      await expectVerdicts(latchkey, credentials, atTheEnd)
      expect(atTheEnd.live.length).toBeGreaterThan(10)
      expect(atTheEnd.deleted.length).toBeGreaterThan(10)
      await expectToBeWhole(restored.url, latchkey, credentials)
    })

    it('is as it was at a moment that is named, before a mistake, also where only the archive is left', async () => {
      const restored = await restore({ moment: beforeAt })
      const latchkey = await serveFrom(restored)
      await expectVerdicts(latchkey, credentials, before)
      // What the page warns of.
      const deletedSince = before.live.filter((token) => atTheEnd.deleted.includes(token))
      expect(deletedSince.length).toBeGreaterThan(5)
      const createdSince = [...atTheEnd.live, ...atTheEnd.deleted].filter(
        (token) => !before.live.includes(token) && !before.deleted.includes(token),
      )
      expect(createdSince.length).toBeGreaterThan(5)
      await expectVerdicts(latchkey, credentials, { live: [], deleted: createdSince })
      await expectToBeWhole(restored.url, latchkey, credentials)
    })

    /** While whoever else is connected goes on. */
    async function copyByHand(othersGoOn: () => Promise<void>): Promise<void> {
      const session = new pg.Client({ connectionString: failed.url })
      await session.connect()
      await session.query(page.block('sql', 'pg_backup_start'))
      await othersGoOn()
      await run(page.block('sh', 'tar --create'), { PGDATA: failed.data })
      await othersGoOn()
      const { rows } = await session.query<{ labelfile: string }>(page.block('sql', 'pg_backup_stop'))
      await writeFile(join(backup, 'backup_label'), rows[0]?.labelfile ?? '')
      await session.end()
    }

    /** What the page has for a shell, as the user that PostgreSQL runs as. */
    const run = (script: string, environment: Record<string, string> = {}) =>
      shell(script, { backup, environment, account })

    /** The lines that the page has for `postgresql.conf`, or those that are given instead. */
    async function configure(data: string, setting: string, change = (lines: string) => lines): Promise<void> {
      const lines = change(page.block('ini', setting)).replaceAll('/backup/', `${backup}/`)
      await appendFile(join(data, 'postgresql.conf'), `\n${lines}`)
    }

    /** For the user that PostgreSQL runs as. */
    async function makeDirectory(path: string): Promise<void> {
      await mkdir(path, { mode: 0o700 })
      await chown(path, account.uid, account.gid)
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
      // So that the user that PostgreSQL runs as passes through, whoever that is.
      await chmod(directory, 0o711)
      const home = join(directory, 'postgres')
      await makeDirectory(home)
      // Not PostgreSQL's, but what the tests' own way of starting one looks for beside the data.
      await cp(join(dirname(failed.data), 'password'), join(home, 'password'))
      const environment = { PGDATA: join(home, 'data'), FAILED: failed.data }
      await run(page.block('sh', putInPlace), environment)
      if (withUnarchived) await run(page.block('sh', '$FAILED'), environment)
      await configure(environment.PGDATA, 'restore_command')
      if (moment !== undefined)
        await configure(environment.PGDATA, 'recovery_target_time', (lines) =>
          lines.replace(/(?<=recovery_target_time = ')[^']+/, moment),
        )
      const postgres = stack.use(await openOwnPostgres({ directory, programs }))
      await postgres.start()
      const isWritable = async () =>
        (await postgres.run<{ recovering: boolean }>('select pg_is_in_recovery() as recovering'))[0]?.recovering ===
        false
      await until(isWritable)
      return postgres
    }

    async function serveFrom(postgres: OwnPostgres): Promise<Running> {
      const running = await startRestored(postgres.url)
      stack.defer(() => running.close())
      return running
    }
  },
)
