import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { unwrap } from '@latchkey/sdk'
import { generateDrizzleJson, generateMigration } from 'drizzle-kit/api'
import { type SQL, sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import { migrateDatabase } from '../server/database/migrate.ts'
import { openDatabase, RolesMissing } from '../server/database/pool.ts'
import * as tables from '../server/database/tables.ts'
import { databaseCause, sqlState } from '../server/database/unavailable.ts'
import { type Scope, withOrganization } from '../server/database/with-organization.ts'
import { createId, type OrganizationId } from '../server/identifiers.ts'
import { signIn } from '../server/identity/service.ts'
import { createMetrics } from '../server/observability/metrics.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { addDomain, addMember, createOrganization } from '../server/organizations/operator.ts'
import { createToken, deleteToken, findToken } from '../server/tokens/service.ts'
import { type OwnPostgres, openOwnPostgres } from './fault-run/own-postgres.ts'
import { openWorld, password, type TestOrganization, type World } from './world.ts'

const log = pino({ level: 'silent' })
/** No statement of the server's sets the column that says whose their rows are. */
const neverGiven = ['audit_events', 'audit_heads', 'webhook_attempts']
const managedRoles = ['role_ci', 'role_jira', 'role_scim', 'role_service_account']

let world: World
/** The tables that hold rows of organizations. */
let tenantTables: TenantTable[]
let own: Prepared
let foreign: Prepared

interface TenantTable {
  name: string
  /** The column that says whose a row is. */
  key: string
}

interface Prepared {
  tokenId: string
  secret: string
  roleId: string
  accessToken: string
}

beforeAll(async () => {
  world = await openWorld()
  tenantTables = await listTenantTables()
  own = await prepare(world.alpha)
  foreign = await prepare(world.beta)
  // What is written behind is written now, and not between two readings that are compared.
  await world.dependencies.lastUse.flush()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('row-level security', () => {
  it('is tried on tables that each hold rows of both organizations', async () => {
    const names = tenantTables.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['organizations', 'members', 'integration_tokens', 'audit_events']))
    for (const table of tenantTables) {
      for (const { id } of [world.alpha, world.beta]) {
        expect([table.name, (await stored(table, id)).length > 0]).toEqual([table.name, true])
      }
    }
  })

  it('shows a statement without any condition the organization’s rows alone, and managed roles', async () => {
    for (const table of tenantTables) {
      for (const { id } of [world.alpha, world.beta]) {
        const managed = table.name === 'token_roles' ? await stored(table, null) : []
        const due = [...(await stored(table, id)), ...managed].sort()
        expect([table.name, (await visible(table, { organizationId: id })).sort()]).toEqual([table.name, due])
      }
    }
  })

  it('shows nothing where no organization is set, also on a connection that has just served one', async () => {
    const { server } = world.dependencies.database
    for (const table of tenantTables) {
      await visible(table, { organizationId: world.alpha.id })
      const { rows } = await server.query(`select * from ${table.name} where ${table.key} is not null`)
      expect([table.name, rows]).toEqual([table.name, []])
    }
    const [row = ''] = await stored({ name: 'members', key: 'organization_id' }, world.alpha.id)
    const insert = 'insert into members select * from jsonb_populate_record(null::members, $1)'
    expect(await refusalOf(server.query(insert, [row]))).toMatch(/^42501 new row violates row-level security policy/)
  })

  it('refuses to insert another organization’s row, and to give one of its own away', async () => {
    for (const { name, key } of tenantTables) {
      const [row = ''] = await stored({ name, key }, world.beta.id)
      const table = sql.identifier(name)
      const insert = sql`insert into ${table} select * from jsonb_populate_record(null::${table}, ${row}::jsonb)`
      const give = sql`update ${table} set ${sql.identifier(key)} = ${world.beta.id}`
      const scope = { organizationId: world.alpha.id }
      expect(await refusalOf(within(scope, insert))).toMatch(/^42501 new row violates row-level security policy/)
      // Nothing at all may change an event, nor whose chain a head is of.
      const refusal = neverGiven.includes(name)
        ? /^42501 permission denied/
        : /^42501 new row violates row-level security/
      expect(await refusalOf(within(scope, give))).toMatch(refusal)
    }
  })

  it('lets a change or a removal without any condition reach the organization’s rows alone', async () => {
    const neverRemoved = ['organizations', ...neverGiven]
    for (const table of tenantTables) {
      const [name, key] = [sql.identifier(table.name), sql.identifier(table.key)]
      const { length } = await stored(table, world.alpha.id)
      const reached = { rowCount: length, owners: [world.alpha.id] }
      const update = await ownersOf(sql`update ${name} set ${key} = ${key} returning ${key} as owner`)
      const remove = await ownersOf(sql`delete from ${name} returning ${key} as owner`)
      expect([table.name, update]).toEqual([table.name, neverGiven.includes(table.name) ? 'refused' : reached])
      expect([table.name, remove]).toEqual([table.name, neverRemoved.includes(table.name) ? 'refused' : reached])
    }
  })

  it('opens to a person their own sessions in other organizations, and nobody else’s', async () => {
    const email = 'both@people.example'
    const membership = { email, role: 'MEMBER' } as const
    await addMember(world.dependencies, { ...membership, organization: world.alpha.slug, password })
    await addMember(world.dependencies, { ...membership, organization: world.beta.slug, password: null })
    const origin = { ipAddress: null, userAgent: null }
    const { principal } = await signIn({ ...world.dependencies, origin }, { email, password, slug: world.beta.slug })
    const { personId } = principal
    const sessions = { name: 'sessions', key: 'organization_id' }
    const elsewhere = await world.sql<{ row: string }>(
      'select to_jsonb(s)::text as row from sessions s where organization_id = $1 and person_id = $2',
      [world.beta.id, personId],
    )
    expect(elsewhere).toHaveLength(1)
    const due = [...(await stored(sessions, world.alpha.id)), ...elsewhere.map(({ row }) => row)]
    expect((await visible(sessions, { organizationId: world.alpha.id, personId })).sort()).toEqual(due.sort())
    for (const table of tenantTables.filter(({ name }) => name !== 'sessions')) {
      const scopes = [{ organizationId: world.alpha.id, personId }, { organizationId: world.alpha.id }]
      const [withPerson, without] = await Promise.all(scopes.map((scope) => visible(table, scope)))
      expect(withPerson).toEqual(without)
    }
  })

  it('is passed by in one function only, which keeps to the organization by itself', async () => {
    const functions = await world.sql(
      `select proname from pg_proc where prosecdef and has_function_privilege('latchkey_server', oid, 'execute')`,
    )
    expect(functions).toEqual([{ proname: 'token_ids_matching' }])
    const matching = sql`select token_ids_matching('jenkins', 1000) as id`
    expect((await within({ organizationId: world.alpha.id }, matching)).rows).toEqual([{ id: own.tokenId }])
    expect((await world.dependencies.database.server.query(`select token_ids_matching('jenkins', 1000)`)).rows).toEqual(
      [],
    )
  })

  it('is enabled, forced, and has a policy, for every table with a column organization_id, and no view goes around it', async () => {
    expect(await findUnprotected()).toEqual([])
    await world.sql('create table forgotten (organization_id text)')
    expect(await findUnprotected()).toEqual(['forgotten'])
    await world.sql('alter table forgotten enable row level security')
    await world.sql(
      'create policy own on forgotten to latchkey_server using (organization_id = current_organization_id())',
    )
    expect(await findUnprotected()).toEqual(['forgotten'])
    await world.sql('alter table forgotten force row level security')
    expect(await findUnprotected()).toEqual([])
    await world.sql('create policy wide on forgotten to latchkey_server using (true)')
    expect(await findUnprotected()).toEqual(['forgotten'])
    await world.sql('drop table forgotten')
    await world.sql('create view around as select * from members')
    expect(await findUnprotected()).toEqual(['around'])
    await world.sql('drop view around')
  })

  /** Tables and views with organizations’ rows that something could read or write without being confined to one. */
  async function findUnprotected(): Promise<string[]> {
    const rows = await world.sql<{ name: string }>(
      `select c.relname as name from pg_class c
       where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
         and (c.relname = 'organizations' or exists (
           select from pg_attribute where attrelid = c.oid and attname = 'organization_id' and not attisdropped))
         and not (c.relrowsecurity and c.relforcerowsecurity
           and exists (select from pg_policies p where p.schemaname = 'public' and p.tablename = c.relname
             and 'latchkey_server' = any(p.roles))
           and not exists (select from pg_policies p where p.schemaname = 'public' and p.tablename = c.relname
             and p.roles && '{latchkey_server,public}'::name[]
             and 'true' in (p.qual, p.with_check)))
       order by 1`,
    )
    return rows.map(({ name }) => name)
  }

  /** Whose rows a statement within alpha reached. */
  async function ownersOf(statement: SQL): Promise<{ rowCount: number; owners: string[] } | 'refused'> {
    try {
      const { rows, rowCount } = await within({ organizationId: world.alpha.id }, statement)
      const owners = z.array(z.object({ owner: z.string() })).parse(rows)
      return { rowCount, owners: [...new Set(owners.map(({ owner }) => owner))] }
    } catch (error) {
      if (/^42501 permission denied for table/.test(await refusalOf(Promise.reject(error)))) return 'refused'
      throw error
    }
  }
})

describe('the server’s roles', () => {
  const roles = ['latchkey_lookup', 'latchkey_server']

  it('are no superusers, pass nothing by, own no table, and are members of nothing', async () => {
    const found = await world.sql(
      `select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin,
         exists (select from pg_class where relowner = r.oid) as owns,
         exists (select from pg_auth_members where member = r.oid) as "isMember",
         has_schema_privilege(rolname, 'public', 'create') as creates
       from pg_roles r where rolname = any($1) order by 1`,
      [roles],
    )
    const nothing = {
      rolsuper: false,
      rolbypassrls: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolcanlogin: false,
    }
    expect(found).toEqual(
      roles.map((rolname) => ({ rolname, ...nothing, owns: false, isMember: false, creates: false })),
    )
  })

  it('let the look-up write when a credential was last used, and nothing else', async () => {
    const written = await world.sql<{ written: string }>(
      `select table_name || '.' || column_name || ' ' || privilege_type as written from information_schema.column_privileges
       where grantee in ('latchkey_lookup', 'PUBLIC') and table_schema in ('public', 'drizzle') and privilege_type <> 'SELECT' order by 1`,
    )
    expect(written.map((row) => row.written)).toEqual([
      'access_tokens.last_used_at UPDATE',
      'services.last_used_at UPDATE',
      'sessions.last_used_at UPDATE',
      'token_secrets.last_used_at UPDATE',
      'token_uses.last_used_at UPDATE',
      'token_uses.last_used_from UPDATE',
    ])
    const granted = await world.sql(
      `select table_name, privilege_type from information_schema.table_privileges
       where grantee in ('latchkey_lookup', 'PUBLIC') and table_schema in ('public', 'drizzle') and privilege_type <> 'SELECT'`,
    )
    expect(granted).toEqual([])
  })

  it('let the look-up read neither the audit log nor what retries creations, nor what webhooks are and are sent', async () => {
    const { lookup } = world.dependencies.database
    const closed = ['audit_events', 'audit_heads', 'idempotency_keys', 'sign_in_attempts', 'rates']
    for (const table of [...closed, 'webhooks', 'webhook_deliveries', 'webhook_attempts']) {
      expect(await refusalOf(lookup.query(`select * from ${table}`))).toBe(`42501 permission denied for table ${table}`)
    }
    for (const change of [
      `update integration_tokens set role_id = 'role_scim'`,
      'update token_secrets set accepted_until = null',
      `update members set role = 'OWNER'`,
      'delete from sessions',
      `insert into people (id, email) values ('per_x', 'x@x.example')`,
    ]) {
      expect(await refusalOf(lookup.query(change))).toMatch(/^42501 permission denied for table/)
    }
  })

  it('are all that the server works with: it does not start with a login that cannot take them both', async () => {
    await withLogin(async (login, url) => {
      const open = () => openDatabase({ url, connections: 4, log, metrics: createMetrics(), tracing: null })
      await expect(open()).rejects.toThrow(RolesMissing)
      await world.sql(`grant latchkey_server to ${login}`)
      await expect(open()).rejects.toThrow(RolesMissing)
      await world.sql(`grant latchkey_lookup to ${login}`)
      await (await open()).close()
    })
  })

  it('are refused where row-level security would not bind them', async () => {
    const open = () =>
      openDatabase({ url: world.databaseUrl, connections: 4, log, metrics: createMetrics(), tracing: null })
    await world.sql('create table own (); alter table own owner to latchkey_lookup')
    await expect(open()).rejects.toThrow(RolesMissing)
    await world.sql('drop table own')
    await (await open()).close()
  })

  it('bind a login of no power of its own: everything works with it, within one organization', async () => {
    await withLogin(async (login, url) => {
      await world.sql(`grant latchkey_server, latchkey_lookup to ${login}`)
      await liveOn(url)
    })
  })

  /** A login without any membership, for as long as `work` takes. */
  async function withLogin(work: (login: string, url: string) => Promise<void>): Promise<void> {
    const login = `login_${process.pid}_${Math.random().toString(36).slice(2)}`
    await world.sql(`create role ${login} login password 'tests'`)
    try {
      await work(login, addressOf(world.databaseUrl, { login }))
    } finally {
      await world.sql(`drop role ${login}`)
    }
  }
})

describe('the audit log', () => {
  it('is only ever added to, also by a superuser and by whoever empties the tables around it', async () => {
    const before = await world.sql('select * from audit_events order by id')
    const [row] = await world.sql<{ id: string }>('select id from audit_events limit 1')
    for (const change of [
      `update audit_events set actor = 'nobody'`,
      'delete from audit_events',
      `delete from audit_events where id = '${row?.id}'`,
      'truncate audit_events',
      'truncate organizations cascade',
      `insert into audit_events select * from audit_events where id = '${row?.id}' on conflict (id) do update set actor = 'nobody'`,
    ]) {
      expect([change, await refusalOf(world.sql(change))]).toEqual([
        change,
        '42501 Events of the audit log are only ever added.',
      ])
    }
    for (const change of [
      'update audit_events set actor = actor',
      'delete from audit_events',
      'truncate audit_events',
    ]) {
      const refusal = await refusalOf(within({ organizationId: world.alpha.id }, sql.raw(change)))
      expect(refusal).toBe('42501 permission denied for table audit_events')
    }
    expect(await world.sql('select * from audit_events order by id')).toEqual(before)
  })
})

describe('the migrations', () => {
  it('make what the tables in the code describe: the same columns, indexes and constraints', async () => {
    const { databaseUrl, drop } = await emptyDatabase()
    try {
      // The first one holds what tables rest on and the code does not describe: roles, extensions, functions.
      const [first = ''] = (await readdir(migrations)).filter(isSql).sort()
      await ask(databaseUrl, await readFile(new URL(first, migrations), 'utf8'))
      const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson(tables))
      await ask(databaseUrl, statements.join('\n'))
      const described = await readCatalogue(databaseUrl)
      expect(described).toContain('column audit_events.at timestamp(3) with time zone not null default now()')
      expect(await readCatalogue(world.databaseUrl)).toEqual(described)
    } finally {
      await drop()
    }
  })

  it('leave nothing for the next one to make: the newest snapshot is that of the tables in the code', async () => {
    const { entries } = journal.parse(JSON.parse(await readFile(new URL('meta/_journal.json', migrations), 'utf8')))
    const files = (await readdir(migrations)).filter(isSql).sort()
    expect(files).toEqual(entries.map(({ tag }) => `${tag}.sql`))
    const newest = String(entries.at(-1)?.idx).padStart(4, '0')
    const snapshot = JSON.parse(await readFile(new URL(`meta/${newest}_snapshot.json`, migrations), 'utf8'))
    expect(await generateMigration(snapshot, generateDrizzleJson(tables))).toEqual([])
  })

  it('run twice change nothing the second time', async () => {
    const { databaseUrl, drop } = await emptyDatabase()
    try {
      expect(await migrateDatabase(databaseUrl)).toBeGreaterThan(0)
      const first = await readCatalogue(databaseUrl)
      expect(await migrateDatabase(databaseUrl)).toBe(0)
      expect(await readCatalogue(databaseUrl)).toEqual(first)
    } finally {
      await drop()
    }
  })

  it('run by two processes at once on an empty database are applied once', async () => {
    const { databaseUrl, drop } = await emptyDatabase()
    try {
      const applied = await Promise.all([migrateElsewhere(databaseUrl), migrateElsewhere(databaseUrl)])
      expect(applied.sort((a, b) => a - b)).toEqual([0, (await readdir(migrations)).filter(isSql).length])
      expect(await readCatalogue(databaseUrl)).toEqual(await readCatalogue(world.databaseUrl))
    } finally {
      await drop()
    }
  })

  describe('on a server that has never seen Latchkey', { timeout: 60_000 }, () => {
    let directory: string
    let server: OwnPostgres
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'latchkey-tenancy-'))
      server = await openOwnPostgres()
      await server.start()
    })
    afterAll(async () => {
      await server[Symbol.asyncDispose]()
      await rm(directory, { recursive: true, force: true })
    })

    it('run on two databases at once make the roles, which belong to both', async () => {
      await ask(server.url, 'create database one')
      await ask(server.url, 'create database two')
      const urls = ['one', 'two'].map((database) => addressOf(server.url, { database }))
      const applied = await Promise.all(urls.map(migrateElsewhere))
      expect(applied[0]).toBeGreaterThan(0)
      expect(applied[1]).toBe(applied[0])
      for (const url of urls)
        await (await openDatabase({ url, connections: 4, log, metrics: createMetrics(), tracing: null })).close()
      await ask(server.url, 'drop database one')
      await ask(server.url, 'drop database two')
      await ask(server.url, 'drop role latchkey_server, latchkey_lookup')
    })

    it('run by a login that may create roles, and is no superuser, make all that it needs to serve', async () => {
      await ask(server.url, `create role maker login createrole password 'tests'`)
      await ask(server.url, 'create database made owner maker')
      const url = addressOf(server.url, { login: 'maker', database: 'made' })
      expect(await migrateDatabase(url)).toBeGreaterThan(0)
      await liveOn(url)
    })

    it('run by such a login on a database of an older version keep what it holds', async () => {
      await ask(server.url, 'create database older owner maker')
      const url = addressOf(server.url, { login: 'maker', database: 'older' })
      const olderMigrations = join(directory, 'migrations')
      await cp(migrations, olderMigrations, { recursive: true })
      const journalFile = join(olderMigrations, 'meta/_journal.json')
      const everything = journal.parse(JSON.parse(await readFile(journalFile, 'utf8')))
      const entries = everything.entries.filter(({ tag }) => tag < '0005')
      await writeFile(journalFile, JSON.stringify({ ...everything, entries }))
      const maker = new pg.Client({ connectionString: url })
      await maker.connect()
      await migrate(drizzle(maker), { migrationsFolder: olderMigrations }).finally(() => maker.end())
      const superuser = addressOf(server.url, { database: 'older' })
      await ask(
        superuser,
        `insert into organizations (id, name, slug) values ('org_x', 'X', 'x');
         insert into integration_tokens (id, organization_id, label, label_key, search_text, role_id, enabled, created_at, expires_at,
           last_used_at, last_used_from, retired_secret_last_used_at)
         values ('tok_x', 'org_x', 'One', 'one', 'one', 'role_ci', false, '2026-01-01', '2026-12-31', '2026-02-01', '192.0.2.1', '2026-03-01');
         insert into token_secrets (digest, organization_id, token_id, key_id, hint) values ('\\x01', 'org_x', 'tok_x', 'k', 'abcd')`,
      )
      expect(await migrateDatabase(url)).toBe((await readdir(migrations)).filter(isSql).length - entries.length)
      const kept = await ask(
        superuser,
        `select token_label, token_role_id, token_enabled, token_created_at = '2026-01-01' and token_expires_at = '2026-12-31' as instants,
           last_used_from, u.last_used_at = '2026-02-01' and retired_secret_last_used_at = '2026-03-01' as uses
         from token_secrets join token_uses u using (token_id)`,
      )
      expect(kept).toEqual([
        {
          ...{ token_label: 'One', token_role_id: 'role_ci', token_enabled: false, instants: true },
          ...{ last_used_from: '192.0.2.1', uses: true },
        },
      ])
      expect(await readCatalogue(url)).toEqual(await readCatalogue(world.databaseUrl))
      await ask(server.url, 'drop database older')
    })
  })
})

