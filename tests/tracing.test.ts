import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { unwrap } from '@latchkey/sdk'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { readConfig } from '../server/config.ts'
import { withoutValues } from '../server/observability/trace-statements.ts'
import { start } from '../server/start.ts'
import { openTraces, type Traces, textOf } from './traces.ts'
import { createDatabase, openWorld, password, type World } from './world.ts'

let traces: Traces
let world: World
beforeAll(async () => {
  traces = openTraces()
  world = await openWorld({ tracing: traces.tracing })
})
afterAll(async () => {
  await traces.close()
  await world[Symbol.asyncDispose]()
})
beforeEach(() => {
  traces.forget()
  world.logged.length = 0
})

async function ask(query: string, headers: Record<string, string> = {}, more: object = {}) {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, ...more }),
  })
  await response.text()
  return response
}

const named = (name: string) => traces.spans().filter((span) => span.name === name)
function only(name: string): ReadableSpan {
  const [span, ...others] = named(name)
  if (!span || others.length > 0) throw new Error(`There are ${named(name).length} spans “${name}”.`)
  return span
}
const idOf = (span: ReadableSpan | undefined) => span?.spanContext().spanId
const childrenOf = (parent: ReadableSpan) =>
  traces.spans().filter(({ parentSpanContext }) => parentSpanContext?.spanId === idOf(parent))
const ends = () => world.logged.map((line): Record<string, unknown> => JSON.parse(line)).filter(({ status }) => status)

