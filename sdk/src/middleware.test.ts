import { once } from 'node:events'
import { createServer, request as openRequest, type Server } from 'node:http'
import { connect } from 'node:http2'
import { text } from 'node:stream/consumers'
import { serve as createHonoServer } from '@hono/node-server'
import express, { type ErrorRequestHandler } from 'express'
import createFastify from 'fastify'
import { createSchema, createYoga, type Plugin } from 'graphql-yoga'
import { Hono } from 'hono'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { RequireTokenOptions } from './bearer.ts'
import { VerifierCredentialError, VerifierUnavailableError } from './errors.ts'
import { requireToken as requireTokenInExpress } from './express.ts'
import { requireToken as requireTokenInFastify } from './fastify.ts'
import { requireToken as requireTokenInHono } from './hono.ts'
import { requireToken as requireTokenInNode } from './node.ts'
import type { Verdict, VerifiedToken } from './verdict.ts'
import type { Verifier } from './verifier.ts'
import { requireToken as requireTokenInYoga } from './yoga.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const close of closing.splice(0).reverse()) await close()
})

const tokenOf = (organizationId: string, permissions = ['apps:read', 'scans:write']): VerifiedToken => ({
  active: true,
  kind: 'INTEGRATION_TOKEN',
  organizationId,
  tokenId: `tok_of_${organizationId}`,
  label: 'Jenkins',
  roleId: 'role_ci',
  memberId: null,
  organizationRole: null,
  permissions,
  expiresAt: null,
})

/** Accepts `good`, `other`, and whatever a test adds; keeps what it was asked. */
function openVerifier() {
  const asked: { secret: string; usedFrom: string | null | undefined }[] = []
  const verdicts = new Map<string, () => Verdict | Promise<Verdict>>([
    ['good', () => tokenOf('org_1')],
    ['reader', () => tokenOf('org_2', ['apps:read'])],
    [
      'unavailable',
      () => {
        throw new VerifierUnavailableError('the words of a secret cause', 6.2)
      },
    ],
    [
      'misconfigured',
      () => {
        throw new VerifierCredentialError('UNAUTHENTICATED')
      },
    ],
  ])
  const verifier: Pick<Verifier, 'verify'> = {
    async verify(secret, about) {
      asked.push({ secret, usedFrom: about?.usedFrom })
      return verdicts.get(secret)?.() ?? { active: false }
    },
  }
  return { verifier, asked, verdicts }
}

interface Sent {
  headers?: [name: string, value: string][]
  query?: string
  form?: Record<string, string>
}

interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/** What the route behind `requireToken` does, in each framework: it keeps the token, and tells what it read of the body. */
interface Served {
  send: (sent: Sent) => Promise<Answer>
  handled: VerifiedToken[]
  /** What came to the framework's own way of handling errors. */
  errors: unknown[]
}

interface Settings {
  options?: RequireTokenOptions
  /** Whether the `X-Forwarded-For` that arrives is believed. */
  behindProxy?: boolean
}

type Serve = (verifier: Pick<Verifier, 'verify'>, settings: Settings) => Promise<Served>

async function listen(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
}

/** By Node's own client, since `fetch` joins headers of one name. */
const sendTo =
  (url: string) =>
  async ({ headers = [], query = '', form }: Sent): Promise<Answer> => {
    const body = new URLSearchParams({ query: '{ read }', ...form }).toString()
    const fixed = [
      ['host', new URL(url).host],
      ['content-type', 'application/x-www-form-urlencoded'],
      ['content-length', String(body.length)],
    ]
    const request = openRequest(`${url}${query}`, { method: 'POST', headers: [...fixed, ...headers].flat() })
    request.end(body)
    const [response] = await once(request, 'response')
    return { status: response.statusCode, headers: response.headers, body: await text(response) }
  }

const fetchWith =
  (respond: (request: Request) => Response | Promise<Response>) =>
  async ({ headers = [], query = '', form }: Sent): Promise<Answer> => {
    const body = new URLSearchParams({ query: '{ read }', ...form })
    const request = new Request(`http://localhost/graphql${query}`, { method: 'POST', body })
    for (const [name, value] of headers) request.headers.append(name, value)
    const response = await respond(request)
    return { status: response.status, headers: Object.fromEntries(response.headers), body: await response.text() }
  }

const firstForwarded = (value: string | null | undefined) => value?.split(',')[0]?.trim()

const serveExpress: Serve = async (verifier, { options, behindProxy = false }) => {
  const handled: VerifiedToken[] = []
  const errors: unknown[] = []
  const app = express()
  app.set('trust proxy', behindProxy)
  app.set('env', 'production')
  app.use((_request, response, next) => {
    response.setHeader('x-before', 'kept')
    next()
  })
  app.post('/graphql', requireTokenInExpress(verifier, options), express.text({ type: '*/*' }), (request, response) => {
    handled.push(request.token)
    response.json({ data: { read: request.body } })
  })
  const keepError: ErrorRequestHandler = (error, _request, _response, next) => {
    errors.push(error)
    next(error)
  }
  app.use(keepError)
  vi.spyOn(console, 'error').mockReturnValue()
  return { send: sendTo(`${await listen(createServer(app))}/graphql`), handled, errors }
}

