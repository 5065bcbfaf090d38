import { readdirSync, readFileSync } from 'node:fs'
import type { ReadableSpan } from '@opentelemetry/sdk-trace'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { auditActions } from '../server/audit/record-event.ts'
import { settingNames } from '../server/config.ts'
import { faultStatus } from '../server/fault.ts'
import { unreadinessMessages } from '../server/http/readiness.ts'
import { createMetrics } from '../server/observability/metrics.ts'
import { codes, readPage } from './markdown.ts'
import { alerts, dashboard, panelQueries } from './monitoring.ts'
import { openTraces, type Traces } from './traces.ts'
import { openWorld, serve, type World } from './world.ts'

const root = new URL('../', import.meta.url)
const read = (file: string) => readFileSync(new URL(file, root), 'utf8')
const { text: page, block, table } = await readPage(new URL('docs/observability.md', root))

/** What an instance registers, as the library knows it. */
interface Registered {
  name: string
  type: string
  labels: string[]
}

async function registered(): Promise<Map<string, Registered>> {
  const metrics = createMetrics()
  metrics.collectProcess()
  const { registry } = metrics
  const types = new Map((await registry.getMetricsAsJSON()).map(({ name, type }) => [name, String(type)]))
  return new Map(
    registry.getMetricsAsArray().map((metric) => {
      const { name } = metric
      const labels = 'labelNames' in metric && Array.isArray(metric.labelNames) ? metric.labelNames.map(String) : []
      return [name, { name, type: types.get(name) ?? '', labels }]
    }),
  )
}
const known = await registered()

const metricName = /\b(?:latchkey|process|nodejs)_[a-z0-9_]+\b/g
const ofHistogram = /_(bucket|sum|count)$/

/** The metric that a name in a query belongs to, by its own name or as one of a histogram’s series. */
function metricOf(name: string): Registered | undefined {
  const base = known.get(name.replace(ofHistogram, ''))
  return known.get(name) ?? (base?.type === 'histogram' ? base : undefined)
}

const queries = [
  ...alerts.map(({ expr }) => expr),
  ...panelQueries,
  ...dashboard.templating.list.flatMap(({ definition }) => definition ?? []),
]

describe('the page docs/observability.md', () => {
  it('names every metric that there is, with its type and its labels, and no other', () => {
    const rows = table('| metric | type | labels | what |').map(([name, type, labels]) => ({
      name: codes(name)[0] ?? '',
      type: type ?? '',
      labels: codes(labels),
    }))
    const own = [...known.values()].filter(({ name }) => name.startsWith('latchkey_'))
    expect(rows.sort(byName)).toEqual(own.sort(byName))
    const told = new Set(page.match(metricName))
    expect([...told].filter((name) => !metricOf(name))).toEqual([])
    expect([...known.keys()].filter((name) => !told.has(name))).toEqual([])
  })

  it('names settings that there are, and all of its own', () => {
    const standard = new Set(table('| variable of OpenTelemetry | what |').flatMap(([name]) => codes(name)))
    const named = [...page.matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b/g)].map(([, name = '']) => name)
    const libraries = ['otlp-exporter-base', 'resources'].map((name) => `node_modules/@opentelemetry/${name}/dist/`)
    const code = libraries.flatMap((directory) =>
      readdirSync(new URL(directory, root), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.mjs'))
        .map((file) => read(directory + file)),
    )
    expect([...standard].filter((name) => !code.some((text) => text.includes(`"${name}"`)))).toEqual([])
    const reasons = table('| code | what |').flatMap(([code]) => codes(code))
    const others = [...Object.keys(faultStatus), ...reasons, 'SCIM_404']
    expect(named.filter((name) => ![...settingNames, ...standard, ...others].includes(name))).toEqual([])
    expect(reasons).toEqual(Object.keys(unreadinessMessages))
    const own = settingNames.filter((name) => /^(OTEL|METRICS|SHUTDOWN)_/.test(name))
    expect(own.filter((name) => !named.includes(name))).toEqual([])
  })

  it('names every alert that there is, and no other', () => {
    expect(table('| alert | when |').flatMap(([name]) => codes(name))).toEqual(alerts.map(({ alert }) => alert))
  })
})

const byName = (one: Registered, other: Registered) => (one.name < other.name ? -1 : 1)

