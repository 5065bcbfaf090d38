import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { unwrap } from '@latchkey/sdk'
import { createVerifier } from '@latchkey/sdk/verifier'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readNetworks } from '../server/http/client-address.ts'
import { startDeliveries } from '../server/webhooks/delivery.ts'
import { type OwnPostgres, openOwnPostgres } from './fault-run/own-postgres.ts'
import { makeTemplate } from './postgres.ts'
import { isPostgres15Here, postgres15, programsEnvironment } from './postgres-15.ts'
import { checkSignature, openReceiver } from './receiver.ts'
import {
  expectToBeWhole,
  expectVerdicts,
  page,
  shell,
  startFirst,
  startRestored,
  startWork,
  until,
} from './restored.ts'
import { provisioner } from './scim.ts'
import { openWorld, serverKey, type World } from './world.ts'

const latchkeyProgram = fileURLToPath(new URL('../dist/cli.js', import.meta.url))
const ownerPassword = 'the password of who owns the tables'

const stack = new AsyncDisposableStack()
afterAll(() => stack.disposeAsync())

async function open15(): Promise<OwnPostgres> {
  const postgres = stack.use(await openOwnPostgres({ programs: postgres15 }))
  await postgres.start()
  return postgres
}

describe.runIf(isPostgres15Here)('on PostgreSQL 15', { timeout: 60_000 }, () => {
  let world: World
  beforeAll(async () => {
    const postgres = await open15()
    await makeTemplate(postgres)
    const webhookNetworks = readNetworks(['127.0.0.0/8'])
    world = stack.use(await openWorld({ postgresUrl: postgres.url, webhookNetworks }))
  }, 60_000)

  it('everything here is tested on that version', async () => {
    expect(await world.sql('show server_version')).toEqual([{ server_version: expect.stringMatching(/^15\./) }])
  })

  it('a token is made, listed, found good, disabled, regenerated and deleted, and a warm verifier hears of each', async () => {
    const { owner } = world.alpha
    const createdRole = await owner.createTokenRole({ input: { label: 'Scanner', permissions: ['findings:read'] } })
    const { tokenRole } = unwrap(createdRole.createTokenRole)
    const input = { label: 'Ärgerlich', roleId: tokenRole.id }
    const { token, secret } = unwrap((await owner.createToken({ input })).createToken)
    const { integrationTokens: tokens } = await owner.integrationTokens({ filter: { search: 'äRGER' } })
    expect(tokens.nodes.map(({ id }) => id)).toEqual([token.id])
    expect((await world.beta.owner.integrationTokens({})).integrationTokens.nodes).toEqual([])

    // It trusts what it knows for so long that nothing but a message can have made it forget.
    const options = { url: world.url, credential: world.service.secret, stalenessBoundMilliseconds: 3_600_000 }
    const verifier = createVerifier(options)
    stack.defer(() => verifier.close())
    await until(async () => verifier.metrics().state === 'live')
    const isGood = async (value: string) => (await verifier.verify(value)).active
    const becomes = (value: string, active: boolean) => until(async () => (await isGood(value)) === active)
    expect(await isGood(secret)).toBe(true)
    expect(await world.introspect(secret)).toMatchObject({ active: true, scope: 'findings:read' })

    const enable = async (enabled: boolean) =>
      unwrap((await owner.updateToken({ input: { id: token.id, enabled } })).updateToken)
    await enable(false)
    await becomes(secret, false)
    await enable(true)
    await becomes(secret, true)
    const regenerated = await owner.regenerateToken({ input: { id: token.id } })
    const { secret: next } = unwrap(regenerated.regenerateToken)
    await becomes(secret, false)
    await becomes(next, true)
    unwrap((await owner.deleteToken({ input: { id: token.id } })).deleteToken)
    await becomes(next, false)
    expect(await world.introspect(next)).toEqual({ active: false })
  })

  it('row-level security hides everything from the server’s role until an organization is said', async () => {
    unwrap((await world.alpha.owner.createToken({ input: { label: 'Hidden', roleId: 'role_ci' } })).createToken)
    const client = new pg.Client({ connectionString: world.databaseUrl, options: '-c role=latchkey_server' })
    await client.connect()
    const count = async () =>
      (await client.query<{ some: boolean }>('select count(*) > 0 as some from integration_tokens')).rows[0]?.some
    expect(await count()).toBe(false)
    await client.query(`select set_config('latchkey.organization_id', $1, false)`, [world.alpha.id])
    expect(await count()).toBe(true)
    await client.end()
  })

  it('a webhook is told, signed', async () => {
    const { owner } = world.alpha
    const receiver = stack.use(await openReceiver())
    const created = await owner.createWebhook({ input: { url: receiver.url, eventTypes: ['TOKEN_CREATED'] } })
    const { secret } = unwrap(created.createWebhook)
    stack.defer(startDeliveries(world.dependencies))
    unwrap((await owner.createToken({ input: { label: 'Told', roleId: 'role_ci' } })).createToken)
    await until(async () => receiver.accepted.length > 0)
    for (const message of receiver.accepted) checkSignature(secret, message)
    expect(receiver.accepted.map(({ type, data }) => [type, data.label])).toEqual([['token.created', 'Told']])
  })

  it('whoever is invited is asked to come, and whom an identity provider makes is found', async () => {
    const { owner } = world.alpha
    const email = 'invited@alpha.example'
    const { secret } = unwrap((await owner.inviteMember({ input: { email, role: 'GUEST' } })).inviteMember)
    expect((await world.stranger.invitationOffer({ secret })).invitationOffer).toMatchObject({ email, role: 'GUEST' })
    const scim = await provisioner(world, world.alpha)
    const id = await scim.user({ userName: 'provided@alpha.example' })
    expect(await scim.found('Users', 'userName sw "provided@"')).toEqual([id])
  })
})