const serveFastify: Serve = async (verifier, { options, behindProxy = false }) => {
  const handled: VerifiedToken[] = []
  const errors: unknown[] = []
  const app = createFastify({ trustProxy: behindProxy })
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body)
  })
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('x-before', 'kept')
  })
  app.addHook('onError', async (_request, _reply, error) => {
    errors.push(error)
  })
  app.post('/graphql', { onRequest: requireTokenInFastify(verifier, options) }, async (request) => {
    handled.push(request.token)
    return { data: { read: request.body } }
  })
  closing.push(() => app.close())
  return { send: sendTo(`${await app.listen({ port: 0, host: '127.0.0.1' })}/graphql`), handled, errors }
}

function createHonoApp(
  verifier: Pick<Verifier, 'verify'>,
  { options = {}, behindProxy = false }: Settings,
): Omit<Served, 'send'> & { app: Hono } {
  const handled: VerifiedToken[] = []
  const errors: unknown[] = []
  const app = new Hono()
  const proxied = behindProxy && {
    usedFrom: (context: { req: { header(name: string): string | undefined } }) =>
      firstForwarded(context.req.header('x-forwarded-for')),
  }
  app.use(async (context, next) => {
    context.header('x-before', 'kept')
    await next()
  })
  app.post('/graphql', requireTokenInHono(verifier, { ...options, ...proxied }), async (context) => {
    handled.push(context.get('token'))
    return context.json({ data: { read: await context.req.text() } })
  })
  app.onError((error, context) => {
    errors.push(error)
    return context.text('Internal Server Error', 500)
  })
  return { app, handled, errors }
}

