import { execFile } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { inspect, promisify } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type ClientOptions, createClient, LatchkeyError, RequestError } from './index.ts'

const secret = 'lki_2vqZ8mN4xKcR7tYw1bHs6dPf3gJ9aLeU5oViXnTzQk0Cr1pW'
const password = 'correct horse "battery" staple'

interface Received {
  path: string | undefined
  headers: IncomingHttpHeaders
  body: { query?: string; variables?: Record<string, unknown> }
}

const run = promisify(execFile)

const running: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const stop of running.splice(0)) await stop()
})

/** A server on a port of its own that keeps what it received and answers as it is told to. */
async function standIn(answer: (response: ServerResponse, request: Received) => void) {
  const received: Received[] = []
  const ports: (number | undefined)[] = []
  const server = createServer(async (request, response) => {
    const now = { path: request.url, headers: request.headers, body: JSON.parse(await text(request)) }
    received.push(now)
    ports.push(request.socket.remotePort)
    answer(response, now)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The stand-in has no port.')
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  running.push(stop)
  return { url: `http://127.0.0.1:${address.port}`, received, ports, stop }
}

function json(status: number, body: unknown, headers: Record<string, string> = {}) {
  return (response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'application/graphql-response+json', ...headers })
    response.end(JSON.stringify(body))
  }
}

function fault(status: number, code: string, headers: Record<string, string> = {}) {
  return json(status, { errors: [{ message: 'Words for a person.', extensions: { code } }] }, headers)
}

function raw(status: number, contentType: string, body: string) {
  return (response: ServerResponse) => {
    response.writeHead(status, { 'content-type': contentType })
    response.end(body)
  }
}

async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call
  } catch (error) {
    return error
  }
  throw new Error('The call did not fail.')
}

async function requestErrorOf(call: Promise<unknown>): Promise<RequestError> {
  const error = await failureOf(call)
  if (error instanceof RequestError) return error
  throw new Error(`Not a RequestError: ${inspect(error)}`)
}

const roles = json(200, { data: { tokenRoles: [] } })

/** Without a `fetch`, a call goes by Node's own client. */
const ways: [string, Pick<ClientOptions, 'fetch'>][] = [
  ['Node’s own client', {}],
  ['fetch', { fetch }],
]

