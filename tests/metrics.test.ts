import { hash } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { unwrap } from '@latchkey/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { recordAction } from '../server/audit/record-event.ts'
import { readConfig } from '../server/config.ts'
import { withOrganization } from '../server/database/with-organization.ts'
import { readNetworks } from '../server/http/client-address.ts'
import { createMetrics } from '../server/observability/metrics.ts'
import { start } from '../server/start.ts'
import { createInvalidations } from '../server/tokens/invalidation.ts'
import { startDeliveries } from '../server/webhooks/delivery.ts'
import { openReceiver, passTime } from './receiver.ts'
import { changesBy, parseSeries, readSeries } from './series.ts'
import { openWire } from './wire.ts'
import { createDatabase, openWorld, password, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld({
    rateLimits: { signInsByAccount: 2, signInsByAddress: 0, secrets: 30, verifications: 400 },
    webhookNetworks: readNetworks(['127.0.0.0/8']),
  })
})
afterAll(() => world[Symbol.asyncDispose]())

const changes = (work: () => Promise<unknown>) => changesBy(world.dependencies.metrics, work)
const requests = (operation: string, outcome: string) =>
  `latchkey_http_requests_total{operation="${operation}",outcome="${outcome}"}`
const verifications = (way: string, outcome: string) =>
  `latchkey_verifications_total{way="${way}",outcome="${outcome}"}`

async function createToken(label: string) {
  const { createToken: answer } = await world.alpha.owner.createToken({ input: { label, roleId: 'role_ci' } })
  return unwrap(answer)
}

async function ask(query: string, credential?: string, more: object = {}) {
  const authorization = credential === undefined ? {} : { authorization: `Bearer ${credential}` }
  const headers = { 'content-type': 'application/json', ...authorization }
  const body = JSON.stringify({ query, ...more })
  const response = await fetch(`${world.url}/graphql`, { method: 'POST', headers, body })
  await response.text()
}

const get = async (path: string, init: RequestInit = {}) => (await fetch(`${world.url}${path}`, init)).text()

