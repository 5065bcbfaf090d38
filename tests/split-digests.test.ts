import { unwrap } from '@latchkey/sdk'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDatabase } from '../server/database/pool.ts'
import { createCredentialLookup, type LookupPool } from '../server/identity/credential-lookup.ts'
import { createMetrics } from '../server/observability/metrics.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import type { PresentedDigest } from '../server/tokens/secret.ts'
import { askEachServer, type SecondServer, splitDigests } from './split-database.ts'
import { createDatabase, openWorld, serve, serverKey, type World } from './world.ts'

/** One instance finds secrets through the first server, the other asks each server for its own part. */
let world: World
let second: SecondServer
let direct: { url: string; close(): Promise<void> }
let split: LookupPool

beforeAll(async () => {
  world = await openWorld()
  second = await splitDigests(world.databaseUrl)
  split = askEachServer([world.dependencies.database.lookup, second.database.lookup])
  direct = await serve({ ...world.dependencies, credentials: lookUpBy(split) })
}, 60_000)
afterAll(async () => {
  await direct.close()
  await world[Symbol.asyncDispose]()
  await second[Symbol.asyncDispose]()
})

const lookUpBy = (lookup: LookupPool) => createCredentialLookup({ lookup, metrics: createMetrics(), tracing: null })

let made = 0
async function create(roleId = 'role_ci') {
  const input = { label: `Split ${++made}`, roleId }
  const { token, secret } = unwrap((await world.alpha.owner.createToken({ input })).createToken)
  return { id: token.id, secret }
}
/** So many or, until there is one on each server, more. */
async function createMany(count: number) {
  const tokens: Awaited<ReturnType<typeof create>>[] = []
  while (tokens.length < count || new Set(tokens.map(serverOf)).size < 2)
    tokens.push(...(await Promise.all([create(), create(), create(), create()])))
  return tokens
}
const serverOf = ({ secret }: { secret: string }) => (digestOf(secret).charCodeAt(0) < 0x80 ? 0 : 1)

/** By both instances. */
const accepted = async (secret: string) =>
  (await Promise.all([world.introspect(secret), world.introspect(secret, { url: direct.url })])).map(
    ({ active }) => active,
  )

function digestOf(secret: string): PresentedDigest {
  const presented = world.dependencies.digester.read(secret)
  if (!presented) throw new Error('This is no secret.')
  return presented.digest
}

/** How many secrets of these tokens each server has, by its own account. */
async function countSecrets(tokenIds: string[]) {
  const counted = 'select count(*)::int as secrets from'
  const own = await world.sql<{ secrets: number }>(`${counted} token_secrets_lower where token_id = any($1)`, [
    tokenIds,
  ])
  const other = await second.sql<{ secrets: number }>(`${counted} token_secrets where token_id = any($1)`, [tokenIds])
  return [own[0]?.secrets ?? 0, other[0]?.secrets ?? 0]
}