describe('the code itself, without row-level security behind it', () => {
  let open: World
  beforeAll(async () => {
    open = await openWorld()
    for (const { name } of tenantTables) {
      await open.sql(`alter table ${name} no force row level security, disable row level security`)
    }
  })
  afterAll(() => open[Symbol.asyncDispose]())

  it('finds, changes and lists nothing of another organization', async () => {
    const { alpha, beta } = open
    const roleId = createId('role', open.dependencies)
    await open.sql(
      `insert into token_roles (id, organization_id, label, label_key, description, permissions) values ($1, $2, 'Auditor', 'auditor', 'Reads', '{findings:read}')`,
      [roleId, beta.id],
    )
    const idempotencyKey = 'first'
    const made = await beta.owner.createToken({ input: { label: 'Jenkins', roleId, idempotencyKey } })
    const { id } = unwrap(made.createToken).token
    const url = 'https://192.31.197.1/hooks'
    const hooked = await beta.owner.createWebhook({ input: { url, eventTypes: ['TOKEN_UPDATED'] } })
    const webhookId = unwrap(hooked.createWebhook).webhook.id
    unwrap((await beta.owner.updateToken({ input: { id, description: 'For main' } })).updateToken)
    const [delivery] = (await beta.owner.webhookDeliveries({ webhookId })).webhookDeliveries.nodes
    const deliveryId = delivery?.id ?? ''
    const [event] = (await beta.owner.auditEvents({ filter: { targetId: id } })).auditEvents.nodes
    const [member] = await open.sql<{ id: string }>('select id from members where organization_id = $1', [beta.id])
    const rows = () =>
      open.sql(
        `select to_jsonb(t) from integration_tokens t union all select to_jsonb(w) from webhooks w
         union all select to_jsonb(d) from webhook_deliveries d union all select to_jsonb(r) from token_roles r
         union all select to_jsonb(m) from members m order by 1`,
      )
    const before = await rows()

    const { owner } = alpha
    for (const foreign of [id, roleId, beta.id, event?.id ?? '', member?.id ?? '', webhookId, deliveryId]) {
      expect(foreign).not.toBe('')
      expect(await owner.node({ id: foreign })).toEqual({ node: null })
    }
    expect(await owner.integrationToken({ id })).toEqual({ integrationToken: null })
    expect(await owner.member({ id: member?.id ?? '' })).toEqual({ member: null })
    expect((await owner.updateToken({ input: { id, label: 'Mine' } })).updateToken.__typename).toBe('TokenNotFound')
    expect((await owner.regenerateToken({ input: { id } })).regenerateToken.__typename).toBe('TokenNotFound')
    expect((await owner.deleteToken({ input: { id } })).deleteToken.__typename).toBe('TokenNotFound')
    expect((await owner.createToken({ input: { label: 'Mine', roleId } })).createToken.__typename).toBe('InvalidInput')
    for (const filter of [{}, { search: 'enk' }, { roleIds: [roleId] }]) {
      expect((await owner.integrationTokens({ filter })).integrationTokens.nodes).toEqual([])
    }
    const { members } = await owner.members({ withTotalCount: true })
    expect([members.totalCount, members.nodes.length]).toEqual([5, 5])
    expect(JSON.stringify(members)).not.toContain('@beta.example')
    const inOther = { id: member?.id ?? '' }
    expect((await owner.setMemberRole({ input: { ...inOther, role: 'GUEST' } })).setMemberRole.__typename).toBe(
      'MemberNotFound',
    )
    expect((await owner.setMemberActive({ input: { ...inOther, active: false } })).setMemberActive.__typename).toBe(
      'MemberNotFound',
    )
    const policy = (await owner.updateTokenPolicy({ input: { expiryRequired: true } })).updateTokenPolicy
    expect(unwrap(policy).tokenPolicy.tokensOutside).toBe(0)
    unwrap((await owner.updateTokenPolicy({ input: { expiryRequired: false } })).updateTokenPolicy)
    expect(
      unwrap((await beta.owner.updateTokenPolicy({ input: {} })).updateTokenPolicy).tokenPolicy.expiryRequired,
    ).toBe(false)
    expect((await owner.deleteTokenRole({ input: { id: roleId } })).deleteTokenRole.__typename).toBe(
      'TokenRoleNotFound',
    )
    const renamed = await owner.updateTokenRole({ input: { id: roleId, label: 'Mine', force: true } })
    expect(renamed.updateTokenRole.__typename).toBe('TokenRoleNotFound')
    expect(await owner.webhooks()).toEqual({ webhooks: [] })
    expect(await owner.webhook({ id: webhookId })).toEqual({ webhook: null })
    expect((await owner.webhookDeliveries({ webhookId })).webhookDeliveries.nodes).toEqual([])
    expect((await owner.updateWebhook({ input: { id: webhookId, enabled: false } })).updateWebhook.__typename).toBe(
      'WebhookNotFound',
    )
    const regenerated = await owner.regenerateWebhookSecret({ input: { id: webhookId } })
    expect(regenerated.regenerateWebhookSecret.__typename).toBe('WebhookNotFound')
    expect((await owner.testWebhook({ input: { id: webhookId } })).testWebhook.__typename).toBe('WebhookNotFound')
    expect((await owner.deleteWebhook({ input: { id: webhookId } })).deleteWebhook.__typename).toBe('WebhookNotFound')
    expect((await owner.redeliverWebhook({ input: { deliveryId } })).redeliverWebhook.__typename).toBe(
      'DeliveryNotFound',
    )
    expect((await owner.tokenRoles()).tokenRoles.map((role) => role.id).sort()).toEqual(managedRoles)
    expect((await owner.auditEvents({ filter: { targetId: id } })).auditEvents.nodes).toEqual([])
    expect(JSON.stringify(await owner.auditEvents({ first: 100 }))).not.toContain('@beta.example')
    expect((await owner.organization()).organization.id).toBe(alpha.id)
    expect(await rows()).toEqual(before)

    const same = await owner.createToken({ input: { label: 'Jenkins', roleId: 'role_ci', idempotencyKey } })
    const mine = unwrap(same.createToken).token.id
    expect(mine).not.toBe(id)
    unwrap((await owner.updateToken({ input: { id: mine, description: 'Told to nobody else' } })).updateToken)
    expect((await beta.owner.webhookDeliveries({ webhookId })).webhookDeliveries.nodes).toEqual([delivery])
  })
})

