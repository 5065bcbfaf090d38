import { type Latchkey, RequestError, unwrap } from '@latchkey/sdk'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { withOrganization } from '../server/database/with-organization.ts'
import { addMember } from '../server/organizations/operator.ts'
import { openWorld, password, type World } from './world.ts'

const email = 'both@people.example'
let world: World
beforeAll(async () => {
  world = await openWorld()
  await addMember(world.dependencies, { organization: 'alpha', role: 'MEMBER', email, password })
  await addMember(world.dependencies, { organization: 'beta', role: 'GUEST', email, password: null })
})
afterAll(() => world[Symbol.asyncDispose]())
beforeEach(async () => {
  await world.sql('delete from sessions where person_id = (select id from people where email = $1)', [email])
})

async function signIn(organization = 'alpha', who = email): Promise<Latchkey & { sessionToken: string; id: string }> {
  const { sessionToken } = unwrap(
    (await world.stranger.signIn({ input: { email: who, password, organization } })).signIn,
  )
  const client = world.as(sessionToken)
  const current = (await client.sessions()).sessions.find((session) => session.current)
  return { ...client, sessionToken, id: current?.id ?? '' }
}

async function accessToken(): Promise<Latchkey> {
  return world.as((await (await signIn()).resetAccessToken()).resetAccessToken.secret)
}

const isAccepted = (client: Latchkey) =>
  client.viewer().then(
    () => true,
    (error: unknown) => {
      if (error instanceof RequestError && error.code === 'UNAUTHENTICATED') return false
      throw error
    },
  )
const idsOf = async (client: Latchkey) => (await client.sessions()).sessions.map(({ id }) => id)

/** What was recorded of sessions since, with whose log it is in. */
async function recorded(since: number): Promise<object[]> {
  return world.sql(
    `select o.slug as "in", e.action, e.actor, e.target, e.target_id as "targetId", e.ip_address as "from"
     from audit_events e join organizations o on o.id = e.organization_id where e.action like 'session.%' and e.action <> 'session.signed_in'
     order by e.at, e.id offset $1`,
    [since],
  )
}
const countRecorded = async () => (await recorded(0)).length

describe('the list of sessions', () => {
  it('has the person’s own in every organization, the last used first, with where each began', async () => {
    const first = await signIn('alpha')
    const elsewhere = await signIn('beta')
    await world.sql(
      `update sessions set last_used_at = now() - interval '1 hour', user_agent = 'Firefox' where id = $1`,
      [first.id],
    )
    const { sessions } = await elsewhere.sessions()
    const common = { ipAddress: '127.0.0.1', expiresAt: expect.stringMatching(/Z$/) }
    expect(sessions).toMatchObject([
      { ...common, id: elsewhere.id, organization: { slug: 'beta', name: 'Beta' }, current: true },
      { ...common, id: first.id, organization: { slug: 'alpha' }, current: false, userAgent: 'Firefox' },
    ])
    const [last, earlier] = sessions.map(({ lastUsedAt }) => Date.parse(lastUsedAt))
    expect((last ?? 0) - (earlier ?? 0)).toBeGreaterThan(3_500_000)
    expect(JSON.stringify(sessions)).not.toContain('lks_')
  })

  it('leaves out what is not accepted any more: ended by time, by lack of use, or with the membership', async () => {
    const sessions = await Promise.all([signIn(), signIn(), signIn(), signIn('beta')])
    const [asking, expired, idle] = sessions
    expect(await idsOf(asking)).toHaveLength(4)
    await world.sql('update sessions set expires_at = now() where id = $1', [expired.id])
    await world.sql(`update sessions set last_used_at = now() - interval '12 hours' where id = $1`, [idle.id])
    await setActive('beta', false)
    await beginLate('beta')
    expect(await idsOf(asking)).toEqual([asking.id])
    await setActive('beta', true)
  })

  it('shows an access token those of its own organization alone, since it tells of no other', async () => {
    const bearer = await accessToken()
    expect(await idsOf(bearer)).toEqual([])
    const here = await signIn('alpha')
    await signIn('beta')
    const { sessions } = await bearer.sessions()
    expect(sessions).toMatchObject([{ id: here.id, current: false, organization: { slug: 'alpha' } }])
  })

  it('goes no further than the 200 that were used last', async () => {
    const asking = await signIn()
    await world.sql(
      `insert into sessions (id, organization_id, person_id, digest, key_id, expires_at, last_used_at)
       select 'ses_' || n, organization_id, person_id, sha256(n::text::bytea), key_id, expires_at, now() - n * interval '1 minute'
       from sessions, generate_series(1, 250) n where id = $1`,
      [asking.id],
    )
    const ids = await idsOf(asking)
    expect(ids).toHaveLength(200)
    expect([ids[0], ids[199]]).toEqual([asking.id, 'ses_199'])
  })
})