describe('requests', () => {
  it('are counted by what was asked for and what came of it', async () => {
    const { owner, guest } = world.alpha
    const changed = await changes(async () => {
      await owner.viewer()
      await owner.viewer()
      await ask('{ organization { id } }')
      await ask('mutation { createToken(input: { label: "x", roleId: "role_ci" }) { __typename } }', guest.sessionToken)
      await ask('mutation { createToken(input: { label: "", roleId: "role_ci" }) { __typename } }', owner.sessionToken)
      await ask('{ viewer { __typename } organization { id } }', owner.sessionToken)
      await ask('{ nothing }')
      await world.introspect('lki_nothing')
      await get('/oauth/introspect', { method: 'POST', body: new URLSearchParams({ token: 'x' }) })
      await get('/healthz')
      await get('/readyz')
      await get('/nothing')
      await get('/scim/v2/Users')
    })
    expect(changed).toMatchObject({
      [requests('viewer', 'ok')]: 2,
      [requests('organization', 'UNAUTHENTICATED')]: 1,
      [requests('createToken', 'FORBIDDEN')]: 1,
      [requests('createToken', 'InvalidInput')]: 1,
      [requests('several', 'ok')]: 1,
      [requests('graphql', 'BAD_REQUEST')]: 1,
      [requests('introspect', 'ok')]: 1,
      [requests('introspect', 'UNAUTHENTICATED')]: 1,
      [requests('healthz', 'ok')]: 1,
      [requests('readyz', 'ok')]: 1,
      [requests('other', 'NOT_FOUND')]: 1,
      [requests('scim', 'SCIM_401')]: 1,
      'latchkey_http_request_duration_seconds_count{operation="viewer"}': 2,
      'latchkey_http_request_duration_seconds_bucket{le="+Inf",operation="viewer"}': 2,
      'latchkey_http_request_duration_seconds_count{operation="introspect"}': 2,
    })
    expect(Object.keys(changed)).not.toContain('latchkey_http_requests_in_progress')
  })

  it('are in progress until they have their answer', async () => {
    const inProgress = async () =>
      (await readSeries(world.dependencies.metrics)).get('latchkey_http_requests_in_progress')
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': 7 }
    const pending = request(`${world.url}/oauth/introspect`, { method: 'POST', headers })
    const answered = once(pending, 'response')
    pending.write('tok')
    await expect.poll(inProgress).toBe(1)
    pending.end('en=x')
    const [response] = await answered
    response.resume()
    expect(await inProgress()).toBe(0)
  })

  it('make no series of what callers write', async () => {
    const { owner, slug } = world.alpha
    const made = async (nth: number) => {
      const name = `made_up_${nth}`
      const scim = { headers: { authorization: `Bearer ${owner.sessionToken}` } }
      await Promise.all([
        ask(`query ${name} { ${name}: viewer { __typename } }`, owner.sessionToken, { operationName: name }),
        ask(`{ ${name} }`, `lki_${name}`),
        get(`/${name}`),
        get(`/scim/v2/${name}`, scim),
        get(`/scim/v2/Users/${name}?filter=${name}`, scim),
        get(`/scim/v2/Users?filter=${name}`, scim),
        get(`/organizations/${slug}/${name}`, { headers: { 'user-agent': name } }),
        get('/oauth/introspect', { method: 'POST', body: new URLSearchParams({ token: name }) }),
      ])
    }
    await made(0)
    const before = [...(await readSeries(world.dependencies.metrics)).keys()]
    for (let nth = 1; nth <= 100; nth += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, more) => made(nth + more)))
    }
    const after = await readSeries(world.dependencies.metrics)
    // On a busy machine the database may be too slow for some of them, which is another outcome, and no name of theirs.
    const ofLoad = /outcome="(UNAVAILABLE|SCIM_503|hung_up)"/
    const fresh = [...after.keys()].filter((series) => !before.includes(series))
    expect(fresh.filter((series) => !ofLoad.test(series))).toEqual([])
    expect([...after.keys()].join('\n')).not.toContain('made_up')
    expect(fresh.length).toBeLessThan(20)
    expect(after.get('latchkey_http_request_duration_seconds_count{operation="other"}')).toBeGreaterThan(100)
  })
})

describe('verifications', () => {
  it('are counted by the way in which they were asked for, and by the verdict', async () => {
    const { secret } = await createToken('Verified')
    const { secret: stopped, token } = await createToken('Stopped')
    unwrap((await world.alpha.owner.updateToken({ input: { id: token.id, enabled: false } })).updateToken)
    const digests = [secret, stopped, 'lki_nothing'].map((one) => hash('sha256', one))
    const changed = await changes(async () => {
      for (const one of [secret, secret, stopped, 'lki_nothing']) await world.introspect(one)
      for (const one of [secret, stopped]) await world.service.verifyToken({ token: one })
      await world.service.verifyTokenDigests({ digests })
      await ask('{ viewer { __typename } }', stopped)
    })
    expect(changed).toMatchObject({
      [verifications('introspect', 'accepted')]: 2,
      [verifications('introspect', 'refused')]: 2,
      [verifications('verifyToken', 'accepted')]: 1,
      [verifications('verifyToken', 'refused')]: 1,
      [verifications('verifyTokenDigests', 'accepted')]: 1,
      [verifications('verifyTokenDigests', 'refused')]: 2,
      [verifications('credential', 'accepted')]: 7,
      [verifications('credential', 'refused')]: 1,
    })
  })

  it('tell how many questions a statement gathered, how long it took and how long it was waited for', async () => {
    const digests = Array.from({ length: 100 }, (_, nth) => hash('sha256', `${nth}`))
    await world.service.verifyTokenDigests({ digests })
    const changed = await changes(() => world.service.verifyTokenDigests({ digests }))
    expect(changed).toMatchObject({
      // The caller's own secret, and the hundred, by one statement; the hundred, which are no integration token's, by another.
      latchkey_credential_lookup_batch_size_sum: 201,
      latchkey_credential_lookup_batch_size_count: 2,
      'latchkey_credential_lookup_batch_size_bucket{le="160"}': 2,
      latchkey_credential_lookup_statement_duration_seconds_count: 2,
      latchkey_credential_lookup_duration_seconds_count: 2,
    })
    expect(changed).not.toHaveProperty('latchkey_credential_lookup_batch_size_bucket{le="80"}')
    const [took = 0, waited = 0] = ['statement_duration', 'duration'].map(
      (what) => changed[`latchkey_credential_lookup_${what}_seconds_sum`],
    )
    expect(took).toBeGreaterThan(0)
    expect(waited).toBeGreaterThan(took)
  })

  it('that the database does not answer are failures, once each', async () => {
    const { credentials, digester } = world.dependencies
    const lookup = vi.spyOn(world.dependencies.database.lookup, 'query')
    lookup.mockImplementation(() => Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })))
    const digest = (text: string) => digester.readHash(hash('sha256', text))
    const changed = await changes(async () => {
      await expect(credentials.find([digest('one'), digest('other')])).rejects.toThrow()
    }).finally(() => lookup.mockRestore())
    expect(changed.latchkey_credential_lookup_failures_total).toBe(1)
  })
})

