import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { inspect, promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { formatSecret, type SecretKind } from '../../server/tokens/secret.ts'
import {
  createVerifier,
  LatchkeyError,
  type Verifier,
  VerifierCredentialError,
  type VerifierOptions,
  VerifierUnavailableError,
} from './verifier.ts'

const credential = 'lkv_the-secret-of-the-service'
const issue = (kind: SecretKind = 'integrationToken', prefix = 'lk') => formatSecret(prefix, kind, randomBytes(32))
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
function withChecksum(body: string): string {
  let text = ''
  for (let rest = crc32(body); text.length < 6; rest = Math.floor(rest / 62)) text = alphabet[rest % 62] + text
  return body + text
}
const sha256 = (value: string) => createHash('sha256').update(value).digest('hex')
const rest = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

async function until(condition: () => boolean, milliseconds = 5_000): Promise<void> {
  const deadline = Date.now() + milliseconds
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Not within ${milliseconds} ms: ${condition}`)
    await rest(5)
  }
}

const closing: (() => Promise<void> | void)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const close of closing.splice(0).reverse()) await close()
})

interface Call {
  digests: string[]
  usedFrom: (string | null)[]
  response: ServerResponse
}

const accepted = (tokenId: string, others: object = {}) => ({
  active: true,
  kind: 'INTEGRATION_TOKEN',
  organizationId: 'org_1',
  tokenId,
  label: 'Jenkins',
  roleId: 'role_ci',
  memberId: null,
  organizationRole: null,
  permissions: ['apps:read', 'scans:write'],
  expiresAt: null,
  expiresInMilliseconds: null,
  ...others,
})
const refused = Object.fromEntries(Object.keys(accepted('')).map((name) => [name, name === 'active' ? false : null]))

/** Something that speaks as Latchkey does, and fails as the test wants. */
async function openLatchkey({ heartbeats = true } = {}) {
  const received: string[] = []
  const calls: Call[] = []
  const streams: ServerResponse[] = []
  const tokens = new Map<string, object>()
  const sequences = new WeakMap<ServerResponse, number>()

  const send = (stream: ServerResponse, message: object) => {
    stream.write(`event: next\ndata: ${JSON.stringify({ data: { tokenInvalidations: message } })}\n\n`)
  }
  const latchkey = {
    received,
    calls,
    streams,
    url: '',
    /** Knows a new token, and gives its secret. */
    issue(others: object = {}): string {
      const secret = issue()
      tokens.set(sha256(secret), accepted(`tok_${tokens.size}`, others))
      return secret
    },
    forget: (secret: string) => tokens.delete(sha256(secret)),
    know: (secret: string, tokenId: string) => tokens.set(sha256(secret), accepted(tokenId)),
    answers: (digests: string[]) => digests.map((digest) => tokens.get(digest) ?? refused),
    answer({ digests, response }: Call): void {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ data: { verifyTokenDigests: latchkey.answers(digests) } }))
    },
    /** What a call is met with. */
    onCall(call: Call): void {
      latchkey.answer(call)
    },
    onConnect(stream: ServerResponse): void {
      stream.writeHead(200, { 'content-type': 'text/event-stream' })
      latchkey.say({ everything: true }, stream)
    },
    /** Sends the next message of a stream. */
    say(
      message: { tokenIds?: string[]; everything?: boolean } = {},
      stream: ServerResponse | undefined = streams.at(-1),
    ): void {
      if (!stream) throw new Error('Nobody listens.')
      const sequence = sequences.get(stream) ?? 0
      sequences.set(stream, sequence + 1)
      send(stream, { tokenIds: [], everything: false, sequence, ...message })
    },
    skipMessage(stream: ServerResponse | undefined = streams.at(-1)): void {
      if (stream) sequences.set(stream, (sequences.get(stream) ?? 0) + 1)
    },
    heartbeats,
  }

  const server = createServer(async (request, response) => {
    const body = await text(request)
    received.push(body + JSON.stringify(request.headers))
    const { query, variables } = JSON.parse(body)
    if (query?.includes('subscription')) {
      streams.push(response)
      latchkey.onConnect(response)
    } else {
      const call = { ...variables, response }
      calls.push(call)
      latchkey.onCall(call)
    }
  })
  const beat = setInterval(() => {
    const stream = streams.at(-1)
    if (latchkey.heartbeats && stream?.headersSent && !stream.writableEnded) latchkey.say({}, stream)
  }, 100)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  latchkey.url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  closing.push(async () => {
    clearInterval(beat)
    server.closeAllConnections()
    server.close()
  })
  return latchkey
}

type StandIn = Awaited<ReturnType<typeof openLatchkey>>

async function openVerifier(latchkey: StandIn, options: Partial<VerifierOptions> = {}): Promise<Verifier> {
  const verifier = createVerifier({ url: latchkey.url, credential, ...options })
  closing.push(() => verifier.close())
  await until(() => verifier.metrics().state === 'live')
  return verifier
}

/** A verifier with one token in its cache. */
async function openWarm(options: Partial<VerifierOptions> = {}) {
  const latchkey = await openLatchkey()
  const secret = latchkey.issue()
  const verifier = await openVerifier(latchkey, options)
  expect(await verifier.verify(secret)).toMatchObject({ active: true })
  expect(latchkey.calls).toHaveLength(1)
  return { latchkey, verifier, secret }
}

/** How many questions a verification costs. */
async function costOf(latchkey: StandIn, verification: () => Promise<unknown>): Promise<number> {
  const before = latchkey.calls.length
  await verification()
  return latchkey.calls.slice(before).flatMap(({ digests }) => digests).length
}

async function failureOf(verification: Promise<unknown>): Promise<LatchkeyError> {
  const outcome = await verification.catch((error: unknown) => error)
  if (outcome instanceof LatchkeyError) return outcome
  throw new Error(`No LatchkeyError: ${inspect(outcome)}`)
}

const monotonicClock = performance.now.bind(performance)
const wallClock = Date.now.bind(Date)

/** By how much each clock is off from now on. */
function setClocks({ monotonic = 0, wall = 0 }: { monotonic?: number; wall?: number }): void {
  vi.spyOn(performance, 'now').mockImplementation(() => monotonicClock() + monotonic)
  vi.spyOn(Date, 'now').mockImplementation(() => wallClock() + wall)
}
const leap = (milliseconds: number) => setClocks({ monotonic: milliseconds })

describe('a secret that cannot be a token', () => {
  it('is refused without asking: another form, another prefix, any one character changed, a session, a service', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const secret = latchkey.issue()
    const changed = [...secret].map((character, index) => {
      const other = character === 'x' ? 'y' : 'x'
      return secret.slice(0, index) + other + secret.slice(index + 1)
    })
    const malformed = [
      '',
      'lki_',
      'x',
      secret.slice(1),
      `${secret}0`,
      ` ${secret}`,
      `${secret}\n`,
      secret.toUpperCase(),
    ]
    const others = [issue('session'), issue('service'), issue('integrationToken', 'acme')]
    // Of characters that no token has, though the checksum be right.
    for (const other of ['_', '-', ' ', '\0', '\u007f']) malformed.push(withChecksum(`lki_${'0'.repeat(42)}${other}`))
    for (const presented of [...changed, ...malformed, ...others]) {
      expect(await verifier.verify(presented), presented).toEqual({ active: false })
    }
    // As a program without types may.
    for (const presented of [undefined, null, 7, {}, [secret]]) {
      expect(await Reflect.apply(verifier.verify, undefined, [presented])).toEqual({ active: false })
    }
    expect(latchkey.calls).toEqual([])
    expect(verifier.metrics().refusedLocally).toBe(changed.length + malformed.length + others.length + 5)
  })

  it('is told by the form that the server issues, for integration tokens and access tokens, under any prefix', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const acme = await openVerifier(latchkey, { prefix: 'acme' })
    for (let round = 0; round < 200; round++) {
      await verifier.verify(issue(round % 2 ? 'accessToken' : 'integrationToken'))
      await acme.verify(issue(round % 2 ? 'accessToken' : 'integrationToken', 'acme'))
    }
    expect([verifier.metrics().refusedLocally, acme.metrics().refusedLocally]).toEqual([0, 0])
    expect(latchkey.calls).toHaveLength(400)
  })
})

describe('the secret', () => {
  it('never leaves the process: its SHA-256 does', async () => {
    const { latchkey, secret } = await openWarm()
    expect(latchkey.calls[0]?.digests).toEqual([sha256(secret)])
    expect(latchkey.received.join()).not.toContain(secret)
  })

  it('is hashed alike where there is only the Web’s own crypto', async () => {
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined)
    vi.resetModules()
    const digest = await import('./digest.ts')
    const hashing = digest.sha256('lki_…')
    expect(hashing).toBeInstanceOf(Promise)
    expect(await hashing).toBe(sha256('lki_…'))
  })

  it('is in nothing that is shown: the verifier, its metrics, its errors', async () => {
    const { latchkey, verifier, secret } = await openWarm({ timeoutMilliseconds: 300 })
    const another = latchkey.issue()
    const shown: unknown[] = [verifier, verifier.metrics(), await verifier.verify(secret)]
    const quote = ({ digests, response }: Call) => {
      response.writeHead(500, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ errors: [{ message: `Bad variable ${digests[0]}` }] }))
    }
    const fail: ((call: Call) => void)[] = [
      quote,
      ({ response }) => response.destroy(),
      () => undefined,
      ({ response }) => response.writeHead(401).end(),
      ({ response }) => response.writeHead(200).end('<html>'),
    ]
    for (const onCall of fail) {
      latchkey.onCall = onCall
      shown.push(await failureOf(verifier.verify(another, { usedFrom: '203.0.113.7' })))
    }
    await verifier.close()
    shown.push(await failureOf(verifier.verify(another)), verifier)
    for (const thing of shown) {
      const all =
        inspect(thing, { depth: Number.POSITIVE_INFINITY, showHidden: true, getters: true }) + JSON.stringify(thing)
      for (const hidden of [secret, another, sha256(secret), sha256(another), credential])
        expect(all).not.toContain(hidden)
    }
  })
})

describe('a verdict', () => {
  it('tells all that Latchkey does of an accepted token, and of another that it is refused', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const expiresAt = '2126-11-24T05:00:00.000Z'
    const secret = latchkey.issue({ expiresAt, expiresInMilliseconds: 3_600_000 })
    expect(await verifier.verify(secret)).toEqual({
      active: true,
      kind: 'INTEGRATION_TOKEN',
      organizationId: 'org_1',
      tokenId: 'tok_0',
      label: 'Jenkins',
      roleId: 'role_ci',
      memberId: null,
      organizationRole: null,
      permissions: ['apps:read', 'scans:write'],
      expiresAt: new Date(expiresAt),
    })
    expect(await verifier.verify(issue())).toEqual({ active: false })
  })

  it('cannot be spoiled by whoever was given it before', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const secret = latchkey.issue({ expiresAt: '2126-11-24T05:00:00.000Z', expiresInMilliseconds: 3_600_000 })
    for (const presented of [secret, issue(), 'lki_malformed']) {
      const verdict = await verifier.verify(presented)
      const before = JSON.stringify(verdict)
      expect(() => Object.assign(verdict, { active: !verdict.active })).toThrow(TypeError)
      if (verdict.active) {
        expect(() => Reflect.apply(Array.prototype.push, verdict.permissions, ['tokens:manage'])).toThrow(TypeError)
        verdict.expiresAt?.setTime(0)
      }
      expect(JSON.stringify(await verifier.verify(presented))).toBe(before)
    }
  })
})

describe('gathering', () => {
  it('asks at most 1,000 at once and each only once, and gives each caller its own answer', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const secrets = Array.from({ length: 4_500 }, () => latchkey.issue())
    const verdicts = await Promise.all([...secrets, ...secrets].map((secret) => verifier.verify(secret)))
    // Each has a connection of its own: in which order they arrive is the network's.
    const sizes = latchkey.calls.map(({ digests }) => digests.length)
    expect(sizes.sort((one, other) => other - one)).toEqual([1_000, 1_000, 1_000, 1_000, 500])
    expect(verdicts.map((verdict) => verdict.active && verdict.tokenId)).toEqual(
      verdicts.map((_, index) => `tok_${index % 4_500}`),
    )
  })

  it('spreads what comes at once over several calls, so that one is answered while another is made', async () => {
    for (const [count, calls] of [
      [20, [20]],
      [64, [32, 32]],
      [100, [32, 32, 32, 4]],
      [1_000, [250, 250, 250, 250]],
    ] as const) {
      const latchkey = await openLatchkey()
      const verifier = await openVerifier(latchkey)
      await Promise.all(Array.from({ length: count }, () => verifier.verify(latchkey.issue())))
      expect(latchkey.calls.map(({ digests }) => digests.length)).toEqual(calls)
    }
  })

  it('has a few calls under way at most; what comes meanwhile goes together', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    latchkey.onCall = () => undefined
    const verdicts: Promise<unknown>[] = []
    for (let index = 0; index < 40; index++) {
      verdicts.push(verifier.verify(latchkey.issue()))
      await rest(2)
    }
    expect(latchkey.calls).toHaveLength(4)
    latchkey.onCall = latchkey.answer
    for (const call of latchkey.calls.slice()) latchkey.answer(call)
    await Promise.all(verdicts)
    expect(latchkey.calls.map(({ digests }) => digests.length)).toEqual([1, 1, 1, 1, 36])
  })

  it('never answers with what was asked before the caller came', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const secret = latchkey.issue()
    latchkey.onCall = () => undefined
    const early = verifier.verify(secret)
    await until(() => latchkey.calls.length === 1)
    const [sent] = latchkey.calls
    const before = latchkey.answers([sha256(secret)])
    latchkey.forget(secret)
    latchkey.onCall = latchkey.answer
    expect(await verifier.verify(secret)).toEqual({ active: false })
    sent?.response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ data: { verifyTokenDigests: before } }))
    expect(await early).toMatchObject({ active: true })
  })

  it('tells Latchkey from where each was used', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const [one, two, three] = [latchkey.issue(), latchkey.issue(), latchkey.issue()]
    await Promise.all([
      verifier.verify(one, { usedFrom: '203.0.113.1' }),
      verifier.verify(two),
      verifier.verify(three),
      verifier.verify(three, { usedFrom: '203.0.113.3' }),
    ])
    expect(latchkey.calls[0]?.usedFrom).toEqual(['203.0.113.1', null, '203.0.113.3'])
  })
})

describe('the cache', () => {
  it('answers for a token that is known without asking', async () => {
    const { latchkey, verifier, secret } = await openWarm()
    expect(await costOf(latchkey, () => Promise.all(Array.from({ length: 100 }, () => verifier.verify(secret))))).toBe(
      0,
    )
    expect(verifier.metrics()).toMatchObject({ hits: 100, misses: 1, calls: 1, cachedTokens: 1 })
  })

  it('holds so many secrets, the last used ones, and remembers no token besides', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey, { cacheSize: 50 })
    const favourite = latchkey.issue()
    for (let round = 0; round < 500; round++) {
      await verifier.verify(latchkey.issue())
      await verifier.verify(favourite)
      expect(verifier.metrics().cachedTokens).toBeLessThanOrEqual(50)
    }
    expect(await costOf(latchkey, () => verifier.verify(favourite))).toBe(0)
    expect(verifier.metrics()).toMatchObject({ misses: 501, cachedTokens: 50 })
    latchkey.say({ tokenIds: Array.from({ length: 501 }, (_, index) => `tok_${index}`) })
    await until(() => verifier.metrics().cachedTokens === 0)
  })

  it.each([-1e10, 0, 1e10])(
    'ends a verdict when the token does, by the time that has passed, with a clock on the wall that is %s ms off',
    async (wall) => {
      setClocks({ wall })
      const latchkey = await openLatchkey()
      const verifier = await openVerifier(latchkey, { stalenessBoundMilliseconds: 1e8 })
      const secret = latchkey.issue({ expiresAt: new Date().toISOString(), expiresInMilliseconds: 20_000 })
      await verifier.verify(secret)
      setClocks({ wall, monotonic: 19_000 })
      expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
      setClocks({ wall, monotonic: 20_000 })
      latchkey.forget(secret)
      expect(await verifier.verify(secret)).toEqual({ active: false })
    },
  )

  it('counts the life of a verdict from before the question was sent', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey, { stalenessBoundMilliseconds: 1e8 })
    const secret = latchkey.issue({ expiresAt: new Date().toISOString(), expiresInMilliseconds: 20_000 })
    latchkey.onCall = () => undefined
    const verdict = verifier.verify(secret)
    await until(() => latchkey.calls.length === 1)
    leap(20_000)
    latchkey.onCall = latchkey.answer
    for (const call of latchkey.calls.slice()) latchkey.answer(call)
    expect(await verdict).toMatchObject({ active: true })
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(1)
  })

  it('ends verdicts too when the machine has slept, which only the clock on the wall may have noticed', async () => {
    const { latchkey, verifier, secret } = await openWarm()
    setClocks({ wall: -10_000 })
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
    setClocks({ wall: 10_000 })
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(1)
  })
})

describe('refusals', () => {
  it('are kept for a second, so that a flood of one bad secret costs one question a second', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey, { stalenessBoundMilliseconds: 1e8 })
    const bad = issue()
    const flood = async () => {
      for (let round = 0; round < 50; round++) await verifier.verify(bad)
    }
    expect(await costOf(latchkey, flood)).toBe(1)
    leap(1_000)
    expect(await costOf(latchkey, flood)).toBe(1)
  })

  it('are forgotten with any message that something changed, so that a token that is enabled again is accepted at once', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const secret = issue()
    expect(await verifier.verify(secret)).toEqual({ active: false })
    latchkey.know(secret, 'tok_enabled')
    latchkey.say({ tokenIds: ['tok_enabled'] })
    await until(() => verifier.metrics().invalidations === 2)
    expect(await verifier.verify(secret)).toMatchObject({ active: true, tokenId: 'tok_enabled' })
  })

  it('are kept of the last thousand', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey, { stalenessBoundMilliseconds: 1e8 })
    vi.spyOn(performance, 'now').mockReturnValue(monotonicClock())
    const bad = Array.from({ length: 1_001 }, () => issue())
    await Promise.all(bad.map((secret) => verifier.verify(secret)))
    expect(await costOf(latchkey, () => Promise.all(bad.slice(1).map((secret) => verifier.verify(secret))))).toBe(0)
    expect(await costOf(latchkey, () => verifier.verify(bad[0] ?? ''))).toBe(1)
  })

  it('do not drive accepted tokens out of the cache', async () => {
    const { latchkey, verifier, secret } = await openWarm({ cacheSize: 10 })
    await Promise.all(Array.from({ length: 2_000 }, () => verifier.verify(issue())))
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
  })
})

describe('invalidations', () => {
  it('end what is cached of the tokens that are named, each of their secrets, and of no others', async () => {
    const { latchkey, verifier, secret } = await openWarm()
    const overlapping = issue()
    latchkey.know(overlapping, 'tok_0')
    const other = latchkey.issue()
    await verifier.verify(overlapping)
    await verifier.verify(other)
    latchkey.forget(secret)
    latchkey.say({ tokenIds: ['tok_unknown', 'tok_0'] })
    await until(() => verifier.metrics().invalidations === 2)
    expect(await costOf(latchkey, () => verifier.verify(other))).toBe(0)
    expect(await verifier.verify(secret)).toEqual({ active: false })
    expect(await costOf(latchkey, () => verifier.verify(overlapping))).toBe(1)
  })

  it.each<[string, (latchkey: StandIn) => void]>([
    ['Latchkey says everything', (latchkey) => latchkey.say({ everything: true })],
    [
      'a message was missed',
      (latchkey) => {
        latchkey.skipMessage()
        latchkey.say()
      },
    ],
    [
      'messages come out of order',
      (latchkey) => {
        latchkey.streams
          .at(-1)
          ?.write(
            `event: next\ndata: ${JSON.stringify({ data: { tokenInvalidations: { tokenIds: [], everything: false, sequence: 0 } } })}\n\n`,
          )
      },
    ],
    ['the stream ends', (latchkey) => void latchkey.streams.at(-1)?.end('event: complete\ndata:\n\n')],
    ['the connection breaks', (latchkey) => void latchkey.streams.at(-1)?.destroy()],
    [
      'a message cannot be understood',
      (latchkey) => void latchkey.streams.at(-1)?.write('event: next\ndata: {"data":{"tokenInvalidations":{}}}\n\n'),
    ],
    [
      'an error comes instead of a message',
      (latchkey) => void latchkey.streams.at(-1)?.write('event: next\ndata: {"errors":[{"message":"No."}]}\n\n'),
    ],
  ])('drop all that is cached when %s, and the verifier is live again by itself', async (_, happen) => {
    const { latchkey, verifier, secret } = await openWarm()
    const { drops } = verifier.metrics()
    happen(latchkey)
    await until(() => verifier.metrics().drops > drops && verifier.metrics().state === 'live')
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(1)
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
  })

  it.each<[string, Parameters<StandIn['say']>[0]]>([
    ['this token', { tokenIds: ['tok_0'] }],
    ['everything', { everything: true }],
  ])('keep an answer out of the cache that was asked for before a message of %s came', async (_, message) => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const secret = latchkey.issue()
    latchkey.onCall = () => undefined
    const verdict = verifier.verify(secret)
    await until(() => latchkey.calls.length === 1)
    latchkey.say(message)
    await until(() => verifier.metrics().invalidations === 2)
    latchkey.onCall = latchkey.answer
    for (const call of latchkey.calls.slice()) latchkey.answer(call)
    expect(await verdict).toMatchObject({ active: true })
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(1)
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
  })

  it('are listened to again and again, at longer and longer intervals, and at short ones after the first message', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const connected: number[] = []
    const { onConnect } = latchkey
    latchkey.onConnect = (stream) => {
      connected.push(performance.now())
      stream.writeHead(503).end()
    }
    latchkey.streams.at(-1)?.destroy()
    await until(() => connected.length === 5)
    const pauses = connected.slice(1).map((at, index) => at - (connected[index] ?? 0))
    for (const [index, pause] of pauses.entries()) expect(pause, `${pauses}`).toBeGreaterThanOrEqual(100 * 2 ** index)
    for (const [index, pause] of pauses.entries()) expect(pause, `${pauses}`).toBeLessThan(200 * 2 ** index + 500)
    latchkey.onConnect = onConnect
    await until(() => verifier.metrics().state === 'live' && latchkey.streams.at(-1)?.statusCode === 200)
    const { reconnections } = verifier.metrics()
    latchkey.streams.at(-1)?.end()
    await until(() => verifier.metrics().reconnections > reconnections, 600)
    expect(verifier.metrics().reconnections).toBeGreaterThanOrEqual(6)
  })

  it('are asked for with the credential of the moment, and never where a redirect leads', async () => {
    const latchkey = await openLatchkey()
    const elsewhere = await openLatchkey()
    const credentials = ['lkv_first', 'lkv_second', 'lkv_third']
    latchkey.onConnect = (stream) => void stream.writeHead(307, { location: `${elsewhere.url}/graphql` }).end()
    const verifier = createVerifier({ url: latchkey.url, credential: () => credentials.shift() })
    closing.push(() => verifier.close())
    await until(() => latchkey.received.length === 3)
    expect(latchkey.received.map((request) => /Bearer (\w+)/.exec(request)?.[1])).toEqual([
      'lkv_first',
      'lkv_second',
      'lkv_third',
    ])
    expect(elsewhere.received).toEqual([])
  })
})

describe('a verifier that does not hear Latchkey', () => {
  it('asks every time, and is exact, when it was never heard', async () => {
    const latchkey = await openLatchkey()
    latchkey.onConnect = () => undefined
    const verifier = createVerifier({ url: latchkey.url, credential })
    closing.push(() => verifier.close())
    const secret = latchkey.issue()
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(1)
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(1)
    latchkey.forget(secret)
    expect(await verifier.verify(secret)).toEqual({ active: false })
    latchkey.know(secret, 'tok_1')
    expect(await verifier.verify(secret)).toMatchObject({ active: true })
    expect(verifier.metrics()).toMatchObject({ state: 'stale', hits: 0, cachedTokens: 0 })
  })

  it.each<[string, (latchkey: StandIn) => void]>([
    ['is silent', () => undefined],
    [
      'sends nothing but what keeps a connection open',
      ({ streams }) => {
        const timer = setInterval(() => streams[0]?.write(':\n\n'), 50)
        closing.push(() => clearInterval(timer))
      },
    ],
    ['breaks the connection', ({ streams }) => void streams[0]?.destroy()],
    ['ends the stream', ({ streams }) => void streams[0]?.end()],
  ])('trusts its cache for the bound and no longer when Latchkey %s, and recovers by itself', async (_, fall) => {
    const states: string[] = []
    const onStateChange = (state: string) => states.push(state)
    const { latchkey, verifier, secret } = await openWarm({ stalenessBoundMilliseconds: 1_000, onStateChange })
    const { onConnect } = latchkey
    latchkey.onConnect = () => undefined
    latchkey.heartbeats = false
    fall(latchkey)
    await rest(500)
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
    latchkey.forget(secret)
    await rest(700)
    expect(await verifier.verify(secret)).toEqual({ active: false })
    latchkey.know(secret, 'tok_1')
    expect(await verifier.verify(secret)).toMatchObject({ active: true })
    expect(verifier.metrics()).toMatchObject({ state: 'stale', cachedTokens: 0 })

    latchkey.onConnect = onConnect
    latchkey.heartbeats = true
    await until(() => verifier.metrics().state === 'live')
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(1)
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
    expect(states).toEqual(['live', 'stale', 'live'])
  })

  it('is not brought back by messages that had been waiting while it was frozen', async () => {
    const { latchkey, verifier, secret } = await openWarm()
    latchkey.heartbeats = false
    // So that the messages are there before any timer has noticed.
    leap(5_001)
    latchkey.forget(secret)
    latchkey.onConnect = () => undefined
    for (let round = 0; round < 5; round++) latchkey.say()
    await until(() => latchkey.streams.length === 2)
    expect(verifier.metrics().state).toBe('live')
    expect(await verifier.verify(secret)).toEqual({ active: false })
    expect(verifier.metrics().state).toBe('stale')
  })

  it('caches nothing of an answer that had been waiting while it was frozen', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey)
    const secret = latchkey.issue()
    latchkey.heartbeats = false
    latchkey.onCall = () => undefined
    const verdict = verifier.verify(secret)
    await until(() => latchkey.calls.length === 1)
    leap(5_001)
    for (const call of latchkey.calls) latchkey.answer(call)
    expect(await verdict).toMatchObject({ active: true })
    expect(verifier.metrics()).toMatchObject({ state: 'stale', cachedTokens: 0 })
  })
})

describe('when Latchkey cannot be asked', () => {
  it.each<[string, (call: Call) => void, RegExp, number]>([
    ['it is overloaded', ({ response }) => response.writeHead(503, { 'retry-after': '7' }).end(), /HTTP 503/, 7],
    ['it breaks the connection', ({ response }) => response.destroy(), /cannot be reached/, 1],
    ['it fails', ({ response }) => response.writeHead(500).end(), /HTTP 500/, 1],
    ['something else answers', ({ response }) => response.writeHead(200).end('<html>'), /Is it Latchkey/, 1],
    ['the answers are too few', ({ response }) => json(response, []), /cannot be understood/, 1],
    ['the answers are too many', ({ response }) => json(response, [refused, refused]), /cannot be understood/, 1],
    ['an answer says nothing', ({ response }) => json(response, [{}]), /cannot be understood/, 1],
    [
      'an answer is accepted as nobody',
      ({ response }) => json(response, [{ active: true }]),
      /cannot be understood/,
      1,
    ],
    ['an answer is no answer', ({ response }) => json(response, [null]), /cannot be understood/, 1],
    [
      'an answer ends nobody knows when',
      ({ response }) => json(response, [accepted('tok_1', { expiresAt: '2126-11-24T05:00:00Z' })]),
      /cannot be understood/,
      1,
    ],
  ])('says so, and guesses nothing: %s', async (_, onCall, message, retryAfterSeconds) => {
    const { latchkey, verifier, secret } = await openWarm()
    latchkey.onCall = onCall
    const error = await failureOf(verifier.verify(latchkey.issue()))
    expect(error).toBeInstanceOf(VerifierUnavailableError)
    expect(error).toMatchObject({ code: 'UNAVAILABLE', retryAfterSeconds, message: expect.stringMatching(message) })
    expect(await verifier.verify(secret), 'what is cached').toMatchObject({ active: true })
    latchkey.onCall = latchkey.answer
    expect(await verifier.verify(latchkey.issue())).toMatchObject({ active: true })
  })

  it('says so within the timeout, also when the questions wait for others', async () => {
    const latchkey = await openLatchkey()
    const verifier = await openVerifier(latchkey, { timeoutMilliseconds: 500 })
    latchkey.onCall = () => undefined
    const failures: Promise<{ error: LatchkeyError; milliseconds: number }>[] = []
    for (let index = 0; index < 20; index++) {
      const started = performance.now()
      const failure = failureOf(verifier.verify(latchkey.issue()))
      failures.push(failure.then((error) => ({ error, milliseconds: performance.now() - started })))
      await rest(20)
    }
    for (const { error, milliseconds } of await Promise.all(failures)) {
      expect(error).toBeInstanceOf(VerifierUnavailableError)
      expect(error.message).toContain('500 ms')
      expect(milliseconds).toBeLessThan(900)
    }
    latchkey.onCall = latchkey.answer
    expect(await verifier.verify(latchkey.issue())).toMatchObject({ active: true })
  })

  it.each<[number, 'UNAUTHENTICATED' | 'FORBIDDEN']>([
    [401, 'UNAUTHENTICATED'],
    [403, 'FORBIDDEN'],
  ])('for the verifier’s own credential (%s), says that that must be put right', async (status, code) => {
    const { latchkey, verifier } = await openWarm()
    latchkey.onCall = ({ response }) => void response.writeHead(status).end()
    const error = await failureOf(verifier.verify(latchkey.issue()))
    expect(error).toBeInstanceOf(VerifierCredentialError)
    expect(error).toMatchObject({ code, message: expect.stringContaining('createVerifier') })
  })

  it('for want of a credential, says so without what its function threw', async () => {
    const latchkey = await openLatchkey()
    const verifier = createVerifier({ url: latchkey.url, credential: () => Promise.reject(new Error(credential)) })
    closing.push(() => verifier.close())
    const error = await failureOf(verifier.verify(latchkey.issue()))
    expect(error).toBeInstanceOf(VerifierUnavailableError)
    expect(inspect(error)).not.toContain(credential)
  })
})

describe('a token that is used from the cache', () => {
  it('is asked about again after 30 seconds, once and in the background, with where it was used from', async () => {
    const { latchkey, verifier, secret } = await openWarm({ stalenessBoundMilliseconds: 1e8 })
    leap(29_000)
    expect(await costOf(latchkey, () => verifier.verify(secret))).toBe(0)
    leap(30_000)
    latchkey.onCall = () => undefined
    for (let round = 0; round < 10; round++) {
      expect(await verifier.verify(secret, { usedFrom: `203.0.113.${round}` })).toMatchObject({ active: true })
    }
    await until(() => latchkey.calls.length === 2)
    expect(latchkey.calls[1]).toMatchObject({ digests: [sha256(secret)], usedFrom: ['203.0.113.0'] })
    for (const call of latchkey.calls.slice(1)) latchkey.answer(call)
  })

  it('stays accepted when that fails', async () => {
    const { latchkey, verifier, secret } = await openWarm({ stalenessBoundMilliseconds: 1e8 })
    latchkey.onCall = ({ response }) => void response.writeHead(503).end()
    leap(30_000)
    await verifier.verify(secret)
    await until(() => latchkey.calls.length === 2)
    await rest(50)
    expect(await verifier.verify(secret)).toMatchObject({ active: true })
    expect(latchkey.calls).toHaveLength(2)
  })

  it('is refused from then on when the answer says so', async () => {
    const { latchkey, verifier, secret } = await openWarm({ stalenessBoundMilliseconds: 1e8 })
    latchkey.forget(secret)
    leap(30_000)
    await verifier.verify(secret)
    await until(() => verifier.metrics().cachedTokens === 0)
    expect(await verifier.verify(secret)).toEqual({ active: false })
  })
})

describe('close', () => {
  it('ends the stream, and every question with an error', async () => {
    const { latchkey, verifier, secret } = await openWarm()
    latchkey.onCall = () => undefined
    const asked: Promise<LatchkeyError>[] = []
    for (let index = 0; index < 6; index++) {
      asked.push(failureOf(verifier.verify(latchkey.issue())))
      await rest(10)
    }
    const [stream] = latchkey.streams
    if (!stream) throw new Error('The verifier has no stream.')
    const ended = once(stream, 'close')
    await verifier.close()
    await ended
    asked.push(failureOf(verifier.verify(secret)))
    for (const error of await Promise.all(asked)) {
      expect(error).toBeInstanceOf(VerifierUnavailableError)
      expect(error.message).toContain('closed')
    }
    await verifier.close()
    await rest(300)
    expect(latchkey.streams).toHaveLength(1)
  })

  it('leaves nothing running: a program ends by itself', async () => {
    const latchkey = await openLatchkey()
    const program = `
      import { createVerifier } from ${JSON.stringify(new URL('verifier.ts', import.meta.url).href)}
      const open = (url) => createVerifier({ url, credential: 'lkv_x', stalenessBoundMilliseconds: 60_000, timeoutMilliseconds: 60_000 })
      const heard = open(process.argv[1])
      while (heard.metrics().state !== 'live') await new Promise((resolve) => setTimeout(resolve, 5))
      const away = open('http://127.0.0.1:1')
      await heard.verify(process.argv[2])
      heard.verify(process.argv[3]).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 300))
      await Promise.all([heard.close(), away.close()])
      console.log(JSON.stringify(process.getActiveResourcesInfo().filter((name) => name === 'Timeout')))`
    const secret = latchkey.issue()
    latchkey.onCall = (call) => {
      if (call.digests[0] === sha256(secret)) latchkey.answer(call)
    }
    const flags = ['--input-type=module', '--disable-warning=ExperimentalWarning', '--eval', program]
    const started = performance.now()
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, latchkey.url, secret, issue()], {
      timeout: 15_000,
    })
    expect(JSON.parse(stdout)).toEqual([])
    expect(performance.now() - started).toBeLessThan(15_000)
  })
})

describe('an option that cannot be used', () => {
  it.each<[string, Partial<VerifierOptions>]>([
    ['url', { url: 'tokens.example.com' }],
    ['credential', { credential: 'a\nb' }],
    ['prefix', { prefix: 'l.' }],
    ['stalenessBoundMilliseconds', { stalenessBoundMilliseconds: 0 }],
    ['cacheSize', { cacheSize: 0 }],
    ['cacheSize', { cacheSize: 1.5 }],
    ['timeoutMilliseconds', { timeoutMilliseconds: Number.NaN }],
  ])('is named at once: %s %o', (name, options) => {
    const create = () => createVerifier({ url: 'http://127.0.0.1:1', credential, ...options })
    expect(create).toThrow(TypeError)
    expect(create).toThrow(`\`${name}\``)
  })
})

function json(response: ServerResponse, answers: unknown): void {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ data: { verifyTokenDigests: answers } }))
}
