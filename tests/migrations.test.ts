import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient, unwrap } from '@latchkey/sdk'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import manifest from '../package.json' with { type: 'json' }
import { readConfig } from '../server/config.ts'
import { migrateDatabase } from '../server/database/migrate.ts'
import { start } from '../server/start.ts'
import { refusedIn } from './migration-rules.ts'
import { openWorld, password, serverKey, type World } from './world.ts'

const migrations = fileURLToPath(new URL('../migrations', import.meta.url))
const journalForm = z.looseObject({ entries: z.array(z.looseObject({ when: z.number(), tag: z.string() })) })
const readJournal = async (folder = migrations) =>
  journalForm.parse(JSON.parse(await readFile(join(folder, 'meta/_journal.json'), 'utf8')))
const read = (tag: string) => readFile(join(migrations, `${tag}.sql`), 'utf8')
const { entries } = await readJournal()

/**
 * The last migration that no version was released before: none runs beside it, or beside those that it follows. It moves on
 * until 0.1.0 is released, and never after that.
 */
const baseline = '0012_policies_and_roles'

/**
 * What takes something away from the version before on purpose, with the version since which nothing uses it: that one has
 * to be released before, so that it is what runs beside the migration.
 */
const contractions: { migration: string; statement: string; unusedSince: string; why: string }[] = []

describe('a migration', () => {
  const later = entries.slice(entries.findIndex(({ tag }) => tag === baseline) + 1).map(({ tag }) => tag)

  it('takes nothing away that the version before uses, unless it is listed as unused since a version before', async () => {
    expect(entries.map(({ tag }) => tag)).toContain(baseline)
    const met = new Set<unknown>()
    for (const migration of later) {
      const refused = refusedIn(await read(migration)).filter(({ statement }) => {
        const listed = contractions.find((one) => one.migration === migration && one.statement === statement)
        met.add(listed)
        return !listed
      })
      expect(refused, `${migration}: the version before cannot run beside it`).toEqual([])
    }
    for (const contraction of contractions) {
      expect(met, 'a listed contraction is made by no migration').toContain(contraction)
      expect(isBefore(contraction.unusedSince, manifest.version), contraction.statement).toBe(true)
    }
  })

  // The migrator looks at the newest one that was applied and leaves out, without a word, what seems older.
  it('is younger than the one before, whatever branches they come from', () => {
    const times = entries.map(({ when }) => when)
    expect(times).toEqual([...new Set(times)].sort((one, other) => one - other))
  })
})

const isBefore = (one: string, other: string) => one.localeCompare(other, 'en', { numeric: true }) < 0