describe('endSession', () => {
  it('has the session refused on every instance once it has answered, and leaves the others', async () => {
    const other = await world.startInstance()
    const [asking, ended, kept] = await Promise.all([signIn(), signIn('beta'), signIn()])
    const elsewhere = world.as(ended.sessionToken).with({})
    expect(await isAccepted(elsewhere)).toBe(true)
    const { endSession } = await asking.endSession({ input: { id: ended.id } })
    expect(unwrap(endSession).endedSessionId).toBe(ended.id)
    const answers = await Promise.all(
      [world.url, other.url].map((url) =>
        fetch(`${url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${ended.sessionToken}` },
          body: JSON.stringify({ query: '{ viewer { __typename } }' }),
        }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual([401, 401])
    expect(await Promise.all([asking, kept].map(isAccepted))).toEqual([true, true])
    await other.close()
  })

  it('is recorded in the log of the organization in which the session acted, and in no other', async () => {
    const [asking, ended] = await Promise.all([signIn('alpha'), signIn('beta')])
    const before = await countRecorded()
    unwrap((await asking.endSession({ input: { id: ended.id } })).endSession)
    expect(await recorded(before)).toEqual([
      { in: 'beta', action: 'session.ended', actor: email, target: email, targetId: ended.id, from: '127.0.0.1' },
    ])
    const [event] = await world.sql<{ isMember: boolean }>(
      `select exists (select from members m where m.id = e.actor_id and m.organization_id = e.organization_id) as "isMember"
       from audit_events e where target_id = $1`,
      [ended.id],
    )
    expect(event).toEqual({ isMember: true })
  })

  it('tells nothing apart of a session that is another’s, that has ended, or that never was, and ends none', async () => {
    const asking = await signIn()
    const gone = await signIn()
    const others = await Promise.all([signIn('alpha', world.alpha.guest.email), signIn('beta', world.beta.owner.email)])
    unwrap((await gone.endSession({ input: { id: gone.id } })).endSession)
    const before = await countRecorded()
    const ids = [...others.map(({ id }) => id), gone.id, 'ses_00000000000000000000000000', '', 'x', `${asking.id}\n`]
    const answers = await Promise.all(ids.map((id) => asking.endSession({ input: { id } })))
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect(answers[0]?.endSession.__typename).toBe('SessionNotFound')
    expect(await Promise.all(others.map(isAccepted))).toEqual([true, true])
    expect(await recorded(before)).toEqual([])
    // Nor does a greater role help.
    const { endSession } = await world.alpha.owner.endSession({ input: { id: asking.id } })
    expect(endSession).toEqual(answers[0]?.endSession)
    expect(await isAccepted(asking)).toBe(true)
  })

  it('reaches by an access token the sessions of its own organization alone', async () => {
    const bearer = await accessToken()
    const [here, elsewhere] = await Promise.all([signIn('alpha'), signIn('beta')])
    expect((await bearer.endSession({ input: { id: elsewhere.id } })).endSession.__typename).toBe('SessionNotFound')
    unwrap((await bearer.endSession({ input: { id: here.id } })).endSession)
    expect(await Promise.all([here, elsewhere].map(isAccepted))).toEqual([false, true])
  })

  it('of the session that asks is to sign out: the browser’s cookie goes with it', async () => {
    const asking = await signIn()
    const other = await signIn()
    const end = (id: string) =>
      asCookie(asking.sessionToken, 'mutation($input: EndSessionInput!) { endSession(input: $input) { __typename } }', {
        input: { id },
      })
    expect((await end(other.id)).headers.getSetCookie()).toEqual([])
    const answer = await end(asking.id)
    expect(answer.headers.getSetCookie()).toEqual([expect.stringMatching(/^latchkey_session=; .*Max-Age=0$/)])
    expect(await isAccepted(asking)).toBe(false)
  })
})

describe('endOtherSessions', () => {
  it('ends all but the one that asks, in every organization, and is recorded once in the log of each', async () => {
    const sessions = await Promise.all([signIn('alpha'), signIn('alpha'), signIn('beta'), signIn('beta')])
    const [asking] = sessions
    const before = await countRecorded()
    expect((await asking.endOtherSessions()).endOtherSessions.endedSessions).toBe(3)
    expect(await Promise.all(sessions.map(isAccepted))).toEqual([true, false, false, false])
    const events = await recorded(before)
    const event = { action: 'session.others_ended', actor: email, target: email, from: '127.0.0.1' }
    expect(events).toHaveLength(2)
    expect(events).toEqual(
      expect.arrayContaining(['alpha', 'beta'].map((slug) => expect.objectContaining({ ...event, in: slug }))),
    )
    expect((await asking.endOtherSessions()).endOtherSessions.endedSessions).toBe(0)
    expect(await recorded(before)).toHaveLength(2)
  })

  it('leaves every other person’s sessions as they are', async () => {
    const asking = await signIn()
    await asking.endOtherSessions()
    const { owner, superAdmin, powerUser, member, guest } = world.alpha
    const others = [owner, superAdmin, powerUser, member, guest, world.beta.guest]
    expect(await Promise.all(others.map(isAccepted))).toEqual(others.map(() => true))
  })

  it('by an access token ends those of its own organization, and none elsewhere', async () => {
    const bearer = await accessToken()
    const sessions = await Promise.all([signIn('alpha'), signIn('alpha'), signIn('beta')])
    expect((await bearer.endOtherSessions()).endOtherSessions.endedSessions).toBe(2)
    expect(await Promise.all(sessions.map(isAccepted))).toEqual([false, false, true])
    expect(await isAccepted(bearer)).toBe(true)
  })
})

describe('signing in with a session’s cookie', () => {
  const signingIn = (cookie: string | null, input: object, headers: Record<string, string> = {}) =>
    asCookie(
      cookie,
      'mutation($input: SignInInput!) { signIn(input: $input) { __typename ... on SignInPayload { sessionToken } } }',
      { input },
      headers,
    )

  it('ends the session that the cookie was of, and records it', async () => {
    const before = await signIn()
    const events = await countRecorded()
    const answer = await signingIn(before.sessionToken, { email, password })
    expect(await isAccepted(before)).toBe(false)
    const { data } = await answer.json()
    expect(await isAccepted(world.as(data.signIn.sessionToken))).toBe(true)
    expect(answer.headers.getSetCookie()[0]).toContain(data.signIn.sessionToken)
    expect(await recorded(events)).toMatchObject([{ in: 'alpha', action: 'session.replaced', actor: email }])
  })

  it('ends it where it was another person’s in another organization, and says so in that one’s log', async () => {
    const before = await signIn('beta', world.beta.powerUser.email)
    const events = await countRecorded()
    await signingIn(before.sessionToken, { email, password, organization: 'alpha' })
    expect(await isAccepted(before)).toBe(false)
    expect(await recorded(events)).toMatchObject([
      { in: 'beta', action: 'session.replaced', actor: world.beta.powerUser.email },
    ])
  })

  it('leaves it as it is where the sign-in is refused', async () => {
    const before = await signIn()
    const answer = await signingIn(before.sessionToken, { email, password: 'not the password' })
    expect((await answer.json()).data.signIn.__typename).toBe('SignInRefused')
    expect(answer.headers.getSetCookie()).toEqual([])
    expect(await isAccepted(before)).toBe(true)
  })

  it('leaves a session that came as a bearer to whoever holds it', async () => {
    const before = await signIn()
    const answer = await signingIn(null, { email, password }, { authorization: `Bearer ${before.sessionToken}` })
    expect((await answer.json()).data.signIn.__typename).toBe('SignInPayload')
    expect(await isAccepted(before)).toBe(true)
  })
})

describe('deactivating a member', () => {
  it('ends their sessions there for good, and those in other organizations not', async () => {
    const [here, elsewhere] = await Promise.all([signIn('alpha'), signIn('beta')])
    await setActive('alpha', false)
    expect(await Promise.all([here, elsewhere].map(isAccepted))).toEqual([false, true])
    await setActive('alpha', true)
    expect(await Promise.all([here, elsewhere].map(isAccepted))).toEqual([false, true])
    expect(await isAccepted(await signIn('alpha'))).toBe(true)
  })

  it('has their sessions refused also where they still stand', async () => {
    const here = await signIn('alpha')
    // A sign-in that was under way may have begun one after the others had ended.
    await world.sql('alter table members disable trigger end_sessions')
    try {
      await setActive('alpha', false)
      expect(await isAccepted(here)).toBe(false)
    } finally {
      await world.sql('alter table members enable trigger end_sessions')
      await setActive('alpha', true)
    }
    expect(await isAccepted(await signIn('alpha'))).toBe(true)
  })

  it('leaves no session to come back to that began at the same moment', async () => {
    const here = await signIn('alpha')
    await setActive('alpha', false)
    await beginLate('alpha')
    await setActive('alpha', true)
    expect(await world.sql(`select id from sessions where id in ('ses_late', $1)`, [here.id])).toEqual([])
  })
})

/** As the server does it. */
async function setActive(slug: 'alpha' | 'beta', active: boolean): Promise<void> {
  await withOrganization(world.dependencies.database, { organizationId: world[slug].id }, (transaction) =>
    transaction.execute(
      sql`update members set active = ${active} where person_id = (select id from people where email = ${email})`,
    ),
  )
}

/** A session of a sign-in that was under way when the member was deactivated. */
async function beginLate(slug: 'alpha' | 'beta'): Promise<void> {
  await world.sql(
    `insert into sessions (id, organization_id, person_id, digest, key_id, expires_at)
     select 'ses_late', $1, id, $3, 'k', now() + interval '1 day' from people where email = $2`,
    [world[slug].id, email, Buffer.alloc(32)],
  )
}

/** As a browser asks. */
function asCookie(
  sessionToken: string | null,
  query: string,
  variables: object,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(sessionToken !== null && { cookie: `latchkey_session=${sessionToken}` }),
      ...headers,
    },
    body: JSON.stringify({ query, variables }),
  })
}