describe('the database', () => {
  it('is shown by its connections, and by whoever waits for one', async () => {
    const { database, lastUse, metrics } = world.dependencies
    // Last uses are written over the same connections, whenever it is time.
    await lastUse.flush()
    const of = async () => {
      const series = await readSeries(metrics)
      const read = (name: string, state = '') => series.get(`latchkey_database_${name}{pool="lookup"${state}}`)
      return {
        active: read('connections', ',state="active"'),
        limit: read('connections_limit'),
        waiting: read('connection_waiters'),
      }
    }
    expect(await of()).toEqual({ active: 0, limit: 4, waiting: 0 })
    const taken = await Promise.all(Array.from({ length: 4 }, () => database.lookup.connect()))
    const waiting = database.lookup.query('select')
    const full = await of()
    for (const client of taken) client.release()
    await waiting
    expect(full).toEqual({ active: 4, limit: 4, waiting: 1 })
    expect(await of()).toEqual({ active: 0, limit: 4, waiting: 0 })
  })
})

describe('invalidations', () => {
  it('are counted by kind, and their heartbeat is timed', async () => {
    const { token } = await createToken('Deleted')
    const changed = await changes(async () => {
      unwrap((await world.alpha.owner.deleteToken({ input: { id: token.id } })).deleteToken)
      await delay(1_200)
    })
    expect(changed['latchkey_invalidation_messages_total{kind="token"}']).toBeGreaterThan(0)
    const beats = changed['latchkey_invalidation_messages_total{kind="heartbeat"}'] ?? 0
    expect(beats).toBeGreaterThan(0)
    expect(changed.latchkey_invalidation_heartbeat_duration_seconds_count).toBe(beats)
    const series = await readSeries(world.dependencies.metrics)
    expect(series.get('latchkey_invalidation_heartbeat_age_seconds')).toBeLessThan(2)
  })

  it('are counted as heard by as many streams as there are', async () => {
    const controller = new AbortController()
    const headers = {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      authorization: `Bearer ${world.service.secret}`,
    }
    const body = JSON.stringify({ query: 'subscription { tokenInvalidations { sequence } }' })
    const subscribers = async () =>
      (await readSeries(world.dependencies.metrics)).get('latchkey_invalidation_subscribers')
    const { signal } = controller
    await fetch(`${world.url}/graphql`, { method: 'POST', headers, body, signal })
    expect(await subscribers()).toBe(1)
    controller.abort()
    await expect.poll(subscribers).toBe(0)
  })

  it('that nobody hears make the heartbeat old, and are heard again after a reconnection', async () => {
    const wire = await openWire(world.databaseUrl)
    const metrics = createMetrics()
    const invalidations = createInvalidations({ url: wire.url, log: pino({ level: 'silent' }), metrics })
    invalidations.listen()
    try {
      const read = async (what: string) => (await readSeries(metrics)).get(`latchkey_invalidation_${what}`)
      const age = () => read('heartbeat_age_seconds')
      const beats = () => read('heartbeat_duration_seconds_count')
      await expect.poll(beats, { timeout: 5_000 }).toBeGreaterThan(0)
      expect(await age()).toBeLessThan(1)
      expect(await read('reconnections_total')).toBe(0)
      wire.set('cut')
      await expect.poll(age, { timeout: 5_000 }).toBeGreaterThan(1.5)
      wire.set('whole')
      await expect.poll(age, { timeout: 5_000 }).toBeLessThan(1)
      // However often it was tried.
      expect(await read('reconnections_total')).toBe(1)
    } finally {
      await invalidations.close()
      await wire.close()
    }
  })
})

