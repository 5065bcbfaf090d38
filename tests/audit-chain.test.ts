import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { unwrap } from '@latchkey/sdk'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { recordEvent } from '../server/audit/record-event.ts'
import { type ChainReport, verifyChain } from '../server/audit/verify-chain.ts'
import { runCommandLine } from '../server/cli/run.ts'
import { migrateDatabase } from '../server/database/migrate.ts'
import { withOrganization } from '../server/database/with-organization.ts'
import type { Dependencies } from '../server/dependencies.ts'
import type { OrganizationId } from '../server/identifiers.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { createDemo } from '../server/organizations/demo.ts'
import { createOrganization, findOrganizations } from '../server/organizations/operator.ts'
import { openWorld, password, serverKey, type World } from './world.ts'

const log = pino({ level: 'silent' })

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

interface Chain {
  id: OrganizationId
  slug: string
  verify(): Promise<ChainReport>
  /** Where there is a problem, by position. */
  broken(): Promise<(number | null)[]>
}

let made = 0
/** An organization of its own with as many events, the first two of which its creation brings. */
async function openChain(events = 7): Promise<Chain> {
  const slug = `chain-${++made}`
  const owner = { email: `owner@${slug}.example`, password }
  const { id } = await createOrganization(world.dependencies, { name: slug, slug, owner })
  for (let count = 2; count < events; count++) await record(id, `Token ${count + 1}`)
  return chainOf(id, slug)
}

function chainOf(id: OrganizationId, slug: string, dependencies: Dependencies = world.dependencies): Chain {
  const verify = () => verifyChain(dependencies, id)
  return { id, slug, verify, broken: async () => (await verify()).problems.map(({ position }) => position) }
}

async function record(organizationId: OrganizationId, label: string, dependencies: Dependencies = world.dependencies) {
  await withOrganization(dependencies.database, { organizationId }, (transaction) =>
    recordEvent(transaction, dependencies, {
      organizationId,
      action: 'token.created',
      actor: { name: 'someone', id: null },
      origin: { ipAddress: '192.0.2.1', userAgent: 'tests' },
      target: { name: label, id: 'tok_x' },
    }),
  )
}

/** As someone who may do anything in the database does it, past the triggers. */
const tamper = (statements: string) =>
  world.sql(`set session_replication_role = replica; ${statements}; reset session_replication_role`)
const at = ({ id }: Chain, position: number) => `organization_id = '${id}' and position = ${position}`

