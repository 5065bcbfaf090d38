import { createHash, createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { createClient, unwrap } from '@latchkey/sdk'
import bcrypt from 'bcrypt'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { verifyChain } from '../server/audit/verify-chain.ts'
import { runCommandLine } from '../server/cli/run.ts'
import { type KeyUse, readKeyUse } from '../server/identity/key-use.ts'
import { authenticate } from '../server/identity/principal.ts'
import { signIn } from '../server/identity/service.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { addDomain, addMember } from '../server/organizations/operator.ts'
import { serverKey as oldKey, openWorld, password, serve, type World } from './world.ts'

const newKey = 'the key that takes the place of the one before'
const log = pino({ level: 'silent' })
const origin = { ipAddress: '192.0.2.9', userAgent: 'tests' }

interface Instance {
  url: string
  dependencies: Awaited<ReturnType<typeof openDependencies>>
  close(): Promise<void>
}

/** An instance on the world's database, with these keys. */
async function openInstance(
  world: World,
  [serverKey, ...formerServerKeys]: [string, ...string[]],
  { passwordCost = 4 } = {},
): Promise<Instance> {
  const { databaseUrl } = world
  const keys = { serverKey, formerServerKeys }
  const dependencies = await openDependencies({
    ...{ databaseUrl, databaseConnections: 8, tokenPrefix: 'lk', log, passwordCost, ...keys },
  })
  const { url, close } = await serve(dependencies)
  return {
    url,
    dependencies,
    async close() {
      await close()
      await dependencies.close()
    },
  }
}

/** What each kind of secret answers at an instance: the number of those that are accepted. */
async function accepted(
  { dependencies }: Pick<Instance, 'dependencies'>,
  secrets: Record<string, string>,
): Promise<string[]> {
  const found: string[] = []
  for (const [kind, secret] of Object.entries(secrets)) {
    if (await authenticate(dependencies, secret, origin)) found.push(kind)
  }
  return found
}

async function makeToken({ alpha }: World, label: string) {
  const input = { label, roleId: 'role_ci' }
  return unwrap((await alpha.superAdmin.createToken({ input })).createToken)
}

async function makeSecrets(world: World, label: string) {
  const { alpha, service } = world
  const { token, secret } = await makeToken(world, label)
  const accessToken = (await alpha.guest.resetAccessToken()).resetAccessToken.secret
  const secrets = { token: secret, accessToken, session: alpha.owner.sessionToken, service: service.secret }
  return { tokenId: token.id, secrets }
}

/** The tokens whose secrets are. */
async function storedUnder(world: World, keyId: string): Promise<string[]> {
  const rows = await world.sql<{ id: string }>('select token_id as id from token_secrets where key_id = $1', [keyId])
  return rows.map(({ id }) => id)
}

describe('the server key', () => {
  let world: World
  let old: Awaited<ReturnType<typeof makeSecrets>>
  let other: string
  let unused: Awaited<ReturnType<typeof makeToken>>
  let both: Instance
  let onlyNew: Instance
  beforeAll(async () => {
    world = await openWorld()
    other = (await makeToken(world, 'Other')).secret
    unused = await makeToken(world, 'Unused')
    old = await makeSecrets(world, 'Old')
    both = await openInstance(world, [newKey, oldKey])
    onlyNew = await openInstance(world, [newKey])
  })
  afterAll(async () => {
    await both.close()
    await onlyNew.close()
    await world[Symbol.asyncDispose]()
  })

  it('is rotated without invalidating a secret of any kind, by which way ever it is presented', async () => {
    const kinds = Object.keys(old.secrets)
    expect(await accepted(both, old.secrets)).toEqual(kinds)
    expect(await accepted(onlyNew, old.secrets)).toEqual([])
    const { token, accessToken, session, service } = old.secrets
    expect(await world.introspect(token, { url: both.url })).toMatchObject({ active: true, label: 'Old' })
    expect(await world.introspect(accessToken, { url: both.url })).toMatchObject({ active: true })
    const digests = [token, 'nothing', accessToken, other].map((text) =>
      createHash('sha256').update(text).digest('hex'),
    )
    const scanner = createClient({ url: both.url, credential: service })
    const { verifyTokenDigests } = await scanner.verifyTokenDigests({ digests })
    expect(verifyTokenDigests.map(({ active, label }) => [active, label])).toEqual([
      [true, 'Old'],
      [false, null],
      [true, null],
      [true, 'Other'],
    ])
    const owner = createClient({ url: both.url, credential: session })
    expect((await owner.integrationToken({ id: old.tokenId })).integrationToken?.label).toBe('Old')
  })

  it('makes new secrets, which an instance that does not name it yet refuses, and one that names it second accepts', async () => {
    const owner = createClient({ url: both.url, credential: old.secrets.session })
    const { secret } = unwrap((await owner.createToken({ input: { label: 'New', roleId: 'role_ci' } })).createToken)
    expect(await accepted(world, { secret })).toEqual([])
    expect(await accepted(both, { secret })).toEqual(['secret'])
    expect(await accepted(onlyNew, { secret })).toEqual(['secret'])
    const before = await openInstance(world, [oldKey, newKey])
    expect(await accepted(before, { secret, ...old.secrets })).toEqual(['secret', ...Object.keys(old.secrets)])
    await before.close()
  })

  it('takes up the secrets that are used, so that they no longer need the one before, and no other', async () => {
    const { keyId: oldId } = world.dependencies.digester
    // What was used a moment ago is written again 45 seconds later.
    for (const table of ['token_secrets', 'access_tokens', 'services']) {
      await world.sql(`update ${table} set last_used_at = null`)
    }
    await world.sql(`update sessions set last_used_at = now() - interval '1 minute'`)
    const rows = () =>
      world.sql(
        `select token_id, hint, created_at, token_label from token_secrets union all
         select member_id, hint, created_at, null from access_tokens order by 1`,
      )
    const unchanged = await rows()
    expect(await accepted(both, old.secrets)).toEqual(Object.keys(old.secrets))
    await both.dependencies.lastUse.flush()
    expect(await accepted(onlyNew, { ...old.secrets, unused: unused.secret })).toEqual(Object.keys(old.secrets))
    expect(await accepted(both, { ...old.secrets, unused: unused.secret })).toEqual([
      ...Object.keys(old.secrets),
      'unused',
    ])
    expect(await rows()).toEqual(unchanged)
    const left = await storedUnder(world, oldId)
    expect(left).toContain(unused.token.id)
    expect(left).not.toContain(old.tokenId)
    const [used] = await world.sql<{ used: boolean }>(
      'select last_used_at is not null as used from token_secrets where token_id = $1',
      [old.tokenId],
    )
    expect(used).toEqual({ used: true })
  })

  it('notices the use of a secret that was retired under the one before', async () => {
    const owner = createClient({ url: both.url, credential: old.secrets.session })
    const made = await makeRetired()
    expect(await accepted(both, { retired: made.secret })).toEqual([])
    await both.dependencies.lastUse.flush()
    const filter = { targetId: made.id, actions: ['token.retired_secret_used'] }
    expect((await owner.auditEvents({ filter })).auditEvents.nodes).toHaveLength(1)

    async function makeRetired() {
      const { token, secret } = await makeToken(world, 'Retired')
      unwrap((await world.alpha.superAdmin.regenerateToken({ input: { id: token.id } })).regenerateToken)
      return { id: token.id, secret }
    }
  })

  it('lets the retry of a creation that was begun under the one before have the same token and the same secret', async () => {
    const input = { label: 'Retried', roleId: 'role_ci', idempotencyKey: 'across a rotation' }
    const first = unwrap((await world.alpha.superAdmin.createToken({ input })).createToken)
    const credential = world.alpha.superAdmin.sessionToken
    const there = createClient({ url: both.url, credential })
    const again = async () => unwrap((await there.createToken({ input })).createToken)
    expect(await again()).toMatchObject({ secret: first.secret, token: { id: first.token.id } })
    await accepted(both, { secret: first.secret })
    await both.dependencies.lastUse.flush()
    expect(await accepted(onlyNew, { secret: first.secret })).toEqual(['secret'])
    expect(await again()).toMatchObject({ secret: first.secret, token: { id: first.token.id } })
    const reused = await there.createToken({ input: { ...input, label: 'Another' } })
    expect(reused.createToken.__typename).toBe('IdempotencyKeyReused')
    const fresh = unwrap(
      (await there.createToken({ input: { label: 'Fresh', roleId: 'role_ci', idempotencyKey: 'fresh' } })).createToken,
    )
    const retried = unwrap(
      (await there.createToken({ input: { label: 'Fresh', roleId: 'role_ci', idempotencyKey: 'fresh' } })).createToken,
    )
    expect(retried.secret).toBe(fresh.secret)
  })

  it('leaves an invitation good that was made under the one before', async () => {
    await addDomain(world.dependencies, { organization: 'alpha', domain: 'alpha.example' })
    // Whose session no other test has used, and so moved to the next key.
    const email = 'inviter@alpha.example'
    await addMember(world.dependencies, { organization: 'alpha', role: 'SUPER_ADMIN', email, password })
    const { sessionToken } = unwrap((await world.stranger.signIn({ input: { email, password } })).signIn)
    const input = { email: 'invited@alpha.example', role: 'GUEST' } as const
    const { secret } = unwrap((await world.as(sessionToken).inviteMember({ input })).inviteMember)
    const { acceptInvitation } = await createClient({ url: both.url }).acceptInvitation({ input: { secret, password } })
    expect(unwrap(acceptInvitation).viewer.member.email).toBe(input.email)
  })

  it('goes on with the chains of the audit log, which are verified with both keys and with no fewer', async () => {
    const { problems, events } = await verifyChain(both.dependencies, world.alpha.id)
    expect([problems, events > 10]).toEqual([[], true])
    const alone = await verifyChain(onlyNew.dependencies, world.alpha.id)
    expect(alone.problems[0]).toMatchObject({
      position: 1,
      problem: expect.stringContaining(world.dependencies.digester.keyId),
    })
  })
})

describe('passwords', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld()
  })
  afterAll(() => world[Symbol.asyncDispose]())

  const signsIn = async ({ dependencies }: Instance, email: string, given = password) =>
    signIn({ ...dependencies, origin }, { email, password: given, slug: null }).then(
      () => true,
      () => false,
    )
  const hashOf = async (email: string) => {
    const [row] = await world.sql<{ hash: string }>('select password_hash as hash from people where email = $1', [
      email,
    ])
    return row?.hash ?? ''
  }

  it('are good under a former key, and under the current one alone from the next sign-in on', async () => {
    const both = await openInstance(world, [newKey, oldKey])
    const onlyNew = await openInstance(world, [newKey])
    const { email } = world.alpha.member
    expect(await signsIn(onlyNew, email)).toBe(false)
    expect(await signsIn(both, email, 'another password')).toBe(false)
    const before = await hashOf(email)
    // At once: whoever is second finds another hash than was read, and the password right all the same.
    expect(await Promise.all(Array.from({ length: 4 }, () => signsIn(both, email)))).toEqual([true, true, true, true])
    expect(await hashOf(email)).not.toBe(before)
    expect(await signsIn(onlyNew, email)).toBe(true)
    expect(await signsIn(onlyNew, email, 'another password')).toBe(false)
    const renewed = await hashOf(email)
    expect(await signsIn(both, email)).toBe(true)
    expect(await hashOf(email)).toBe(renewed)
    await both.close()
    await onlyNew.close()
  })

  it('take up a higher cost at the next sign-in, and no lower one', async () => {
    const { email } = world.alpha.guest
    const costOf = async () => bcrypt.getRounds((await hashOf(email)).slice(8))
    expect(await costOf()).toBe(4)
    for (const [passwordCost, cost] of [
      [6, 6],
      [5, 6],
    ] as const) {
      const instance = await openInstance(world, [oldKey], { passwordCost })
      expect(await signsIn(instance, email)).toBe(true)
      expect(await costOf()).toBe(cost)
      await instance.close()
    }
  })

  it('from before the key’s id was kept with them are good as they are, and have it from the next sign-in on', async () => {
    const email = 'early@alpha.example'
    await addMember(world.dependencies, { organization: world.alpha.slug, role: 'GUEST', email, password })
    const hash = await bcrypt.hash(createHmac('sha384', oldKey).update(password).digest('base64'), 4)
    await world.sql('update people set password_hash = $1 where email = $2', [hash, email])
    const both = await openInstance(world, [newKey, oldKey])
    expect(await signsIn(both, email, 'another password')).toBe(false)
    expect(await hashOf(email)).toBe(hash)
    expect(await signsIn(both, email)).toBe(true)
    expect((await hashOf(email)).slice(0, 8)).toBe(both.dependencies.digester.keyId)
    await both.close()
  })

  it('that were changed while someone signed in with the old one let nobody in', async () => {
    const { email } = world.alpha.powerUser
    const both = await openInstance(world, [newKey, oldKey])
    const { dependencies } = both
    const passwords = {
      ...dependencies.passwords,
      renew: async () => {
        await world.sql('update people set password_hash = $1 where email = $2', [
          await dependencies.passwords.hash('set in the meantime'),
          email,
        ])
        return dependencies.passwords.hash(password)
      },
    }
    const late = { ...both, dependencies: { ...dependencies, passwords } }
    expect(await signsIn(late, email)).toBe(false)
    expect(await signsIn(both, email, 'set in the meantime')).toBe(true)
    await both.close()
  })
})