describe('the alerts and the dashboard', () => {
  it('ask for metrics that there are, and show each of Latchkey’s own', () => {
    const asked = new Set(queries.flatMap((query) => query.match(metricName) ?? []))
    expect([...asked].filter((name) => !metricOf(name))).toEqual([])
    const shown = new Set(
      panelQueries.flatMap((query) => query.match(metricName) ?? []).map((name) => metricOf(name)?.name),
    )
    expect([...known.keys()].filter((name) => name.startsWith('latchkey_') && !shown.has(name))).toEqual([])
  })

  it('ask for a histogram’s series and for no other’s by its parts', () => {
    for (const name of queries.flatMap((query) => query.match(metricName) ?? [])) {
      expect(ofHistogram.test(name), name).toBe(metricOf(name)?.type === 'histogram')
    }
  })

  it('tell series apart by labels that they have, and by values that those take', async () => {
    const given = ['instance', 'job', 'le']
    for (const query of queries) {
      const metrics = [...query.matchAll(metricName)].flatMap(([name]) => metricOf(name) ?? [])
      const labels = [...given, ...metrics.flatMap((metric) => metric.labels)]
      const grouped = [...query.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, names = '']) => names.split(/,\s*/))
      const matched = [...query.matchAll(/(\w+)(?:=|!=|=~|!~)"([^"]*)"/g)]
      for (const name of [...grouped, ...matched.map(([, name = '']) => name)]) expect(labels, query).toContain(name)
    }
    const values = {
      action: auditActions,
      limit: ['signInsByAccount', 'signInsByAddress', 'secrets', 'verifications'],
      outcome: ['UNAVAILABLE', 'INTERNAL', 'SCIM_5..', 'failed', 'delivered'],
    }
    for (const [name, allowed] of Object.entries(values)) {
      const asked = queries.flatMap((query) => [...query.matchAll(new RegExp(`\\b${name}=~?"([^"]*)"`, 'g'))])
      for (const [, text = ''] of asked) for (const value of text.split('|')) expect(allowed).toContain(value)
    }
  })

  it('lie beside each other, each with an id of its own', () => {
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const places = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, n) => `${x + (n % w)},${y + Math.floor(n / w)}`),
    )
    expect(new Set(places).size).toBe(places.length)
    expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24)
  })
})

describe('one request', () => {
  let world: World
  let traces: Traces
  beforeAll(async () => {
    traces = openTraces()
    world = await openWorld({ tracing: traces.tracing })
  })
  afterAll(async () => {
    await traces.close()
    await world[Symbol.asyncDispose]()
  })

  /** Names below each other, as they began. */
  function treeOf(spans: readonly ReadableSpan[], parent: string | undefined, indent = ''): string {
    return spans
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
      .map((span) => `${indent}${span.name}\n${treeOf(spans, span.spanContext().spanId, `${indent}  `)}`)
      .join('')
  }
  const kinds = (value: object) =>
    Object.fromEntries(Object.entries(value).map(([name, one]) => [name, Array.isArray(one) ? 'list' : typeof one]))

  it('is followed from its id in the answer to its log lines, its trace and its audit event, as the page shows', async () => {
    const { owner } = world.alpha
    world.logged.length = 0
    traces.forget()
    const ask = (query: string) =>
      fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${owner.sessionToken}` },
        body: JSON.stringify({ query }),
      })
    const created = await ask(block('graphql', 'createToken'))
    const { data } = await created.json()
    const id = created.headers.get('x-request-id')

    const lines = world.logged.map((line) => JSON.parse(line)).filter(({ request }) => request === id)
    expect(lines.map(({ msg }) => msg)).toEqual(['audit event recorded', 'answered'])
    const [recorded, answered] = lines
    expect(answered).toMatchObject({ operations: ['createToken'], status: 200 })
    const shown = block('json', 'audit event recorded')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    // The log of a server has neither the process nor the host, and its instants are texts.
    const inTests = ({ pid, hostname, ...line }: Record<string, unknown>) => ({ ...line, time: '' })
    expect(lines.map((line) => kinds(inTests(line)))).toEqual(shown.map(kinds))

    const spans = traces.spans().filter((span) => span.spanContext().traceId === answered.trace)
    const [request, ...others] = spans.filter(({ parentSpanContext }) => !parentSpanContext)
    expect(others).toEqual([])
    expect(request?.attributes['latchkey.request.id']).toBe(id)
    const inOrder = spans.toSorted((a, b) => a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1])
    // Where the page has an ellipsis, there may be any number of other statements.
    const [start = '', rest = ''] = block('text', 'POST /graphql').split('…\n')
    const tree = treeOf(inOrder, undefined)
    expect(tree.slice(0, start.length)).toBe(start)
    expect(tree.slice(-rest.length)).toBe(rest)

    const found = await ask(block('graphql', 'AuditEvent').replace(/evt_\w+/, recorded.event))
    const { data: event } = await found.json()
    expect(event.node).toMatchObject({ action: 'token.created', targetId: data.createToken.token.id })
    const { node } = JSON.parse(block('json', 'targetId')).data
    expect(kinds(event.node)).toEqual(kinds(node))
    expect(node.action).toBe(recorded.action)
  })

  it('is one whose trace nobody kept, where tracing is off, and is followed all the same', async () => {
    const { url, close } = await serve({ ...world.dependencies, tracing: null })
    world.logged.length = 0
    traces.forget()
    const answer = await fetch(`${url}/nothing`)
    await close()
    const [line = ''] = world.logged
    expect(JSON.parse(line)).toMatchObject({ request: answer.headers.get('x-request-id'), status: 404 })
    expect(line).not.toContain('"trace"')
    expect(traces.spans()).toEqual([])
  })

  it('is answered at every address that the page names', async () => {
    const addresses = ['/healthz', '/readyz']
    for (const path of addresses) {
      expect((await fetch(`${world.url}${path}`)).status, path).not.toBe(404)
    }
    const paths = new Set([...page.matchAll(/`(\/[a-z/]+)`/g)].map(([, path]) => path))
    const elsewhere = ['/metrics', '/v1/traces']
    expect([...paths].filter((path) => path !== undefined && !elsewhere.includes(path)).sort()).toEqual(addresses)
  })
})