describe('requests of different identities at once', () => {
  it('are never mixed: of 200, 25 at a time, each is answered as itself and in its own organization', async () => {
    const identities = new Map<string, string>([[world.service.secret, 'scanner']])
    for (const [{ id, owner, superAdmin, powerUser, member, guest }, { tokenId, secret, accessToken }] of [
      [world.alpha, own],
      [world.beta, foreign],
    ] as const) {
      identities.set(secret, `${tokenId} in ${id}`).set(accessToken, `${guest.email} in ${id}`)
      for (const { email, sessionToken } of [owner, superAdmin, powerUser, member]) {
        identities.set(sessionToken, `${email} in ${id}`)
      }
    }
    const credentials = [...identities.keys()]
    const asked = Array.from({ length: 200 }, (_, index) => credentials[(index * 7) % credentials.length] ?? '')
    const answers = await inTurns(asked, async (credential) => nameOf(await world.as(credential).viewer()))
    expect(credentials).toHaveLength(13)
    expect(answers).toEqual(asked.map((credential) => identities.get(credential)))
  })

  it('are never mixed where no two are alike: 200 tokens of two organizations, in whatever order they are answered', async () => {
    await using crowd = await openWorld()
    const identities = await inTurns(
      Array.from({ length: 200 }, (_, index) => index),
      async (index) => {
        const { id, owner } = index % 2 === 0 ? crowd.alpha : crowd.beta
        const input = { label: `Token ${index}`, roleId: 'role_ci' }
        const { token, secret } = unwrap((await owner.createToken({ input })).createToken)
        return { secret, expected: `${token.id} in ${id}` }
      },
    )
    expect(new Set(identities.map(({ secret }) => secret)).size).toBe(200)
    const answers = await inTurns(identities, async ({ secret }) => nameOf(await crowd.as(secret).viewer()))
    expect(answers).toEqual(identities.map(({ expected }) => expected))
    const verdicts = await Promise.all(identities.map(({ secret }) => crowd.introspect(secret)))
    expect(verdicts.map(({ sub, organization_id: id }) => `${sub} in ${id}`)).toEqual(
      identities.map(({ expected }) => expected),
    )
  })

  it('keep their transactions apart: of 200, 25 at a time on fewer connections, each sees its own organization', async () => {
    const ids = Array.from({ length: 200 }, (_, index) => (index % 3 === 0 ? world.beta.id : world.alpha.id))
    const statement = sql`select id, pg_sleep(random() / 200) as slept from organizations`
    const seen = await inTurns(ids, (organizationId) => within({ organizationId }, statement))
    expect(seen.map(({ rows }) => rows.map(({ id }) => id))).toEqual(ids.map((id) => [id]))
  })

  /** Not all at once: whoever waits a second for a connection is told to come back. */
  async function inTurns<T, R>(items: T[], work: (item: T) => Promise<R>): Promise<R[]> {
    const results: R[] = []
    const waiting = items.entries()
    const take = async () => {
      for (const [index, item] of waiting) results[index] = await work(item)
    }
    await Promise.all(Array.from({ length: 25 }, take))
    return results
  }

  function nameOf({ viewer }: Awaited<ReturnType<World['stranger']['viewer']>>): string {
    if (viewer.__typename === 'MemberViewer') return `${viewer.member.email} in ${viewer.organization.id}`
    if (viewer.__typename === 'TokenViewer') return `${viewer.token.id} in ${viewer.organization.id}`
    return viewer.name
  }
})