describe('audit events', () => {
  it('are counted by action once they hold, and not where they were rolled back', async () => {
    const { dependencies, alpha } = world
    const event = 'latchkey_audit_events_total{action="token.created"}'
    expect(await changes(() => createToken('Recorded'))).toMatchObject({ [event]: 1 })
    const principal = {
      kind: 'integrationToken',
      organizationId: alpha.id,
      tokenId: 'tok_none',
      roleId: 'role_ci',
      name: 'tests',
      permissions: [],
    } as const
    const origin = { ipAddress: null, userAgent: null }
    world.logged.length = 0
    const changed = await changes(async () => {
      const undone = withOrganization(dependencies.database, { organizationId: alpha.id }, async (transaction) => {
        await recordAction(transaction, { ...dependencies, principal, origin }, 'token.created')
        throw new Error('undone')
      })
      await expect(undone).rejects.toThrow('undone')
    })
    expect(changed).not.toHaveProperty(event)
    expect(world.logged.join('')).not.toContain('audit event recorded')
  })
})

describe('limits', () => {
  it('that were hit are counted by which it was', async () => {
    await using limited = await openWorld({
      rateLimits: { signInsByAccount: 1, signInsByAddress: 2, secrets: 1, verifications: 1 },
    })
    const { alpha, stranger, dependencies } = limited
    const changed = await changesBy(dependencies.metrics, async () => {
      for (const { email } of [alpha.guest, alpha.guest, alpha.member]) {
        await stranger.signIn({ input: { email, password: 'not the password' } })
      }
      for (const label of ['One', 'Two']) {
        await alpha.owner.createToken({ input: { label, roleId: 'role_ci' } }).catch(() => undefined)
      }
      for (let nth = 0; nth < 3; nth++) await limited.introspect('lki_nothing').catch(() => undefined)
    })
    const hits = Object.fromEntries(Object.entries(changed).filter(([name]) => name.startsWith('latchkey_rate_limit')))
    expect(hits).toEqual({
      'latchkey_rate_limit_hits_total{limit="signInsByAccount"}': 1,
      'latchkey_rate_limit_hits_total{limit="signInsByAddress"}': 1,
      'latchkey_rate_limit_hits_total{limit="secrets"}': 1,
      'latchkey_rate_limit_hits_total{limit="verifications"}': 2,
    })
  })
})

describe('passwords', () => {
  it('are timed, wait for their turn, and are refused when too many wait', async () => {
    const { passwords, metrics } = world.dependencies
    const changed = await changes(async () => {
      const hashing = Array.from({ length: 50 }, () => passwords.hash(password))
      expect((await readSeries(metrics)).get('latchkey_password_hash_waiting')).toBeGreaterThan(0)
      await Promise.allSettled(hashing)
    })
    expect(changed).toMatchObject({
      latchkey_password_hash_duration_seconds_count: 42,
      latchkey_password_hash_refusals_total: 8,
    })
    expect(changed).not.toHaveProperty('latchkey_password_hash_waiting')
  })
})

describe('last uses', () => {
  it('are shown while they wait to be written', async () => {
    const { lastUse, metrics } = world.dependencies
    const waiting = async () => (await readSeries(metrics)).get('latchkey_last_uses_waiting')
    const { secret } = await createToken('Used')
    await lastUse.flush()
    await world.introspect(secret)
    expect(await waiting()).toBe(1)
    await lastUse.flush()
    expect(await waiting()).toBe(0)
  })
})