describe('the rules for migrations', () => {
  const reasonsFor = (migration: string) => refusedIn(migration).map(({ reason }) => reason)

  it.each([
    ['drop table groups', 'may still use it'],
    ['drop index groups_name_taken', 'may still use it'],
    ['drop trigger add_token_use on integration_tokens', 'may still use it'],
    ['alter table tokens drop column label', 'still reads and writes it'],
    ['ALTER TABLE "tokens" DROP "label"', 'still reads and writes it'],
    ['alter table only public.tokens drop column if exists label', 'still reads and writes it'],
    ['alter table tokens add column kind text, drop column label', 'still reads and writes it'],
    ['alter table tokens drop constraint tokens_kind', 'what it excludes'],
    ['alter table tokens rename to credentials', 'by its old name'],
    ['alter table tokens rename column label to name', 'by its old name'],
    ['alter index tokens_label rename to tokens_name', 'by its old name'],
    ['alter table tokens alter column label type varchar(10)', 'as it was'],
    ['alter table tokens alter label set data type citext', 'as it was'],
    ['alter table tokens alter column label set not null', 'leave it out'],
    ['alter table tokens alter column label drop default', 'leave it out'],
    ['alter table tokens alter column label drop not null', 'does not expect that it is missing'],
    ['alter table tokens add column kind text not null', 'adds rows without it'],
    ['alter table tokens add column kind uuid default gen_random_uuid() not null', 'computed for each row'],
    ['alter table tokens add column kind text generated always as (lower(label)) stored', 'computed for each row'],
    ['alter table tokens add column kind text unique', 'An index keeps writers out'],
    [`alter table tokens add column kind text check (kind <> '')`, 'A constraint on an existing table'],
    [`alter table tokens add constraint tokens_label check (label <> '')`, 'rows that it would refuse'],
    [`alter table tokens add constraint tokens_label check (label <> '') not valid`, 'rows that it would refuse'],
    [
      'alter table tokens add foreign key (label) references labels (label) on delete cascade not valid',
      'rows that it would refuse',
    ],
    ['create table uses (token_id text references tokens (id), at date)', 'may delete what it refers to'],
    [
      'create table uses (a text); alter table uses add foreign key (a, b) references tokens (a, b) on delete no action',
      'may delete what it refers to',
    ],
    ['alter table tokens add column maker text references members (id)', 'may delete what it refers to'],
    ['alter table tokens add constraint tokens_label unique (label)', 'An index keeps writers out'],
    ['alter table tokens add primary key (id)', 'An index keeps writers out'],
    ['alter table tokens enable row level security', 'takes rows away'],
    ['alter table tokens force row level security', 'not be bound by it'],
    ['alter table tokens no force row level security', 'forced again'],
    ['alter table tokens disable trigger all', 'No rule knows'],
    ['create index tokens_label on tokens (label)', 'An index keeps writers out'],
    ['create index if not exists tokens_label on tokens (label); create index other on tokens (id)', 'An index keeps'],
    ['create index concurrently tokens_label on tokens (label)', 'run in a transaction'],
    ['create unique index if not exists tokens_label on tokens (label)', 'rows that it would refuse'],
    ['create or replace function copy_token() returns trigger language plpgsql as $$ begin end $$', 'calls'],
    ['create policy narrow on tokens as restrictive using (enabled)', 'takes rows away'],
    ['revoke update on tokens from latchkey_server', 'may do with it'],
    ['update tokens set label = upper(label)', 'may mean something else'],
    [`alter table tokens add column kind text; update tokens set kind = ''`, 'until all of its rows are written'],
    ['delete from tokens where not enabled', 'still read these rows'],
    ['truncate tokens', 'still read these rows'],
    ['do $$ begin execute concat(1, 2); end $$', 'cannot be seen'],
    [`alter type token_kind add value 'x'`, 'No rule knows'],
    ['vacuum tokens', 'No rule knows'],
    [
      '-- a comment; with a semicolon\nalter table /* in the middle */ tokens drop column label',
      'still reads and writes',
    ],
    [`comment on table tokens is 'It''s old; dropped soon'; drop table tokens`, 'may still use it'],
  ])('refuse “%s”, and say why', (migration, reason) => {
    const reasons = reasonsFor(migration)
    expect(reasons).toHaveLength(1)
    expect(reasons[0]).toContain(reason)
  })

  it.each([
    'alter table tokens add column kind text',
    `ALTER TABLE "tokens" ADD COLUMN "kinds" text[] DEFAULT '{}'::text[] NOT NULL`,
    'alter table tokens add column since timestamp (3) with time zone default now() not null',
    'alter table tokens add column maker text references members (id) on delete set null',
    'create table kinds (a text, b text references organizations (id), foreign key (a, b) references tokens (a, b) on delete cascade)',
    `alter table tokens alter column label set default 'drop table tokens; truncate tokens'`,
    'alter table tokens validate constraint tokens_kind',
    'alter table tokens set (fillfactor = 90)',
    'alter table tokens add constraint tokens_key unique using index tokens_key',
    `alter table tokens add column kind text default 'A' not null;
     alter table tokens add constraint tokens_kind check (kind in ('A', 'B')) not valid`,
    `alter table tokens add column kind text;
     alter table tokens add constraint tokens_kind foreign key (id, kind) references kinds (id, kind) on delete cascade not valid`,
    `alter table tokens add column kind text; create unique index if not exists tokens_kind on tokens using btree (id, kind)`,
    `alter table services add column kind text; alter table services no force row level security;
     update services set kind = lower(name), kind = '' where name > ''; alter table services force row level security`,
    'create index if not exists tokens_label on tokens (label)',
    `create table kinds (id text primary key); alter table kinds add column label text not null;
     alter table kinds enable row level security, force row level security; create unique index kinds_label on kinds (label);
     alter table kinds add constraint kinds_label check (label <> ''); insert into kinds values ('a', 'A'); truncate kinds;
     revoke all on kinds from public; create policy own on kinds using (true)`,
    'create function drop_all() returns trigger language plpgsql as $body$ begin drop table tokens; end $body$',
    'create trigger tell after insert on tokens for each row execute function tell()',
    'grant select on tokens to latchkey_lookup',
  ])('let through “%s”', (migration) => {
    expect(refusedIn(migration)).toEqual([])
  })

  it('would have let through the webhooks, and neither last uses in a table of their own nor roles with a unique name', async () => {
    expect(reasonsFor(await read('0011_webhooks'))).toEqual([])
    const moved = refusedIn(await read('0005_verdicts_and_uses')).map(({ statement }) => statement)
    expect(moved).toEqual(expect.arrayContaining(['alter table integration_tokens drop column last_used_at']))
    const named = refusedIn(await read('0012_policies_and_roles')).map(({ statement }) =>
      statement.replace(/ (?:unique|check).*/, ''),
    )
    expect(named).toEqual([
      'alter table token_roles alter column label_key set not null',
      'alter table token_roles add constraint token_roles_label_taken',
      'alter table token_roles add constraint token_roles_reserved',
    ])
  })
})