describe('minting', () => {
  it('gives a service account tokens of role_ci and of no other role, its organization’s own included', async () => {
    const { alpha } = world
    const input = { label: 'Automation', roleId: 'role_service_account' }
    const account = world.as(unwrap((await alpha.owner.createToken({ input })).createToken).secret)
    expect((await account.tokenRoles()).tokenRoles.map(({ id }) => id)).toEqual(['role_ci'])
    const { token } = unwrap(
      (await account.createToken({ input: { label: 'By automation', roleId: 'role_ci' } })).createToken,
    )
    expect(token.role.id).toBe('role_ci')
    const others = managedRoles.filter((id) => id !== 'role_ci')
    for (const roleId of [...others, own.roleId, foreign.roleId]) {
      const { createToken } = await account.createToken({ input: { label: `More ${roleId}`, roleId } })
      expect(createToken).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'roleId' }] })
    }
    expect(await alpha.tokenLabels()).toEqual(['Jenkins', 'Automation', 'By automation'])
  })

  it('lets a service account delete what it has made, and nothing that anyone else has', async () => {
    const { alpha, beta } = world
    const makeAccount = async (owner: typeof alpha.owner, label: string) =>
      world.as(
        unwrap((await owner.createToken({ input: { label, roleId: 'role_service_account' } })).createToken).secret,
      )
    const account = await makeAccount(alpha.owner, 'Maker')
    const other = await makeAccount(alpha.owner, 'Another maker')
    const foreigner = await makeAccount(beta.owner, 'Maker elsewhere')
    const make = async (maker: typeof account, label: string) =>
      unwrap((await maker.createToken({ input: { label, roleId: 'role_ci' } })).createToken)
    const made = await make(account, 'For one run')
    const others = [
      await make(other, 'For another run'),
      await make(foreigner, 'For a run elsewhere'),
      unwrap((await alpha.owner.createToken({ input: { label: 'By hand', roleId: 'role_ci' } })).createToken),
    ]
    for (const { token, secret } of others) {
      const { deleteToken } = await account.deleteToken({ input: { id: token.id } })
      expect(deleteToken.__typename).toBe('TokenNotFound')
      expect(await world.introspect(secret)).toMatchObject({ active: true })
    }
    expect(unwrap((await account.deleteToken({ input: { id: made.token.id } })).deleteToken)).toMatchObject({
      deletedTokenId: made.token.id,
    })
    expect(await world.introspect(made.secret)).toEqual({ active: false })
    const [event] = (await alpha.owner.auditEvents({ first: 1 })).auditEvents.nodes
    expect(event).toMatchObject({ action: 'token.deleted', actor: 'Maker', target: 'For one run' })
  })

  it('gives nobody a token of another organization’s role, and admins one of their own organization’s', async () => {
    const { alpha } = world
    for (const admin of [alpha.owner, alpha.superAdmin]) {
      const mint = async (roleId: string) =>
        (await admin.createToken({ input: { label: `Audits for ${admin.email}`, roleId } })).createToken
      expect(await mint(foreign.roleId)).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'roleId' }] })
      expect(unwrap(await mint(own.roleId)).token.role).toMatchObject({ id: own.roleId, kind: 'CUSTOM' })
      const roles = (await admin.tokenRoles()).tokenRoles.map(({ id }) => id)
      expect(roles.sort()).toEqual([...managedRoles, own.roleId].sort())
    }
  })
})