describe('latchkey secret status', () => {
  let world: World
  beforeAll(async () => {
    world = await openWorld()
  })
  afterAll(() => world[Symbol.asyncDispose]())

  async function run(environment: Record<string, string>, ...commandArguments: string[]) {
    const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
    input.end()
    const code = await runCommandLine(commandArguments, { input, output, errors, environment })
    return { code, stdout: String(output.read() ?? ''), stderr: String(errors.read() ?? '') }
  }
  const status = (secret: string, ...options: string[]) =>
    run({ DATABASE_URL: world.databaseUrl, LATCHKEY_SECRET: secret }, 'secret', 'status', ...options)

  it('counts what depends on which key, and says which are named', async () => {
    const oldId = world.dependencies.digester.keyId
    const { secrets } = await makeSecrets(world, 'Counted')
    const both = await openInstance(world, [newKey, oldKey])
    const newId = both.dependencies.digester.keyId
    const owner = createClient({ url: both.url, credential: secrets.session })
    unwrap((await owner.createToken({ input: { label: 'Under the new', roleId: 'role_ci' } })).createToken)
    await both.dependencies.lastUse.flush()
    const count = (table: string, where: string) =>
      world
        .sql<{ count: number }>(`select count(*)::int as count from ${table} where ${where}`)
        .then(([row]) => row?.count)
    const under = async (keyId: string) => ({
      integrationTokens: await count('token_secrets', `key_id = '${keyId}'`),
      accessTokens: await count('access_tokens', `key_id = '${keyId}'`),
      sessions: await count('sessions', `key_id = '${keyId}'`),
      services: await count('services', `key_id = '${keyId}'`),
      webhooks: await count('webhooks', `key_id = '${keyId}'`),
      invitations: await count('invitations', `key_id = '${keyId}'`),
      passwords: await count('people', `password_hash like '${keyId}$%'`),
    })
    const [ofOld, ofNew] = [await under(oldId), await under(newId)]
    expect(ofOld).toMatchObject({ integrationTokens: 1, accessTokens: 1, services: 1, passwords: 10 })
    expect(ofNew).toMatchObject({ integrationTokens: 1, passwords: 0 })
    expect(await readKeyUse(both.dependencies)).toEqual([
      { keyId: newId, standing: 'current', ...ofNew },
      { keyId: oldId, standing: 'former', ...ofOld },
    ])
    await both.close()

    const json = await status(`${newKey}, ${oldKey}`, '--json')
    expect(json).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(json.stdout).map(({ keyId }: KeyUse) => keyId)).toEqual([newId, oldId])
    const shown = await status(`${newKey},${oldKey}`)
    expect(shown.stdout).toMatch(new RegExp(`\\n${newId} +first +1 `))
    expect(shown.stdout).toMatch(new RegExp(`\\n${oldId} +after it +1 `))
    expect(shown.stdout).toContain('Keep naming it.')
    const early = await status(newKey)
    expect(early.stdout).toMatch(new RegExp(`\\n${oldId} +not named +1 `))
    expect(early.stdout).toContain(`What depends on the key ${oldId} is refused.`)
    const spare = 'a key that was never used for anything at all'
    expect((await status(`${oldKey},${newKey},${spare}`)).stdout).toMatch(
      /Nothing depends on the key [0-9a-f]{8} any more/,
    )
    for (const { stdout, stderr } of [json, shown, early]) {
      for (const key of [newKey, oldKey]) expect(stdout + stderr).not.toContain(key)
    }
  })

  it('leaves out what is retired or expired, and tells of passwords whose key is not known', async () => {
    const before = await readKeyUse(world.dependencies)
    const { alpha } = world
    const { token } = await makeToken(world, 'Replaced')
    unwrap((await alpha.superAdmin.regenerateToken({ input: { id: token.id } })).regenerateToken)
    await world.sql(
      `update people set password_hash = substring(password_hash from 9) where email = '${alpha.guest.email}'`,
    )
    await world.sql(`update integration_tokens set expires_at = now() where label = 'Under the new'`)
    await world.sql(`update sessions set expires_at = now()`)
    const { keyId } = world.dependencies.digester
    const [was] = before.filter((use) => use.keyId === keyId)
    if (!was) throw new Error('The current key has no row.')
    const after = await readKeyUse(world.dependencies)
    expect(after).toEqual([
      { ...was, integrationTokens: was.integrationTokens + 1, passwords: was.passwords - 1, sessions: 0 },
      expect.objectContaining({ keyId: null, standing: 'unknown', passwords: 1 }),
    ])
  })

  it('counts as far as there are rows', async () => {
    // Without their tokens, which would take half a minute.
    await world.sql(
      `set session_replication_role = replica;
       insert into token_secrets (digest, organization_id, token_id, key_id, hint, token_label, token_role_id, token_enabled, token_created_at)
       select sha256(n::text::bytea), '${world.beta.id}', 'tok_' || n, 'ffffffff', '0000', 'x', 'role_ci', true, now()
       from generate_series(1, 25000) n;
       reset session_replication_role`,
    )
    const uses = await readKeyUse(world.dependencies)
    expect(uses).toContainEqual(
      expect.objectContaining({ keyId: 'ffffffff', standing: 'unnamed', integrationTokens: 25_000 }),
    )
  })

  it('counts also with the key that Latchkey has made for its own database, which a new one takes the place of', {
    timeout: 60_000,
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'latchkey-key-'))
    try {
      const own = { DATA_DIRECTORY: directory }
      const added = await run(own, 'service', 'add', 'scanner')
      expect(added.code).toBe(0)
      const kept = readFileSync(join(directory, 'secret'), 'utf8')
      const ran = await run({ ...own, LATCHKEY_SECRET: `${newKey},${kept}` }, 'secret', 'status', '--json')
      expect(JSON.parse(ran.stdout)).toMatchObject([
        { standing: 'current', services: 0 },
        { standing: 'former', services: 1 },
      ])
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