describe('the digests of tokens, split between two PostgreSQL servers', () => {
  it('are each on the server that their space is on, and on no other', async () => {
    const tokens = await createMany(16)
    const due = [0, 1].map((server) => tokens.filter((token) => serverOf(token) === server).length)
    expect(await countSecrets(tokens.map(({ id }) => id))).toEqual(due)
  })

  it('are unique among all servers, since each server is alone with its own', async () => {
    const one = await create()
    for (const digest of ['00', 'ff'].map((byte) => Buffer.from(byte.repeat(32), 'hex'))) {
      const insert = () =>
        world.sql(
          `insert into token_secrets (digest, organization_id, token_id, key_id, hint) values ($1, $2, $3, 'tests', 'test')`,
          [digest, world.alpha.id, one.id],
        )
      await insert()
      await expect(insert()).rejects.toMatchObject({ code: '23505' })
    }
    await expect(second.sql(`update token_secrets set digest = '\\x00'`)).rejects.toMatchObject({ code: '23514' })
  })

  it('are found by the product’s own statement as on one server that has them all', async () => {
    const { owner } = world.alpha
    const { tokenRole } = unwrap(
      (
        await owner.createTokenRole({
          input: { label: 'Reader', description: 'Reads.', permissions: ['findings:read'] },
        })
      ).createTokenRole,
    )
    const tokens = [...(await createMany(24)), await create(tokenRole.id), await create(tokenRole.id)]
    for (const [n, { id }] of tokens.entries()) {
      if (n % 5 === 1) unwrap((await owner.updateToken({ input: { id, enabled: false } })).updateToken)
      if (n % 5 === 2) unwrap((await owner.regenerateToken({ input: { id, overlapSeconds: 600 } })).regenerateToken)
      if (n % 5 === 3) unwrap((await owner.regenerateToken({ input: { id, overlapSeconds: 0 } })).regenerateToken)
      if (n % 5 === 4) unwrap((await owner.deleteToken({ input: { id } })).deleteToken)
    }
    await using whole = await copyToOneServer()
    const digests = tokens.map(({ secret }) => digestOf(secret))
    const lookups = [whole.lookup, world.dependencies.database.lookup, split].map(lookUpBy)
    const [one, throughFirst, fromEach] = await Promise.all(
      lookups.map(async (lookup) =>
        (await lookup.find(digests.map((digest) => ({ kind: 'bearer', digest })))).map(
          (found) => found && { ...found, expiresInMilliseconds: typeof found.expiresInMilliseconds },
        ),
      ),
    )
    expect(one?.filter((found) => found?.accepted).length).toBeGreaterThan(9)
    expect(one?.filter((found) => found && !found.accepted).length).toBeGreaterThan(9)
    expect(one?.filter((found) => !found).length).toBeGreaterThan(3)
    expect(throughFirst).toEqual(one)
    expect(fromEach).toEqual(one)
  })
})

/** What the two servers have, on one that is as the migrations make it. */
async function copyToOneServer() {
  const { databaseUrl, drop } = await createDatabase()
  const { log } = world.dependencies
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  // Rows are copied as they are: what triggers would make of them is there already.
  await client.query('set session_replication_role = replica')
  for (const table of ['token_roles', 'token_secrets']) {
    const rows = await world.sql(`select * from ${table}`)
    await client.query(
      `insert into ${table} select * from jsonb_populate_recordset(null::${table}, $1) on conflict do nothing`,
      [
        JSON.stringify(
          rows.map((row) => ({ ...row, ...(row.digest && { digest: `\\x${row.digest.toString('hex')}` }) })),
        ),
      ],
    )
  }
  await client.end()
  const database = await openDatabase({
    url: databaseUrl,
    connections: 8,
    log,
    metrics: createMetrics(),
    tracing: null,
  })
  return {
    lookup: database.lookup,
    async [Symbol.asyncDispose]() {
      await database.close()
      await drop()
    },
  }
}