/** Rows in every table: a custom role, which no token has; a token made with an idempotency key; an access token. */
async function prepare({ id, slug, superAdmin, guest }: TestOrganization): Promise<Prepared> {
  const roleId = createId('role', world.dependencies)
  await world.sql(
    `insert into token_roles (id, organization_id, label, label_key, description, permissions) values ($1, $2, 'Auditor', 'auditor', 'Reads', '{findings:read}')`,
    [roleId, id],
  )
  const groupId = createId('group', world.dependencies)
  await world.sql(`insert into groups (id, organization_id, display_name, name_key) values ($1, $2, 'Ops', 'ops')`, [
    groupId,
    id,
  ])
  await world.sql(
    'insert into group_members (organization_id, group_id, member_id) select $1, $2, id from members where organization_id = $1',
    [id, groupId],
  )
  await addDomain(world.dependencies, { organization: slug, domain: `${slug}.example` })
  const invited = { email: `invited@${slug}.example`, role: 'GUEST' } as const
  unwrap((await superAdmin.inviteMember({ input: invited })).inviteMember)
  const url = 'https://192.31.197.1/hooks'
  unwrap((await superAdmin.createWebhook({ input: { url, eventTypes: ['TOKEN_CREATED'] } })).createWebhook)
  const input = { label: 'Jenkins', roleId: 'role_ci', idempotencyKey: 'first' }
  const { token, secret } = unwrap((await superAdmin.createToken({ input })).createToken)
  await world.sql(
    `insert into webhook_attempts (organization_id, delivery_id, number, at, duration_milliseconds)
     select organization_id, id, 1, now(), 1 from webhook_deliveries where organization_id = $1`,
    [id],
  )
  const { resetAccessToken } = await guest.resetAccessToken()
  return { tokenId: token.id, secret, roleId, accessToken: resetAccessToken.secret }
}

