import { unwrap } from '@latchkey/sdk'
import { createVerifier } from '@latchkey/sdk/verifier'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openWorld, password, type World } from './world.ts'

const hour = 3_600_000
const minute = 60_000

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())
afterEach(() => {
  vi.useRealTimers()
})

/** For this process, and everything in it; the database has its own. */
function setClockOff(milliseconds: number): void {
  vi.useRealTimers()
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + milliseconds, shouldAdvanceTime: true })
}
const setClockRight = () => vi.useRealTimers()

/** By the right clock, whatever this process has. */
async function rightNow(): Promise<number> {
  const [row] = await world.sql<{ now: Date }>('select now()')
  return row?.now.getTime() ?? Number.NaN
}
const near = (instant: string | null | undefined, right: number) =>
  Math.abs(new Date(instant ?? 0).getTime() - right) < minute

describe.each([
  { name: 'two hours ahead', off: 2 * hour },
  { name: 'two hours behind', off: -2 * hour },
])('an instance whose clock is $name', ({ name, off }) => {
  const make = async (label: string, expiresIn: number | null = null) => {
    const expiresAt = expiresIn === null ? null : new Date((await rightNow()) + expiresIn).toISOString()
    const input = { label: `${label}, ${name}`, roleId: 'role_ci', expiresAt }
    return unwrap((await world.alpha.owner.createToken({ input })).createToken)
  }

  it('accepts a token until it expires, and not a moment longer', async () => {
    setClockOff(off)
    const lasting = await make('Lasting', hour)
    const gone = await make('Gone', hour)
    await world.sql(`update integration_tokens set expires_at = now() - interval '1 second' where id = $1`, [
      gone.token.id,
    ])
    expect(await world.introspect(lasting.secret)).toMatchObject({ active: true })
    expect(await world.introspect(gone.secret)).toEqual({ active: false })
    const { verifyToken } = await world.service.verifyToken({ token: lasting.secret })
    expect(verifyToken.active).toBe(true)
    const past = {
      label: `Past, ${name}`,
      roleId: 'role_ci',
      expiresAt: new Date((await rightNow()) - 1_000).toISOString(),
    }
    expect((await world.alpha.owner.createToken({ input: past })).createToken.__typename).toBe('InvalidInput')
  })

  it('lets a session begin, go on, and end when it is due', async () => {
    setClockOff(off)
    const { email } = world.beta.member
    const signIn = unwrap((await world.stranger.signIn({ input: { email, password } })).signIn)
    expect(near(signIn.expiresAt, (await rightNow()) + 7 * 24 * hour)).toBe(true)
    const session = world.as(signIn.sessionToken)
    expect((await session.viewer()).viewer.__typename).toBe('MemberViewer')
    setClockRight()
    expect((await session.viewer()).viewer.__typename).toBe('MemberViewer')
    setClockOff(off)
    await world.sql(
      `update sessions set expires_at = now() - interval '1 second' where last_used_at > now() - interval '1 minute'
      and person_id = (select id from people where email = $1)`,
      [email],
    )
    await expect(session.viewer()).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('counts failed sign-ins together with the others', async () => {
    const { email } = off > 0 ? world.alpha.guest : world.alpha.member
    const attempt = async () => (await world.stranger.signIn({ input: { email, password: 'not the password' } })).signIn
    for (let failed = 0; failed < 10; failed++) {
      if (failed % 2 === 0) setClockOff(off)
      else setClockRight()
      expect((await attempt()).__typename).toBe('SignInRefused')
    }
    for (const change of [setClockRight, () => setClockOff(off)]) {
      change()
      const refused = await attempt()
      expect(refused).toMatchObject({ __typename: 'TooManyAttempts' })
      if (refused.__typename !== 'TooManyAttempts') throw new Error('It was let in.')
      expect(refused.retryAfterSeconds).toBeGreaterThan(14 * 60)
      expect(refused.retryAfterSeconds).toBeLessThanOrEqual(15 * 60)
    }
  })

  it('records events and last uses at the time that it is', async () => {
    setClockOff(off)
    const { token, secret } = await make('Used')
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    await world.dependencies.lastUse.flush()
    const right = await rightNow()
    const [event] = (await world.alpha.owner.auditEvents({ first: 1 })).auditEvents.nodes
    expect(event).toMatchObject({ action: 'token.created' })
    expect(near(event?.at, right)).toBe(true)
    const { integrationToken } = await world.alpha.owner.integrationToken({ id: token.id })
    expect(near(integrationToken?.lastUsedAt, right)).toBe(true)
    expect(near(integrationToken?.createdAt, right)).toBe(true)
  })

  it('gives a retry the same token, and a verifier the news of its deletion', async () => {
    setClockOff(off)
    const input = { label: `Retried, ${name}`, roleId: 'role_ci', idempotencyKey: `retry ${name}` }
    const { token, secret } = unwrap((await world.alpha.owner.createToken({ input })).createToken)
    setClockRight()
    const again = unwrap((await world.alpha.owner.createToken({ input })).createToken)
    expect(again).toMatchObject({ secret, token: { id: token.id } })
    setClockOff(off)
    const verifier = createVerifier({ url: world.url, credential: world.service.secret })
    try {
      expect(await verifier.verify(secret)).toMatchObject({ active: true })
      unwrap((await world.alpha.owner.deleteToken({ input: { id: token.id } })).deleteToken)
      await vi.waitFor(async () => expect(await verifier.verify(secret)).toMatchObject({ active: false }))
    } finally {
      await verifier.close()
    }
  })
})
