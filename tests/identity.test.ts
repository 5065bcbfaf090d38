import { createClient, RequestError, unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addMember, setPassword } from '../server/organizations/operator.ts'
import { defaultRateLimits } from '../server/rate-limit-settings.ts'
import { openWorld, password, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const signIn = async (input: { email: string; password: string; organization?: string }) =>
  (await world.stranger.signIn({ input })).signIn
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => null,
    (error: unknown) => (error instanceof RequestError ? error.code : error),
  )

describe('signing in', () => {
  it('gives a session for the organization asked for, or else the one last used', async () => {
    const { alpha, beta, dependencies } = world
    await addMember(dependencies, { organization: 'beta', role: 'GUEST', email: alpha.member.email, password: null })
    const email = alpha.member.email
    const first = unwrap(await signIn({ email: ` ${email.toUpperCase()} `, password }))
    expect(first.sessionToken).toMatch(/^lks_[0-9A-Za-z]{49}$/)
    expect(first.viewer).toMatchObject({ member: { email, role: 'MEMBER' }, organization: { slug: 'alpha' } })
    expect(first.viewer.organizations.map(({ slug }) => slug)).toEqual(['alpha', 'beta'])
    const second = unwrap(await signIn({ email, password, organization: 'beta' }))
    expect(second.viewer).toMatchObject({ member: { role: 'GUEST' }, organization: { id: beta.id } })
    expect(unwrap(await signIn({ email, password })).viewer.organization.slug).toBe('beta')
    unwrap(await signIn({ email, password, organization: 'alpha' }))
    const days = (Date.parse(first.expiresAt) - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(6.99)
    expect(days).toBeLessThanOrEqual(7)
  })

  it('says the same for an unknown address, a wrong password, another’s organization and a deactivated member', async () => {
    const { alpha } = world
    await world.sql(
      `update members set active = false where id in (select m.id from members m join people p on p.id = m.person_id where p.email = $1)`,
      [alpha.guest.email],
    )
    const refusals = await Promise.all([
      signIn({ email: 'nobody@nowhere.example', password }),
      signIn({ email: alpha.owner.email, password: 'not the password at all' }),
      signIn({ email: alpha.owner.email, password, organization: 'beta' }),
      signIn({ email: alpha.owner.email, password, organization: 'nowhere' }),
      signIn({ email: alpha.guest.email, password }),
      signIn({ email: 'x'.repeat(10_000), password: 'y'.repeat(100_000) }),
    ])
    expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    expect(refusals[0]?.__typename).toBe('SignInRefused')
    await world.sql('update members set active = true')
  })

  it('is recorded, and so is its refusal, with the address it came from', async () => {
    const { alpha } = world
    await signIn({ email: alpha.powerUser.email, password: 'wrong wrong wrong' })
    unwrap(await signIn({ email: alpha.powerUser.email, password }))
    const { nodes } = (await alpha.owner.auditEvents({ first: 2 })).auditEvents
    expect(nodes).toMatchObject([
      { action: 'session.signed_in', actor: alpha.powerUser.email, ipAddress: '127.0.0.1' },
      { action: 'session.sign_in_failed', actor: alpha.powerUser.email, ipAddress: '127.0.0.1' },
    ])
  })

  it('lets nobody guess more than ten times in a quarter of an hour, at once or in turn, and leaves standing sessions alone', async () => {
    const { beta } = world
    const email = beta.owner.email
    const guesses = await Promise.all(
      Array.from({ length: 30 }, () => signIn({ email, password: 'a wrong guess here' })),
    )
    const names = guesses.map(({ __typename }) => __typename)
    expect(names.filter((name) => name === 'SignInRefused')).toHaveLength(10)
    expect(names.filter((name) => name === 'TooManyAttempts')).toHaveLength(20)
    const right = await signIn({ email, password })
    expect(right).toMatchObject({ __typename: 'TooManyAttempts' })
    expect(right.__typename === 'TooManyAttempts' && right.retryAfterSeconds).toBeGreaterThan(800)
    expect((await beta.owner.viewer()).viewer.__typename).toBe('MemberViewer')
    const unknown = await Promise.all(
      Array.from({ length: 11 }, () => signIn({ email: 'ghost@nowhere.example', password })),
    )
    expect(unknown.filter(({ __typename }) => __typename === 'TooManyAttempts')).toHaveLength(1)
    await setPassword(world.dependencies, { email, password })
    expect((await signIn({ email, password })).__typename).toBe('SignInPayload')
  })

  it.each([
    // At a cost at which a comparison that is left out shows.
    { when: 'with attempts left', passwordCost: 8, signInsByAccount: 0, refusal: 'SignInRefused' },
    { when: 'with none left', passwordCost: 4, signInsByAccount: 1, refusal: 'TooManyAttempts' },
  ])(
    'takes as long for an unknown address as for a known one, $when: of 200 each, the medians are within 10 ms',
    {
      timeout: 120_000,
    },
    async ({ passwordCost, signInsByAccount, refusal }) => {
      const rateLimits = { ...defaultRateLimits, signInsByAccount, signInsByAddress: 0 }
      await using quick = await openWorld({ passwordCost, rateLimits })
      const attempt = async (email: string) =>
        (await quick.stranger.signIn({ input: { email, password: 'a wrong guess here' } })).signIn.__typename
      const emails = { known: quick.alpha.owner.email, unknown: 'nobody@nowhere.example' }
      const took: Record<keyof typeof emails, number[]> = { known: [], unknown: [] }
      for (const email of Object.values(emails)) expect(await attempt(email)).toBe('SignInRefused')
      for (let run = 0; run < 200; run++) {
        for (const account of run % 2 === 0 ? (['known', 'unknown'] as const) : (['unknown', 'known'] as const)) {
          const started = performance.now()
          expect(await attempt(emails[account])).toBe(refusal)
          took[account].push(performance.now() - started)
        }
      }
      const median = (times: number[]) => times.toSorted((a, b) => a - b)[100] ?? 0
      expect(Math.abs(median(took.known) - median(took.unknown))).toBeLessThan(10)
    },
  )

  it('keeps an attempt’s address out of the table that counts it', async () => {
    await signIn({ email: 'counted@nowhere.example', password })
    const rows = await world.sql<{ key: string }>('select key from sign_in_attempts')
    expect(rows.length).toBeGreaterThan(0)
    expect(rows.filter(({ key }) => /[@.]/.test(key))).toEqual([])
  })
})

describe('a session', () => {
  const session = async (slug = 'alpha') => {
    const { sessionToken } = unwrap(await signIn({ email: world.alpha.superAdmin.email, password, organization: slug }))
    return { sessionToken, client: world.as(sessionToken) }
  }

  it('ends on signing out', async () => {
    const { client } = await session()
    expect((await client.signOut()).signOut.signedOut).toBe(true)
    expect(await codeOf(client.viewer())).toBe('UNAUTHENTICATED')
  })

  it('ends after 12 hours without use, and after 7 days whatever its use', async () => {
    const idle = await session()
    await world.sql(`update sessions set last_used_at = now() - interval '11 hours 59 minutes'`)
    expect(await codeOf(idle.client.viewer())).toBeNull()
    await world.dependencies.lastUse.flush()
    await world.sql(
      `update sessions set last_used_at = now() - interval '12 hours' where last_used_at > now() - interval '1 minute'`,
    )
    expect(await codeOf(idle.client.viewer())).toBe('UNAUTHENTICATED')
    const old = await session()
    await world.sql("update sessions set expires_at = now() where last_used_at > now() - interval '1 minute'")
    expect(await codeOf(old.client.viewer())).toBe('UNAUTHENTICATED')
    await world.sql(`update sessions set last_used_at = now(), expires_at = now() + interval '1 day'`)
  })

  it('follows the member’s role and standing at the next request', async () => {
    const { client } = await session()
    const own = 'person_id = (select id from people where email = $1)'
    await world.sql(`update members set role = 'MEMBER' where ${own}`, [world.alpha.superAdmin.email])
    expect(await codeOf(client.tokenRoles())).toBe('FORBIDDEN')
    await world.sql(`update members set role = 'SUPER_ADMIN', active = false where ${own}`, [
      world.alpha.superAdmin.email,
    ])
    expect(await codeOf(client.tokenRoles())).toBe('UNAUTHENTICATED')
    await world.sql(`update members set active = true where ${own}`, [world.alpha.superAdmin.email])
    expect(await codeOf(client.tokenRoles())).toBe('UNAUTHENTICATED')
    expect(await codeOf((await session()).client.tokenRoles())).toBeNull()
  })

  it('is a cookie for browsers: HttpOnly, and over HTTPS bound to the host by its name', async () => {
    const body = JSON.stringify({
      query: 'mutation($input: SignInInput!) { signIn(input: $input) { __typename } }',
      variables: { input: { email: world.alpha.powerUser.email, password } },
    })
    const headers = { 'content-type': 'application/json' }
    const plain = await fetch(`${world.url}/graphql`, { method: 'POST', headers, body })
    const cookie = plain.headers.getSetCookie()[0] ?? ''
    expect(cookie).toMatch(/^latchkey_session=lks_\w+; Path=\/; HttpOnly; SameSite=Lax; Expires=/)
    const ask = (extra: Record<string, string>) =>
      fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { ...headers, cookie: cookie.split(';')[0] ?? '', ...extra },
        body: JSON.stringify({ query: '{ viewer { __typename } }' }),
      })
    expect((await ask({})).status).toBe(200)
    expect((await ask({ origin: 'https://evil.example' })).status).toBe(403)
    expect((await ask({ 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    expect((await ask({ 'sec-fetch-site': 'same-origin', origin: world.url })).status).toBe(200)

    await using secure = await openWorld({ publicUrl: 'https://tokens.example.com' })
    const over = await fetch(`${secure.url}/graphql`, { method: 'POST', headers, body })
    expect(over.headers.getSetCookie()[0]).toMatch(
      /^__Host-latchkey_session=lks_\w+; Path=\/; HttpOnly; SameSite=Lax; Secure; /,
    )
  })
})

describe('switchOrganization', () => {
  it('goes on in another organization under a new secret until the same end, and refuses the old one', async () => {
    const { alpha, dependencies } = world
    await addMember(dependencies, {
      organization: 'beta',
      role: 'SUPER_ADMIN',
      email: alpha.powerUser.email,
      password: null,
    })
    const first = unwrap(await signIn({ email: alpha.powerUser.email, password, organization: 'alpha' }))
    const client = world.as(first.sessionToken)
    const switched = unwrap((await client.switchOrganization({ slug: 'beta' })).switchOrganization)
    expect(switched.viewer).toMatchObject({ organization: { slug: 'beta' }, member: { role: 'SUPER_ADMIN' } })
    expect(switched.expiresAt).toBe(first.expiresAt)
    expect(await codeOf(client.viewer())).toBe('UNAUTHENTICATED')
    const there = world.as(switched.sessionToken)
    expect((await there.organization()).organization.slug).toBe('beta')
    expect((await there.auditEvents({ first: 1 })).auditEvents.nodes).toMatchObject([{ action: 'session.switched' }])
  })

  it('refuses an organization of which the person is no active member, as if there were none', async () => {
    const { alpha } = world
    const answers = await Promise.all([
      alpha.owner.switchOrganization({ slug: 'beta' }),
      alpha.owner.switchOrganization({ slug: 'nowhere' }),
    ])
    expect(answers[0]).toEqual(answers[1])
    expect(answers[0]?.switchOrganization.__typename).toBe('NotAMember')
    expect(await codeOf(alpha.owner.viewer())).toBeNull()
  })

  it('refuses an access token, which is for one organization and tells of no other', async () => {
    const { alpha } = world
    const email = alpha.powerUser.email
    const { sessionToken } = unwrap(await signIn({ email, password, organization: 'alpha' }))
    const { secret } = (await world.as(sessionToken).resetAccessToken()).resetAccessToken
    expect(await codeOf(world.as(secret).switchOrganization({ slug: 'beta' }))).toBe('FORBIDDEN')
    const { viewer } = await world.as(secret).viewer()
    expect(viewer).toMatchObject({ __typename: 'MemberViewer', organizations: [{ slug: 'alpha' }] })
  })
})

describe('resetAccessToken', () => {
  it('refuses the old token, ends every session of the person everywhere, and shows the new secret once', async () => {
    const { alpha, dependencies } = world
    const email = alpha.owner.email
    await addMember(dependencies, { organization: 'beta', role: 'MEMBER', email, password: null })
    const sessions = await Promise.all(
      ['alpha', 'alpha', 'beta'].map(async (organization) =>
        world.as(unwrap(await signIn({ email, password, organization })).sessionToken),
      ),
    )
    const [here, other, elsewhere] = sessions
    if (!here || !other || !elsewhere) throw new Error('Three sessions were asked for.')
    const first = (await here.resetAccessToken()).resetAccessToken
    expect(first.secret).toMatch(/^lkp_[0-9A-Za-z]{49}$/)
    for (const client of [here, other, elsewhere, alpha.owner])
      expect(await codeOf(client.viewer())).toBe('UNAUTHENTICATED')
    expect(await world.introspect(first.secret)).toMatchObject({
      active: true,
      role: 'OWNER',
      organization_id: alpha.id,
    })

    const again = world.as(unwrap(await signIn({ email, password, organization: 'alpha' })).sessionToken)
    const { viewer } = await again.viewer()
    expect(viewer).toMatchObject({ accessToken: { hint: first.secret.slice(-4) } })
    const second = (await again.resetAccessToken()).resetAccessToken
    expect(await world.introspect(first.secret)).toEqual({ active: false })
    expect(await codeOf(world.as(first.secret).viewer())).toBe('UNAUTHENTICATED')
    expect(await world.introspect(second.secret)).toMatchObject({ active: true })
    const { nodes } = (await world.as(second.secret).auditEvents({ filter: { actions: ['access_token.reset'] } }))
      .auditEvents
    expect(nodes.filter(({ actor }) => actor === email)).toMatchObject([{ target: email }, { target: email }])
  })

  it('leaves one accepted token after many resets at once', async () => {
    const { beta } = world
    const email = beta.superAdmin.email
    const clients = await Promise.all(
      Array.from({ length: 5 }, async () => world.as(unwrap(await signIn({ email, password })).sessionToken)),
    )
    const resets = await Promise.allSettled(clients.map((client) => client.resetAccessToken()))
    const secrets = resets.flatMap((reset) =>
      reset.status === 'fulfilled' ? [reset.value.resetAccessToken.secret] : [],
    )
    expect(secrets.length).toBeGreaterThan(0)
    const verdicts = await Promise.all(secrets.map((secret) => world.introspect(secret)))
    expect(verdicts.filter(({ active }) => active)).toHaveLength(1)
  })
})

describe('an access token', () => {
  it('may do what the member’s role may, at once when that changes', async () => {
    const { beta } = world
    const { secret } = (await beta.powerUser.resetAccessToken()).resetAccessToken
    const scope = async () => (await world.introspect(secret)).scope
    expect(await scope()).toBe('apps:read findings:read findings:comment scans:write')
    await world.sql(`update members set role = 'GUEST' where person_id = (select id from people where email = $1)`, [
      beta.powerUser.email,
    ])
    expect(await scope()).toBe('apps:read')
    await world.sql(`update members set active = false where person_id = (select id from people where email = $1)`, [
      beta.powerUser.email,
    ])
    expect(await world.introspect(secret)).toEqual({ active: false })
  })
})

describe('viewer', () => {
  it('knows all four kinds of principal from one place', async () => {
    const { alpha, service } = world
    const admin = world.as(unwrap(await signIn({ email: alpha.superAdmin.email, password })).sessionToken)
    const { secret, token } = unwrap(
      (await admin.createToken({ input: { label: 'Viewer', roleId: 'role_jira' } })).createToken,
    )
    const access = (await admin.resetAccessToken()).resetAccessToken.secret
    expect((await world.as(secret).viewer()).viewer).toMatchObject({
      __typename: 'TokenViewer',
      token: { id: token.id },
      organization: { slug: 'alpha' },
    })
    expect((await world.as(access).viewer()).viewer).toMatchObject({
      __typename: 'MemberViewer',
      member: { email: alpha.superAdmin.email },
    })
    expect((await service.viewer()).viewer).toEqual({
      __typename: 'ServiceViewer',
      name: 'scanner',
      permissions: ['tokens:verify'],
    })
  })

  it('tells a client without a credential, or with a bad one, what to do', async () => {
    await expect(world.stranger.viewer()).rejects.toThrow('Sign in first, or send a credential')
    await expect(createClient({ url: world.url, credential: 'lki_nonsense' }).viewer()).rejects.toThrow(
      'The credential is not accepted',
    )
  })
})
