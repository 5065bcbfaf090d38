import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { unwrap } from '@latchkey/sdk'
import { type SQL, sql } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withOrganization } from '../server/database/with-organization.ts'
import { createId } from '../server/identifiers.ts'
import { openWorld, type World } from './world.ts'

let world: World
let listener: pg.Client
const heard: string[] = []
beforeAll(async () => {
  world = await openWorld()
  listener = new pg.Client({ connectionString: world.databaseUrl })
  await listener.connect()
  listener.on('notification', ({ payload = '' }) => {
    if (payload !== 'heartbeat') heard.push(payload)
  })
  await listener.query('listen latchkey_invalidations')
  await listener.query('listen test_marks')
})
afterAll(async () => {
  await listener.end()
  await world[Symbol.asyncDispose]()
})

let made = 0
async function create(roleId = 'role_ci') {
  const input = { label: `Announced ${++made}`, roleId }
  const { token, secret } = unwrap((await world.alpha.owner.createToken({ input })).createToken)
  return { id: token.id, secret }
}

/** A role of alpha’s own. */
async function createRole(): Promise<string> {
  const id = createId('role', world.dependencies)
  await world.sql(
    `insert into token_roles (id, organization_id, label, label_key, description, permissions) values ($1, $2, $1, $1, 'Reads', '{findings:read}')`,
    [id, world.alpha.id],
  )
  return id
}

/** Each with a secret, and all in one go. */
async function insertTokens(count: number, roleId: string, { id: organizationId } = world.alpha): Promise<string[]> {
  const ids = Array.from({ length: count }, () => createId('token', world.dependencies))
  await world.sql(
    `with inserted as (
      insert into integration_tokens (id, organization_id, label, label_key, search_text, role_id)
      select id, $2, id, id, id, $3 from unnest($1::text[]) id returning id, organization_id
    )
    insert into token_secrets (digest, organization_id, token_id, key_id, hint)
    select sha256(id::bytea), organization_id, id, 'tests', 'test' from inserted`,
    [ids, organizationId, roleId],
  )
  return ids
}

async function memberIdOf({ email }: { email: string }): Promise<string> {
  const [row] = await world.sql<{ id: string }>(
    'select m.id from members m join people p on p.id = m.person_id where p.email = $1',
    [email],
  )
  return row?.id ?? ''
}

/** What the database tells of a change, in order. */
async function announcedBy(change: () => Promise<unknown>): Promise<string[]> {
  heard.length = 0
  await change()
  const mark = `mark ${made++}`
  await world.sql(`select pg_notify('test_marks', $1)`, [mark])
  while (!heard.includes(mark)) await delay(1)
  return heard.filter((payload) => payload !== mark)
}