describe('the chain of an organization’s events', () => {
  it('is unbroken after 200 were recorded, 10 at a time, and so is another’s beside it', async () => {
    const [one, other] = [await openChain(2), await openChain(2)]
    const waiting = Array.from({ length: 200 }, (_, index) => index).values()
    const take = async () => {
      for (const index of waiting) {
        await Promise.all([record(one.id, `One ${index}`), index % 10 === 0 && record(other.id, `Other ${index}`)])
      }
    }
    await Promise.all(Array.from({ length: 10 }, take))
    expect(await one.verify()).toMatchObject({ events: 202, unchained: 0, last: { position: 202 }, problems: [] })
    expect(await other.verify()).toMatchObject({ events: 22, problems: [] })
    const rows = await world.sql<{ position: string }>(
      'select position from audit_events where organization_id = $1 order by position',
      [one.id],
    )
    expect(rows.map(({ position }) => Number(position))).toEqual(Array.from({ length: 202 }, (_, index) => index + 1))
  })

  it('holds everything that the API records', async () => {
    const { superAdmin, guest, id, slug } = world.alpha
    const { token, secret } = unwrap(
      (await superAdmin.createToken({ input: { label: 'A', roleId: 'role_ci' } })).createToken,
    )
    unwrap((await superAdmin.regenerateToken({ input: { id: token.id } })).regenerateToken)
    expect(await world.introspect(secret)).toEqual({ active: false })
    await world.dependencies.lastUse.flush()
    await expect(guest.integrationTokens()).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await guest.resetAccessToken()
    await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        superAdmin.updateToken({ input: { id: token.id, label: `A ${index}` } }),
      ),
    )
    unwrap((await superAdmin.deleteToken({ input: { id: token.id } })).deleteToken)
    const report = await chainOf(id, slug).verify()
    expect(report).toMatchObject({ unchained: 0, problems: [] })
    expect(report.events).toBeGreaterThan(20)
    const unchained = await world.sql('select id from audit_events where position is null')
    expect(unchained).toEqual([])
  })

  it('holds what is stored, where half a character was cut off, and to the millisecond', async () => {
    const chain = await openChain()
    await record(chain.id, 'half \ud83d')
    await withOrganization(world.dependencies.database, { organizationId: chain.id }, (transaction) =>
      recordEvent(transaction, world.dependencies, {
        organizationId: chain.id,
        action: 'token.created',
        actor: { name: '', id: '' },
        origin: { ipAddress: null, userAgent: `${'x'.repeat(299)}😀` },
      }),
    )
    expect((await chain.verify()).problems).toEqual([])
  })

  it('has no gap where something was rolled back', async () => {
    const chain = await openChain()
    await expect(
      withOrganization(world.dependencies.database, { organizationId: chain.id }, async (transaction) => {
        const origin = { ipAddress: null, userAgent: null }
        const actor = { name: 'someone', id: null }
        const event = { organizationId: chain.id, action: 'token.deleted', actor, origin } as const
        await recordEvent(transaction, world.dependencies, event)
        throw new Error('taken back')
      }),
    ).rejects.toThrow('taken back')
    await record(chain.id, 'after it')
    expect(await chain.verify()).toMatchObject({ events: 8, problems: [] })
  })

  it('is in order while it grows', async () => {
    const chain = await openChain()
    let growing = true
    const grow = async () => {
      for (let index = 0; growing; index++) await record(chain.id, `Growing ${index}`)
    }
    const grown = Promise.all([grow(), grow()])
    const reports: ChainReport[] = []
    for (let round = 0; round < 10; round++) reports.push(await chain.verify())
    growing = false
    await grown
    expect(reports.flatMap(({ problems }) => problems)).toEqual([])
    expect(reports.at(-1)?.events).toBeGreaterThan(7)
  })

  it('holds a year of a demo, which is longer than a page', async () => {
    await createDemo(world.dependencies, { slug: 'chained-demo', seed: 3 })
    const [{ id } = { id: null }] = await findOrganizations(world.dependencies, 'chained-demo')
    if (!id) throw new Error('The demo has no organization.')
    const report = await chainOf(id, 'chained-demo').verify()
    expect(report).toMatchObject({ unchained: 0, problems: [] })
    expect(report.events).toBeGreaterThan(1_000)
    await tamper(
      `update audit_events set actor = 'nobody' where organization_id = '${id}' and position in (1000, 1001)`,
    )
    expect(await chainOf(id, 'chained-demo').broken()).toEqual([1000, 1001])
  })
})

