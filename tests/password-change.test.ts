import { type Latchkey, RequestError, unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addMember, setPassword } from '../server/organizations/operator.ts'
import { openWorld, password, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const newPassword = 'a ladder against the orchard wall'
let made = 0

/** Someone new in both organizations. */
async function addPerson(): Promise<string> {
  const email = `person-${++made}@people.example`
  await addMember(world.dependencies, { organization: 'alpha', role: 'MEMBER', email, password })
  await addMember(world.dependencies, { organization: 'beta', role: 'MEMBER', email, password: null })
  return email
}

const signIn = async (email: string, presented = password, organization = 'alpha') =>
  (await world.stranger.signIn({ input: { email, password: presented, organization } })).signIn
const openSession = async (email: string, organization = 'alpha') => {
  const { sessionToken, expiresAt } = unwrap(await signIn(email, password, organization))
  return { ...world.as(sessionToken), sessionToken, expiresAt }
}
const change = async (client: Latchkey, input: { currentPassword?: string; newPassword?: string } = {}) =>
  (await client.changePassword({ input: { currentPassword: password, newPassword, ...input } })).changePassword
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => null,
    (error: unknown) => (error instanceof RequestError ? error.code : error),
  )
const recorded = (email: string) =>
  world.sql(
    `select o.slug as "in", e.action, e.target, e.ip_address as "from" from audit_events e
     join organizations o on o.id = e.organization_id
     where e.actor in ($1, 'operator') and e.action like 'member.password%' and coalesce(e.target, e.actor) = $1
     order by e.at, o.slug`,
    [email],
  )