function listTenantTables(): Promise<TenantTable[]> {
  return world.sql(
    `select c.relname as name, a.attname as key from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not a.attisdropped
       and (a.attname = 'organization_id' or c.relname = 'organizations' and a.attname = 'id')
     order by 1`,
  )
}

/** An organization’s rows as the superuser sees them; those of none, where none is named. */
async function stored({ name, key }: TenantTable, organizationId: OrganizationId | null): Promise<string[]> {
  const rows = await world.sql<{ row: string }>(
    `select to_jsonb(t)::text as row from ${name} t where ${key} is not distinct from $1`,
    [organizationId],
  )
  return rows.map(({ row }) => row)
}

class TakenBack extends Error {}

interface Reached {
  rows: Record<string, unknown>[]
  rowCount: number
}

/** What a statement reaches within the organization. It is taken back. */
async function within(scope: Scope, statement: SQL): Promise<Reached> {
  const reached: Reached[] = []
  const work = withOrganization(world.dependencies.database, scope, async (transaction) => {
    const { rows, rowCount } = await transaction.execute(statement)
    reached.push({ rows, rowCount: rowCount ?? 0 })
    throw new TakenBack()
  })
  await work.catch((error: unknown) => {
    if (!(error instanceof TakenBack)) throw error
  })
  return reached[0] ?? { rows: [], rowCount: 0 }
}