describe('a verification', () => {
  it('finds a change of any column, and says where and when', async () => {
    const [chain, other] = [await openChain(), await openChain(2)]
    const columns = await world.sql<{ name: string; type: string; nullable: boolean }>(
      `select attname as name, format_type(atttypid, atttypmod) as type, not attnotnull as nullable from pg_attribute
       where attrelid = 'audit_events'::regclass and attnum > 0 and not attisdropped`,
    )
    expect(columns.length).toBeGreaterThan(12)
    const values: Record<string, string> = {
      organization_id: `'${other.id}'`,
      text: `coalesce($, '') || 'x'`,
      'timestamp(3) with time zone': `$ + interval '1 millisecond'`,
      bigint: '$ + 100',
      bytea: String.raw`'\x00'`,
    }
    const [before] = await world.sql<{ row: string }>(
      `select to_jsonb(e)::text as row from audit_events e where ${at(chain, 4)}`,
    )
    const restore = () =>
      tamper(
        `delete from audit_events where id like '${JSON.parse(before?.row ?? '').id}%';
         insert into audit_events select * from jsonb_populate_record(null::audit_events, '${before?.row}')`,
      )
    for (const { name, type, nullable } of columns) {
      const value = (values[name] ?? values[type] ?? '').replaceAll('$', name)
      const emptied = nullable ? ['null', ...(type === 'text' ? [`''`] : [])] : []
      for (const changed of [value, ...emptied]) {
        const [difference] = await world.sql<{ there: boolean }>(
          `select ${name} is distinct from ${changed} as there from audit_events where ${at(chain, 4)}`,
        )
        if (!difference?.there) continue
        await tamper(`update audit_events set ${name} = ${changed} where ${at(chain, 4)}`)
        expect([name, changed, (await chain.broken()).includes(4)]).toEqual([name, changed, true])
        await restore()
        expect([name, await chain.broken(), await other.broken()]).toEqual([name, [], []])
      }
    }
    await tamper(`update audit_events set target = 'another' where ${at(chain, 4)}`)
    const { id, at: instant } = z
      .looseObject({ id: z.string(), at: z.coerce.date() })
      .parse(JSON.parse(before?.row ?? ''))
    expect((await chain.verify()).problems).toEqual([
      { position: 4, lastPosition: 4, id, at: instant, problem: expect.stringMatching(/not as it was recorded/) },
    ])
  })

  it('goes on over what nothing but tampering can have put there', async () => {
    const chain = await openChain()
    await tamper(`update audit_events set at = 'infinity' where ${at(chain, 7)}`)
    expect((await chain.verify()).problems).toMatchObject([{ position: 7, at: null }])
    await tamper(`update audit_events set position = 9223372036854775807 where ${at(chain, 7)}`)
    expect(await chain.broken()).toEqual([7, 2 ** 63])
    await tamper(`update audit_heads set position = 9223372036854775807 where organization_id = '${chain.id}'`)
    expect(await chain.broken()).toContain(7)
    const unchained = await openChain()
    await tamper(
      `insert into audit_events (id, organization_id, at, action, actor) values ('evt_late', '${unchained.id}', 'infinity', 'x', 'y')`,
    )
    expect(await unchained.broken()).toEqual([null])
  })

  it('finds that events were removed, wherever they were', async () => {
    const removed = async (chain: Chain, condition: string) => {
      await tamper(`delete from audit_events where organization_id = '${chain.id}' and ${condition}`)
      return (await chain.verify()).problems.map(({ position, lastPosition, id, problem }) => [
        position,
        lastPosition,
        id === null ? problem.split(':')[0] : 'there',
      ])
    }
    const ranges = await Promise.all(Array.from({ length: 5 }, () => openChain()))
    const [first, middle, several, last, all] = ranges
    if (!first || !middle || !several || !last || !all) throw new Error('There are five.')
    expect(await removed(first, 'position = 1')).toEqual([
      [1, 1, 'Removed'],
      [2, 2, 'there'],
    ])
    expect(await removed(middle, 'position = 4')).toEqual([
      [4, 4, 'Removed'],
      [5, 5, 'there'],
    ])
    expect(await removed(several, 'position in (3, 4, 5)')).toEqual([
      [3, 5, 'Removed'],
      [6, 6, 'there'],
    ])
    expect(await removed(last, 'position = 7')).toEqual([[7, 7, 'Removed']])
    expect(await removed(all, 'true')).toEqual([[1, 7, 'Removed']])
  })

  it('finds it where the later events were numbered anew', async () => {
    const chain = await openChain()
    await tamper(
      `delete from audit_events where ${at(chain, 4)};
       update audit_events set position = position + 99 where organization_id = '${chain.id}' and position > 4;
       update audit_events set position = position - 100 where organization_id = '${chain.id}' and position > 4;
       update audit_heads set position = 6 where organization_id = '${chain.id}'`,
    )
    expect(await chain.broken()).toEqual(expect.arrayContaining([4, 5, 6]))
  })

  it('finds an end that was cut off together with the head, from all that the rows tell', async () => {
    for (const link of [
      'link',
      `(select hash from audit_events where organization_id = h.organization_id and position = 5)`,
    ]) {
      const chain = await openChain()
      await tamper(
        `delete from audit_events where organization_id = '${chain.id}' and position > 5;
         update audit_heads h set position = 5, link = ${link} where organization_id = '${chain.id}'`,
      )
      expect((await chain.verify()).problems).toMatchObject([
        { position: null, problem: expect.stringMatching(/^The end of the chain is not the one/) },
      ])
      // What is recorded after that does not heal it.
      await record(chain.id, 'afterwards')
      expect(await chain.broken()).toEqual([6])
    }
  })

  it('finds two events that took each other’s place', async () => {
    const chain = await openChain()
    await tamper(
      `update audit_events set position = 1000 where ${at(chain, 3)};
       update audit_events set position = 3 where ${at(chain, 4)};
       update audit_events set position = 4 where ${at(chain, 1000)}`,
    )
    expect(await chain.broken()).toEqual(expect.arrayContaining([3, 4]))
    const texts = await openChain()
    await tamper(
      `update audit_events one set target = other.target from audit_events other
       where one.organization_id = '${texts.id}' and other.organization_id = one.organization_id
         and one.position in (3, 4) and other.position = 7 - one.position`,
    )
    expect(await texts.broken()).toEqual([3, 4])
  })

  it('finds an event that was slipped in, with a position or without, behind the end or between', async () => {
    const add = (chain: Chain, position: string, from = 4) =>
      tamper(
        `insert into audit_events (id, organization_id, at, action, actor, position, key_id, hash)
         select 'evt_' || md5(random()::text), '${chain.id}', at, action, 'stranger', ${position}, key_id, hash
         from audit_events where ${at(chain, from)}`,
      )
    const behind = await openChain()
    await add(behind, '8')
    expect((await behind.verify()).problems).toMatchObject([
      { position: 8, problem: expect.stringMatching(/^It lies behind the end of the chain/) },
    ])
    const withHead = await openChain()
    await add(withHead, '8')
    await tamper(`update audit_heads set position = 8 where organization_id = '${withHead.id}'`)
    expect(await withHead.broken()).toContain(8)
    const without = await openChain()
    await add(without, 'null')
    expect((await without.verify()).problems).toMatchObject([
      { position: null, problem: expect.stringMatching(/^Of the events from before the chain/) },
    ])
    const between = await openChain()
    await tamper(
      `update audit_events set position = position + 1000 where organization_id = '${between.id}' and position > 4;
       update audit_events set position = position - 999 where organization_id = '${between.id}' and position > 1000;
       update audit_heads set position = 8 where organization_id = '${between.id}'`,
    )
    await add(between, '5')
    expect(await between.broken()).toEqual(expect.arrayContaining([5, 6]))
    const early = await openChain()
    await add(early, '0')
    expect(await early.broken()).toEqual([0])
    const plain = await openChain()
    await tamper(
      `insert into audit_events (id, organization_id, action, actor, position) values ('evt_plain', '${plain.id}', 'x', 'y', 8)`,
    )
    await tamper(`update audit_heads set position = 8 where organization_id = '${plain.id}'`)
    expect(await plain.broken()).toContain(8)
  })

  it('finds a head that was changed, and one that is gone, after which nothing is recorded', async () => {
    const changed = await openChain()
    await tamper(`update audit_heads set link = sha256('') where organization_id = '${changed.id}'`)
    expect((await changed.verify()).problems).toHaveLength(1)
    const gone = await openChain()
    await tamper(`delete from audit_heads where organization_id = '${gone.id}'`)
    expect((await gone.verify()).problems.map(({ problem }) => problem)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^The end of the chain is not recorded any more/)]),
    )
    await expect(record(gone.id, 'unrecorded')).rejects.toThrow(/head of the organization’s audit chain is missing/)
  })

  it('takes no event of another organization, and finds nothing where only another’s was changed', async () => {
    const [one, other] = [await openChain(), await openChain()]
    await tamper(
      `update audit_events one set at = other.at, action = other.action, actor = other.actor, target = other.target, hash = other.hash
       from audit_events other where one.organization_id = '${one.id}' and one.position = 4
         and other.organization_id = '${other.id}' and other.position = 4`,
    )
    expect(await one.broken()).toEqual(expect.arrayContaining([4]))
    expect(await other.broken()).toEqual([])
  })

  it('proves nothing without the server key of the events, and says which it needs', async () => {
    const chain = await openChain()
    const stranger = await openDependencies({
      ...{
        databaseUrl: world.databaseUrl,
        databaseConnections: 4,
        serverKey: `not ${serverKey}`,
        tokenPrefix: 'lk',
        log,
      },
      passwordCost: 4,
    })
    try {
      const { problems } = await verifyChain(stranger, chain.id)
      expect(problems).toMatchObject([{ position: 1, lastPosition: 7 }])
      expect(problems[0]?.problem).toContain(world.dependencies.digester.keyId)
    } finally {
      await stranger.close()
    }
  })
})