describe('what is sent', () => {
  it.each([
    ['', '/graphql'],
    ['/', '/graphql'],
    ['/latchkey', '/latchkey/graphql'],
    ['/latchkey/', '/latchkey/graphql'],
  ])('goes to /graphql below the base address (“%s”)', async (path, expected) => {
    const { url, received } = await standIn(roles)
    await createClient({ url: url + path }).tokenRoles()
    await createClient({ url: new URL(url + path) }).tokenRoles()
    expect(received.map((request) => request.path)).toEqual([expected, expected])
  })

  it('carries the credential as a bearer', async () => {
    const { url, received } = await standIn(roles)
    await createClient({ url, credential: secret }).tokenRoles()
    expect(received[0]?.headers.authorization).toBe(`Bearer ${secret}`)
  })

  it('carries the credential of the moment where a function gives it', async () => {
    const { url, received } = await standIn(roles)
    const credentials = ['lks_first', 'lks_second', undefined]
    const latchkey = createClient({ url, credential: async () => credentials.shift() })
    await latchkey.tokenRoles()
    await latchkey.tokenRoles()
    await latchkey.tokenRoles()
    const sent = received.map((request) => request.headers.authorization)
    expect(sent).toEqual(['Bearer lks_first', 'Bearer lks_second', undefined])
  })

  it('carries no credential where there is none', async () => {
    const { url, received } = await standIn(roles)
    await createClient({ url, credential: undefined }).tokenRoles()
    expect(received[0]?.headers).not.toHaveProperty('authorization')
  })

  it('follows `with`, and leaves the first client as it was', async () => {
    const { url, received } = await standIn(roles)
    const anonymous = createClient({ url })
    const signedIn = anonymous.with({ credential: 'lks_session' })
    await signedIn.tokenRoles()
    await anonymous.tokenRoles()
    await signedIn.with({ timeoutMilliseconds: 500 }).tokenRoles()
    await signedIn.with({ credential: undefined }).tokenRoles()
    const sent = received.map((request) => request.headers.authorization)
    expect(sent).toEqual(['Bearer lks_session', undefined, 'Bearer lks_session', undefined])
  })

  it('has dates as RFC 3339 in UTC, and leaves out what was not given', async () => {
    const { url, received } = await standIn(json(200, { data: { updateToken: { __typename: 'UpdateTokenPayload' } } }))
    const expiresAt = new Date('2026-11-23T22:49:15+02:00')
    await createClient({ url }).updateToken({ input: { id: 'tok_1', expiresAt, label: undefined } })
    expect(received[0]?.body.variables).toEqual({ input: { id: 'tok_1', expiresAt: '2026-11-23T20:49:15.000Z' } })
  })

  it('never has null for an invalid date, which would clear the expiry, or for an invalid number', async () => {
    const { url, received } = await standIn(roles)
    const latchkey = createClient({ url })
    const input = { id: 'tok_1', expiresAt: new Date('tomorrow') }
    expect(await requestErrorOf(latchkey.updateToken({ input }))).toMatchObject({
      code: 'BAD_REQUEST',
      status: null,
      message: '`expiresAt` is no valid date or number.',
    })
    const error = await requestErrorOf(latchkey.regenerateToken({ input: { id: 'tok_1', overlapSeconds: Number.NaN } }))
    expect(error.message).toContain('overlapSeconds')
    expect(received).toEqual([])
  })

  it('has null where null was given', async () => {
    const { url, received } = await standIn(json(200, { data: { updateToken: { __typename: 'UpdateTokenPayload' } } }))
    await createClient({ url }).updateToken({ input: { id: 'tok_1', expiresAt: null } })
    expect(received[0]?.body.variables).toEqual({ input: { id: 'tok_1', expiresAt: null } })
  })

  const unknownDocument = fault(400, 'PERSISTED_QUERY_NOT_FOUND')
  const knowsNone = (response: ServerResponse, { body }: Received) =>
    body.query === undefined ? unknownDocument(response) : roles(response)

  it('names a document by its hash alone', async () => {
    const { url, received } = await standIn(roles)
    const latchkey = createClient({ url })
    await latchkey.tokenRoles()
    await latchkey.tokenRoles()
    for (const { body } of received) {
      expect(body).toEqual({
        operationName: 'tokenRoles',
        extensions: { persistedQuery: { version: 1, sha256Hash: expect.stringMatching(/^[0-9a-f]{64}$/) } },
      })
    }
  })

  it('sends the document itself, from then on, to a Latchkey that does not know its hash', async () => {
    const { url, received } = await standIn(knowsNone)
    const latchkey = createClient({ url })
    expect(await latchkey.tokenRoles()).toEqual({ tokenRoles: [] })
    await latchkey.tokenRoles()
    expect(received.map(({ body }) => body.query !== undefined)).toEqual([false, true, true])
    expect(received[1]?.body.query).toContain('query tokenRoles')
  })

  it('asks for the total count only when told to', async () => {
    const { url, received } = await standIn(knowsNone)
    const latchkey = createClient({ url })
    await latchkey.integrationTokens()
    await latchkey.integrationTokens({ withTotalCount: true })
    expect(received[1]?.body.query).toContain('$withTotalCount: Boolean! = false')
    expect(received[1]?.body.query).toContain('totalCount @include(if: $withTotalCount)')
    expect(received[2]?.body.variables).toEqual({ withTotalCount: true })
  })

  it('goes through the given fetch', async () => {
    const { url } = await standIn(roles)
    const asked: string[] = []
    const latchkey = createClient({
      url,
      fetch: (address, init) => {
        asked.push(String(address))
        return fetch(address, init)
      },
    })
    expect(await latchkey.tokenRoles()).toEqual({ tokenRoles: [] })
    expect(asked).toEqual([`${url}/graphql`])
  })

  it.each(ways)('by %s never follows a redirect, which could carry a password elsewhere', async (_name, way) => {
    const elsewhere = await standIn(json(200, { data: { signIn: {} } }))
    const { url } = await standIn((response) => {
      response.writeHead(307, { location: `${elsewhere.url}/graphql` })
      response.end()
    })
    const latchkey = createClient({ url, ...way })
    const error = await requestErrorOf(latchkey.signIn({ input: { email: 'ada@example.com', password } }))
    expect(error).toMatchObject({ code: 'BAD_REQUEST', status: 307 })
    expect(error.message).toContain('redirects')
    expect(elsewhere.received).toEqual([])
  })
})