async function visible({ name }: { name: string }, scope: Scope): Promise<string[]> {
  const { rows } = await within(scope, sql`select to_jsonb(t)::text as row from ${sql.identifier(name)} t`)
  return z
    .array(z.object({ row: z.string() }))
    .parse(rows)
    .map(({ row }) => row)
}

/** How PostgreSQL refused it: SQLSTATE and message. */
async function refusalOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'accepted'
  } catch (error) {
    const cause = databaseCause(error)
    return cause instanceof Error ? `${sqlState(error)} ${cause.message}` : String(cause)
  }
}

/** An organization comes, and a token comes and goes, on a server with this login. */
async function liveOn(databaseUrl: string): Promise<void> {
  const dependencies = await openDependencies({
    ...{ databaseUrl, databaseConnections: 4, serverKey: 'another server key, for a test', tokenPrefix: 'lk' },
    ...{ log, passwordCost: 4 },
  })
  try {
    const owner = { email: 'owner@gamma.example', password }
    await createOrganization(dependencies, { name: 'Gamma', owner })
    const origin = { ipAddress: null, userAgent: null }
    const { principal } = await signIn({ ...dependencies, origin }, { ...owner, slug: null })
    const acting = { ...dependencies, origin, principal }
    const { token } = await createToken(acting, { label: 'Jenkins', roleId: 'role_ci' })
    expect(await findToken(acting, token.id)).toEqual(token)
    expect(await deleteToken(acting, token.id)).toBe(token.id)
    expect((await dependencies.database.server.query('select * from members')).rows).toEqual([])
  } finally {
    await dependencies.close()
  }
}

