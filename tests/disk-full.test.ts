import { execFileSync } from 'node:child_process'
import { createClient, type Latchkey, RequestError, unwrap } from '@latchkey/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrateDatabase } from '../server/database/migrate.ts'
import { addService } from '../server/identity/services.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { createOrganization } from '../server/organizations/operator.ts'
import { type OwnPostgres, openOwnPostgres } from './fault-run/own-postgres.ts'
import { password, serve, serverKey } from './world.ts'

const opened = new AsyncDisposableStack()
const logged: string[] = []
let postgres: OwnPostgres
let url: string
let owner: Latchkey
let service: { secret: string; client: Latchkey }
let token: { id: string; secret: string }

beforeAll(async () => {
  postgres = opened.use(await openOwnPostgres())
  await postgres.start()
  await migrateDatabase(postgres.url)
  const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(line) })
  const settings = { databaseConnections: 8, serverKey, tokenPrefix: 'lk', passwordCost: 4, log }
  const dependencies = await openDependencies({ databaseUrl: postgres.url, ...settings })
  opened.defer(() => dependencies.close())
  const instance = await serve(dependencies)
  opened.defer(() => instance.close())
  url = instance.url
  const email = 'owner@full.example'
  await createOrganization(dependencies, { name: 'Full', owner: { email, password } })
  const secret = await addService(dependencies, 'scanner')
  service = { secret, client: createClient({ url, credential: secret }) }
  const stranger = createClient({ url })
  const { sessionToken } = unwrap((await stranger.signIn({ input: { email, password } })).signIn)
  owner = stranger.with({ credential: sessionToken })
  const made = unwrap((await owner.createToken({ input: { label: 'Before', roleId: 'role_ci' } })).createToken)
  token = { id: made.token.id, secret: made.secret }
}, 120_000)
afterAll(() => opened.disposeAsync())

const create = (label: string) => owner.createToken({ input: { label, roleId: 'role_ci' } })

/** What whoever writes is told while the disk is full, and what the log has of it. */
async function expectWritesToFail({
  code,
  status,
  words,
}: {
  code: string
  status: number
  words: RegExp
}): Promise<void> {
  const before = logged.length
  for (const write of [
    () => create('Never'),
    () => owner.updateToken({ input: { id: token.id, label: 'Never' } }),
    () => owner.regenerateToken({ input: { id: token.id } }),
    () => owner.deleteToken({ input: { id: token.id } }),
    () => owner.resetAccessToken(),
  ]) {
    const error = await write().then(
      () => null,
      (error: unknown) => error,
    )
    if (!(error instanceof RequestError)) throw new Error('A write did not fail as it should.', { cause: error })
    expect(error).toMatchObject({ code, status })
    expect(error.message).toMatch(words)
    expect(error.message).not.toMatch(/disk|extend|file|space/i)
  }
  const lines = logged.slice(before)
  expect(lines.filter((line) => line.includes('could not extend file'))).toHaveLength(5)
  for (const line of lines) expect(line).not.toContain('Never')
}

/** By both ways, of a good secret and of one that never was. */
async function expectVerificationsToGoOn(as: { label: string } | null): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    const { verifyToken } = await service.client.verifyToken({ token: token.secret, usedFrom: '192.0.2.7' })
    expect(verifyToken).toMatchObject(as ? { active: true, ...as } : { active: false })
    const response = await fetch(`${url}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${service.secret}` },
      body: new URLSearchParams({ token: token.secret }),
    })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject(as ? { active: true, ...as } : { active: false })
  }
}

async function tokenLabels(): Promise<string[]> {
  const { integrationTokens } = await owner.integrationTokens({ first: 100, sort: 'CREATED_AT_ASC' })
  return integrationTokens.nodes.map(({ label }) => label)
}

async function countEvents(): Promise<number> {
  const [row] = await postgres.run<{ count: number }>('select count(*)::int as count from audit_events')
  return row?.count ?? 0
}

describe('with no space left for the audit log', () => {
  it('writes fail cleanly, verifications go on, and writes succeed again without a restart, as PostgreSQL words it', async () => {
    await postgres.run(`
      create function refuse() returns trigger language plpgsql as $$ begin
        raise exception 'could not extend file "base/5/16384": No space left on device'
          using errcode = 'disk_full', hint = 'Check free disk space.';
      end $$;
      create trigger full_disk before insert on audit_events execute function refuse()`)
    const events = await countEvents()
    await expectWritesToFail({ code: 'UNAVAILABLE', status: 503, words: /try again in a moment\.$/ })
    await expectVerificationsToGoOn({ label: 'Before' })
    expect(await tokenLabels()).toEqual(['Before'])
    expect(await countEvents()).toBe(events)
    await postgres.run('drop trigger full_disk on audit_events')
    expect((await create('After')).createToken.__typename).toBe('CreateTokenPayload')
    expect(await tokenLabels()).toEqual(['Before', 'After'])
  })

  // Where prlimit is, which is part of Linux: no file can grow, as on a disk without a free block.
  it.runIf(process.platform === 'linux')(
    'the same where the file cannot grow, and PostgreSQL itself finds that out',
    async () => {
      const fill = `insert into audit_events (organization_id, action, actor, id, user_agent)
        select id, 'filler', 'filler', 'evt_filler_' || number, repeat('x', letters) from organizations`
      // Four rows to a page, none of which leaves room for an event.
      await postgres.run(`${fill}, generate_series(1, 8400) as number, (values (1850)) as length(letters)`)
      const [size] = await postgres.run<{ bytes: number }>("select pg_relation_size('audit_events')::int as bytes")
      const bytes = size?.bytes ?? 0
      // Files of the write-ahead log are that long from the beginning.
      expect(bytes).toBeGreaterThan(16 * 2 ** 20)
      await limitFiles(bytes)
      // What PostgreSQL had added to the file beforehand, and what is left of the last page, is used up.
      await postgres.run(`do $$ declare number int := 10000; letters int; begin
        foreach letters in array array[1850, 150] loop
          loop
            number := number + 1;
            begin ${fill}; exception when others then exit; end;
          end loop;
        end loop; end $$`)
      const events = await countEvents()
      // PostgreSQL has a name of its own for a full disk, but none for this.
      await expectWritesToFail({ code: 'INTERNAL', status: 500, words: /reference: [0-9a-f]{24}\.$/ })
      await expectVerificationsToGoOn({ label: 'Before' })
      expect(await tokenLabels()).toEqual(['Before', 'After'])
      expect(await countEvents()).toBe(events)
      await limitFiles('unlimited')
      unwrap((await owner.updateToken({ input: { id: token.id, label: 'Whole' } })).updateToken)
      await expectVerificationsToGoOn({ label: 'Whole' })
      unwrap((await owner.deleteToken({ input: { id: token.id } })).deleteToken)
      await expectVerificationsToGoOn(null)
    },
  )
})

/** Of every process of PostgreSQL, and so of those that it starts later. Only the soft limit, which may be raised again. */
async function limitFiles(bytes: number | 'unlimited'): Promise<void> {
  const limit = (pid: number) => execFileSync('prlimit', [`--pid=${pid}`, `--fsize=${bytes}:`], { stdio: 'pipe' })
  const [first] = await postgres.processes()
  if (first === undefined) throw new Error('PostgreSQL does not run.')
  // Whatever it starts from then on has the limit from the beginning.
  limit(first)
  for (const pid of await postgres.processes()) {
    try {
      limit(pid)
    } catch (error) {
      // One that has ended meanwhile, as those do that clean up, extends no file.
      if ((await postgres.processes()).includes(pid)) throw error
    }
  }
}
