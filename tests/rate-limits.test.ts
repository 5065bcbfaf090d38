import { type Latchkey, RequestError, unwrap } from '@latchkey/sdk'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { addService } from '../server/identity/services.ts'
import { defaultRateLimits } from '../server/rate-limit-settings.ts'
import { createRateLimits } from '../server/rate-limits.ts'
import { openWorld, password, serve, type World } from './world.ts'

const wrong = 'a wrong guess here'
const signInMutation =
  'mutation($input: SignInInput!) { signIn(input: $input) { __typename ... on TooManyAttempts { retryAfterSeconds } } }'

/** A world with two instances, behind a proxy that says where requests come from. */
async function openLimited(rateLimits: Partial<typeof defaultRateLimits>) {
  const world = await openWorld({ rateLimits: { ...defaultRateLimits, ...rateLimits } })
  const other = await world.startInstance()
  const servers = await Promise.all(
    [world, other].map(({ dependencies }) => serve(dependencies, { proxies: ['127.0.0.1'] })),
  )
  let account = 0
  let turn = 0
  const next = () => servers[turn++ % servers.length]?.url ?? ''
  return {
    world,
    other,
    /** By turns on either instance. */
    async signIn(from: string, email = `nobody-${++account}@nowhere.example`, presented = wrong): Promise<string> {
      const response = await fetch(`${next()}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': from },
        body: JSON.stringify({ query: signInMutation, variables: { input: { email, password: presented } } }),
      })
      const { data, errors } = await response.json()
      return data?.signIn.__typename ?? errors[0].extensions.code
    },
    async [Symbol.asyncDispose]() {
      for (const { close } of servers) await close()
      await world[Symbol.asyncDispose]()
    },
  }
}

const times = async <T>(count: number, work: () => Promise<T>): Promise<T[]> => {
  const results: T[] = []
  while (results.length < count) results.push(await work())
  return results
}
const repeated = (count: number, word: string) => Array.from({ length: count }, () => word)

describe('sign-ins from one address', () => {
  let limited: Awaited<ReturnType<typeof openLimited>>
  beforeAll(async () => {
    limited = await openLimited({ signInsByAddress: 5 })
  })
  afterAll(() => limited[Symbol.asyncDispose]())

  it('may fail so often on all instances together, whichever accounts they are for, and from another address again', async () => {
    const refusals = await times(8, () => limited.signIn('192.0.2.1'))
    expect(refusals).toEqual([...repeated(5, 'SignInRefused'), ...repeated(3, 'TooManyAttempts')])
    const { email } = limited.world.alpha.owner
    expect(await limited.signIn('192.0.2.1', email, password)).toBe('TooManyAttempts')
    expect(await limited.signIn('192.0.2.2', email, password)).toBe('SignInPayload')
  })

  it('count by the first 64 bits of an IPv6 address, whichever of the others are given', async () => {
    const addresses = ['2001:db8:0:1::1', '2001:DB8::1:0:0:0:2', '2001:db8:0:1:ffff::', '2001:db8:0:1:1:2:3:4']
    for (const address of [...addresses, '2001:db8:0:1::1']) expect(await limited.signIn(address)).toBe('SignInRefused')
    expect(await limited.signIn('2001:db8:0:1:9::9')).toBe('TooManyAttempts')
    expect(await limited.signIn('2001:db8:0:2::1')).toBe('SignInRefused')
  })

  it('count as from the caller, whatever it writes into X-Forwarded-For, where no proxy is configured', async () => {
    const { world } = limited
    const signInFrom = async (forwarded: string) => {
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': forwarded },
        body: JSON.stringify({
          query: signInMutation,
          variables: { input: { email: `${forwarded}@nowhere.example`, password: wrong } },
        }),
      })
      return (await response.json()).data.signIn.__typename
    }
    for (let turn = 1; turn <= 5; turn++) expect(await signInFrom(`203.0.113.${turn}`)).toBe('SignInRefused')
    expect(await signInFrom('203.0.113.6')).toBe('TooManyAttempts')
    expect(await limited.signIn('203.0.113.1')).toBe('SignInRefused')
  })

  it('count as from IPv4 however the proxy writes the address', async () => {
    for (const address of ['198.51.100.7', '::ffff:198.51.100.7', '::FFFF:c633:6407']) {
      expect(await limited.signIn(address)).toBe('SignInRefused')
      expect(await limited.signIn(address)).toMatch(/SignInRefused|TooManyAttempts/)
    }
    expect(await limited.signIn('198.51.100.7')).toBe('TooManyAttempts')
    expect(await limited.signIn('::ffff:c633:6408')).toBe('SignInRefused')
  })

  it('give back what succeeded, so that an office that shares an address signs in as often as it likes', async () => {
    const { alpha } = limited.world
    expect(await times(4, () => limited.signIn('192.0.2.3'))).toEqual(repeated(4, 'SignInRefused'))
    expect(await times(7, () => limited.signIn('192.0.2.3', alpha.member.email, password))).toEqual(
      repeated(7, 'SignInPayload'),
    )
    expect(await times(2, () => limited.signIn('192.0.2.3'))).toEqual(['SignInRefused', 'TooManyAttempts'])
  })

  it('from an address that has no more do not count for the account, and end nobody’s session', async () => {
    const { owner } = limited.world.beta
    await times(20, () => limited.signIn('192.0.2.4', owner.email))
    expect((await owner.viewer()).viewer.__typename).toBe('MemberViewer')
    expect(await limited.signIn('192.0.2.5', owner.email, password)).toBe('SignInPayload')
  })

  it('are kept under digests, of which none tells an address', async () => {
    await limited.signIn('192.0.2.6')
    const rows = await limited.world.sql<{ key: string }>(
      'select key from sign_in_attempts union select key from rates',
    )
    expect(rows.length).toBeGreaterThan(0)
    for (const { key } of rows) expect(key).toMatch(/^[\w-]{43}$/)
  })
})

describe('guesses at one account’s password', () => {
  it('are ten in a quarter of an hour, however they are spelt and spread over addresses and instances', async () => {
    await using limited = await openLimited({ signInsByAddress: 3 })
    const { owner } = limited.world.alpha
    const spellings = [owner.email, owner.email.toUpperCase(), ` ${owner.email} `, `\t${owner.email}\n`]
    const guesses: string[] = []
    for (let place = 0; place < 30; place += 5) {
      const several = Array.from({ length: 5 }, (_, index) => place + index).map((index) =>
        limited.signIn(
          index % 2 === 0 ? `198.51.100.${index}` : `2001:db8:0:${index}::1`,
          spellings[index % spellings.length],
        ),
      )
      guesses.push(...(await Promise.all(several)))
    }
    expect(guesses.toSorted()).toEqual([...repeated(10, 'SignInRefused'), ...repeated(20, 'TooManyAttempts')])
    expect(await limited.signIn('203.0.113.1', owner.email, password)).toBe('TooManyAttempts')
    expect((await owner.viewer()).viewer.__typename).toBe('MemberViewer')
    expect((await limited.world.as(owner.sessionToken).organization()).organization.slug).toBe('alpha')
  })

  it('count one by one, whatever number of them a request or a document holds', async () => {
    await using limited = await openLimited({})
    const { world } = limited
    const { owner, member } = world.alpha
    const send = async (body: unknown, credential?: string) => {
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(credential && { authorization: `Bearer ${credential}` }) },
        body: JSON.stringify(body),
      })
      return response.json()
    }
    const guess = `signIn(input: { email: "${owner.email}", password: "${wrong}" }) { __typename }`
    const aliased = Array.from({ length: 15 }, (_, index) => `a${index}: ${guess}`)
    for (const body of [
      { query: `mutation { ${aliased.join(' ')} }` },
      { query: `mutation { ...A ...B } fragment A on Mutation { a: ${guess} } fragment B on Mutation { b: ${guess} }` },
      { query: `mutation { ... { a: ${guess} } ... on Mutation { b: ${guess} } }` },
      { query: `mutation A { ${guess} } mutation B { ${guess} }`, operationName: 'A' },
      Array.from({ length: 15 }, () => ({ query: `mutation { ${guess} }` })),
    ]) {
      const { data, errors } = await send(body)
      expect([data, errors.length > 0]).toEqual([undefined, true])
    }
    // None of these was tried: ten are left.
    const tried = await Promise.all(Array.from({ length: 11 }, () => limited.signIn('192.0.2.9', owner.email)))
    expect(tried.filter((name) => name === 'SignInRefused')).toHaveLength(10)

    // A session can ask for as many changes of the password in one document as it has aliases.
    const change = `changePassword(input: { currentPassword: "${wrong}", newPassword: "another lantern entirely" }) { __typename }`
    const { data } = await send(
      { query: `mutation { ${Array.from({ length: 15 }, (_, index) => `a${index}: ${change}`).join(' ')} }` },
      member.sessionToken,
    )
    expect(Object.values(data)).toEqual([
      ...repeated(10, 'WrongPassword').map((__typename) => ({ __typename })),
      ...repeated(5, 'TooManyAttempts').map((__typename) => ({ __typename })),
    ])
    expect(await limited.signIn('192.0.2.9', member.email, password)).toBe('TooManyAttempts')
    expect((await member.viewer()).viewer.__typename).toBe('MemberViewer')
  })
})

describe('making tokens', () => {
  let limited: Awaited<ReturnType<typeof openLimited>>
  beforeAll(async () => {
    limited = await openLimited({ secrets: 4 })
  })
  afterAll(() => limited[Symbol.asyncDispose]())

  let made = 0
  const create = async (client: Latchkey) =>
    unwrap((await client.createToken({ input: { label: `Made ${++made}`, roleId: 'role_ci' } })).createToken)
  const refusalOf = async (call: Promise<unknown>) => {
    const error = await call.catch((error: unknown) => error)
    if (!(error instanceof RequestError)) throw new Error('The call was not refused.')
    return error
  }

  it('is limited by caller on all instances together: created, regenerated and reset, as one', async () => {
    const { world, other } = limited
    const { owner, superAdmin } = world.alpha
    const elsewhere = world.stranger.with({
      credential: owner.sessionToken,
      fetch: (url, init) => fetch(String(url).replace(world.url, other.url), init),
    })
    const { token } = await create(owner)
    await create(elsewhere)
    unwrap((await elsewhere.regenerateToken({ input: { id: token.id } })).regenerateToken)
    const { token: last } = await create(owner)
    for (const call of [
      () => create(owner),
      () => create(elsewhere),
      () => owner.regenerateToken({ input: { id: last.id } }),
      () => elsewhere.resetAccessToken(),
    ]) {
      const { code, status, retryAfterSeconds, message } = await refusalOf(call())
      expect({ code, status }).toEqual({ code: 'RATE_LIMITED', status: 429 })
      expect(retryAfterSeconds).toBeGreaterThan(0)
      expect(retryAfterSeconds).toBeLessThanOrEqual(60)
      expect(message).toMatch(/^Too many tokens were created, regenerated or reset within a minute\. Try again in \d+ /)
    }
    expect(await world.alpha.tokenLabels()).toEqual(['Made 1', 'Made 2', 'Made 3'])
    // Nothing else of the caller's, and nobody else, is held up.
    expect((await owner.viewer()).viewer.__typename).toBe('MemberViewer')
    unwrap((await owner.deleteToken({ input: { id: last.id } })).deleteToken)
    await create(superAdmin)
  })

  it('tells in the header and in the answer for how long to wait', async () => {
    const { superAdmin } = limited.world.beta
    await times(4, () => create(superAdmin))
    const response = await fetch(`${limited.world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${superAdmin.sessionToken}` },
      body: JSON.stringify({ query: 'mutation { resetAccessToken { secret } }' }),
    })
    expect(response.status).toBe(429)
    const { errors, data } = await response.json()
    const retryAfterSeconds = Number(response.headers.get('retry-after'))
    expect(retryAfterSeconds).toBeGreaterThan(0)
    expect(data ?? null).toBeNull()
    expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', retryAfterSeconds } }])
    expect((await superAdmin.viewer()).viewer.__typename).toBe('MemberViewer')
  })

  it('is limited for a service account by itself', async () => {
    const { owner } = limited.world.beta
    const input = { label: 'Automation', roleId: 'role_service_account' }
    const account = limited.world.as(unwrap((await owner.createToken({ input })).createToken).secret)
    await times(4, () => create(account))
    expect((await refusalOf(create(account))).code).toBe('RATE_LIMITED')
    await create(owner)
  })

  it('may go on once the minute is over', async () => {
    const { world } = limited
    const before = world.beta.owner
    await times(2, () => create(before))
    expect((await refusalOf(create(before))).code).toBe('RATE_LIMITED')
    await world.sql('update rates set expire = expire - 60000')
    await create(before)
  })
})

const ask = async (world: World, secret: string, url = world.url) =>
  fetch(`${url}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}` },
    body: new URLSearchParams({ token: 'lki_nothing' }),
  })

describe('verification', () => {
  it('is limited by service, where a limit is set, on all instances together', async () => {
    await using limited = await openLimited({ verifications: 3 })
    const { world, other } = limited
    const { secret } = world.service
    for (const url of [world.url, other.url, world.url]) expect((await ask(world, secret, url)).status).toBe(200)
    const refused = await ask(world, secret, other.url)
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    const body = await refused.json()
    expect(body).toEqual({
      error: 'rate_limited',
      error_description: expect.stringMatching(
        /^Too many tokens were verified within a minute\. Try again in (\d+ seconds|a second)\.$/,
      ),
    })
    const another = await addService(world.dependencies, 'another')
    expect((await ask(world, another)).status).toBe(200)
    // Who is nobody's service takes nothing from anyone.
    expect((await ask(world, 'lkv_unknown')).status).toBe(401)
  })

  it('counts every token, however they are asked about', async () => {
    await using limited = await openLimited({ verifications: 10 })
    const { world } = limited
    const { verifyToken, verifyTokenDigests } = world.service
    const digests = Array.from({ length: 8 }, (_, nth) => String(nth).repeat(64))
    expect((await verifyTokenDigests({ digests })).verifyTokenDigests).toHaveLength(8)
    await verifyToken({ token: 'lki_nothing' })
    expect((await ask(world, world.service.secret)).status).toBe(200)
    for (const more of [() => verifyToken({ token: 'lki_nothing' }), () => verifyTokenDigests({ digests })]) {
      const error: unknown = await more().catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'RATE_LIMITED', status: 429 })
      expect(String(error)).toContain('Too many tokens were verified within a minute.')
    }
    expect((await ask(world, world.service.secret)).status).toBe(429)
  })

  it('asks the database nothing more where no limit is set', async () => {
    await using world = await openWorld()
    const { server } = world.dependencies.database
    const asked = [vi.spyOn(server, 'query'), vi.spyOn(server, 'connect')]
    expect((await ask(world, world.service.secret)).status).toBe(200)
    for (const spy of asked) expect(spy).not.toHaveBeenCalled()
    expect(await world.sql('select key from rates')).toEqual([])
  })
})

describe('a limit that the database cannot be asked about', () => {
  it('is answered as every fault of the database is, and never with a verdict', async () => {
    await using world = await openWorld()
    const { dependencies } = world
    const gone = new pg.Pool({ connectionString: world.databaseUrl })
    await gone.end()
    const database = { ...dependencies.database, server: gone }
    const limits = createRateLimits({ ...dependencies, database }, { ...defaultRateLimits, verifications: 10 })
    const { url, close } = await serve({ ...dependencies, limits })
    const introspection = await ask(world, world.service.secret, url)
    expect(introspection.status).toBe(503)
    expect(await introspection.text()).not.toContain('active')
    const at = (credential?: string) =>
      world.stranger.with({ credential, fetch: (_, init) => fetch(`${url}/graphql`, init) })
    for (const call of [
      () => at().signIn({ input: { email: world.alpha.owner.email, password } }),
      () => at(world.alpha.owner.sessionToken).createToken({ input: { label: 'Never', roleId: 'role_ci' } }),
    ]) {
      expect(await call().catch((error: unknown) => error)).toMatchObject({ code: 'UNAVAILABLE', status: 503 })
    }
    await close()
    expect(await world.alpha.tokenLabels()).toEqual([])
  })
})

describe('a limit of 0', () => {
  it('is none', async () => {
    await using limited = await openLimited({ signInsByAccount: 0, signInsByAddress: 0, secrets: 0 })
    const { owner } = limited.world.alpha
    expect(await times(15, () => limited.signIn('192.0.2.1', owner.email))).toEqual(repeated(15, 'SignInRefused'))
    expect(await limited.signIn('192.0.2.1', owner.email, password)).toBe('SignInPayload')
    for (const label of ['One', 'Two']) {
      unwrap((await owner.createToken({ input: { label, roleId: 'role_ci' } })).createToken)
    }
    expect(await limited.world.sql('select key from sign_in_attempts union select key from rates')).toEqual([])
  })
})
