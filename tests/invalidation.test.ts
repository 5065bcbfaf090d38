import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient, unwrap } from '@latchkey/sdk'
import {
  createVerifier,
  type Verdict,
  type Verifier,
  VerifierCredentialError,
  type VerifierOptions,
  VerifierUnavailableError,
} from '@latchkey/sdk/verifier'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createId } from '../server/identifiers.ts'
import { addService, removeService } from '../server/identity/services.ts'
import { createMetrics } from '../server/observability/metrics.ts'
import { createInvalidations } from '../server/tokens/invalidation.ts'
import { startServerProcess } from './server-process.ts'
import { openWire, slowMilliseconds } from './wire.ts'
import { openWorld, password, serve, type TestOrganization, type World } from './world.ts'

const log = pino({ level: 'silent' })
/** So long that nothing but a message can have made a verifier forget. */
const hour = 3_600_000

let world: World
let other: Awaited<ReturnType<World['startInstance']>>
beforeAll(async () => {
  world = await openWorld()
  other = await world.startInstance()
})
afterAll(() => world[Symbol.asyncDispose]())

let made = 0
async function create(organization: TestOrganization = world.alpha, roleId = 'role_ci') {
  const input = { label: `Invalidated ${++made}`, roleId }
  const { token, secret } = unwrap((await organization.owner.createToken({ input })).createToken)
  return { id: token.id, secret }
}

async function memberIdOf({ email }: { email: string }): Promise<string> {
  const [row] = await world.sql<{ id: string }>(
    'select m.id from members m join people p on p.id = m.person_id where p.email = $1',
    [email],
  )
  return row?.id ?? ''
}

const sha256 = (secret: string) => createHash('sha256').update(secret).digest('hex')