describe('the database', () => {
  it('tells of a change of every column on which an answer depends, and of no other', { timeout: 40_000 }, async () => {
    const roleId = await createRole()
    const token = await create(roleId)
    const { secret } = (await world.alpha.guest.resetAccessToken()).resetAccessToken
    const memberId = await memberIdOf(world.alpha.guest)
    const [access] = await world.sql<{ id: string }>('select id from access_tokens where member_id = $1', [memberId])
    const subjects = [
      { table: 'integration_tokens', key: 'id', id: token.id, tokenId: token.id },
      { table: 'token_secrets', key: 'token_id', id: token.id, tokenId: token.id },
      { table: 'token_roles', key: 'id', id: roleId, tokenId: token.id },
      { table: 'access_tokens', key: 'member_id', id: memberId, tokenId: access?.id },
      { table: 'members', key: 'id', id: memberId, tokenId: access?.id },
    ]
    const values: Record<string, string> = {
      'integration_tokens.role_id': 'role_jira',
      'members.role': 'POWER_USER',
      'access_tokens.id': createId('accessToken', world.dependencies),
      'access_tokens.member_id': await memberIdOf(world.alpha.owner),
      boolean: 'false',
      bytea: String.raw`\x00`,
      'text[]': '{scans:write}',
      'timestamp(3) with time zone': '2100-01-01',
    }
    const digests = [token.secret, secret].map((text) => createHash('sha256').update(text).digest('hex'))
    const answers = async () =>
      JSON.stringify(
        (await world.service.verifyTokenDigests({ digests })).verifyTokenDigests.map((answer) => ({
          ...answer,
          expiresInMilliseconds: null,
        })),
      )
    const before = await answers()
    const told: string[] = []
    const changing: string[] = []
    for (const { table, key, id, tokenId } of subjects) {
      const columns = await world.sql<{ name: string; type: string; value: string | null }>(
        `select attname as name, format_type(atttypid, atttypmod) as type, to_jsonb(t) ->> attname as value
         from pg_attribute, ${table} t where attrelid = '${table}'::regclass and attnum > 0 and not attisdropped and t.${key} = $1`,
        [id],
      )
      for (const { name, type, value } of columns) {
        const changed = values[`${table}.${name}`] ?? values[type] ?? `${value ?? ''}x`
        const set = (to: string | null, at: string) =>
          world.sql(`update ${table} set ${name} = $1::${type} where ${key} = $2`, [to, at])
        let refused = false
        const announced = await announcedBy(() =>
          set(changed, id).catch(() => {
            refused = true
          }),
        )
        // Such as an id that other rows refer to.
        if (refused) continue
        if (announced.length > 0) {
          told.push(`${table}.${name}`)
          // As verifiers know it, who were answered before.
          expect(announced).toEqual([tokenId])
        }
        if ((await answers()) !== before) changing.push(`${table}.${name}`)
        const original = type === 'text[]' ? '{findings:read}' : value
        await announcedBy(() => set(original, name === key ? changed : id))
        expect(await answers()).toBe(before)
      }
    }
    expect(told).toEqual(changing)
    expect(told).toEqual([
      'integration_tokens.label',
      'integration_tokens.role_id',
      'integration_tokens.enabled',
      'integration_tokens.expires_at',
      'token_secrets.digest',
      'token_secrets.accepted_until',
      'token_roles.permissions',
      'access_tokens.id',
      'access_tokens.member_id',
      'access_tokens.digest',
      'members.role',
      'members.active',
    ])
  })

  it('tells of nothing when a token is created, is used, or changes back to what it was, and of nothing that is rolled back', async () => {
    const { id, secret } = await create()
    expect(await announcedBy(() => create())).toEqual([])
    const use = async () => {
      await world.introspect(secret, { usedFrom: '203.0.113.9' })
      await world.dependencies.lastUse.flush()
    }
    expect(await announcedBy(use)).toEqual([])
    const { integrationToken } = await world.alpha.owner.integrationToken({ id })
    expect(integrationToken?.lastUsedFrom).toBe('203.0.113.9')
    const change = (end: string) => () =>
      world.sql(`begin; update integration_tokens set enabled = not enabled where id = '${id}'; ${end}`)
    expect(await announcedBy(change('rollback'))).toEqual([])
    expect(await announcedBy(change('commit'))).toEqual([id])
    expect(await announcedBy(() => world.sql('update integration_tokens set enabled = enabled'))).toEqual([])
  })

  it('tells of the server’s own changes, which row-level security confines', async () => {
    const roleId = await createRole()
    const { id } = await create(roleId)
    await world.alpha.superAdmin.resetAccessToken()
    const memberId = await memberIdOf(world.alpha.superAdmin)
    const [access] = await world.sql<{ id: string }>('select id from access_tokens where member_id = $1', [memberId])
    const change = (statement: SQL) => () =>
      withOrganization(world.dependencies.database, { organizationId: world.alpha.id }, (transaction) =>
        transaction.execute(statement),
      )
    const permit = change(sql`update token_roles set permissions = '{apps:read}' where id = ${roleId}`)
    expect(await announcedBy(permit)).toEqual([id])
    const demote = change(sql`update members set role = 'GUEST' where id = ${memberId}`)
    expect(await announcedBy(demote)).toEqual([access?.id])
    expect(await announcedBy(change(sql`delete from integration_tokens where id = ${id}`))).toEqual([id])
  })

  it('tells of everything where whoever changes a role or a member is shown no tokens, such as the tables’ owner', async () => {
    await using stack = new AsyncDisposableStack()
    const owner = `owner_${process.pid}_${made++}`
    const roleId = await createRole()
    await create(roleId)
    const memberId = await memberIdOf(world.alpha.guest)
    const owned = ['token_roles', 'members', 'integration_tokens', 'access_tokens']
    await world.sql(
      `create role ${owner}; grant create, usage on schema public to ${owner};
       ${owned.map((table) => `alter table ${table} owner to ${owner};`).join('\n')}
       create policy moment on token_roles to ${owner} using (true); create policy moment on members to ${owner} using (true)`,
    )
    stack.defer(async () => {
      await world.sql('drop policy moment on token_roles; drop policy moment on members')
      await world.sql(`reassign owned by ${owner} to current_user; drop owned by ${owner}; drop role ${owner}`)
    })
    const change = (statement: string) => () => world.sql(`begin; set local role ${owner}; ${statement}; commit`)
    const permit = change(`update token_roles set permissions = '{apps:read}' where id = '${roleId}'`)
    expect(await announcedBy(permit)).toEqual(['everything'])
    const deactivate = change(`update members set active = false where id = '${memberId}'`)
    expect(await announcedBy(deactivate)).toEqual(['everything'])
  })

  it('lets nobody change a token who is not shown its secrets, which would go on being accepted as they were', async () => {
    await using stack = new AsyncDisposableStack()
    const role = `keeper_${process.pid}_${made++}`
    const { id } = await create()
    await world.sql(
      `create role ${role}; grant select, update on integration_tokens to ${role};
       create policy moment on integration_tokens to ${role} using (true)`,
    )
    stack.defer(async () => {
      await world.sql(`drop policy moment on integration_tokens; drop owned by ${role}; drop role ${role}`)
    })
    const change = `update integration_tokens set enabled = false where id = '${id}'`
    await expect(world.sql(`begin; set local role ${role}; ${change}; commit`)).rejects.toThrow(
      'Tokens are changed as latchkey_server or as a superuser, who are shown their secrets too.',
    )
    await world.sql('rollback')
  })

  it('tells of 1,000 tokens by their ids, and of more by one word', async () => {
    const roleId = await createRole()
    const ids = await insertTokens(1_000, roleId)
    const permit = () =>
      world.sql(`update token_roles set permissions = permissions || 'a:b'::text where id = $1`, [roleId])
    const remove = () => world.sql('delete from integration_tokens where role_id = $1', [roleId])
    expect((await announcedBy(permit)).sort()).toEqual(ids.sort())
    const [more] = await insertTokens(1, roleId)
    expect(await announcedBy(permit)).toEqual(['everything'])
    expect(await announcedBy(() => world.sql('delete from integration_tokens where id = $1', [more]))).toEqual([more])
    expect((await announcedBy(remove)).sort()).toEqual(ids.sort())
    await insertTokens(1_001, roleId)
    expect(await announcedBy(remove)).toEqual(['everything'])
  })

  it('tells by one word of an organization that is deleted with all that it has, however deep that lies', async () => {
    const { beta } = world
    const logged = ['audit_events', 'audit_heads']
    for (const table of [...logged, 'idempotency_keys', 'integration_tokens', 'members', 'token_roles']) {
      await world.sql(
        `alter table ${table} drop constraint ${table}_organization_id_organizations_id_fk,
           add foreign key (organization_id) references organizations (id) on delete cascade`,
      )
    }
    for (const table of logged) await world.sql(`alter table ${table} disable trigger only_ever_added`)
    await insertTokens(3_000, 'role_ci', beta)
    await beta.guest.resetAccessToken()
    const [access] = await world.sql<{ id: string }>('select id from access_tokens where organization_id = $1', [
      beta.id,
    ])
    const remove = () => world.sql('delete from organizations where id = $1', [beta.id])
    expect((await announcedBy(remove)).sort()).toEqual([access?.id, 'everything'])
  })

  it('tells of everything when a table is emptied at once', async () => {
    expect(await announcedBy(() => world.sql('truncate integration_tokens cascade'))).toEqual(['everything'])
    expect(await announcedBy(() => world.sql('truncate access_tokens'))).toEqual(['everything'])
  })
})