describe('webhook messages', () => {
  it('are counted by what came of them, timed, and shown while they are overdue', async () => {
    await using receiver = await openReceiver()
    const { owner } = world.alpha
    const { webhook } = unwrap(
      (await owner.createWebhook({ input: { url: receiver.url, eventTypes: ['TOKEN_CREATED'] } })).createWebhook,
    )
    await createToken('Told')
    await passTime(world, '1 hour')
    const delivered = 'latchkey_webhook_deliveries_total{outcome="delivered"}'
    const failed = 'latchkey_webhook_deliveries_total{outcome="failed"}'
    receiver.answer = 500
    const stop = startDeliveries(world.dependencies)
    try {
      const read = async (name: string) => (await readSeries(world.dependencies.metrics)).get(name)
      await expect.poll(() => read(failed), { timeout: 10_000 }).toBe(1)
      expect(await read('latchkey_webhook_oldest_due_age_seconds')).toBeGreaterThan(3_590)
      receiver.answer = 204
      await passTime(world, '1 hour')
      await expect.poll(() => read(delivered), { timeout: 10_000 }).toBe(1)
      expect(await read('latchkey_webhook_delivery_duration_seconds_count')).toBe(2)
      await expect.poll(() => read('latchkey_webhook_oldest_due_age_seconds'), { timeout: 5_000 }).toBe(0)
    } finally {
      await stop()
      unwrap((await owner.deleteWebhook({ input: { id: webhook.id } })).deleteWebhook)
    }
  })
})

describe('the metrics', () => {
  it('hold no secret, no address of anyone, and no label, whatever was done', async () => {
    const { owner, superAdmin } = world.alpha
    const { secret } = await createToken('A label that is only here')
    await world.introspect(secret)
    await world.stranger.signIn({ input: { email: superAdmin.email, password } })
    await ask('query lkv_pasted { viewer { __typename } }', owner.sessionToken)
    await get(`/${secret}`)
    const text = await world.dependencies.metrics.registry.metrics()
    expect(text).not.toMatch(/A label|@|lk[ipsv]_|127\.0\.0\.1|pasted|Alpha|alpha/)
    for (const shown of [secret, owner.sessionToken, password]) expect(text).not.toContain(shown)
  })

  it('are told at a port of their own, where nothing else is, and at no other', async () => {
    const { databaseUrl, drop } = await createDatabase()
    const environment = {
      DATABASE_URL: databaseUrl,
      LATCHKEY_SECRET: 'a server key for the metrics which is long enough',
      PORT: '0',
    }
    const run = (more: Record<string, string>) =>
      start(readConfig({ ...environment, ...more }), {
        log: pino({ level: 'silent' }),
        announce: () => undefined,
      })
    const running = await run({ METRICS_PORT: '0' })
    try {
      const at = running.metricsAddress ?? ''
      expect(at).not.toBe(running.address)
      const answer = await fetch(`${at}/metrics?name=x`)
      expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
      const series = parseSeries(await answer.text())
      expect(series.get('latchkey_audit_events_total{action="token.deleted"}')).toBe(0)
      expect([...series.keys()]).toContain('process_cpu_seconds_total')
      expect((await fetch(`${at}/metrics`, { method: 'HEAD' })).status).toBe(200)
      expect((await fetch(`${at}/metrics`, { method: 'POST' })).status).toBe(405)
      for (const path of ['/', '/graphql', '/oauth/introspect', '/healthz', '/readyz', '/metrics/', '/scim/v2/Users']) {
        expect((await fetch(`${at}${path}`)).status, path).toBe(404)
      }
      // Also where no verifier follows: what makes the heartbeat old is an alert.
      const beats = async () =>
        parseSeries(await (await fetch(`${at}/metrics`)).text()).get(
          'latchkey_invalidation_heartbeat_duration_seconds_count',
        )
      await expect.poll(beats, { timeout: 5_000 }).toBeGreaterThan(0)
      const elsewhere = await fetch(`${running.address}/metrics`)
      expect(await elsewhere.text()).not.toContain('latchkey_')
    } finally {
      await running.close()
    }
    await expect(fetch(`${running.metricsAddress}/metrics`)).rejects.toThrow()
    const without = await run({})
    expect(without.metricsAddress).toBeNull()
    await without.close()
    await drop()
  })
})