describe('a trace', () => {
  it('leads from the request through the operation to each statement', async () => {
    unwrap((await world.alpha.owner.createToken({ input: { label: 'Traced', roleId: 'role_ci' } })).createToken)
    const request = only('POST /graphql')
    expect(request).toMatchObject({
      kind: SpanKind.SERVER,
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/graphql',
        'http.response.status_code': 200,
        'latchkey.operation': 'createToken',
        'latchkey.outcome': 'ok',
        'latchkey.request.id': ends()[0]?.request,
      },
      resource: { attributes: { 'service.name': 'latchkey' } },
    })
    expect(request.parentSpanContext).toBeUndefined()
    const operation = only('mutation createToken')
    expect(operation.attributes).toEqual({
      'graphql.operation.type': 'mutation',
      'graphql.operation.name': 'createToken',
    })
    expect(childrenOf(request).map(({ name }) => name)).toEqual(['look up credentials', 'mutation createToken'])
    const statements = childrenOf(operation)
    expect(statements.map(({ name }) => name)).toContain('INSERT')
    expect(statements.find(({ name }) => name === 'BEGIN')).toMatchObject({
      kind: SpanKind.CLIENT,
      attributes: { 'db.system.name': 'postgresql', 'db.operation.name': 'BEGIN' },
    })
    expect(statements.at(-1)?.name).toBe('COMMIT')
    const [gathered, ...others] = childrenOf(only('look up credentials'))
    expect(others).toEqual([])
    expect(gathered?.name).toBe('gathered look-up')
    expect(gathered && childrenOf(gathered).map(({ name }) => name)).toEqual(['SELECT'])
    expect(new Set(traces.spans().map((span) => span.spanContext().traceId)).size).toBe(1)
  })

  it('has its id in the request’s line of the log', async () => {
    const response = await ask('{ organization { id } }')
    expect(ends()).toMatchObject([
      { request: response.headers.get('x-request-id'), trace: only('POST /graphql').spanContext().traceId },
    ])
  })

  it('goes on from the caller’s, and takes nothing else from the caller', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const traceparent = `00-${traceId}-00f067aa0ba902b7-01`
    await ask('{ organization { id } }', { traceparent, tracestate: 'vendor=pasted_by_the_caller' })
    const request = only('POST /graphql')
    expect(request.spanContext().traceId).toBe(traceId)
    expect(request.parentSpanContext).toMatchObject({ spanId: '00f067aa0ba902b7', isRemote: true })
    for (const span of traces.spans()) expect(textOf(span)).not.toContain('pasted')
    traces.forget()
    for (const wrong of ['', 'x', `ff-${traceId}-00f067aa0ba902b7-01`, `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`]) {
      await ask('{ organization { id } }', { traceparent: wrong })
    }
    for (const span of named('POST /graphql')) expect(span.parentSpanContext).toBeUndefined()
    expect(named('POST /graphql')).toHaveLength(4)
  })

  it('is not kept where the caller’s is not', async () => {
    await ask('{ organization { id } }', { traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00' })
    expect(traces.spans()).toEqual([])
    expect(ends()).toMatchObject([{ trace: '4bf92f3577b34da6a3ce929d0e0e4736' }])
  })

  it('of each of many who ask at once leads to the one statement that answered them', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, nth) => world.introspect(`lki_nothing_${nth}`)))
    const gathered = named('gathered look-up')
    const requests = named('POST /oauth/introspect')
    expect(requests).toHaveLength(20)
    expect(gathered.length).toBeLessThan(20)
    const ids = new Set(gathered.map(idOf))
    const askers = named('look up credentials')
    for (const asker of askers) {
      const linked = asker.links.map(({ context }) => context.spanId)
      const own = childrenOf(asker).map(idOf)
      expect([...linked, ...own].filter((id) => ids.has(id))).toHaveLength(1)
      expect(requests.map(idOf)).toContain(asker.parentSpanContext?.spanId)
    }
    const reached = gathered.flatMap(({ links, parentSpanContext }) => [
      parentSpanContext?.spanId,
      ...links.map(({ context }) => context.spanId),
    ])
    expect(reached.sort()).toEqual(askers.map(idOf).sort())
  })

  it('of each request has its own statements, however many wait for a connection', async () => {
    const { owner } = world.alpha
    const { server } = world.dependencies.database
    const taken = await Promise.all(Array.from({ length: server.options.max }, () => server.connect()))
    const asking = Array.from({ length: 8 }, () => owner.organization())
    const limited = Promise.all(Array.from({ length: 8 }, () => fetch(`${world.url}/readyz`)))
    await new Promise((resolve) => setTimeout(resolve, 100))
    for (const client of taken) client.release()
    await Promise.all([...asking, limited])
    const requests = [...named('POST /graphql'), ...named('GET /readyz')]
    expect(requests).toHaveLength(16)
    for (const request of requests) {
      const { traceId } = request.spanContext()
      const own = traces.spans().filter((span) => span.spanContext().traceId === traceId)
      const texts = own.filter(({ kind }) => kind === SpanKind.CLIENT).map(({ name }) => name)
      expect(texts.includes('SELECT')).toBe(true)
      if (request.name === 'GET /readyz') expect(texts).toEqual(['SELECT'])
    }
  })

  it('tells a failure by its kind, and not in its words', async () => {
    const { database } = world.dependencies
    const failing = database.server.query('select 1 / $1::int as secretive', [0])
    await expect(failing).rejects.toThrow()
    expect(traces.spans()).toEqual([])
    await expect(
      traces.tracing.begin('outer', { from: null }, () =>
        database.server.query("select 'pasted'::int, 1 / $1::int", [0]),
      ),
    ).rejects.toThrow()
    expect(only('SELECT')).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': '22P02', 'db.query.text': 'select ?::int, ? / $1::int' },
      events: [],
    })
    expect(textOf(only('SELECT'))).not.toContain('pasted')

    const connect = vi.spyOn(database.server, 'connect').mockImplementation(() => Promise.reject(new Error('pasted')))
    await ask('{ organization { id } }', { authorization: `Bearer ${world.alpha.owner.sessionToken}` })
    connect.mockRestore()
    expect(only('POST /graphql')).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'http.response.status_code': 500, 'latchkey.outcome': 'INTERNAL' },
    })
  })
})