it.each(ways)('speaks TLS to an https address, by %s', async (_name, way) => {
  const firstBytes: (number | undefined)[] = []
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (data) => {
      firstBytes.push(data[0])
      socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  running.push(() => new Promise((resolve) => server.close(() => resolve())))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const error = await requestErrorOf(createClient({ url: `https://127.0.0.1:${port}`, ...way }).tokenRoles())
  expect(error).toMatchObject({ code: 'UNAVAILABLE', status: null })
  // 22: a handshake (RFC 8446, section 5.1).
  expect(firstBytes).toEqual([22])
})

describe('options that cannot be used', () => {
  it.each([
    'tokens.example.com',
    '',
    'ftp://tokens.example.com',
    'https://ada:s3cret-password@tokens.example.com',
    'https://tokens.example.com/?key=s3cret-password',
  ])('are refused at once, without being shown: the address “%s”', (url) => {
    expect(() => createClient({ url })).toThrow(TypeError)
    expect(() => createClient({ url })).not.toThrow('s3cret-password')
  })

  it.each(['', `${secret}\n`, `${secret}\nx-admin: 1`, 'geheim…'])(
    'are refused without being shown: the credential “%s”',
    async (credential) => {
      expect(() => createClient({ url: 'http://127.0.0.1:1', credential })).toThrow(TypeError)
      const error = await failureOf(
        createClient({ url: 'http://127.0.0.1:1', credential: () => credential }).tokenRoles(),
      )
      expect(error).toBeInstanceOf(TypeError)
      expect(inspect(error)).not.toContain(secret)
    },
  )

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])(
    'are refused at once: a timeout of %s',
    (timeoutMilliseconds) => {
      expect(() => createClient({ url: 'http://127.0.0.1:1', timeoutMilliseconds })).toThrow(TypeError)
    },
  )
})

describe('a fault of the server', () => {
  it.each([
    [401, 'UNAUTHENTICATED'],
    [403, 'FORBIDDEN'],
    [400, 'BAD_REQUEST'],
    [429, 'RATE_LIMITED'],
    [503, 'UNAVAILABLE'],
    [500, 'INTERNAL'],
  ] as const)('HTTP %i %s keeps its code, status and words', async (status, code) => {
    const { url } = await standIn(fault(status, code))
    const error = await requestErrorOf(createClient({ url }).viewer())
    expect(error).toBeInstanceOf(LatchkeyError)
    expect(error).toMatchObject({
      name: 'RequestError',
      code,
      status,
      message: 'Words for a person.',
      retryAfterSeconds: null,
    })
  })

  it('keeps its code whatever the status, which a proxy may have changed', async () => {
    const { url } = await standIn(fault(200, 'FORBIDDEN'))
    expect(await requestErrorOf(createClient({ url }).viewer())).toMatchObject({ code: 'FORBIDDEN', status: 200 })
  })

  it.each([
    [401, 'UNAUTHENTICATED'],
    [403, 'FORBIDDEN'],
    [418, 'BAD_REQUEST'],
    [429, 'RATE_LIMITED'],
    [503, 'UNAVAILABLE'],
    [500, 'INTERNAL'],
    [200, 'INTERNAL'],
  ] as const)('with a code of a newer server takes the code of HTTP %i', async (status, code) => {
    const { url } = await standIn(fault(status, 'QUOTA_OF_2031_EXCEEDED'))
    expect(await requestErrorOf(createClient({ url }).viewer())).toMatchObject({ code, status })
  })

  it('counts even beside data', async () => {
    const body = { data: { tokenRoles: [] }, errors: [{ message: 'Half of it.', extensions: { code: 'INTERNAL' } }] }
    const { url } = await standIn(json(200, body))
    expect((await requestErrorOf(createClient({ url }).tokenRoles())).message).toBe('Half of it.')
  })

  it('tells for how long to wait', async () => {
    const byHeader = await standIn(fault(429, 'RATE_LIMITED', { 'retry-after': '30' }))
    expect((await requestErrorOf(createClient(byHeader).viewer())).retryAfterSeconds).toBe(30)
    const extensions = { code: 'RATE_LIMITED', retryAfterSeconds: 12 }
    const byExtension = await standIn(json(429, { errors: [{ message: 'Slowly.', extensions }] }))
    expect((await requestErrorOf(createClient(byExtension).viewer())).retryAfterSeconds).toBe(12)
    const byDate = await standIn(fault(429, 'RATE_LIMITED', { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }))
    expect((await requestErrorOf(createClient(byDate).viewer())).retryAfterSeconds).toBeNull()
  })
})