async function until(condition: () => boolean | Promise<boolean>, milliseconds = 5_000): Promise<void> {
  const deadline = performance.now() + milliseconds
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Not within ${milliseconds} ms: ${condition}`)
    await delay(2)
  }
}

async function attach(
  stack: AsyncDisposableStack,
  url: string,
  options: Partial<VerifierOptions> = {},
): Promise<Verifier> {
  const { secret: credential } = world.service
  const verifier = createVerifier({ url, credential, stalenessBoundMilliseconds: hour, ...options })
  stack.defer(() => verifier.close())
  await until(() => verifier.metrics().state === 'live')
  return verifier
}

/** Until the verifier answers from its cache. */
async function warm(verifier: Verifier, secret: string): Promise<void> {
  const before = verifier.metrics().hits
  await until(async () => {
    await verifier.verify(secret)
    return verifier.metrics().hits > before
  })
}

describe('a verification that starts after the answer to a deletion, a disabling or a regeneration', () => {
  interface Instance {
    owner: TestOrganization['owner']
    service: World['service']
    url: string
  }
  type Ask = (instance: Instance, secrets: readonly string[]) => Promise<{ secret: string; active: boolean }[]>
  const latest = (secrets: readonly string[]) => secrets.at(-1) ?? ''
  const asks: Record<'introspection' | 'verifyToken' | 'verifyTokenDigests', Ask> = {
    introspection: async ({ url }, secrets) => {
      const secret = latest(secrets)
      return [{ secret, active: (await world.introspect(secret, { url })).active }]
    },
    verifyToken: async ({ service }, secrets) => {
      const secret = latest(secrets)
      return [{ secret, active: (await service.verifyToken({ token: secret })).verifyToken.active }]
    },
    verifyTokenDigests: async ({ service }, secrets) => {
      const asked = secrets.slice(-6)
      const { verifyTokenDigests: answers } = await service.verifyTokenDigests({ digests: asked.map(sha256) })
      return asked.map((secret, index) => ({ secret, active: answers[index]?.active ?? true }))
    },
  }
  const ends: ((owner: Instance['owner'], id: string) => Promise<unknown>)[] = [
    (owner, id) => owner.deleteToken({ input: { id } }),
    (owner, id) => owner.updateToken({ input: { id, enabled: false } }),
    (owner, id) => owner.regenerateToken({ input: { id } }),
  ]

  it('is refused: 10,000 of 10,000, on two instances, in the middle of other requests', {
    timeout: 120_000,
  }, async () => {
    await using stack = new AsyncDisposableStack()
    const instances = [world.url, other.url].map((url) => ({
      url,
      owner: { ...world.alpha.owner, ...createClient({ url, credential: world.alpha.owner.sessionToken }) },
      service: { ...world.service, ...createClient({ url, credential: world.service.secret }) },
    }))
    const verifiers = [await attach(stack, world.url), await attach(stack, other.url)]
    const secrets: string[] = []
    const ended = new Set<string>()
    const counts = { introspection: 0, verifyToken: 0, verifyTokenDigests: 0 }
    let acceptedBefore = 0
    let accepted = 0
    async function ask(way: keyof typeof asks, instance: Instance): Promise<void> {
      // As it is when the question starts.
      const due = new Set(ended)
      for (const { secret, active } of await asks[way](instance, secrets)) {
        if (due.has(secret)) {
          counts[way]++
          if (active) accepted++
        } else if (active) acceptedBefore++
      }
    }
    const ways = ['introspection', 'verifyToken', 'verifyTokenDigests'] as const
    const total = () => counts.introspection + counts.verifyToken + counts.verifyTokenDigests

    secrets.push((await create()).secret)
    let running = true
    const load = Promise.all([
      ...instances.flatMap((instance) =>
        ways.map(async (way) => {
          while (running) await ask(way, instance)
        }),
      ),
      ...verifiers.map(async (verifier) => {
        while (running) {
          await verifier.verify(latest(secrets))
          await delay(1)
        }
      }),
    ])
    let rounds = 0
    while (total() < 10_000 || rounds < 36) {
      const [owner, end] = [instances[rounds % 2]?.owner, ends[rounds++ % 3]]
      if (!owner || !end) throw new Error('There is nobody, or no way, to end it.')
      const { id, secret } = await create()
      secrets.push(secret)
      await Promise.all(verifiers.map((verifier) => warm(verifier, secret)))
      await delay(Math.random() * 10)
      await end(owner, id)
      ended.add(secret)
      await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const [instance, way] = [instances[index % 2], ways[[0, 0, 0, 1, 1, 2][(index >> 1) % 6] ?? 0]]
          // Half of them at once, the others while those are under way.
          if (index >= 50) await delay(Math.random() * 30)
          if (instance && way) await ask(way, instance)
        }),
      )
      for (const verifier of verifiers) await until(async () => !(await verifier.verify(secret)).active, 1_000)
    }
    running = false
    await load
    expect(accepted).toBe(0)
    expect(total()).toBeGreaterThanOrEqual(10_000)
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(1_000)
    expect(acceptedBefore).toBeGreaterThan(rounds)
    for (const verifier of verifiers) expect(verifier.metrics()).toMatchObject({ state: 'live', drops: 1 })
  })
})

describe('a verification that starts after a member was deactivated or their access token was reset', () => {
  it('is refused by every instance, however it is asked, as is the token itself as a credential', async () => {
    const { member } = world.alpha
    const memberId = await memberIdOf(member)
    const urls = [world.url, other.url]
    const signIn = async () => {
      const { sessionToken } = unwrap(
        (await world.stranger.signIn({ input: { email: member.email, password } })).signIn,
      )
      return createClient({ url: world.url, credential: sessionToken })
    }
    const verdicts = (secret: string) =>
      Promise.all(
        urls.flatMap((url) => {
          const service = createClient({ url, credential: world.service.secret })
          const own = createClient({ url, credential: secret })
          return [
            world.introspect(secret, { url }).then(({ active }) => active),
            service.verifyToken({ token: secret }).then(({ verifyToken }) => verifyToken.active),
            service
              .verifyTokenDigests({ digests: [sha256(secret)] })
              .then(({ verifyTokenDigests: [answer] }) => answer?.active),
            own.viewer().then(
              () => true,
              () => false,
            ),
          ]
        }),
      )
    const ends: (() => Promise<unknown>)[] = [
      () => world.sql('update members set active = false where id = $1', [memberId]),
      async () => (await signIn()).resetAccessToken(),
    ]
    for (let round = 0; round < 10; round++) {
      const { secret } = (await (await signIn()).resetAccessToken()).resetAccessToken
      expect(await verdicts(secret)).toEqual(Array(8).fill(true))
      await ends[round % 2]?.()
      expect(await verdicts(secret)).toEqual(Array(8).fill(false))
      await world.sql('update members set active = true where id = $1', [memberId])
    }
  })
})

describe('a verifier with a warm cache, at another instance than the change', () => {
  let stack: AsyncDisposableStack
  let verifier: Verifier
  beforeAll(async () => {
    stack = new AsyncDisposableStack()
    verifier = await attach(stack, other.url)
  })
  afterAll(() => stack.disposeAsync())

  interface Subject {
    secret: string
    change: () => Promise<unknown>
    /** Whether a verdict is that of the time after the change. */
    isNew?: (verdict: Verdict) => boolean
  }
  const integrationToken =
    (change: (id: string) => Promise<unknown>, isNew?: Subject['isNew']) => async (): Promise<Subject> => {
      const { id, secret } = await create()
      return { secret, change: () => change(id), ...(isNew && { isNew }) }
    }
  const accessToken =
    (change: (memberId: string) => Promise<unknown>, isNew?: Subject['isNew']) => async (): Promise<Subject> => {
      const { member } = world.alpha
      const input = { email: member.email, password }
      const { sessionToken } = unwrap((await world.stranger.signIn({ input })).signIn)
      const { secret } = (await world.as(sessionToken).resetAccessToken()).resetAccessToken
      const memberId = await memberIdOf(member)
      return { secret, change: () => change(memberId), ...(isNew && { isNew }) }
    }
  const can = (permission: string) => (verdict: Verdict) => verdict.active && verdict.permissions.includes(permission)
  const inAnHour = () => new Date(Date.now() + hour).toISOString()

  it.each<[string, () => Promise<Subject>]>([
    ['refuses a token that was deleted', integrationToken((id) => world.alpha.owner.deleteToken({ input: { id } }))],
    [
      'refuses a token that was disabled',
      integrationToken((id) => world.alpha.owner.updateToken({ input: { id, enabled: false } })),
    ],
    [
      'refuses a secret that was replaced without overlap',
      integrationToken((id) => world.alpha.owner.regenerateToken({ input: { id } })),
    ],
    [
      'knows of the end of a secret that was replaced with overlap',
      integrationToken(
        (id) => world.alpha.owner.regenerateToken({ input: { id, overlapSeconds: 60 } }),
        (verdict) => verdict.active && verdict.expiresAt !== null,
      ),
    ],
    [
      'knows of an earlier expiry',
      integrationToken(
        (id) => world.alpha.owner.updateToken({ input: { id, expiresAt: inAnHour() } }),
        (verdict) => verdict.active && verdict.expiresAt !== null,
      ),
    ],
    [
      'refuses a token whose expiry was set to now, by SQL',
      integrationToken((id) => world.sql('update integration_tokens set expires_at = now() where id = $1', [id])),
    ],
    [
      'knows of another label',
      integrationToken(
        (id) => world.alpha.owner.updateToken({ input: { id, label: `Relabelled ${id}` } }),
        (verdict) => verdict.active && verdict.label?.startsWith('Relabelled') === true,
      ),
    ],
    [
      'knows of another role, given by SQL',
      integrationToken(
        (id) => world.sql(`update integration_tokens set role_id = 'role_scim' where id = $1`, [id]),
        can('scim:provision'),
      ),
    ],
    [
      'refuses a secret whose overlap was cut short, by SQL',
      integrationToken((id) =>
        world.sql(`update token_secrets set accepted_until = now() where token_id = $1 and accepted_until is null`, [
          id,
        ]),
      ),
    ],
    [
      'refuses a secret that was removed, by SQL',
      integrationToken((id) => world.sql('delete from token_secrets where token_id = $1', [id])),
    ],
    [
      'knows of other permissions of a custom role, given by SQL',
      async () => {
        const roleId = createId('role', world.dependencies)
        await world.sql(
          `insert into token_roles (id, organization_id, label, label_key, description, permissions) values ($1, $2, 'Auditor', 'auditor', 'Reads', '{findings:read}')`,
          [roleId, world.alpha.id],
        )
        const { secret } = await create(world.alpha, roleId)
        const change = () =>
          world.sql(`update token_roles set permissions = '{findings:comment}' where id = $1`, [roleId])
        return { secret, change, isNew: can('findings:comment') }
      },
    ],
    [
      'knows of a member’s other role, given by SQL',
      accessToken((id) => world.sql(`update members set role = 'POWER_USER' where id = $1`, [id]), can('scans:write')),
    ],
    [
      'refuses the access token of a member who was deactivated, by SQL',
      accessToken((id) => world.sql('update members set active = false where id = $1', [id])),
    ],
    [
      'refuses an access token that was reset',
      async () => {
        const { secret } = (await world.alpha.powerUser.resetAccessToken()).resetAccessToken
        const { email } = world.alpha.powerUser
        const input = { email, password }
        const { sessionToken } = unwrap((await world.stranger.signIn({ input })).signIn)
        return { secret, change: () => world.as(sessionToken).resetAccessToken() }
      },
    ],
    [
      'refuses the tokens of an organization that was deleted, by SQL',
      async () => {
        const { secret } = await create(world.beta)
        return { secret, change: () => deleteOrganization(world.beta) }
      },
    ],
  ])('%s, at once', async (_, prepare) => {
    const { secret, change, isNew = ({ active }) => !active } = await prepare()
    expect(isNew(await verifier.verify(secret))).toBe(false)
    await warm(verifier, secret)
    const before = verifier.metrics()
    await change()
    await until(async () => isNew(await verifier.verify(secret)), 1_000)
    const { state, drops, reconnections, invalidations } = verifier.metrics()
    expect({ state, drops, reconnections }).toEqual({
      state: 'live',
      drops: before.drops,
      reconnections: before.reconnections,
    })
    expect(invalidations).toBeGreaterThan(before.invalidations)
  })

  it('accepts a token that was enabled again, at once and not when the refusal’s second is over', async () => {
    const { id, secret } = await create()
    await world.alpha.owner.updateToken({ input: { id, enabled: false } })
    await warm(verifier, secret)
    const before = performance.now()
    expect(await verifier.verify(secret)).toEqual({ active: false })
    await world.alpha.owner.updateToken({ input: { id, enabled: true } })
    await until(async () => (await verifier.verify(secret)).active, 1_000)
    expect(performance.now() - before).toBeLessThan(800)
  })

  it('notices by the next message that one was lost on the way', async () => {
    await using local = new AsyncDisposableStack()
    const wire = await openWire(other.url)
    local.defer(() => wire.close())
    const behind = await attach(local, wire.url)
    const { id, secret } = await create()
    await warm(behind, secret)
    const { drops, reconnections } = behind.metrics()
    wire.set('frozen')
    await world.alpha.owner.deleteToken({ input: { id } })
    await delay(200)
    expect(await behind.verify(secret)).toMatchObject({ active: true })
    wire.set('whole')
    await until(async () => !(await behind.verify(secret)).active, 2_000)
    expect(behind.metrics()).toMatchObject({ drops: drops + 1, reconnections })
  })
})

/** As an operator would, who alone may remove what the audit log holds. */
function deleteOrganization({ id }: TestOrganization): Promise<unknown> {
  const logged = ['audit_events', 'audit_heads']
  const tables = [...logged, 'idempotency_keys', 'integration_tokens', 'token_roles', 'members']
  return world.sql(`
    ${logged.map((table) => `alter table ${table} disable trigger only_ever_added;`).join('\n')}
    ${tables.map((table) => `delete from ${table} where organization_id = '${id}';`).join('\n')}
    delete from organizations where id = '${id}';
    ${logged.map((table) => `alter table ${table} enable trigger only_ever_added;`).join('\n')}`)
}

describe.concurrent('with the way cut, a warm verifier accepts a deleted token for its bound and no longer, and recovers', {
  timeout: 60_000,
}, () => {
  const boundMilliseconds = 2_000
  type Outcome = 'accepted' | 'refused' | 'unavailable'

  /** Asks all the time. Gives when it asked, and what came of it. */
  function watch(verifier: Verifier, secret: string) {
    const seen: { at: number; outcome: Outcome }[] = []
    const asked: Promise<unknown>[] = []
    let watching = true
    const asking = (async () => {
      while (watching) {
        const at = performance.now()
        const outcome = verifier.verify(secret).then<Outcome, Outcome>(
          ({ active }) => (active ? 'accepted' : 'refused'),
          (error: unknown) => {
            if (error instanceof VerifierUnavailableError) return 'unavailable'
            throw error
          },
        )
        asked.push(outcome.then((outcome) => seen.push({ at, outcome })))
        await delay(10)
      }
    })()
    return {
      seen,
      async stop() {
        watching = false
        await asking
        await Promise.all(asked)
      },
    }
  }

  async function outlast({
    url,
    cut,
    mend,
    meanwhile,
  }: {
    url: string
    cut: () => unknown
    mend: () => unknown
    /** What comes of asking once the cache is trusted no longer. */
    meanwhile: Outcome
  }): Promise<void> {
    await using stack = new AsyncDisposableStack()
    const [doomed, kept] = [await create(), await create()]
    const options = { stalenessBoundMilliseconds: boundMilliseconds, timeoutMilliseconds: 500 }
    const verifier = await attach(stack, url, options)
    await warm(verifier, doomed.secret)
    await warm(verifier, kept.secret)
    await cut()
    await world.alpha.owner.deleteToken({ input: { id: doomed.id } })
    const deletedAt = performance.now()
    const { seen, stop } = watch(verifier, doomed.secret)
    await delay(boundMilliseconds + 1_000)
    expect(verifier.metrics().state).toBe('stale')
    await mend()
    await until(() => verifier.metrics().state === 'live', 10_000)
    await warm(verifier, kept.secret)
    await stop()
    expect(await verifier.verify(doomed.secret)).toEqual({ active: false })
    const after = seen.map(({ at, outcome }) => ({ after: at - deletedAt, outcome }))
    const accepted = after.flatMap(({ after, outcome }) => (outcome === 'accepted' ? [after] : []))
    // That it was accepted at all shows that no message came through.
    expect(accepted.length).toBeGreaterThan(10)
    expect(Math.max(...accepted)).toBeLessThanOrEqual(boundMilliseconds)
    const stale = after.filter(({ after }) => after > boundMilliseconds && after < boundMilliseconds + 400)
    expect(new Set(stale.map(({ outcome }) => outcome))).toEqual(new Set([meanwhile]))
  }

  it.each(['cut', 'frozen'] as const)('where the connection to its instance is %s', async (fault) => {
    await using stack = new AsyncDisposableStack()
    const wire = await openWire(other.url)
    stack.defer(() => wire.close())
    const mend = () => wire.set('whole')
    await outlast({ url: wire.url, cut: () => wire.set(fault), mend, meanwhile: 'unavailable' })
  })

  it.each(['cut', 'frozen'] as const)(
    'where the instance listens to PostgreSQL over a connection that is %s',
    async (fault) => {
      await using stack = new AsyncDisposableStack()
      const { wire, url } = await openDeafInstance(stack)
      // All else that the instance asks of PostgreSQL is answered.
      await outlast({ url, cut: () => wire.set(fault), mend: () => wire.set('whole'), meanwhile: 'refused' })
    },
  )

  it('where its instance is killed', async () => {
    await using stack = new AsyncDisposableStack()
    let instance = await startServerProcess(stack, world)
    const { address } = instance
    const cut = async () => {
      const ended = once(instance.child, 'exit')
      instance.child.kill('SIGKILL')
      await ended
    }
    const mend = async () => {
      instance = await startServerProcess(stack, { databaseUrl: world.databaseUrl, port: new URL(address).port })
    }
    await outlast({ url: address, cut, mend, meanwhile: 'unavailable' })
  })
})

/** An instance whose way from PostgreSQL’s notifications, and that alone, can fail. */
async function openDeafInstance(stack: AsyncDisposableStack) {
  const wire = await openWire(world.databaseUrl)
  stack.defer(() => wire.close())
  const invalidations = createInvalidations({ url: wire.url, log, metrics: createMetrics() })
  stack.defer(() => invalidations.close())
  const instance = await serve({ ...world.dependencies, invalidations })
  stack.defer(() => instance.close())
  return { wire, invalidations, url: instance.url }
}

interface Message {
  tokenIds: string[]
  everything: boolean
  sequence: number
  at: number
}

/** Reads the subscription as any client of the protocol could. */
function subscribe(stack: AsyncDisposableStack, url: string, secret = world.service.secret) {
  const messages: Message[] = []
  const abort = new AbortController()
  async function read() {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      signal: abort.signal,
      headers: {
        authorization: `Bearer ${secret}`,
        accept: 'text/event-stream',
        'content-type': 'application/json',
      },
      body: JSON.stringify({ query: 'subscription { tokenInvalidations { tokenIds everything sequence } }' }),
    })
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      const events = text.split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) {
        const data = /^data: (.+)$/m.exec(event)?.[1]
        if (data) messages.push({ ...JSON.parse(data).data.tokenInvalidations, at: performance.now() })
      }
    }
  }
  const ended = read().catch(() => undefined)
  const close = async () => {
    abort.abort()
    await ended
  }
  stack.defer(close)
  return { messages, ended, close }
}

describe('the subscription tokenInvalidations', () => {
  const isHeartbeat = ({ tokenIds, everything }: Message) => !everything && tokenIds.length === 0

  it('begins with everything, counts up by one, beats at least once a second, and tells of each change on any instance', async () => {
    await using stack = new AsyncDisposableStack()
    const { id } = await create()
    const { messages } = subscribe(stack, other.url)
    await until(() => messages.length > 1)
    // Beside it, so that a number which is not the stream’s own shows in both.
    const { messages: later } = subscribe(stack, other.url)
    await until(() => later.length > 0)
    const told = () => messages.filter(({ tokenIds }) => tokenIds.length > 0).length
    for (const change of [
      () => world.alpha.owner.updateToken({ input: { id, enabled: false } }),
      () => world.alpha.owner.regenerateToken({ input: { id } }),
      () => world.alpha.owner.deleteToken({ input: { id } }),
    ]) {
      const before = told()
      await change()
      await until(() => told() > before, 1_000)
    }
    await delay(2_500)
    for (const stream of [messages, later]) {
      expect(stream[0]).toMatchObject({ everything: true, tokenIds: [], sequence: 0 })
      expect(stream.map(({ sequence }) => sequence)).toEqual(stream.map((_, index) => index))
    }
    expect(messages.flatMap(({ tokenIds }) => tokenIds)).toEqual([id, id, id])
    expect(messages.filter(({ everything }) => everything)).toHaveLength(1)
    const times = [...messages.map(({ at }) => at), performance.now()]
    const gaps = times.slice(1).map((at, index) => at - (times[index] ?? 0))
    expect(Math.max(...gaps)).toBeLessThan(1_000)
  })

  it('has one heartbeat every half second, however many instances there are', async () => {
    await using stack = new AsyncDisposableStack()
    const { messages } = subscribe(stack, world.url)
    await until(() => messages.length > 0)
    await delay(2_000)
    expect(messages.filter(isHeartbeat).length).toBeLessThanOrEqual(5)
  })

  it('says everything again when PostgreSQL has ended the connection that listens, and misses nothing', async () => {
    await using stack = new AsyncDisposableStack()
    const { messages } = subscribe(stack, other.url)
    const verifier = await attach(stack, other.url)
    const { id, secret } = await create()
    await warm(verifier, secret)
    await until(() => messages.length > 0)
    const ended = await world.sql(
      `with deleted as (delete from integration_tokens where id = $1)
       select pg_terminate_backend(pid, 5000) from pg_stat_activity
       where application_name like 'latchkey listener%' and datname = current_database()`,
      [id],
    )
    expect(ended.length).toBeGreaterThanOrEqual(2)
    await until(async () => !(await verifier.verify(secret)).active, 2_000)
    await until(() => messages.filter(({ everything }) => everything).length === 2, 2_000)
    expect(messages.map(({ sequence }) => sequence)).toEqual(messages.map((_, index) => index))
    expect(verifier.metrics()).toMatchObject({ state: 'live', reconnections: 0 })
  })

  it.each(['cut', 'frozen'] as const)(
    'is silent while the listening connection is %s, for new subscribers as for old ones, and then says everything',
    async (fault) => {
      await using stack = new AsyncDisposableStack()
      const { wire, url } = await openDeafInstance(stack)
      const old = subscribe(stack, url)
      await until(() => old.messages.length > 1)
      wire.set(fault)
      await delay(fault === 'cut' ? 100 : 1_100)
      const heard = old.messages.length
      const late = subscribe(stack, url)
      await delay(1_000)
      expect(late.messages).toEqual([])
      expect(old.messages.slice(heard)).toEqual([])
      const mendedAt = performance.now()
      wire.set('whole')
      await until(() => old.messages.length > heard + 1 && late.messages.length > 1)
      for (const message of [old.messages[heard], late.messages[0]]) {
        expect(message).toMatchObject({ everything: true })
        expect((message?.at ?? 0) - mendedAt).toBeLessThan(2_000)
      }
      expect(old.messages.map(({ sequence }) => sequence)).toEqual(old.messages.map((_, index) => index))
      expect(late.messages[0]?.sequence).toBe(0)
    },
  )

  it('ends within two seconds for a service that was removed, whose verifier then trusts its cache no longer', async () => {
    await using stack = new AsyncDisposableStack()
    const { secret } = await create()
    const service = await addService(world.dependencies, 'dismissed')
    const { messages, ended } = subscribe(stack, other.url, service)
    const kept = subscribe(stack, other.url)
    const verifier = createVerifier({ url: other.url, credential: service, stalenessBoundMilliseconds: 2_000 })
    stack.defer(() => verifier.close())
    await until(() => verifier.metrics().state === 'live' && messages.length > 0)
    expect(await verifier.verify(secret)).toMatchObject({ active: true })
    await removeService(world.dependencies, 'dismissed')
    const removed = performance.now()
    await ended
    expect(performance.now() - removed).toBeLessThan(2_000)
    await until(() => verifier.metrics().state === 'stale')
    await expect(verifier.verify(secret)).rejects.toBeInstanceOf(VerifierCredentialError)
    const before = kept.messages.length
    await until(() => kept.messages.length > before)
  })

  it('forgets a subscriber that goes away', async () => {
    await using stack = new AsyncDisposableStack()
    const { invalidations } = other.dependencies
    const subscribersAre = (count: number) => until(() => invalidations.subscriberCount() === count)
    await subscribersAre(0)
    const streams = Array.from({ length: 20 }, () => subscribe(stack, other.url))
    await until(() => streams.every(({ messages }) => messages.length > 0))
    await subscribersAre(20)
    for (const { close } of streams) await close()
    await subscribersAre(0)
  })
})

describe('listening for invalidations', () => {
  const listeners = async () => {
    const rows = await world.sql(
      `select from pg_stat_activity where application_name like 'latchkey listener%' and datname = current_database()`,
    )
    return rows.length
  }
  /** Until those of the two instances, and no other, are left. */
  const othersGone = () => until(async () => (await listeners()) === 2)

  it('begins with the first stream, so that a command, which has none, holds no connection for it', async () => {
    await othersGone()
    const invalidations = createInvalidations({ url: world.databaseUrl, log, metrics: createMetrics() })
    try {
      await delay(200)
      expect(await listeners()).toBe(2)
      invalidations.subscribe()
      await until(async () => (await listeners()) === 3)
    } finally {
      await invalidations.close()
    }
  })

  it('tells a reader that reads too slowly to drop everything, and not what it has missed', async () => {
    await using stack = new AsyncDisposableStack()
    const { invalidations } = await openDeafInstance(stack)
    const stream = invalidations.subscribe()
    expect((await stream.next()).value).toMatchObject({ everything: true, sequence: 0 })
    const ids = Array.from({ length: 1_500 }, () => createId('token', world.dependencies))
    await world.sql(`select pg_notify('latchkey_invalidations', id) from unnest($1::text[]) id`, [ids])
    await delay(500)
    const messages = []
    for await (const message of stream) {
      messages.push(message)
      if (message.tokenIds.some((id) => id === ids.at(-1))) break
    }
    expect(messages.length).toBeLessThan(1_000)
    expect(messages.filter(({ everything }) => everything)).toHaveLength(1)
    expect(messages.map(({ sequence }) => sequence)).toEqual(messages.map((_, index) => index + 1))
  })

  it('passes on no heartbeat that took longer than a second to come round', async () => {
    await using stack = new AsyncDisposableStack()
    const { wire, url } = await openDeafInstance(stack)
    const { messages } = subscribe(stack, url)
    await until(() => messages.length > 1)
    wire.set('slow')
    await delay(1.5 * slowMilliseconds)
    const heard = messages.length
    await delay(3_000)
    expect(messages.slice(heard)).toEqual([])
  })

  it('takes what it does not know for everything', async () => {
    await using stack = new AsyncDisposableStack()
    const { invalidations } = await openDeafInstance(stack)
    const stream = invalidations.subscribe()
    await stream.next()
    for (const payload of ['everything', 'something new', 'tok_1', '']) {
      await world.sql(`select pg_notify('latchkey_invalidations', $1)`, [payload])
      let told = false
      while (!told) told = (await stream.next()).value?.everything ?? true
    }
  })

  it.each(['whole', 'frozen', 'cut'] as const)(
    'ends at once, its streams and its connection with it, while the way is %s',
    async (state) => {
      await using stack = new AsyncDisposableStack()
      const { wire, invalidations } = await openDeafInstance(stack)
      const stream = invalidations.subscribe()
      await stream.next()
      wire.set(state)
      const started = performance.now()
      await invalidations.close()
      expect(performance.now() - started).toBeLessThan(200)
      let next = await stream.next()
      while (!next.done) next = await stream.next()
      expect(await invalidations.subscribe().next()).toEqual({ done: true, value: undefined })
      expect(invalidations.subscriberCount()).toBe(0)
      wire.set('whole')
      await othersGone()
    },
  )

  it('that is closed while it connects never listens', async () => {
    for (const pause of [0, 1, 2, 5, 10]) {
      const invalidations = createInvalidations({ url: world.databaseUrl, log, metrics: createMetrics() })
      await delay(pause)
      await invalidations.close()
    }
    await delay(700)
    await othersGone()
  })
})