const migrations = new URL('../migrations/', import.meta.url)
const journal = z.looseObject({ entries: z.array(z.looseObject({ idx: z.number(), tag: z.string() })) })
const isSql = (name: string) => name.endsWith('.sql')

/** By a process of its own; gives how many it applied. */
async function migrateElsewhere(databaseUrl: string): Promise<number> {
  const module = new URL('../server/database/migrate.ts', import.meta.url).href
  const script = `const { migrateDatabase } = await import(process.argv[1]); process.stdout.write(String(await migrateDatabase(process.argv[2])))`
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script, module, databaseUrl])
  return Number(stdout)
}

/** Every column, index and constraint of the tables, as PostgreSQL would write it. */
async function readCatalogue(databaseUrl: string): Promise<string[]> {
  const rows = await ask(
    databaseUrl,
    `with relations as (select oid, relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p'))
     select 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
       || case when attnotnull then ' not null' else '' end || coalesce(' default ' || pg_get_expr(adbin, adrelid), '') as line
     from relations join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped
     left join pg_attrdef on adrelid = attrelid and adnum = attnum
     union all select pg_get_indexdef(indexrelid) from relations join pg_index on indrelid = oid
     union all select 'constraint ' || relname || '.' || conname || ' ' || pg_get_constraintdef(c.oid)
       from relations r join pg_constraint c on conrelid = r.oid
     order by 1`,
  )
  return z
    .array(z.object({ line: z.string() }))
    .parse(rows)
    .map(({ line }) => line)
}

async function ask(databaseUrl: string, statement: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  return client
    .query(statement)
    .then(({ rows }) => rows)
    .finally(() => client.end())
}

/** A database without anything in it. */
async function emptyDatabase(): Promise<{ databaseUrl: string; drop(): Promise<unknown> }> {
  const postgresUrl = inject('postgresUrl')
  const database = `empty_${process.pid}_${Math.random().toString(36).slice(2)}`
  await ask(postgresUrl, `create database ${database}`)
  return {
    databaseUrl: addressOf(postgresUrl, { database }),
    drop: () => ask(postgresUrl, `drop database ${database} with (force)`),
  }
}

function addressOf(url: string, { login, database }: { login?: string; database?: string }): string {
  const address = new URL(url)
  if (login) Object.assign(address, { username: login, password: 'tests' })
  if (database) address.pathname = `/${database}`
  return address.href
}