describe.runIf(isPostgres15Here)(
  'a dump, made and restored as the page on operations says',
  { timeout: 90_000 },
  () => {
    let from: OwnPostgres
    let backup: string
    const latchkeyUrl = ({ url }: OwnPostgres, login = {}) =>
      Object.assign(new URL(url), { pathname: '/latchkey', ...login }).href
    const tablesOwner = { username: 'operations', password: ownerPassword }
    const addOwner = ({ run }: OwnPostgres) =>
      run(`create role operations login createrole password '${ownerPassword}'`)

    /** What the page has for a shell. Its programs come to the database by this address, and Latchkey as the tables' owner. */
    const program = (script: string, databaseUrl: string, postgres = from) =>
      shell(script.replaceAll('npx latchkey', `'${process.execPath}' '${latchkeyProgram}'`), {
        backup,
        environment: {
          ...programsEnvironment(databaseUrl),
          DATABASE_URL: latchkeyUrl(postgres, tablesOwner),
          LATCHKEY_SECRET: serverKey,
        },
      })

    /**
     * Of all tables, functions and policies, with whose they are and who may do what; without the words that are
     * new in each dump, and the brackets, of which a restored expression has fewer.
     */
    const definitions = async (postgres: OwnPostgres) =>
      (await program('pg_dump --schema-only latchkey', latchkeyUrl(postgres))).replaceAll(
        /^\\(un)?restrict .*$|[()]/gm,
        '',
      )

    beforeAll(async () => {
      backup = await mkdtemp(join(tmpdir(), 'latchkey-dump-'))
      stack.defer(() => rm(backup, { recursive: true, force: true }))
      from = await open15()
      await addOwner(from)
      await from.run('create database latchkey owner operations')
    }, 60_000)

    it('is served from as before it, and refused to whoever is bound by row-level security', async () => {
      const { latchkey, credentials, admin } = await startFirst(latchkeyUrl(from, tablesOwner))
      stack.defer(() => latchkey.close())
      const work = startWork(admin)
      await work.untilDone(20)
      const acknowledged = await work.pause()
      expect(acknowledged.deleted.length).toBeGreaterThan(3)

      const dump = page.block('sh', 'pg_dump')
      const asOwner = latchkeyUrl(from, tablesOwner)
      await expect(program(dump, asOwner)).rejects.toThrow(/affected by row-level security policy/)
      await from.run('alter role operations bypassrls')
      await program(dump, asOwner)
      await from.run('alter role operations nobypassrls')
      await program(dump, latchkeyUrl(from))

      const to = await open15()
      await addOwner(to)
      await program(page.block('sh', 'pg_restore'), to.url, to)
      const restored = await startRestored(latchkeyUrl(to, tablesOwner))
      stack.defer(() => restored.close())
      await expectVerdicts(restored, credentials, acknowledged)
      await expectToBeWhole(latchkeyUrl(to), restored, credentials)
      expect(await definitions(to)).toBe(await definitions(from))
    })
  },
)