describe('changePassword', () => {
  it('takes the new password from then on, in every organization, and no longer the old one', async () => {
    const email = await addPerson()
    unwrap(await change(await openSession(email)))
    expect((await signIn(email)).__typename).toBe('SignInRefused')
    for (const organization of ['alpha', 'beta']) {
      expect((await signIn(email, newPassword, organization)).__typename).toBe('SignInPayload')
    }
  })

  it('ends every other session of the person, and goes on under a new secret until the same end', async () => {
    const email = await addPerson()
    const asking = await openSession(email)
    const others = await Promise.all([openSession(email), openSession(email, 'beta')])
    const bystander = world.alpha.member
    const { sessionToken, expiresAt } = unwrap(await change(asking))
    for (const client of [asking, ...others]) expect(await codeOf(client.viewer())).toBe('UNAUTHENTICATED')
    expect(sessionToken).toMatch(/^lks_[0-9A-Za-z]{49}$/)
    expect(expiresAt).toBe(asking.expiresAt)
    const { sessions } = await world.as(sessionToken).sessions()
    expect(sessions).toMatchObject([{ current: true, organization: { slug: 'alpha' } }])
    expect(await codeOf(bystander.viewer())).toBeNull()
  })

  it('sets the browser’s cookie anew', async () => {
    const { sessionToken } = await openSession(await addPerson())
    const response = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', cookie: `latchkey_session=${sessionToken}` },
      body: JSON.stringify({
        query:
          'mutation($input: ChangePasswordInput!) { changePassword(input: $input) { ... on ChangePasswordPayload { sessionToken } } }',
        variables: { input: { currentPassword: password, newPassword } },
      }),
    })
    const { data } = await response.json()
    expect(data.changePassword.sessionToken).not.toBe(sessionToken)
    expect(response.headers.getSetCookie()).toEqual([
      expect.stringMatching(`^latchkey_session=${data.changePassword.sessionToken}; .*HttpOnly`),
    ])
  })

  it('leaves the access token as it is', async () => {
    const email = await addPerson()
    const { secret } = (await (await openSession(email)).resetAccessToken()).resetAccessToken
    unwrap(await change(await openSession(email)))
    expect(await world.introspect(secret)).toMatchObject({ active: true })
  })

  it('is recorded in the log of every organization in which the person is a member, and so is a refusal where it came from', async () => {
    const email = await addPerson()
    const asking = await openSession(email)
    await change(asking, { currentPassword: 'not the password' })
    unwrap(await change(asking))
    const done = { action: 'member.password_changed', target: email, from: '127.0.0.1' }
    expect(await recorded(email)).toEqual([
      { in: 'alpha', action: 'member.password_change_failed', target: null, from: '127.0.0.1' },
      { in: 'alpha', ...done },
      { in: 'beta', ...done },
    ])
  })

  it('refuses a wrong current password, and changes nothing', async () => {
    const email = await addPerson()
    const [asking, other] = await Promise.all([openSession(email), openSession(email)])
    for (const currentPassword of ['', 'not the password', newPassword, password.toUpperCase(), 'x'.repeat(100_000)]) {
      expect((await change(asking, { currentPassword })).__typename).toBe('WrongPassword')
    }
    expect(await codeOf(asking.viewer())).toBeNull()
    expect(await codeOf(other.viewer())).toBeNull()
    expect((await signIn(email)).__typename).toBe('SignInPayload')
  })

  it('refuses a new password that could not be set anywhere else either, before the current one is looked at', async () => {
    const email = await addPerson()
    const asking = await openSession(email)
    for (const [bad, words] of [
      ['short', 'at least 12 characters'],
      ['x'.repeat(129), 'at most 128 characters'],
      ['password1234', 'among those tried first'],
    ] as const) {
      for (let attempt = 0; attempt < 5; attempt++) {
        const refusal = await change(asking, { currentPassword: 'not the password', newPassword: bad })
        expect(refusal).toMatchObject({
          __typename: 'InvalidInput',
          message: expect.stringContaining(words),
          issues: [{ path: 'newPassword', message: expect.stringContaining(words) }],
        })
      }
    }
    expect((await signIn(email)).__typename).toBe('SignInPayload')
  })

  it('lets whoever holds a session guess no oftener than by signing in, both together, and leaves the session alone', async () => {
    const email = await addPerson()
    const asking = await openSession(email)
    for (let guess = 0; guess < 4; guess++) await signIn(email, 'a wrong guess here')
    const guesses = await Promise.all(
      Array.from({ length: 8 }, () => change(asking, { currentPassword: 'a wrong guess here' })),
    )
    const names = guesses.map(({ __typename }) => __typename)
    expect(names.filter((name) => name === 'WrongPassword')).toHaveLength(6)
    expect(names.filter((name) => name === 'TooManyAttempts')).toHaveLength(2)
    const right = await change(asking)
    expect(right).toMatchObject({ __typename: 'TooManyAttempts', retryAfterSeconds: expect.any(Number) })
    expect((await signIn(email)).__typename).toBe('TooManyAttempts')
    expect(await codeOf(asking.viewer())).toBeNull()
  })

  it('gives attempts back once the right one was given', async () => {
    const email = await addPerson()
    const asking = await openSession(email)
    for (let guess = 0; guess < 9; guess++) await change(asking, { currentPassword: 'a wrong guess here' })
    const { sessionToken } = unwrap(await change(asking))
    const wrong = await change(world.as(sessionToken), { currentPassword: 'a wrong guess here' })
    expect(wrong.__typename).toBe('WrongPassword')
  })

  it('is for sessions: an access token is refused, and its attempt recorded', async () => {
    const email = await addPerson()
    const { secret } = (await (await openSession(email)).resetAccessToken()).resetAccessToken
    expect(await codeOf(change(world.as(secret)))).toBe('FORBIDDEN')
    const [event] = await world.sql(
      `select action, target from audit_events where actor = $1 order by at desc, id desc limit 1`,
      [email],
    )
    expect(event).toEqual({ action: 'access.denied', target: 'changePassword' })
    expect((await signIn(email)).__typename).toBe('SignInPayload')
  })

  it('at once by many sessions holds for one of them', async () => {
    const email = await addPerson()
    const clients = await Promise.all(Array.from({ length: 5 }, () => openSession(email)))
    const answers = await Promise.allSettled(
      clients.map((client, index) => change(client, { newPassword: `${newPassword}, ${index}` })),
    )
    const changed = answers.flatMap((answer, index) =>
      answer.status === 'fulfilled' && answer.value.__typename === 'ChangePasswordPayload' ? [index] : [],
    )
    expect(changed).toHaveLength(1)
    expect((await signIn(email, `${newPassword}, ${changed[0]}`)).__typename).toBe('SignInPayload')
    expect((await clients[0]?.viewer().catch(() => null)) ?? null).toBeNull()
  })

  it('lets no sign-in by the old password in that was under way', async () => {
    const email = await addPerson()
    const asking = await openSession(email)
    const { passwords } = world.dependencies
    const instance = await world.startInstance()
    let changed: Promise<unknown> | null = null
    // Between the old password’s being found right and the session’s beginning, it is changed.
    instance.dependencies.passwords.verify = async (presented, hash) => {
      const right = await passwords.verify(presented, hash)
      changed ??= change(asking)
      await changed
      return right
    }
    const late = world.as(asking.sessionToken)
    const response = await fetch(`${instance.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        query: 'mutation($input: SignInInput!) { signIn(input: $input) { __typename } }',
        variables: { input: { email, password } },
      }),
    })
    expect(await response.json()).toEqual({ data: { signIn: { __typename: 'SignInRefused' } } })
    expect(await codeOf(late.viewer())).toBe('UNAUTHENTICATED')
    await instance.close()
  })
})

describe('the operator’s setting of a password', () => {
  it('ends every session of the person, everywhere, and is in the log of each organization', async () => {
    const email = await addPerson()
    const sessions = await Promise.all([openSession(email), openSession(email, 'beta')])
    await setPassword(world.dependencies, { email, password: newPassword })
    for (const client of sessions) expect(await codeOf(client.viewer())).toBe('UNAUTHENTICATED')
    expect(await recorded(email)).toMatchObject([
      { in: 'alpha', action: 'member.password_set' },
      { in: 'beta', action: 'member.password_set' },
    ])
  })
})