describe('an answer that is not Latchkey’s', () => {
  it.each([
    ['a proxy’s page', 502, 'UNAVAILABLE', 'text/html', '<h1>Bad gateway</h1>'],
    ['a gateway’s own JSON', 429, 'RATE_LIMITED', 'application/json', '{"message":"slow down"}'],
    ['another site', 404, 'BAD_REQUEST', 'text/html', '<h1>Not found</h1>'],
    ['another site’s front page', 200, 'INTERNAL', 'text/html', '<h1>Welcome</h1>'],
    ['JSON cut off in the middle', 200, 'INTERNAL', 'application/json', '{"data":{"tokenRoles":['],
    ['JSON without data', 200, 'INTERNAL', 'application/json', '{}'],
    ['data under an error’s status', 500, 'INTERNAL', 'application/json', '{"data":{"tokenRoles":[]}}'],
    ['null', 200, 'INTERNAL', 'application/json', 'null'],
    ['a fault without words', 200, 'INTERNAL', 'application/json', '{"data":{"tokenRoles":[]},"errors":[{}]}'],
    ['nothing at all', 200, 'INTERNAL', 'application/json', ''],
  ] as const)('%s gives its status, and nothing of its body', async (_what, status, code, contentType, body) => {
    const { url } = await standIn(raw(status, contentType, body))
    const error = await requestErrorOf(createClient({ url }).tokenRoles())
    expect(error).toMatchObject({ code, status })
    expect(error.message).toContain(`${url}/graphql answered with HTTP ${status} and no GraphQL result.`)
    if (body.length > 4) expect(inspect(error)).not.toContain(body)
  })
})

describe('by Node’s own client', () => {
  it('is read whole, wherever the network cuts it', async () => {
    const permissions = ['größte:lesen', '権限:読む', '🔑:use']
    async function* bytes() {
      for (const byte of Buffer.from(JSON.stringify({ data: { tokenRoles: [{ permissions }] } }))) {
        yield Buffer.of(byte)
        await turn()
      }
    }
    const { url } = await standIn((response) => void Readable.from(bytes()).pipe(response))
    expect(await createClient({ url }).tokenRoles()).toEqual({ tokenRoles: [{ permissions }] })
  })

  it('one connection serves one call after the other', async () => {
    const { url, ports } = await standIn(roles)
    const latchkey = createClient({ url })
    for (let call = 0; call < 5; call++) await latchkey.tokenRoles()
    expect(new Set(ports).size).toBe(1)
  })

  it('a call says that the SDK makes it', async () => {
    const { url, received } = await standIn(roles)
    await createClient({ url }).tokenRoles()
    expect(received[0]?.headers['user-agent']).toBe('latchkey-sdk')
  })

  it('goes through the proxy of the environment where Node is told to', async () => {
    const { url, received } = await standIn(roles)
    const program = `import { createClient } from '@latchkey/sdk'
      console.log(JSON.stringify(await createClient({ url: 'http://tokens.example.com' }).tokenRoles()))`
    const { stdout } = await run(
      process.execPath,
      ['--conditions=latchkey-source', '--input-type=module', '-e', program],
      {
        env: { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: url },
      },
    )
    expect(JSON.parse(stdout)).toEqual({ tokenRoles: [] })
    expect(received[0]?.path).toBe('http://tokens.example.com/graphql')
  })

  it('and by the global fetch where there is none', async () => {
    vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined)
    const { url } = await standIn(roles)
    const latchkey = createClient({ url })
    // As tracing does, at any time.
    const asked = vi.spyOn(globalThis, 'fetch')
    expect(await latchkey.tokenRoles()).toEqual({ tokenRoles: [] })
    expect(asked.mock.calls.map(([address]) => address)).toEqual([`${url}/graphql`])
  })
})