describe('the head of a chain', () => {
  it('goes forward only, whoever moves it, and the server cannot set its beginning', async () => {
    const chain = await openChain()
    const where = `where organization_id = '${chain.id}'`
    for (const change of [
      `update audit_heads set position = position - 1 ${where}`,
      `update audit_heads set link = sha256('') ${where}`,
      `delete from audit_heads ${where}`,
      'truncate audit_heads',
    ]) {
      await expect(world.sql(change), change).rejects.toMatchObject({ code: '42501' })
    }
    for (const column of ['organization_id', 'beginning']) {
      const change = withOrganization(world.dependencies.database, { organizationId: chain.id }, (transaction) =>
        transaction.execute(`update audit_heads set ${column} = ${column}`),
      )
      await expect(change).rejects.toMatchObject({ cause: { code: '42501' } })
    }
  })
})

describe('events from before the chain', () => {
  const migrations = fileURLToPath(new URL('../migrations/', import.meta.url))
  const journal = z.looseObject({ entries: z.array(z.looseObject({ tag: z.string() })) })
  let databaseUrl: string
  let dependencies: Awaited<ReturnType<typeof openDependencies>>
  let directory: string
  const ask = async (url: string, statement: string) => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(statement).finally(() => client.end())
  }
  const change = (statements: string) => ask(databaseUrl, `set session_replication_role = replica; ${statements}`)
  const olderId = 'org_01m85ta4yweb892sr130q46tk8'

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'latchkey-chain-'))
    await cp(migrations, directory, { recursive: true })
    const file = join(directory, 'meta/_journal.json')
    const everything = journal.parse(JSON.parse(await readFile(file, 'utf8')))
    const entries = everything.entries.filter(({ tag }) => tag < '0008')
    await writeFile(file, JSON.stringify({ ...everything, entries }))
    const name = `older_${process.pid}_${Math.random().toString(36).slice(2)}`
    await ask(inject('postgresUrl'), `create database ${name}`)
    databaseUrl = Object.assign(new URL(inject('postgresUrl')), { pathname: `/${name}` }).href
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await migrate(drizzle(client), { migrationsFolder: directory }).finally(() => client.end())
    await ask(
      databaseUrl,
      `insert into organizations (id, name, slug) values ('${olderId}', 'Older', 'older'), ('org_01m85ta4yweb892sr130q46tk9', 'New', 'new');
       insert into audit_events (id, organization_id, at, action, actor, target)
       select 'evt_' || md5(n::text), '${olderId}', now() - n % 7 * interval '1 day', 'token.created', 'someone', nullif('Token ' || n, 'Token 5')
       from generate_series(1, 2500) n`,
    )
    await migrateDatabase(databaseUrl)
    dependencies = await openDependencies({
      ...{ databaseUrl, databaseConnections: 4, serverKey, tokenPrefix: 'lk', log, passwordCost: 4 },
    })
  })
  afterAll(async () => {
    await dependencies.close()
    await ask(inject('postgresUrl'), `drop database ${new URL(databaseUrl).pathname.slice(1)} with (force)`)
    await rm(directory, { recursive: true, force: true })
  })
  const older = () => chainOf(olderId, 'older', dependencies)

  it('are held together by the beginning of the chain, with events after it and without', async () => {
    expect(await older().verify()).toEqual({
      events: 0,
      unchained: 2_500,
      last: null,
      problems: [],
      furtherProblems: 0,
    })
    await record(olderId, 'First of the chain', dependencies)
    expect(await older().verify()).toMatchObject({ events: 1, unchained: 2_500, problems: [] })
    const fresh = chainOf('org_01m85ta4yweb892sr130q46tk9', 'new', dependencies)
    expect(await fresh.verify()).toMatchObject({ events: 0, unchained: 0, problems: [] })
  })

  it('are found to be changed, removed and added, and once there is an event after them, also with the beginning', async () => {
    const one = `organization_id = '${olderId}' and id = 'evt_' || md5('5')`
    for (const [statement, undo] of [
      [`update audit_events set target = '' where ${one}`, `update audit_events set target = null where ${one}`],
      [
        `update audit_events set at = at + interval '1 millisecond' where ${one}`,
        `update audit_events set at = at - interval '1 millisecond' where ${one}`,
      ],
      [
        `create table kept as select * from audit_events where ${one}; delete from audit_events where ${one}`,
        'insert into audit_events select * from kept; drop table kept',
      ],
      [
        `insert into audit_events (id, organization_id, action, actor) values ('evt_new', '${olderId}', 'x', 'y')`,
        `delete from audit_events where id = 'evt_new'`,
      ],
    ] as const) {
      await change(statement)
      expect((await older().verify()).problems, statement).toMatchObject([
        { position: null, problem: expect.stringMatching(/^Of the events from before the chain/) },
      ])
      await change(undo)
      expect((await older().verify()).problems, undo).toEqual([])
    }
    await change(
      `delete from audit_events where organization_id = '${olderId}' and position is null;
       update audit_heads set beginning = sha256('') where organization_id = '${olderId}'`,
    )
    expect(await older().broken()).toEqual([1])
  })
})