describe('a token whose secrets are on another server than itself', () => {
  it('is refused, however it is asked, from the moment that its deletion, disabling or regeneration was acknowledged', async () => {
    const { owner } = world.alpha
    const ways = [
      async (id: string) => unwrap((await owner.deleteToken({ input: { id } })).deleteToken),
      async (id: string) => unwrap((await owner.updateToken({ input: { id, enabled: false } })).updateToken),
      async (id: string) => unwrap((await owner.regenerateToken({ input: { id, overlapSeconds: 0 } })).regenerateToken),
    ]
    for (const end of ways) {
      const tokens = await createMany(8)
      for (const { secret } of tokens) expect(await accepted(secret)).toEqual([true, true])
      // Or else postgres_fdw, which works at REPEATABLE READ there, would break off a change that meets the writing of it.
      await world.dependencies.lastUse.flush()
      let [asked, wrong] = [0, 0]
      await Promise.all(
        tokens.map(async ({ id, secret }) => {
          // In the middle of others, which go into the same statements.
          const before = Array.from({ length: 4 }, () => accepted(secret))
          await end(id)
          const after = await Promise.all(Array.from({ length: 8 }, () => accepted(secret)))
          await Promise.all(before)
          asked += after.flat().length
          wrong += after.flat().filter(Boolean).length
        }),
      )
      expect([asked, wrong]).toEqual([tokens.length * 16, 0])
    }
  })

  it('leaves no secret on any server when it is deleted, and none when its creation fails', async () => {
    const tokens = await createMany(8)
    const ids = tokens.map(({ id }) => id)
    for (const id of ids) unwrap((await world.alpha.owner.deleteToken({ input: { id } })).deleteToken)
    expect(await countSecrets(ids)).toEqual([0, 0])

    const count = async () => {
      const all = await world.sql<{ secrets: number }>('select count(*)::int as secrets from token_secrets')
      return all[0]?.secrets
    }
    const before = await count()
    const create = () => world.alpha.owner.createToken({ input: { label: 'Twice', roleId: 'role_ci' } })
    const outcomes = await Promise.all(Array.from({ length: 8 }, create))
    const made = outcomes.filter(({ createToken }) => createToken.__typename === 'CreateTokenPayload')
    expect(made.length).toBe(1)
    expect(await count()).toBe((before ?? 0) + 1)
  })

  it('has one accepted secret after any number of regenerations at once, which no index spans the servers to see to', async () => {
    const { id, secret } = await create()
    const regenerate = () => world.alpha.owner.regenerateToken({ input: { id, overlapSeconds: 0 } })
    const outcomes = await Promise.all(Array.from({ length: 10 }, regenerate))
    const secrets = [secret, ...outcomes.map((outcome) => unwrap(outcome.regenerateToken).secret)]
    const verdicts = await Promise.all(secrets.map(accepted))
    expect(verdicts.flat().filter(Boolean)).toEqual([true, true])
    expect(verdicts.filter(([one, other]) => one !== other)).toEqual([])
  })

  it('is told of to verifiers, once it has changed, by the server that it is on', async () => {
    const tokens = await createMany(8)
    const stream = world.dependencies.invalidations.subscribe()
    await stream.next()
    const heard = new Set<string>()
    const listening = (async () => {
      for await (const { tokenIds } of stream) {
        for (const id of tokenIds) heard.add(id)
        if (tokens.every(({ id }) => heard.has(id))) return
      }
    })()
    const { owner } = world.alpha
    for (const [n, { id }] of tokens.entries()) {
      if (n % 2 === 0) unwrap((await owner.deleteToken({ input: { id } })).deleteToken)
      else unwrap((await owner.regenerateToken({ input: { id, overlapSeconds: 600 } })).regenerateToken)
    }
    await listening
  })

  it('has its last use written, whichever server its secret is on', async () => {
    const tokens = await createMany(8)
    for (const { secret } of tokens) await accepted(secret)
    await world.dependencies.lastUse.flush()
    const used = await world.sql<{ id: string }>(
      `select token_id as id from token_secrets join token_uses using (token_id)
       where token_id = any($1) and token_secrets.last_used_at is not null and token_uses.last_used_at is not null`,
      [tokens.map(({ id }) => id)],
    )
    expect(used.length).toBe(tokens.length)
  })

  it('comes to be on the server of its new digest when the server key is changed, and is accepted as before', async () => {
    const tokens = await createMany(8)
    const rotated = await openDependencies({
      databaseUrl: world.databaseUrl,
      databaseConnections: 8,
      serverKey: 'the next server key of the tests which is long enough',
      formerServerKeys: [serverKey],
      tokenPrefix: 'lk',
      passwordCost: 4,
      log: world.dependencies.log,
    })
    const instances = [await serve(rotated), await serve({ ...rotated, credentials: lookUpBy(split) })]
    const accepted = ({ secret }: { secret: string }) =>
      Promise.all(instances.map(async ({ url }) => (await world.introspect(secret, { url })).active))
    // Each once: a secret that moves while it is asked for on two servers, which are not read at one moment, may be missed.
    for (const { secret } of tokens)
      expect(await world.introspect(secret, { url: instances[0]?.url ?? '' })).toMatchObject({ active: true })
    await rotated.lastUse.flush()
    const newServerOf = ({ secret }: { secret: string }) =>
      (rotated.digester.read(secret)?.digest.charCodeAt(0) ?? 0) < 0x80 ? 0 : 1
    const due = [0, 1].map((server) => tokens.filter((token) => newServerOf(token) === server).length)
    expect(await countSecrets(tokens.map(({ id }) => id))).toEqual(due)
    const [moved] = await world.sql<{ keys: string[] }>(
      'select array_agg(distinct key_id) as keys from token_secrets where token_id = any($1)',
      [tokens.map(({ id }) => id)],
    )
    expect(moved?.keys).toEqual([rotated.digester.keyId])
    for (const token of tokens) expect(await accepted(token)).toEqual([true, true])
    for (const { close } of instances) await close()
    await rotated.close()
  })
})