describe('a database', () => {
  let world: World
  let directory: string
  beforeAll(async () => {
    world = await openWorld()
    directory = await mkdtemp(join(tmpdir(), 'latchkey-migrations-'))
  })
  afterAll(async () => {
    await world[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  })

  /** This version's migrations, changed to those of another one. */
  async function migrationsOf(version: string, change: (journal: z.infer<typeof journalForm>) => void) {
    const folder = join(directory, version)
    await cp(migrations, folder, { recursive: true })
    const journal = await readJournal(folder)
    change(journal)
    await writeFile(join(folder, 'meta/_journal.json'), JSON.stringify(journal))
    return folder
  }
  async function apply(migrationsFolder: string, databaseUrl: string): Promise<void> {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await migrate(drizzle(client), { migrationsFolder }).finally(() => client.end())
  }
  async function run(databaseUrl: string, work: (address: string) => Promise<void>): Promise<string[]> {
    const said: string[] = []
    const config = readConfig({ DATABASE_URL: databaseUrl, LATCHKEY_SECRET: serverKey, PORT: '0' })
    const log = pino({ level: 'silent' })
    const running = await start(config, { log, announce: (text) => said.push(text) })
    await work(running.address).finally(() => running.close())
    return said
  }
  const isReady = async (url: string) => (await fetch(`${url}/readyz`)).ok

  it('of the next version is served by this one: by instances that run, and by those that start', async () => {
    const next = await migrationsOf('next', ({ entries }) => {
      const when = (entries.at(-1)?.when ?? 0) + 1
      entries.push({ ...entries.at(-1), idx: entries.length, when, tag: '9999_next_version' })
    })
    const statement =
      'alter table integration_tokens add column color text; create table colors (name text primary key);'
    expect(refusedIn(statement)).toEqual([])
    await writeFile(join(next, '9999_next_version.sql'), statement)
    const { createToken } = await world.alpha.owner.createToken({ input: { label: 'Before', roleId: 'role_ci' } })
    const { secret } = unwrap(createToken)
    await apply(next, world.databaseUrl)
    expect(await world.sql('select color from integration_tokens')).toEqual([{ color: null }])

    expect(await isReady(world.url)).toBe(true)
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    const said = await run(world.databaseUrl, async (address) => {
      expect(await isReady(address)).toBe(true)
      expect(await world.introspect(secret, { url: address })).toMatchObject({ active: true })
      const stranger = createClient({ url: address })
      const { signIn } = await stranger.signIn({ input: { email: world.alpha.owner.email, password } })
      const owner = stranger.with({ credential: unwrap(signIn).sessionToken })
      unwrap((await owner.createToken({ input: { label: 'After', roleId: 'role_ci' } })).createToken)
    })
    expect(said).toEqual([])
    const applied = await world.sql<{ count: string }>('select count(*) from drizzle.__drizzle_migrations')
    expect(Number(applied[0]?.count)).toBe(entries.length + 1)
  })

  /** A database that only these migrations were applied to. */
  async function openOlder(folder: string) {
    const name = `test_older_${process.pid}`
    const databaseUrl = new URL(inject('postgresUrl'))
    databaseUrl.pathname = `/${name}`
    await world.sql(`create database ${name}`)
    await apply(folder, databaseUrl.href)
    return {
      url: databaseUrl.href,
      async [Symbol.asyncDispose]() {
        await world.sql(`drop database ${name} with (force)`)
      },
    }
  }

  it('of the version before is brought up to date by the first instance that starts, which says so', async () => {
    await using database = await openOlder(await migrationsOf('before', ({ entries }) => entries.pop()))
    const serving = async (address: string) => expect(await isReady(address)).toBe(true)
    expect(await run(database.url, serving)).toEqual(['Brought the database up to date: 1 migration applied.'])
    expect(await run(database.url, serving)).toEqual([])
  })

  it('is migrated once nobody has the tables open any more, and nobody waits behind the migration meanwhile', async () => {
    const isFromBaseline = (tag: string) => tag >= baseline
    const older = await migrationsOf('older', ({ entries }) => {
      entries.splice(entries.findIndex(({ tag }) => isFromBaseline(tag)))
    })
    await using database = await openOlder(older)
    await using stack = new AsyncDisposableStack()
    const [dump, other] = [database, database].map(({ url }) => new pg.Client({ connectionString: url }))
    if (!dump || !other) throw new Error('There are two clients.')
    for (const client of [dump, other]) {
      await client.connect()
      stack.defer(() => client.end())
    }
    // As a dump has it open, which lets everyone else read and write.
    await dump.query('begin; lock table organizations in access share mode')
    let isMigrated = false
    const migrating = migrateDatabase(database.url).finally(() => {
      isMigrated = true
    })
    const waits: number[] = []
    for (const until = performance.now() + 3_000; performance.now() < until; await delay(20)) {
      const askedAt = performance.now()
      await other.query('select count(*) from organizations')
      waits.push(performance.now() - askedAt)
    }
    expect(isMigrated).toBe(false)
    // Some did wait behind it, or it would not have tried.
    expect(Math.max(...waits)).toBeGreaterThan(500)
    expect(Math.max(...waits)).toBeLessThan(1_900)
    await dump.query('commit')
    expect(await migrating).toBe(entries.filter(({ tag }) => isFromBaseline(tag)).length)
  })
})