describe('latchkey audit verify', () => {
  async function verify(...commandArguments: string[]) {
    const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
    input.end()
    const environment = { DATABASE_URL: world.databaseUrl, LATCHKEY_SECRET: serverKey }
    const code = await runCommandLine(['audit', 'verify', ...commandArguments], { input, output, errors, environment })
    return { code, stdout: String(output.read() ?? ''), stderr: String(errors.read() ?? '') }
  }

  it('ends with 0 where a log is as it was recorded, and says how far it reaches', async () => {
    const chain = await openChain()
    const { last } = await chain.verify()
    const ran = await verify('--organization', chain.slug)
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toBe(
      `${chain.slug}: 7 events, the last at position 7 (${last?.id}, ${last?.at?.toISOString().slice(0, 16).replace('T', ' ')} UTC). None was changed, removed or added.\n`,
    )
    const json = await verify('--organization', chain.slug, '--json')
    expect(json).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(json.stdout)).toEqual([
      {
        ...{ organization: chain.slug, events: 7, unchained: 0, problems: [], furtherProblems: 0 },
        last: { position: 7, id: last?.id, at: last?.at?.toISOString() },
      },
    ])
  })

  it('ends with 1 where one is not, and says what is missing and what was changed, in every organization', async () => {
    const [one, other] = [await openChain(), await openChain()]
    await tamper(`update audit_events set actor = 'nobody' where ${at(one, 3)}`)
    await tamper(`delete from audit_events where organization_id = '${other.id}' and position in (4, 5)`)
    const { problems } = await one.verify()
    const ran = await verify()
    expect(ran.code).toBe(1)
    expect(ran.stdout).toContain(`${one.slug}: 7 events`)
    expect(ran.stdout).toMatch(
      new RegExp(`\\n3 +${problems[0]?.id} +${problems[0]?.at?.toISOString()} +It is not as it was recorded`),
    )
    expect(ran.stdout).toMatch(/\n4–5 +Removed/)
    expect(ran.stderr).toContain(one.slug)
    expect(ran.stderr).toContain(other.slug)
    const json = await verify('--json')
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toEqual(
      expect.arrayContaining([expect.objectContaining({ organization: one.slug, problems: [expect.anything()] })]),
    )
    for (const text of [ran.stdout, ran.stderr, json.stdout]) {
      for (const secret of [serverKey, password, world.service.secret]) expect(text).not.toContain(secret)
    }
  })

  it('names an organization that there is not as such', async () => {
    expect(await verify('--organization', 'nowhere')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('There is no organization with this slug.'),
    })
  })
})