describe('spans', () => {
  it('hold no secret, no label, no address of anyone, and nothing that a caller named', async () => {
    const { owner, superAdmin } = world.alpha
    const { secret } = unwrap(
      (await owner.createToken({ input: { label: 'A label that is only here', roleId: 'role_ci' } })).createToken,
    )
    await world.introspect(secret, { usedFrom: '203.0.113.7' })
    await world.stranger.signIn({ input: { email: superAdmin.email, password } })
    const authorization = `Bearer ${owner.sessionToken}`
    const query = 'query made_up { made_up: viewer { __typename } }'
    await ask(query, { authorization, 'user-agent': 'made_up' }, { operationName: 'made_up' })
    await ask('{ made_up }', { authorization })
    await fetch(`${world.url}/made_up/${secret}?made_up=${secret}`)
    await fetch(`${world.url}/scim/v2/Users/made_up?filter=made_up`, { headers: { authorization } })
    const text = traces.spans().map(textOf).join('\n')
    expect(named('query viewer')).toHaveLength(1)
    expect(text).not.toMatch(/made_up|A label|@alpha|203\.0\.113|127\.0\.0\.1/)
    for (const shown of [secret, owner.sessionToken, world.service.secret, password, world.alpha.id]) {
      expect(text).not.toContain(shown)
    }
  })

  it('show statements without any value', () => {
    expect(withoutValues('select a1 from "t2" where b = $1 and c = 12.5 limit 10')).toBe(
      'select a1 from "t2" where b = $1 and c = ? limit ?',
    )
    expect(withoutValues("begin;  select set_config('a', 'it''s', true), E'a\\\\b''c'")).toBe(
      'begin;  select set_config(?, ?, true), ?',
    )
  })
})

describe('tracing', () => {
  it('is off, and its SDK not even loaded, unless a standard variable asks for it', () => {
    expect(readConfig({}).tracing).toBeNull()
    const server = new URL('../server/', import.meta.url)
    const files = readdirSync(server, { recursive: true, encoding: 'utf8' }).filter((name) =>
      /(?<!\.test)\.ts$/.test(name),
    )
    const importing = (pattern: RegExp) =>
      files.filter((name) => pattern.test(readFileSync(new URL(name, server), 'utf8')))
    expect(importing(/from '@opentelemetry\/(?!api')/)).toEqual(['observability/start-tracing.ts'])
    expect(importing(/^import (?!type).*start-tracing\.ts/m)).toEqual([])
    expect(importing(/await import\('.*start-tracing\.ts'\)/)).toEqual(['start.ts'])
  })

  it('sends its spans where the standard variables say, the last of them as it stops', async () => {
    const received: { url: string | undefined; type: string | undefined; body: Buffer }[] = []
    let answer = 200
    const collector = createServer(async (request, response) => {
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(piece)
      received.push({ url: request.url, type: request.headers['content-type'], body: Buffer.concat(pieces) })
      response.writeHead(answer).end()
    })
    collector.listen(0, '127.0.0.1')
    await once(collector, 'listening')
    const at = collector.address()
    const { databaseUrl, drop } = await createDatabase()
    const logged: string[] = []
    const log = pino({ level: 'info' }, { write: (line: string) => logged.push(line) })
    const run = async () => {
      const running = await start(
        readConfig({
          DATABASE_URL: databaseUrl,
          LATCHKEY_SECRET: 'a server key for the traces which is long enough',
          PORT: '0',
          OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${typeof at === 'object' && at ? at.port : 0}/`,
          OTEL_SERVICE_NAME: 'tokens-of-the-platform',
        }),
        { log, announce: () => undefined },
      )
      await fetch(`${running.address}/readyz`)
      await running.close()
    }
    try {
      await run()
      expect(received.length).toBeGreaterThan(0)
      for (const { url, type } of received) expect([url, type]).toEqual(['/v1/traces', 'application/x-protobuf'])
      const sent = Buffer.concat(received.map(({ body }) => body)).toString('latin1')
      for (const part of ['tokens-of-the-platform', 'GET /readyz', 'db.query.text']) expect(sent).toContain(part)
      expect(logged.join('')).not.toContain('traces cannot be exported')
      answer = 400
      await run()
      expect(logged.join('')).toContain('traces cannot be exported')
    } finally {
      collector.close().closeAllConnections()
      await drop()
    }
  })
})