const serveHonoOnNode: Serve = async (verifier, settings) => {
  const { app, ...served } = createHonoApp(verifier, settings)
  const server = createHonoServer({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  closing.push(() => server.close())
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return { ...served, send: sendTo(`http://127.0.0.1:${port}/graphql`) }
}

const serveHonoByFetch: Serve = async (verifier, settings) => {
  const { app, ...served } = createHonoApp(verifier, settings)
  return { ...served, send: fetchWith((request) => app.fetch(request)) }
}

const serveNode: Serve = async (verifier, { options, behindProxy }) => {
  const handled: VerifiedToken[] = []
  const errors: unknown[] = []
  const handle = requireTokenInNode(verifier, {
    ...options,
    ...(behindProxy && { usedFrom: ({ headersDistinct }) => firstForwarded(headersDistinct['x-forwarded-for']?.[0]) }),
    onError: (error) => errors.push(error),
  })(async (request, response) => {
    handled.push(request.token)
    response.end(JSON.stringify({ data: { read: await text(request) } }))
  })
  const server = createServer((request, response) => {
    response.setHeader('x-before', 'kept')
    handle(request, response)
  })
  return { send: sendTo(`${await listen(server)}/graphql`), handled, errors }
}

function createYogaServer(verifier: Pick<Verifier, 'verify'>, { options = {}, behindProxy = false }: Settings) {
  const handled: VerifiedToken[] = []
  const errors: unknown[] = []
  const setHeader: Plugin = { onResponse: ({ response }) => response.headers.set('x-before', 'kept') }
  const ignore = () => undefined
  const proxied = behindProxy && {
    usedFrom: (request: Request) => firstForwarded(request.headers.get('x-forwarded-for')),
  }
  const yoga = createYoga({
    schema: createSchema<{ token: VerifiedToken }>({
      typeDefs: 'type Query { read: String }',
      resolvers: {
        Query: {
          read(_parent, _arguments, context) {
            handled.push(context.token)
            return context.params.query
          },
        },
      },
    }),
    plugins: [setHeader, requireTokenInYoga(verifier, { ...options, ...proxied })],
    logging: { debug: ignore, info: ignore, warn: ignore, error: (error) => errors.push(error) },
  })
  return { yoga, handled, errors }
}

const serveYogaOnNode: Serve = async (verifier, settings) => {
  const { yoga, ...served } = createYogaServer(verifier, settings)
  return { ...served, send: sendTo(`${await listen(createServer(yoga))}/graphql`) }
}

const serveYogaByFetch: Serve = async (verifier, settings) => {
  const { yoga, ...served } = createYogaServer(verifier, settings)
  return { ...served, send: fetchWith((request) => yoga.fetch(request)) }
}

const bearer = (secret: string): [string, string] => ['authorization', `Bearer ${secret}`]

describe.each<{ framework: string; serve: Serve; address: string | undefined }>([
  { framework: 'Express', serve: serveExpress, address: '127.0.0.1' },
  { framework: 'Fastify', serve: serveFastify, address: '127.0.0.1' },
  { framework: 'Hono on Node', serve: serveHonoOnNode, address: '127.0.0.1' },
  { framework: 'Hono by fetch', serve: serveHonoByFetch, address: undefined },
  { framework: 'node:http', serve: serveNode, address: '127.0.0.1' },
  { framework: 'Yoga on Node', serve: serveYogaOnNode, address: '127.0.0.1' },
  { framework: 'Yoga by fetch', serve: serveYogaByFetch, address: undefined },
])('in front of a route of $framework, requireToken', ({ serve, address }) => {
  async function open(settings: Settings = {}) {
    const { verifier, asked, verdicts } = openVerifier()
    const { send, handled, errors } = await serve(verifier, settings)
    /** The answer to a request that is not let in. */
    const refusalOf = async (sent: Sent) => {
      const { status, headers, body } = await send(sent)
      expect(handled).toEqual([])
      expect(headers['content-type']).toMatch(/^application\/json/)
      return { status, challenge: headers['www-authenticate'], retryAfter: headers['retry-after'], ...JSON.parse(body) }
    }
    return { send, refusalOf, handled, errors, asked, verdicts }
  }

  it('lets in a token that is accepted, hands it on, and tells the verifier which address presented it', async () => {
    const { send, handled, errors, asked } = await open({ options: { permission: 'scans:write' } })
    const { status, headers } = await send({ headers: [bearer('good')] })
    expect([status, headers['www-authenticate']]).toEqual([200, undefined])
    expect(handled).toEqual([tokenOf('org_1')])
    expect(asked).toEqual([{ secret: 'good', usedFrom: address }])
    expect(errors).toEqual([])
  })

  it('lets in any token where no permission is named', async () => {
    const { send, handled } = await open()
    expect((await send({ headers: [bearer('reader')] })).status).toBe(200)
    expect(handled).toEqual([tokenOf('org_2', ['apps:read'])])
  })

  it('takes the scheme’s name in any letter case, and any number of spaces after it', async () => {
    const { send, asked } = await open()
    for (const credentials of ['bearer good', 'BEARER good', 'Bearer   good']) {
      expect((await send({ headers: [['Authorization', credentials]] })).status, credentials).toBe(200)
    }
    expect(asked.map(({ secret }) => secret)).toEqual(['good', 'good', 'good'])
  })

  it('takes every character that a token may have, and tells apart what differs in one', async () => {
    const { send, verdicts, asked } = await open()
    const secret = 'AZaz09-._~+/=='
    verdicts.set(secret, () => tokenOf('org_3'))
    expect((await send({ headers: [bearer(secret)] })).status).toBe(200)
    expect((await send({ headers: [bearer(secret.slice(0, -1))] })).status).toBe(401)
    expect(asked.map((question) => question.secret)).toEqual([secret, secret.slice(0, -1)])
  })

  it('gives each of many requests at once its own token', async () => {
    const { send, handled, asked, verdicts } = await open()
    const secrets = Array.from({ length: 40 }, (_, index) => `secret-${index}`)
    let answerAll: () => void = () => undefined
    const allAsked = new Promise<void>((resolve) => {
      answerAll = resolve
    })
    for (const secret of secrets) {
      verdicts.set(secret, async () => {
        if (asked.length === secrets.length) answerAll()
        await allAsked
        return tokenOf(secret)
      })
    }
    const answers = await Promise.all(secrets.map((secret) => send({ headers: [bearer(secret)] })))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(handled.map(({ organizationId }) => organizationId).sort()).toEqual(secrets.sort())
  })

  it('takes no other header for a credential, whatever its value', async () => {
    const { send, handled } = await open()
    const names: [string, string] = ['x-names', 'authorization']
    expect(
      (await send({ headers: [names, bearer('good'), names, ['x-proxy-authorization', 'Bearer good']] })).status,
    ).toBe(200)
    expect((await send({ headers: [names, ['proxy-authorization', 'Bearer good']] })).status).toBe(401)
    expect(handled).toHaveLength(1)
  })

  it('answers 401 without an error code to a caller who has no credential', async () => {
    const { refusalOf, asked } = await open({ options: { permission: 'scans:write' } })
    expect(await refusalOf({})).toEqual({
      status: 401,
      challenge: 'Bearer realm="api"',
      error: 'unauthorized',
      error_description: 'A token is needed. Send it as “Authorization: Bearer …”.',
    })
    expect(asked).toEqual([])
  })

  it.each(['Basic Z29vZDpnb29k', 'Negotiate', 'DPoP good', 'Digest username="good"', 'Token good', 'good'])(
    'answers 401 without an error code to another scheme: %s',
    async (credentials) => {
      const { refusalOf, asked } = await open()
      expect(await refusalOf({ headers: [['authorization', credentials]] })).toMatchObject({
        status: 401,
        challenge: 'Bearer realm="api"',
      })
      expect(asked).toEqual([])
    },
  )

  it('answers 401, invalid_token, to a token that is not accepted', async () => {
    const { refusalOf } = await open({ options: { permission: 'scans:write' } })
    const description = 'The token is not accepted. It may be mistyped, expired, disabled or deleted.'
    expect(await refusalOf({ headers: [bearer('deleted')] })).toEqual({
      status: 401,
      challenge: `Bearer realm="api", error="invalid_token", error_description="${description}"`,
      error: 'invalid_token',
      error_description: description,
    })
  })

  it('answers 403, insufficient_scope, to a token that permits too little, and says what is needed', async () => {
    const { refusalOf } = await open({ options: { permission: 'scans:write' } })
    const description = 'The token lacks the permission scans:write.'
    expect(await refusalOf({ headers: [bearer('reader')] })).toEqual({
      status: 403,
      challenge: `Bearer realm="api", error="insufficient_scope", error_description="${description}", scope="scans:write"`,
      error: 'insufficient_scope',
      error_description: description,
    })
  })

  it('wants all of several permissions, each as a whole', async () => {
    const { send, refusalOf, verdicts, handled } = await open({
      options: { permission: ['apps:read', 'scans:write', 'tokens:manage'] },
    })
    expect(await refusalOf({ headers: [bearer('reader')] })).toMatchObject({
      status: 403,
      challenge: expect.stringContaining('scope="apps:read scans:write tokens:manage"'),
      error_description: 'The token lacks the permission scans:write and tokens:manage.',
    })
    verdicts.set('alike', () => tokenOf('org_4', ['apps:read', 'scans:write', 'tokens:manage-some', 'okens:manage']))
    expect(await refusalOf({ headers: [bearer('alike')] })).toMatchObject({ status: 403 })
    verdicts.set('admin', () => tokenOf('org_5', ['tokens:manage', 'scans:write', 'apps:read']))
    expect((await send({ headers: [bearer('admin')] })).status).toBe(200)
    expect(handled).toHaveLength(1)
  })

  it.each<[string, [string, string][]]>([
    ['the same twice', [bearer('good'), bearer('good')]],
    ['a good one first', [bearer('good'), bearer('deleted')]],
    ['a good one last', [bearer('deleted'), bearer('good')]],
    ['one of another scheme first', [['authorization', 'Basic Z29vZDpnb29k'], bearer('good')]],
    ['one of another scheme last', [bearer('good'), ['AUTHORIZATION', 'Basic Z29vZDpnb29k']]],
    ['joined in one', [['authorization', 'Bearer good, Bearer good']]],
    ['joined without a space', [['authorization', 'Bearer good,Bearer good']]],
    ['joined behind another scheme', [['authorization', 'Basic Z29vZDpnb29k, Bearer good']]],
    ['three', [bearer('good'), bearer('good'), bearer('good')]],
  ])('answers 400, invalid_request, to two credentials in headers: %s', async (_which, headers) => {
    const { refusalOf, asked } = await open()
    expect(await refusalOf({ headers })).toMatchObject({
      status: 400,
      challenge: expect.stringMatching(/^Bearer realm="api", error="invalid_request", error_description="[^"]+"$/),
      error: 'invalid_request',
    })
    expect(asked).toEqual([])
  })

  it.each(['?access_token=good', '?a=1&access%5Ftoken=good', '?access_token', '?a=1;b=2&access_token='])(
    'answers 400, invalid_request, to a token in the header and in the address: %s',
    async (query) => {
      const { refusalOf, asked } = await open()
      expect(await refusalOf({ headers: [bearer('good')], query })).toMatchObject({
        status: 400,
        challenge: expect.stringContaining('error="invalid_request"'),
        error: 'invalid_request',
        error_description: 'Send the token in the Authorization header, and not in the address as well.',
      })
      expect(asked).toEqual([])
    },
  )

  it('takes no token from the address', async () => {
    const { refusalOf, asked } = await open()
    expect(await refusalOf({ query: '?access_token=good' })).toMatchObject({
      status: 401,
      challenge: 'Bearer realm="api"',
    })
    expect(asked).toEqual([])
  })

  it('takes no token from a form, and leaves the body, whatever is in it, to the handler', async () => {
    const { refusalOf, send, handled, asked } = await open()
    const form = { access_token: 'good' }
    expect(await refusalOf({ form })).toMatchObject({ status: 401, challenge: 'Bearer realm="api"' })
    expect(asked).toEqual([])
    const { status, body } = await send({ form, headers: [bearer('reader')] })
    expect([status, JSON.parse(body).data.read]).toEqual([200, expect.stringContaining('read')])
    expect(handled).toEqual([tokenOf('org_2', ['apps:read'])])
  })

  it.each([
    '',
    'Bearer',
    'Bearer ',
    'Bearer good good',
    'Bearer "good"',
    'Bearer good,',
    'Bearer gööd',
    'Bearer =',
    'Bearer\tgood',
    'Bearer: good',
  ])('answers 400, invalid_request, to credentials that cannot be read: %j', async (credentials) => {
    const { refusalOf, asked } = await open()
    const description = 'The Authorization header must be the word Bearer, a space and the token.'
    expect(await refusalOf({ headers: [['authorization', credentials]] })).toEqual({
      status: 400,
      challenge: `Bearer realm="api", error="invalid_request", error_description="${description}"`,
      error: 'invalid_request',
      error_description: description,
    })
    expect(asked).toEqual([])
  })

  it('answers 503 with Retry-After while Latchkey cannot be asked, and does not say why', async () => {
    const { refusalOf, errors } = await open()
    expect(await refusalOf({ headers: [bearer('unavailable')] })).toEqual({
      status: 503,
      challenge: undefined,
      retryAfter: '7',
      error: 'temporarily_unavailable',
      error_description: 'The token cannot be checked at the moment. Try again shortly.',
    })
    expect(errors).toEqual([])
  })

  it('asks to wait for a whole second at least', async () => {
    const { refusalOf, verdicts } = await open()
    verdicts.set('soon', () => Promise.reject(new VerifierUnavailableError('soon again', 0)))
    expect(await refusalOf({ headers: [bearer('soon')] })).toMatchObject({ status: 503, retryAfter: '1' })
  })

  it('leaves everything else that goes wrong to the framework, which answers 500 and tells nothing of it', async () => {
    const { send, handled, errors } = await open()
    const { status, headers, body } = await send({ headers: [bearer('misconfigured')] })
    expect(status).toBe(500)
    expect(handled).toEqual([])
    expect(JSON.stringify(headers) + body).not.toMatch(/misconfigured|Verifier|credential|Latchkey|\.ts/i)
    expect(errors.length).toBeGreaterThan(0)
    for (const error of errors) expect(causeOf(error)).toBeInstanceOf(VerifierCredentialError)
  })

  it('names the realm as told', async () => {
    const { refusalOf } = await open({ options: { realm: 'Scans (EU), v2', permission: 'scans:write' } })
    for (const headers of [[], [bearer('deleted')], [bearer('reader')], [bearer('good'), bearer('good')]]) {
      expect((await refusalOf({ headers })).challenge).toMatch(/^Bearer realm="Scans \(EU\), v2"(, |$)/)
    }
  })

  it('tells the verifier the address that the framework gives: behind a proxy, the one that was forwarded', async () => {
    const { send, asked } = await open({ behindProxy: true })
    const send1 = (forwarded: string) => send({ headers: [bearer('good'), ['x-forwarded-for', forwarded]] })
    for (const forwarded of ['203.0.113.9', '2001:db8::9', '::ffff:203.0.113.9', '::FFFF:203.0.113.9']) {
      expect((await send1(forwarded)).status).toBe(200)
    }
    expect(asked.map(({ usedFrom }) => usedFrom)).toEqual(['203.0.113.9', '2001:db8::9', '203.0.113.9', '203.0.113.9'])
  })

  it('does not believe a forwarded address unless it is told to', async () => {
    const { send, asked } = await open()
    await send({ headers: [bearer('good'), ['x-forwarded-for', '203.0.113.9']] })
    expect(asked).toEqual([{ secret: 'good', usedFrom: address }])
  })

  it('tells no address that Latchkey would not keep, so that no caller swells the question that others wait for', async () => {
    const { send, asked } = await open({ behindProxy: true })
    for (const forwarded of ['1'.repeat(101), 'a b', 'ü']) {
      await send({ headers: [bearer('good'), ['x-forwarded-for', forwarded]] })
    }
    expect(asked.map(({ usedFrom }) => usedFrom)).toEqual([undefined, undefined, undefined])
  })

  it('repeats nothing of the request in any refusal', async () => {
    const { send, handled, verdicts } = await open({ options: { permission: 'scans:write' } })
    verdicts.set('ECHO-reader', () => tokenOf('ECHO', ['ECHO:read']))
    verdicts.set('ECHO-unavailable', () => Promise.reject(new VerifierUnavailableError('ECHO')))
    verdicts.set('ECHO-misconfigured', () => Promise.reject(new VerifierCredentialError('FORBIDDEN')))
    const credentials = [
      ...['ECHO', 'Basic ECHO', 'Bearer ECHO ECHO', 'Bearer ECHO', 'Bearer ECHO, Bearer ECHO'],
      ...['Bearer ECHO-reader', 'Bearer ECHO-unavailable', 'Bearer ECHO-misconfigured'],
    ]
    const statuses: number[] = []
    for (const value of credentials) {
      for (const query of ['?ECHO=ECHO', '?access_token=ECHO']) {
        const headers: [string, string][] = [
          ['authorization', value],
          ['user-agent', 'ECHO'],
          ['x-forwarded-for', 'ECHO'],
          ['origin', 'https://example.com'],
        ]
        const { status, headers: answered, body } = await send({ headers, query, form: { ECHO: 'ECHO' } })
        expect(JSON.stringify(answered) + body, `${value} ${query}`).not.toContain('ECHO')
        statuses.push(status)
      }
    }
    expect(statuses).toEqual([401, 401, 401, 401, 400, 400, 401, 400, 400, 400, 403, 400, 503, 400, 500, 400])
    expect(handled).toEqual([])
  })

  it('leaves in place the headers that were set before, such as those of CORS', async () => {
    const { send } = await open()
    expect((await send({})).headers['x-before']).toBe('kept')
    expect((await send({ headers: [bearer('good')] })).headers['x-before']).toBe('kept')
  })
})

/** Fastify is thrown an error whose message it may answer; Yoga wraps what it is thrown. */
function causeOf(error: unknown): unknown {
  if (error instanceof VerifierCredentialError || !(error instanceof Error)) return error
  return 'originalError' in error ? error.originalError : error.cause
}

describe.each([
  ['Express', requireTokenInExpress],
  ['Fastify', requireTokenInFastify],
  ['Hono', requireTokenInHono],
  ['node:http', requireTokenInNode],
  ['Yoga', requireTokenInYoga],
])('requireToken for %s, when it is called,', (framework, requireToken) => {
  const { verifier } = openVerifier()
  /** As from JavaScript, or with what was read from a file. */
  const call = (...given: unknown[]) => Reflect.apply(requireToken, undefined, given)

  it.each(
    [
      ['', 'scans write', 'scans:"write"', 'scans\\write', 'scans:\nwrite', 'scäns:write'],
      [null, undefined, 7, {}, [], ['apps:read', ''], ['apps:read', undefined], [['apps:read']]],
    ].flat(),
  )('throws a TypeError for a permission that no token could have, or that is none: %j', (permission) => {
    expect(() => call(verifier, { permission })).toThrow(TypeError)
    expect(() => call(verifier, { permission })).toThrow(/^Each `permission` must be .+leave the option out\.$/)
  })

  it.each(['a "realm"', 'a\\realm', 'a\r\nrealm', 'réalm', null, 7])(
    'throws a TypeError for a realm that no header can carry: %j',
    (realm) => {
      expect(() => call(verifier, { realm })).toThrow(
        new TypeError('`realm` must be printable ASCII without quotation marks and backslashes.'),
      )
    },
  )

  it('throws a TypeError for an option that there is not, since a misspelt permission would let every token in', () => {
    for (const name of ['permissions', 'scope', 'Permission']) {
      expect(() => call(verifier, { [name]: 'scans:write' })).toThrow(new TypeError(`There is no option \`${name}\`.`))
    }
    const usedFrom = () => undefined
    if (/Express|Fastify/.test(framework)) {
      expect(() => call(verifier, { usedFrom })).toThrow(new TypeError('There is no option `usedFrom`.'))
    } else {
      expect(() => call(verifier, { usedFrom })).not.toThrow()
    }
  })

  it('throws a TypeError where it is given no verifier', () => {
    for (const given of [[], [undefined], [{ permission: 'scans:write' }], [Promise.resolve(verifier)]]) {
      expect(() => call(...given)).toThrow(new TypeError('requireToken needs a verifier: see createVerifier.'))
    }
  })
})

describe('a verifier from another copy of the package, as where one part of a program imports it and another requires it,', () => {
  it('is understood when it cannot ask Latchkey', async () => {
    vi.resetModules()
    const copy = await import('./errors.ts')
    expect(copy.VerifierUnavailableError).not.toBe(VerifierUnavailableError)
    const verifier = { verify: () => Promise.reject(new copy.VerifierUnavailableError('away', 3)) }
    const { send } = await serveNode(verifier, {})
    const { status, headers } = await send({ headers: [bearer('good')] })
    expect([status, headers['retry-after']]).toEqual([503, '3'])
  })
})

describe('in Express, requireToken', () => {
  it('goes by what ran before it: a credential that was taken out of a cookie, or was taken away', async () => {
    const { verifier, asked } = openVerifier()
    const app = express()
    app.use((request, _response, next) => {
      if (request.headers.cookie) request.headers.authorization = 'Bearer good'
      else delete request.headers.authorization
      next()
    })
    app.post('/', requireTokenInExpress(verifier), (request, response) => {
      response.send(request.token.organizationId)
    })
    const send = sendTo(await listen(createServer(app)))
    expect(await send({ headers: [['cookie', 'a=b']] })).toMatchObject({ status: 200, body: 'org_1' })
    expect(asked).toHaveLength(1)
    expect(await send({ headers: [bearer('good')] })).toMatchObject({ status: 401 })
    expect(asked).toHaveLength(1)
  })

  it('guards all of a router', async () => {
    const { verifier } = openVerifier()
    const api = express.Router().use(requireTokenInExpress(verifier, { permission: 'scans:write' }))
    api.post('/scans/:id', (request, response) => {
      response.send(request.params.id + request.token.organizationId)
    })
    const url = await listen(createServer(express().use('/api', api)))
    const send = sendTo(`${url}/api/scans/7`)
    expect(await send({ headers: [bearer('good')] })).toMatchObject({ status: 200, body: '7org_1' })
    expect(await send({ headers: [bearer('reader')] })).toMatchObject({ status: 403 })
    expect(await send({ headers: [bearer('good')], query: '?access_token=good' })).toMatchObject({ status: 400 })
    expect(await sendTo(`${url}/api/nowhere`)({})).toMatchObject({ status: 401 })
  })

  it('leaves alone an answer that was begun while it waited, such as a timeout’s', async () => {
    const { verifier, verdicts } = openVerifier()
    let decide: (verdict: Verdict) => void = () => undefined
    verdicts.set('slow', () => new Promise((resolve) => (decide = resolve)))
    const errors: unknown[] = []
    const app = express()
    app.use((_request, response, next) => {
      setTimeout(() => response.status(504).end('too late'), 20)
      next()
    })
    app.use(requireTokenInExpress(verifier))
    const keepError: ErrorRequestHandler = (error, _request, _response, _next) => errors.push(error)
    app.use(keepError)
    const answer = await sendTo(await listen(createServer(app)))({ headers: [bearer('slow')] })
    // What is thrown from here on would be reported by the test runner.
    decide({ active: false })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(answer).toMatchObject({ status: 504, body: 'too late' })
    expect(errors).toEqual([])
  })
})

describe('in Fastify, requireToken', () => {
  it('guards a scope as a hook, and a route as a preHandler, and is met by `inject`', async () => {
    const { verifier, asked } = openVerifier()
    const app = createFastify()
    app.register((scope, _options, done) => {
      scope.addHook('onRequest', requireTokenInFastify(verifier, { permission: 'scans:write' }))
      scope.get('/scans', async (request) => request.token.organizationId)
      done()
    })
    app.get('/late', { preHandler: requireTokenInFastify(verifier) }, async (request) => request.token.organizationId)
    app.get('/open', async () => 'open')
    const ask = async (url: string, credentials?: string) => {
      const { statusCode, body } = await app.inject({ url, headers: credentials ? { authorization: credentials } : {} })
      return statusCode === 200 ? body : statusCode
    }
    expect(await ask('/scans', 'Bearer good')).toBe('org_1')
    expect(await ask('/scans', 'Bearer reader')).toBe(403)
    expect(await ask('/late', 'Bearer reader')).toBe('org_2')
    expect(await ask('/late')).toBe(401)
    expect(await ask('/scans', 'Bearer good, Bearer good')).toBe(400)
    expect(await ask('/open')).toBe('open')
    expect(asked.map(({ secret }) => secret)).toEqual(['good', 'reader', 'reader'])
  })

  it('does the same over HTTP/2', async () => {
    const { verifier, asked } = openVerifier()
    const app = createFastify({ http2: true })
    app.get('/scans', { onRequest: requireTokenInFastify(verifier) }, async (request) => request.token.organizationId)
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    // Otherwise Node's client would not send two headers of this name. Its types do not know the option yet.
    const sendsAnything = { settings: {}, strictSingleValueFields: false }
    const session = connect(url, sendsAnything)
    closing.push(
      () => app.close(),
      () => session.close(),
    )
    const ask = async (...credentials: string[]) => {
      const raw = [':path', '/scans', ...credentials.flatMap((value) => ['authorization', value])]
      const stream = session.request(raw)
      const [headers] = await once(stream, 'response')
      return { status: headers[':status'], body: await text(stream) }
    }
    expect(await ask('Bearer good')).toEqual({ status: 200, body: 'org_1' })
    expect(await ask()).toMatchObject({ status: 401 })
    expect(asked).toEqual([{ secret: 'good', usedFrom: '127.0.0.1' }])
    expect(await ask('Bearer good', 'Bearer deleted')).toMatchObject({ status: 400 })
    expect(asked).toHaveLength(1)
  })
})

describe('in Hono, requireToken', () => {
  it('guards all that a path leads to, in any runtime', async () => {
    const { verifier, asked } = openVerifier()
    const app = new Hono()
      .use('/api/*', requireTokenInHono(verifier, { permission: 'scans:write' }))
      .get('/api/scans/:id', (context) => context.text(context.req.param('id') + context.get('token').organizationId))
      .get('/open', (context) => context.text('open'))
    const ask = async (path: string, secret: string) => {
      const response = await app.request(path, { headers: { authorization: `Bearer ${secret}` } }, { ASSETS: {} })
      return response.ok ? response.text() : response.status
    }
    expect(await ask('/api/scans/7', 'good')).toBe('7org_1')
    expect(await ask('/api/scans/7', 'reader')).toBe(403)
    expect(await ask('/api//scans/7', 'reader')).toBe(403)
    expect(await ask('/open', 'deleted')).toBe('open')
    expect(new Set(asked.map(({ usedFrom }) => usedFrom))).toEqual(new Set([undefined]))
  })
})

describe('in node:http, requireToken', () => {
  it('answers 500 and tells `onError` where the address cannot be had', async () => {
    const { verifier, asked } = openVerifier()
    const errors: unknown[] = []
    const broken = new Error('words of a cause')
    const usedFrom = () => {
      throw broken
    }
    const handle = requireTokenInNode(verifier, { usedFrom, onError: (error) => errors.push(error) })
    const send = sendTo(await listen(createServer(handle((_request, response) => void response.end('let in')))))
    expect(await send({ headers: [bearer('good')] })).toMatchObject({
      status: 500,
      body: '{"error":"server_error","error_description":"The token cannot be checked."}',
    })
    expect(errors).toEqual([broken])
    expect(asked).toEqual([])
  })

  it('leaves alone an answer that was begun while it waited, such as a timeout’s', async () => {
    const { verifier, verdicts } = openVerifier()
    const decide: (() => void)[] = []
    verdicts.set('refused', () => new Promise((resolve) => decide.push(() => resolve({ active: false }))))
    verdicts.set('broken', () => new Promise((_resolve, reject) => decide.push(() => reject(new Error('broken')))))
    const errors: unknown[] = []
    const handle = requireTokenInNode(verifier, { onError: (error) => errors.push(error) })(() => undefined)
    const url = await listen(
      createServer((request, response) => {
        setTimeout(() => response.writeHead(504).end('too late'), 20)
        handle(request, response)
      }),
    )
    for (const secret of ['refused', 'broken']) {
      expect(await sendTo(url)({ headers: [bearer(secret)] })).toMatchObject({ status: 504, body: 'too late' })
    }
    // What is thrown from here on would be reported by the test runner.
    for (const go of decide) go()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(errors).toEqual([new Error('broken')])
  })
})

describe('in Yoga, requireToken', () => {
  it('needs no token for GraphiQL’s page, the health check and a preflight request, and one for every operation', async () => {
    const { verifier, asked } = openVerifier()
    const { yoga, handled } = createYogaServer(verifier, {})
    const statusOf = async (path: string, init: RequestInit) =>
      (await yoga.fetch(`http://localhost${path}`, init)).status
    const preflight = { origin: 'https://example.com', 'access-control-request-method': 'POST' }
    expect(await statusOf('/graphql', { headers: { accept: 'text/html' } })).toBe(200)
    expect(await statusOf('/health', {})).toBe(200)
    expect(await statusOf('/graphql', { method: 'OPTIONS', headers: preflight })).toBe(204)
    expect(asked).toEqual([])

    const json = { 'content-type': 'application/json' }
    const body = JSON.stringify({ query: '{ read }' })
    expect(await statusOf('/graphql?query={read}', {})).toBe(401)
    expect(await statusOf('/graphql?query={read}', { headers: { accept: 'text/event-stream' } })).toBe(401)
    expect(await statusOf('/graphql', { method: 'POST', headers: json, body })).toBe(401)
    expect(await statusOf('/graphql', { method: 'POST', headers: json, body: '{' })).toBe(401)
    expect(await statusOf('/graphql/', { method: 'POST', headers: json, body })).toBe(401)
    expect(handled).toEqual([])
  })

  it('hands the token to each operation of a batch', async () => {
    const { verifier, asked } = openVerifier()
    const seen: string[] = []
    const yoga = createYoga({
      schema: createSchema<{ token: VerifiedToken }>({
        typeDefs: 'type Query { organizationId: String }',
        resolvers: {
          Query: { organizationId: (_parent, _arguments, { token }) => void seen.push(token.organizationId) },
        },
      }),
      batching: true,
      plugins: [requireTokenInYoga(verifier)],
    })
    const operation = { query: '{ organizationId }' }
    const { status } = await yoga.fetch('http://localhost/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer good' },
      body: JSON.stringify([operation, operation]),
    })
    expect([status, seen, asked.length]).toEqual([200, ['org_1', 'org_1'], 1])
  })

  it('does the same where another framework hands it the request', async () => {
    const { verifier, asked } = openVerifier()
    const { yoga, handled } = createYogaServer(verifier, {})
    const inExpress = express().use('/graphql', yoga)
    const inFastify = createFastify()
    // The body is Yoga's to read.
    inFastify.addContentTypeParser('application/x-www-form-urlencoded', (_request, _payload, done) => done(null))
    const waitUntil = () => undefined
    inFastify.post('/graphql', (req, reply) => {
      const context = { req, reply, waitUntil }
      return yoga.handleNodeRequestAndResponse(req, reply, context)
    })
    closing.push(() => inFastify.close())
    const urls = [await listen(createServer(inExpress)), await inFastify.listen({ port: 0, host: '127.0.0.1' })]
    for (const send of urls.map((url) => sendTo(`${url}/graphql`))) {
      expect(await send({})).toMatchObject({ status: 401 })
      expect(await send({ headers: [bearer('good'), bearer('deleted')] })).toMatchObject({ status: 400 })
      expect(await send({ headers: [bearer('good')] })).toMatchObject({ status: 200 })
    }
    expect(handled).toEqual([tokenOf('org_1'), tokenOf('org_1')])
    expect(asked).toEqual(Array(2).fill({ secret: 'good', usedFrom: '127.0.0.1' }))
  })

  it('lets in no operation that came another way than through its check, such as over a WebSocket', async () => {
    const { verifier } = openVerifier()
    const { yoga, handled, errors } = createYogaServer(verifier, {})
    const { contextFactory } = yoga.getEnveloped({ request: new Request('http://localhost/graphql') })
    await expect(Promise.resolve().then(() => contextFactory())).rejects.toThrow('Unexpected error.')
    expect(errors).toEqual([new Error('An operation without a token is not let in.')])
    expect(handled).toEqual([])
  })
})