describe.each(ways)('no answer, by %s,', (_name, way) => {
  it('is UNAVAILABLE where the connection is refused, and names the reason', async () => {
    const { url, stop } = await standIn(roles)
    await stop()
    expect(await requestErrorOf(createClient({ url, ...way }).tokenRoles())).toMatchObject({
      code: 'UNAVAILABLE',
      status: null,
      message: `${url}/graphql cannot be reached: ECONNREFUSED.`,
    })
  })

  it('is UNAVAILABLE where the connection breaks in the middle', async () => {
    const { url } = await standIn((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
      response.write('{"data":', () => response.destroy())
    })
    expect(await requestErrorOf(createClient({ url, ...way }).tokenRoles())).toMatchObject({
      code: 'UNAVAILABLE',
      status: null,
    })
  })

  it.each([
    ['the answer does not begin', () => {}],
    ['the answer does not end', (response: ServerResponse) => void response.writeHead(200).write('{')],
  ])('is UNAVAILABLE after the timeout where %s', async (_what, answer) => {
    const { url } = await standIn(answer)
    const started = performance.now()
    const error = await requestErrorOf(createClient({ url, timeoutMilliseconds: 100, ...way }).tokenRoles())
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(error).toMatchObject({ code: 'UNAVAILABLE', status: null })
    expect(error.message).toBe(`${url}/graphql cannot be reached: no answer within 100 ms.`)
  })

  it('rejects with the caller’s own reason where the caller gave up', async () => {
    const { url, received } = await standIn(() => {})
    const controller = new AbortController()
    const call = createClient({ url, signal: controller.signal, ...way }).tokenRoles()
    const reason = new Error('The page was left.')
    const started = performance.now()
    setTimeout(() => controller.abort(reason), 50)
    expect(await failureOf(call)).toBe(reason)
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(await failureOf(createClient({ url, signal: controller.signal, ...way }).tokenRoles())).toBe(reason)
    expect(received).toHaveLength(1)
  })

  it('rejects all calls that are under way where the caller gave up, after others have ended', async () => {
    let answered = 0
    const { url } = await standIn((response) => {
      if (answered++ === 0) roles(response)
    })
    const controller = new AbortController()
    const latchkey = createClient({ url, signal: controller.signal, ...way })
    const first = latchkey.tokenRoles()
    const others = [latchkey.tokenRoles(), latchkey.tokenRoles()].map(failureOf)
    await first
    const reason = new Error('The page was left.')
    const started = performance.now()
    controller.abort(reason)
    expect(await Promise.all(others)).toEqual([reason, reason])
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  it('leaves no listener on the caller’s signal, however many calls it outlives', async () => {
    const { url } = await standIn(roles)
    const { signal } = new AbortController()
    const latchkey = createClient({ url, signal, ...way })
    await latchkey.tokenRoles()
    await failureOf(createClient({ url: 'http://127.0.0.1:1', signal, ...way }).tokenRoles())
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('no error shows what was sent', () => {
  /** All that a logger could print of an error. */
  function everythingIn(error: unknown): string {
    const options = { depth: Number.POSITIVE_INFINITY, showHidden: true, maxStringLength: null }
    const { stack, cause, message } = error instanceof Error ? error : new Error(String(error))
    return [
      inspect(error, options),
      JSON.stringify(error),
      String(error),
      stack,
      inspect(cause, options),
      message,
    ].join()
  }

  /** The request, as it is and as JSON, with its credential. */
  function echo({ body, headers }: Received): string {
    const { input, ...variables } = { input: {}, ...body.variables }
    const values = Object.values({ ...variables, ...input }).join()
    return `${JSON.stringify(body.variables)} ${values} ${headers.authorization}`
  }
  const failures: [string, (response: ServerResponse, request: Received) => void][] = [
    ['a fault', fault(401, 'UNAUTHENTICATED')],
    [
      'a fault that quotes the request',
      (response, request) => {
        const extensions = { code: 'BAD_REQUEST', echo: echo(request) }
        json(400, { errors: [{ message: `Bad value: ${echo(request)}`, extensions }] })(response)
      },
    ],
    [
      'a fault without words',
      (response, request) => json(200, { data: {}, errors: [{ extensions: { echo: echo(request) } }] })(response),
    ],
    ['a page that quotes the request', (response, request) => raw(502, 'text/html', echo(request))(response)],
    [
      'broken JSON that quotes the request',
      (response, request) => raw(200, 'application/json', `{"data":"${echo(request)}`)(response),
    ],
    [
      'a redirect that quotes the request',
      (response, request) => void response.writeHead(302, { location: `/?${encodeURI(echo(request))}` }).end(),
    ],
    ['a connection that breaks', (response) => response.destroy()],
    ['a timeout', () => {}],
  ]

  async function errorsOf(options: ClientOptions): Promise<unknown[]> {
    const latchkey = createClient({ ...options, credential: secret, timeoutMilliseconds: 200 })
    return [
      await failureOf(latchkey.verifyToken({ token: secret })),
      await failureOf(latchkey.signIn({ input: { email: 'ada@example.com', password } })),
      await failureOf(latchkey.with({ credential: undefined }).verifyToken({ token: secret })),
    ]
  }

  function expectNothingSentIn(error: unknown) {
    expect(error).toBeInstanceOf(RequestError)
    const shown = everythingIn(error)
    expect(shown).not.toContain(secret)
    expect(shown).not.toContain(password)
    expect(shown).not.toContain(JSON.stringify(password).slice(1, -1))
    expect(shown).not.toMatch(/query verifyToken|mutation signIn/)
  }

  describe.each(ways)('by %s', (_name, way) => {
    it.each(failures)('in %s', async (_what, answer) => {
      const { url } = await standIn(answer)
      for (const error of await errorsOf({ url, ...way })) expectNothingSentIn(error)
    })

    it('in a connection that is refused', async () => {
      for (const error of await errorsOf({ url: 'http://127.0.0.1:1', ...way })) expectNothingSentIn(error)
    })
  })

  it('in what a given fetch throws', async () => {
    const options: ClientOptions = {
      url: 'http://127.0.0.1:1',
      fetch: async (_address, init) => {
        const { body, headers } = init ?? {}
        throw Object.assign(new Error(`failed: ${body}`, { cause: { code: secret, headers } }), { init })
      },
    }
    for (const error of await errorsOf(options)) expectNothingSentIn(error)
  })

  it('in an answer of a given fetch that breaks when it is read', async () => {
    const options: ClientOptions = {
      url: 'http://127.0.0.1:1',
      fetch: async (_address, init) => {
        const get = () => {
          throw new Error(`failed: ${init?.body} ${new Headers(init?.headers).get('authorization')}`)
        }
        return Object.defineProperty(new Response('{}'), 'headers', { value: { get } })
      },
    }
    for (const error of await errorsOf(options)) expectNothingSentIn(error)
  })

  it('in variables that are no JSON', async () => {
    const input = { email: 'ada@example.com', password, organization: 'acme', more: 1n }
    const error = await requestErrorOf(createClient({ url: 'http://127.0.0.1:1' }).signIn({ input }))
    expectNothingSentIn(error)
    expect(error.code).toBe('BAD_REQUEST')
  })

  it('nor does the client itself', () => {
    const latchkey = createClient({ url: 'http://127.0.0.1:1', credential: secret })
    expect(everythingIn(latchkey)).not.toContain(secret)
  })
})
