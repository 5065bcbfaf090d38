import { once } from 'node:events'
import { createServer } from 'node:net'
import { type CreateWebhookInput, type Latchkey, unwrap, type WebhookEventType } from '@latchkey/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { readNetworks } from '../server/http/client-address.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { purge } from '../server/tokens/retention.ts'
import { startDeliveries } from '../server/webhooks/delivery.ts'
import { tellExpiries } from '../server/webhooks/expiry.ts'
import { checkSignature, openReceiver, passTime, type Received, type Receiver } from './receiver.ts'
import { openWorld, serverKey, type World } from './world.ts'

const webhookNetworks = readNetworks(['127.0.0.0/8'])
const every: WebhookEventType[] = [
  ...(['TOKEN_CREATED', 'TOKEN_UPDATED', 'TOKEN_ENABLED', 'TOKEN_DISABLED', 'TOKEN_REGENERATED'] as const),
  ...(['TOKEN_DELETED', 'TOKEN_EXPIRING', 'TOKEN_EXPIRED', 'TOKEN_RETIRED_SECRET_USED'] as const),
]

let world: World
let owner: Latchkey
const stack = new AsyncDisposableStack()
let opened: AsyncDisposableStack

beforeAll(async () => {
  world = stack.use(await openWorld({ webhookNetworks }))
  owner = world.alpha.owner
})
afterAll(() => stack.disposeAsync())
afterEach(async () => {
  await opened?.disposeAsync()
  await world.sql('delete from webhooks')
  await world.sql('delete from integration_tokens')
})

/** Sends, as an instance does, until the test ends. */
function deliver(dependencies = world.dependencies): () => Promise<void> {
  const stop = startDeliveries(dependencies)
  opened.defer(stop)
  return stop
}

async function receive(): Promise<Receiver> {
  opened = new AsyncDisposableStack()
  return opened.use(await openReceiver())
}

async function hook(url: string, input: Partial<CreateWebhookInput> = {}, by = owner) {
  const { webhook, secret } = unwrap(
    (await by.createWebhook({ input: { url, eventTypes: every, ...input } })).createWebhook,
  )
  return { id: webhook.id, secret, webhook }
}

async function createToken(label: string, by = owner, expiresAt: string | null = null) {
  return unwrap((await by.createToken({ input: { label, roleId: 'role_ci', expiresAt } })).createToken)
}

const update = async (id: string, change: { enabled?: boolean; description?: string; label?: string }) =>
  unwrap((await owner.updateToken({ input: { id, ...change } })).updateToken)
const remove = async (id: string) => unwrap((await owner.deleteToken({ input: { id } })).deleteToken)
const deliveries = async (webhookId: string) => (await owner.webhookDeliveries({ webhookId })).webhookDeliveries.nodes
const typesOf = (received: Received[]) => received.map(({ type }) => type)
const until = (check: () => unknown) => vi.waitFor(check, { timeout: 10_000, interval: 50 })

const pass = (time: string) => passTime(world, time)

describe('a webhook', () => {
  it('is told of all that happens to a token, signed, and in the order in which it happened', async () => {
    const receiver = await receive()
    const { secret } = await hook(receiver.url)
    deliver()
    const before = Date.now()
    const { token, ...first } = await createToken('Jenkins')
    await update(token.id, { label: 'Build', enabled: false })
    await update(token.id, { enabled: true })
    unwrap((await owner.regenerateToken({ input: { id: token.id } })).regenerateToken)
    expect(await world.introspect(first.secret)).toEqual({ active: false })
    await world.dependencies.lastUse.flush()
    await remove(token.id)
    const types = [
      ...['token.created', 'token.updated', 'token.disabled', 'token.enabled', 'token.regenerated'],
      ...['token.retired_secret_used', 'token.deleted'],
    ]
    await until(() => expect(typesOf(receiver.accepted)).toEqual(types))
    for (const got of receiver.accepted) {
      checkSignature(secret, got)
      expect(got.data).toMatchObject({ organizationId: world.alpha.id, tokenId: token.id })
      expect(Date.parse(got.timestamp)).toBeGreaterThanOrEqual(before - 1_000)
    }
    const [created, updated] = receiver.accepted
    expect(JSON.parse(created?.body ?? '')).toEqual({
      type: 'token.created',
      timestamp: created?.timestamp,
      data: {
        organizationId: world.alpha.id,
        tokenId: token.id,
        label: 'Jenkins',
        actor: { name: world.alpha.owner.email, id: expect.stringMatching(/^mem_/) },
      },
    })
    expect(updated?.data.label).toBe('Build')
    expect(created?.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Latchkey' })
    // The id of a message is that of the event in the audit log.
    const { nodes } = (await owner.auditEvents({ filter: { targetId: token.id } })).auditEvents
    expect(nodes.map(({ id }) => id).reverse()).toEqual(receiver.accepted.map(({ id }) => id))
  })

  it('is told only of the types that it asks for, and of its own organization', async () => {
    const receiver = await receive()
    await hook(receiver.url, { eventTypes: ['TOKEN_DELETED'] })
    const own = await createToken('Own')
    const foreign = await createToken('Foreign', world.beta.owner)
    unwrap((await world.beta.owner.deleteToken({ input: { id: foreign.token.id } })).deleteToken)
    await remove(own.token.id)
    deliver()
    await until(() => expect(receiver.accepted).toHaveLength(1))
    expect(receiver.accepted[0]).toMatchObject({ type: 'token.deleted', data: { tokenId: own.token.id } })
    expect(await world.sql('select event_type from webhook_deliveries')).toEqual([{ event_type: 'token.deleted' }])
  })

  it('is told nothing of what was refused, or changes nothing', async () => {
    const receiver = await receive()
    const { id } = await hook(receiver.url)
    const { token } = await createToken('Jenkins')
    expect((await owner.createToken({ input: { label: 'jenkins', roleId: 'role_ci' } })).createToken.__typename).toBe(
      'LabelTaken',
    )
    await update(token.id, { label: 'Jenkins', enabled: true })
    await expect(world.alpha.member.deleteToken({ input: { id: token.id } })).rejects.toThrow()
    expect((await owner.deleteToken({ input: { id: 'tok_x' } })).deleteToken.__typename).toBe('TokenNotFound')
    expect((await deliveries(id)).map(({ eventType }) => eventType)).toEqual(['TOKEN_CREATED'])
  })

  it('is one of ten at most, also where many are made at once', async () => {
    opened = new AsyncDisposableStack()
    const make = (n: number) =>
      owner.createWebhook({ input: { url: `https://192.31.197.1/${n}`, eventTypes: ['TOKEN_CREATED'] } })
    const answers = await Promise.all(Array.from({ length: 13 }, (_, n) => make(n)))
    const refused = answers.filter(({ createWebhook }) => createWebhook.__typename === 'TooManyWebhooks')
    expect(refused).toHaveLength(3)
    const { token } = await createToken('Told to ten')
    const told = await world.sql('select distinct id, webhook_id from webhook_deliveries where token_id = $1', [
      token.id,
    ])
    expect(told).toHaveLength(10)
  })

  it('can be tried with a message in which nothing happened', async () => {
    const receiver = await receive()
    const { id, secret } = await hook(receiver.url, { eventTypes: ['TOKEN_DELETED'] })
    deliver()
    const { delivery } = unwrap((await owner.testWebhook({ input: { id } })).testWebhook)
    expect(delivery).toMatchObject({ webhookId: id, eventType: 'WEBHOOK_TEST', tokenId: null, status: 'PENDING' })
    await until(() => expect(receiver.accepted).toHaveLength(1))
    const [got] = receiver.accepted
    if (!got) throw new Error('There is one.')
    checkSignature(secret, got)
    expect(got).toMatchObject({ type: 'webhook.test', id: delivery.eventId, body: delivery.payload })
    await until(async () => expect((await owner.webhook({ id })).webhook?.lastDeliveredAt).not.toBeNull())
  })
})

describe('a message that does not arrive', () => {
  it('is sent again after 5 seconds, then after twice the time, and its log says what happened', async () => {
    const receiver = await receive()
    receiver.answer = 500
    const { id } = await hook(receiver.url)
    deliver()
    await createToken('Jenkins')
    const waits: number[] = []
    for (let attempt = 1; attempt <= 4; attempt++) {
      await until(async () => {
        const [delivery] = await deliveries(id)
        expect(delivery?.attempts).toHaveLength(attempt)
      })
      const [delivery] = await deliveries(id)
      expect(delivery).toMatchObject({ status: 'PENDING' })
      expect(delivery?.attempts.at(-1)).toMatchObject({ statusCode: 500, problem: 'It answered 500.' })
      waits.push((Date.parse(delivery?.nextAttemptAt ?? '') - Date.now()) / 1_000)
      await pass('1 hour')
    }
    for (const [index, wait] of waits.entries()) {
      expect(wait).toBeGreaterThan(5 * 2 ** index - 4)
      expect(wait).toBeLessThan(5 * 2 ** index * 1.1 + 1)
    }
    expect((await owner.webhook({ id })).webhook?.failingSince).not.toBeNull()
    receiver.answer = 202
    await pass('1 hour')
    await until(async () => expect((await deliveries(id))[0]?.status).toBe('DELIVERED'))
    const [delivery] = await deliveries(id)
    expect(delivery?.attempts.at(-1)).toMatchObject({ statusCode: 202, problem: null })
    expect(delivery?.nextAttemptAt).toBeNull()
    expect((await owner.webhook({ id })).webhook?.failingSince).toBeNull()
    expect(new Set(receiver.received.map((got) => got.id)).size).toBe(1)
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1)
  })

  it('is given up after three days, and those behind it are sent then', async () => {
    const receiver = await receive()
    receiver.answer = 404
    const { id } = await hook(receiver.url)
    deliver()
    const { token } = await createToken('Jenkins')
    await until(() => expect(receiver.received).toHaveLength(1))
    await pass('70 hours')
    await update(token.id, { enabled: false })
    await until(() => expect(receiver.received).toHaveLength(2))
    await until(async () => expect((await deliveries(id)).at(-1)?.attempts).toHaveLength(2))
    // The last time is at the end of the three days.
    const last = Date.parse((await deliveries(id)).at(-1)?.nextAttemptAt ?? '')
    expect(last - Date.now()).toBeLessThan(15_000)
    await pass('2 hours')
    await until(async () => expect((await deliveries(id)).at(-1)?.status).toBe('FAILED'))
    expect((await deliveries(id)).at(-1)).toMatchObject({ nextAttemptAt: null, attempts: [{}, {}, {}] })
    await until(() =>
      expect(typesOf(receiver.received).slice(0, 4)).toEqual([...Array(3).fill('token.created'), 'token.disabled']),
    )
  })

  it('keeps those behind it of the same token waiting, and no other token’s', async () => {
    const receiver = await receive()
    const { id } = await hook(receiver.url)
    const stop = deliver()
    receiver.answer = 503
    const first = await createToken('First')
    await until(async () => expect((await deliveries(id))[0]?.attempts).toHaveLength(1))
    // However long the rest of this takes: it is not sent again before that.
    await world.sql(`update webhook_deliveries set due_at = now() + interval '1 hour'`)
    receiver.answer = 204
    await update(first.token.id, { enabled: false })
    await remove(first.token.id)
    await createToken('Second')
    await until(() => expect(receiver.accepted).toHaveLength(1))
    expect(receiver.accepted[0]?.data.label).toBe('Second')
    // What is under way when an instance stops is sent again.
    await until(async () => expect((await deliveries(id))[0]?.status).toBe('DELIVERED'))
    await stop()
    deliver()
    await pass('1 hour')
    await until(() => expect(receiver.accepted).toHaveLength(4))
    expect(typesOf(receiver.accepted).slice(1)).toEqual(['token.created', 'token.disabled', 'token.deleted'])
  })

  it.each([
    [301, 'It answered 301, and redirections are not followed.'],
    [400, 'It answered 400.'],
  ])('counts as failed for an answer of %i', async (answer, problem) => {
    const receiver = await receive()
    const elsewhere = opened.use(await openReceiver())
    Object.assign(receiver, { answer, headers: { location: elsewhere.url } })
    const { id } = await hook(receiver.url)
    deliver()
    await createToken('Jenkins')
    await until(async () =>
      expect((await deliveries(id))[0]?.attempts).toMatchObject([{ problem, statusCode: answer }]),
    )
    expect(elsewhere.received).toEqual([])
  })

  it('counts as failed where nothing listens, and where it hangs up', async () => {
    await receive()
    const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const { id } = await hook(`http://127.0.0.1:${port}/`)
    deliver()
    await createToken('Jenkins')
    const problems = async () => (await deliveries(id))[0]?.attempts.map(({ problem }) => problem)
    await until(async () => expect(await problems()).toEqual(['It ended the connection without an answer.']))
    server.close()
    await once(server, 'close')
    await pass('1 hour')
    await until(async () => expect((await problems())?.at(-1)).toBe('It refused the connection.'))
  })

  it('counts as failed where there is no answer within 15 seconds', { timeout: 30_000 }, async () => {
    const receiver = await receive()
    receiver.answer = null
    const { id } = await hook(receiver.url)
    deliver()
    await createToken('Jenkins')
    const problem = 'It did not answer within 15 seconds.'
    await vi.waitFor(
      async () => expect((await deliveries(id))[0]?.attempts).toMatchObject([{ problem, statusCode: null }]),
      { timeout: 25_000, interval: 500 },
    )
    expect((await deliveries(id))[0]?.attempts[0]?.durationMilliseconds).toBeGreaterThanOrEqual(15_000)
  })

  it('is sent by the next instance where one stops, without delay, and where one was killed, after a minute', async () => {
    const receiver = await receive()
    receiver.answer = null
    const { id } = await hook(receiver.url)
    const stop = deliver()
    await createToken('Jenkins')
    await until(() => expect(receiver.received).toHaveLength(1))
    expect((await deliveries(id))[0]?.nextAttemptAt).toBeNull()
    await stop()
    expect((await deliveries(id))[0]).toMatchObject({ status: 'PENDING', attempts: [] })
    expect((await deliveries(id))[0]?.nextAttemptAt).not.toBeNull()
    receiver.answer = 204
    const next = deliver()
    await until(() => expect(receiver.accepted).toHaveLength(1))
    await until(async () => expect((await deliveries(id))[0]?.attempts).toHaveLength(1))
    await next()

    // Taken, and never heard of again.
    const { token } = await createToken('Another')
    await world.sql(
      `update webhook_deliveries set due_at = now() + interval '60 seconds', attempts = 1 where token_id = $1`,
      [token.id],
    )
    deliver()
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(receiver.accepted).toHaveLength(1)
    await pass('1 minute')
    await until(() => expect(receiver.accepted).toHaveLength(2))
  })

  it('is let go of by the instance that has it, and not by one from which it was taken over', async () => {
    const receiver = await receive()
    receiver.answer = null
    await hook(receiver.url)
    const stop = deliver()
    await createToken('Jenkins')
    await until(() => expect(receiver.received).toHaveLength(1))
    // As another instance takes it over, once its minute is over.
    await world.sql(`update webhook_deliveries set attempts = 2, due_at = now() + interval '1 minute'`)
    await stop()
    expect(await world.sql('select attempts, due_at > now() as later from webhook_deliveries')).toEqual([
      { attempts: 2, later: true },
    ])
  })

  it('arrives once, whichever of three instances sends it', async () => {
    const receiver = await receive()
    await hook(receiver.url)
    for (let count = 0; count < 3; count++) deliver()
    const labels = Array.from({ length: 40 }, (_, n) => `Token ${n}`)
    await Promise.all(labels.map((label) => createToken(label)))
    await vi.waitFor(() => expect(receiver.accepted.length).toBeGreaterThanOrEqual(40), { timeout: 20_000 })
    expect(receiver.received.map(({ data }) => data.label).sort()).toEqual(labels.sort())
  })
})

describe('a webhook that is disabled', () => {
  it('is told nothing of what happens meanwhile, and what waited when it is enabled again', async () => {
    const receiver = await receive()
    receiver.answer = 500
    const { id } = await hook(receiver.url)
    deliver()
    await createToken('Before')
    await until(async () => expect((await deliveries(id))[0]?.attempts).toHaveLength(1))
    const disabled = unwrap((await owner.updateWebhook({ input: { id, enabled: false } })).updateWebhook)
    expect(disabled.webhook).toMatchObject({ enabled: false, failingSince: null })
    expect((await deliveries(id))[0]).toMatchObject({ status: 'PENDING', nextAttemptAt: null })
    receiver.answer = 204
    await createToken('Meanwhile')
    const { delivery } = unwrap((await owner.testWebhook({ input: { id } })).testWebhook)
    expect(delivery.nextAttemptAt).toBeNull()
    await pass('100 hours')
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(receiver.accepted).toEqual([])
    unwrap((await owner.updateWebhook({ input: { id, enabled: true } })).updateWebhook)
    await createToken('After')
    await until(() => expect(receiver.accepted).toHaveLength(3))
    expect(receiver.accepted.map(({ data, type }) => data.label ?? type).sort()).toEqual([
      'After',
      'Before',
      'webhook.test',
    ])
  })

  it('is sent nothing again that fails while it is being disabled', async () => {
    const receiver = await receive()
    receiver.answer = null
    const { id } = await hook(receiver.url)
    deliver()
    await createToken('Jenkins')
    await until(() => expect(receiver.received).toHaveLength(1))
    unwrap((await owner.updateWebhook({ input: { id, enabled: false } })).updateWebhook)
    receiver.answerWaiting(500)
    await until(async () => expect((await deliveries(id))[0]?.attempts).toHaveLength(1))
    expect((await deliveries(id))[0]).toMatchObject({ status: 'PENDING', nextAttemptAt: null })
  })

  it('is so by itself once its receiver says that it is gone', async () => {
    const receiver = await receive()
    receiver.answer = 410
    const { id } = await hook(receiver.url)
    deliver()
    await createToken('Jenkins')
    await until(async () => expect((await owner.webhook({ id })).webhook?.enabled).toBe(false))
    expect((await deliveries(id))[0]).toMatchObject({ status: 'PENDING', nextAttemptAt: null })
    const [event] = (await owner.auditEvents({ first: 1 })).auditEvents.nodes
    expect(event).toMatchObject({ action: 'webhook.disabled', actor: 'Latchkey', targetId: id })
  })
})

describe('the log of deliveries', () => {
  it('is paged, the latest first, and filtered', async () => {
    const receiver = await receive()
    const { id: webhookId } = await hook(receiver.url)
    const tokens = [await createToken('One'), await createToken('Two'), await createToken('Three')]
    const list = async (rest: Parameters<Latchkey['webhookDeliveries']>[0] | object) =>
      (await owner.webhookDeliveries({ webhookId, ...rest })).webhookDeliveries
    const labels = (page: Awaited<ReturnType<typeof list>>) =>
      page.nodes.map(({ payload }): unknown => JSON.parse(payload).data.label)
    const first = await list({ first: 2 })
    expect([labels(first), first.pageInfo.hasNextPage]).toEqual([['Three', 'Two'], true])
    const second = await list({ first: 2, after: first.pageInfo.endCursor })
    expect([labels(second), second.pageInfo.hasNextPage]).toEqual([['One'], false])
    expect(labels(await list({ last: 2 }))).toEqual(['Two', 'One'])
    expect(labels(await list({ filter: { tokenId: tokens[0]?.token.id ?? '' } }))).toEqual(['One'])
    expect(labels(await list({ filter: { statuses: ['DELIVERED', 'FAILED'] } }))).toEqual([])
    deliver()
    await until(async () => expect(labels(await list({ filter: { statuses: ['DELIVERED'] } }))).toHaveLength(3))
  })

  it('has an event sent once more, under the same id', async () => {
    const receiver = await receive()
    const { id } = await hook(receiver.url)
    deliver()
    await createToken('Jenkins')
    await until(async () => expect((await deliveries(id))[0]?.status).toBe('DELIVERED'))
    const [earlier] = await deliveries(id)
    const again = await owner.redeliverWebhook({ input: { deliveryId: earlier?.id ?? '' } })
    const { delivery } = unwrap(again.redeliverWebhook)
    expect(delivery).toMatchObject({ eventId: earlier?.eventId, payload: earlier?.payload, status: 'PENDING' })
    expect(delivery.id).not.toBe(earlier?.id)
    await until(() => expect(receiver.accepted).toHaveLength(2))
    expect(receiver.accepted[1]).toMatchObject({ id: receiver.accepted[0]?.id, body: receiver.accepted[0]?.body })
    const missing = await owner.redeliverWebhook({ input: { deliveryId: 'dlv_x' } })
    expect(missing.redeliverWebhook.__typename).toBe('DeliveryNotFound')
  })

  it('is kept for 30 days, and what waits for longer', async () => {
    const receiver = await receive()
    const { id } = await hook(receiver.url)
    const stop = deliver()
    await createToken('Delivered')
    await until(async () => expect((await deliveries(id))[0]?.status).toBe('DELIVERED'))
    await stop()
    await createToken('Waits')
    const age = (time: string) =>
      world.sql(`update webhook_deliveries set created_at = created_at - interval '${time}'`)
    await age('29 days 23 hours')
    await purge(world.dependencies, { retentionDays: 90 })
    expect(await deliveries(id)).toHaveLength(2)
    await age('2 hours')
    await purge(world.dependencies, { retentionDays: 90 })
    expect((await deliveries(id)).map(({ status }) => status)).toEqual(['PENDING'])
  })
})

describe('expiry', () => {
  const inFuture = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString()
  const day = 24 * 60 * 60 * 1_000
  /** As if so much time had gone by, for tokens and webhooks. */
  async function passDays(days: number) {
    await world.sql(`update integration_tokens set expires_at = expires_at - interval '${days} days'`)
    await world.sql(`update webhooks set expiries_told_until = expiries_told_until - interval '1 minute'`)
    // Whatever fell due in those days did so after it was last told: it is told as of a minute ago.
    await Promise.all([tellExpiries(world.dependencies), tellExpiries(world.dependencies)])
  }
  const told = async (webhookId: string) =>
    (await owner.webhookDeliveries({ webhookId, first: 100 })).webhookDeliveries.nodes
      .map(({ payload }) => JSON.parse(payload))
      .filter(({ type }: { type: string }) => /^token\.expir/.test(type))
      .map(({ type, data }: { type: string; data: Record<string, unknown> }) => [type, data.label, data.expiresInDays])
      .reverse()

  it('is told 14, 3 and 1 days before, and when it has come, once each, whoever looks', async () => {
    const receiver = await receive()
    const { id } = await hook(receiver.url)
    const { token } = await createToken('Ends', owner, inFuture(20 * day + 30_000))
    await createToken('Never ends')
    const other = await createToken('Deleted in time', owner, inFuture(20 * day + 30_000))
    await remove(other.token.id)
    await passDays(0)
    expect(await told(id)).toEqual([])
    const due = [
      ['token.expiring', 'Ends', 14],
      ['token.expiring', 'Ends', 3],
      ['token.expiring', 'Ends', 1],
      ['token.expired', 'Ends', undefined],
    ]
    for (const [index, days] of [6, 11, 2, 1].entries()) {
      await passDays(days - 0.0001)
      expect(await told(id)).toEqual(due.slice(0, index))
      await world.sql(`update integration_tokens set expires_at = expires_at - interval '40 seconds'`)
      await passDays(0.0001)
      expect(await told(id)).toEqual(due.slice(0, index + 1))
      await world.sql(
        `update integration_tokens set expires_at = expires_at + interval '40 seconds' where expires_at > now() + interval '1 hour'`,
      )
      await world.sql(`update webhooks set expiries_told_until = now()`)
    }
    const [{ payload } = { payload: '' }] = await deliveries(id)
    expect(JSON.parse(payload)).toMatchObject({
      type: 'token.expired',
      data: { organizationId: world.alpha.id, tokenId: token.id, label: 'Ends', actor: null },
    })
  })

  it('is not told of what ended before the webhook was there, and is under one id to all that were', async () => {
    const receiver = await receive()
    const first = await hook(receiver.url)
    await createToken('Early', owner, inFuture(2_000))
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    const second = await hook(`${receiver.url}/2`)
    const third = await hook(`${receiver.url}/3`, { eventTypes: ['TOKEN_EXPIRING'] })
    await createToken('Late', owner, inFuture(2_000))
    await new Promise((resolve) => setTimeout(resolve, 2_100))
    await world.sql(
      `update webhooks set expiries_told_until = least(expiries_told_until, now() - interval '20 seconds') where id = $1`,
      [first.id],
    )
    await tellExpiries(world.dependencies)
    const labels = async (id: string) => (await told(id)).map(([, label]) => label)
    expect(await labels(first.id)).toEqual(['Early', 'Late'])
    expect(await labels(second.id)).toEqual(['Late'])
    expect(await labels(third.id)).toEqual([])
    const idOf = async (id: string) => (await deliveries(id))[0]?.eventId
    expect(await idOf(first.id)).toBe(await idOf(second.id))
  })

  it('is not told of what ended while the webhook was disabled', async () => {
    const receiver = await receive()
    const { id } = await hook(receiver.url)
    await createToken('Ends', owner, inFuture(1_000))
    unwrap((await owner.updateWebhook({ input: { id, enabled: false } })).updateWebhook)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    unwrap((await owner.updateWebhook({ input: { id, enabled: true } })).updateWebhook)
    const other = await hook(`${receiver.url}/other`)
    await world.sql(
      `update webhooks set expiries_told_until = expiries_told_until - interval '30 seconds' where id = $1`,
      [other.id],
    )
    await tellExpiries(world.dependencies)
    expect(await told(id)).toEqual([])
    expect(await told(other.id)).toHaveLength(1)
  })

  it('of thousands at once is told of each once', async () => {
    const receiver = await receive()
    const { id } = await hook(receiver.url, { eventTypes: ['TOKEN_EXPIRED'] })
    await world.sql(
      `insert into integration_tokens (id, organization_id, label, label_key, search_text, role_id, expires_at)
       select 'tok_' || lpad(n::text, 26, '0'), $1, 'T' || n, 't' || n, 't' || n, 'role_ci', now() - (n / 2) * interval '1 millisecond'
       from generate_series(1, 2500) n`,
      [world.alpha.id],
    )
    await world.sql(`update webhooks set expiries_told_until = now() - interval '1 minute'`)
    await Promise.all([tellExpiries(world.dependencies), tellExpiries(world.dependencies)])
    const [counted] = await world.sql(
      'select count(*)::int as all, count(distinct token_id)::int as tokens from webhook_deliveries where webhook_id = $1',
      [id],
    )
    expect(counted).toEqual({ all: 2500, tokens: 2500 })
  })
})

describe('the signing secret', () => {
  it('signs with the one before as well, until the overlap ends', async () => {
    const receiver = await receive()
    const { id, secret: old } = await hook(receiver.url)
    deliver()
    const regenerate = async (overlapSeconds: number) =>
      unwrap((await owner.regenerateWebhookSecret({ input: { id, overlapSeconds } })).regenerateWebhookSecret)
    const { secret, webhook } = await regenerate(3_600)
    expect(webhook.formerSecretUntil).not.toBeNull()
    expect(secret).not.toBe(old)
    await createToken('With both')
    await until(() => expect(receiver.accepted).toHaveLength(1))
    const [both] = receiver.accepted
    if (!both) throw new Error('There is one.')
    expect(String(both.headers['webhook-signature']).split(' ')).toHaveLength(2)
    for (const one of [old, secret]) checkSignature(one, both)
    await world.sql(`update webhooks set former_secret_until = now()`)
    await createToken('With the new one')
    await until(() => expect(receiver.accepted).toHaveLength(2))
    const [, alone] = receiver.accepted
    if (!alone) throw new Error('There are two.')
    checkSignature(secret, alone)
    expect(() => checkSignature(old, alone)).toThrow('No matching signature')
    expect((await regenerate(0)).webhook.formerSecretUntil).toBeNull()
  })

  it('moves to another server key when it is used, and is lost without the key that it is sealed under', async () => {
    const receiver = await receive()
    const { id, secret } = await hook(receiver.url)
    unwrap((await owner.regenerateWebhookSecret({ input: { id } })).regenerateWebhookSecret)
    const other = await hook(`${receiver.url}/other`)
    const open = async (key: string, formerServerKeys: string[]) => {
      const dependencies = await openDependencies({
        ...{ databaseUrl: world.databaseUrl, databaseConnections: 4, tokenPrefix: 'lk', log: world.dependencies.log },
        ...{ serverKey: key, formerServerKeys, webhookNetworks },
      })
      opened.defer(() => dependencies.close())
      return dependencies
    }
    const newKey = 'a server key that comes after the first one'
    const rotated = await open(newKey, [serverKey])
    let stop = deliver(rotated)
    await owner.testWebhook({ input: { id } })
    await until(() => expect(receiver.accepted).toHaveLength(1))
    await stop()
    if (receiver.accepted[0]) checkSignature(secret, receiver.accepted[0])
    expect(await world.sql('select id, key_id from webhooks order by created_at')).toEqual([
      { id, key_id: rotated.signingSecrets.keyId },
      { id: other.id, key_id: world.dependencies.signingSecrets.keyId },
    ])
    stop = deliver(await open(newKey, []))
    for (const webhook of [id, other.id]) await owner.testWebhook({ input: { id: webhook } })
    await until(() => expect(receiver.accepted).toHaveLength(2))
    if (receiver.accepted[1]) checkSignature(secret, receiver.accepted[1])
    const problem = 'It was not sent: its signing secret cannot be read any more. Regenerate the secret.'
    await until(async () => expect((await deliveries(other.id))[0]?.attempts).toMatchObject([{ problem }]))
    await stop()
  })

  it('opens for the webhook that it was sealed for, and no other', () => {
    opened = new AsyncDisposableStack()
    const { signingSecrets } = world.dependencies
    const secret = signingSecrets.issue()
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    const sealed = signingSecrets.seal('whk_one', secret)
    expect(signingSecrets.open('whk_one', sealed)).toBe(secret)
    expect(signingSecrets.open('whk_two', sealed)).toBeNull()
    expect(sealed.includes(Buffer.from(secret.slice(6), 'base64'))).toBe(false)
    expect(signingSecrets.seal('whk_one', secret)).not.toEqual(sealed)
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(signingSecrets.open('whk_one', changed)).toBeNull()
    }
    expect(signingSecrets.open('whk_one', Buffer.alloc(3))).toBeNull()
  })
})

describe('the address of a webhook', () => {
  const answers = new Map<string, string[]>()
  let strict: World
  beforeAll(async () => {
    opened = new AsyncDisposableStack()
    const lookup = async (host: string) =>
      (answers.get(host) ?? []).map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    strict = stack.use(await openWorld({ lookup }))
  })
  const create = async (url: string) => {
    const input = { url, eventTypes: ['TOKEN_CREATED' as const] }
    const { createWebhook } = await strict.alpha.owner.createWebhook({ input })
    await strict.sql('delete from webhooks')
    return createWebhook.__typename === 'InvalidInput' ? createWebhook.issues[0] : createWebhook.__typename
  }

  it.each([
    ...['https://127.0.0.1/', 'https://localhost/', 'https://10.1.2.3/', 'https://172.16.0.1/', 'https://192.168.1.1/'],
    ...[
      'https://169.254.169.254/latest/meta-data/',
      'https://100.64.0.1/',
      'https://0.0.0.0/',
      'https://0/',
      'https://2130706433/',
    ],
    ...['https://0x7f.1/', 'https://0177.0.0.1/', 'https://127.1/', 'https://224.0.0.1/', 'https://255.255.255.255/'],
    ...['https://192.0.2.1/', 'https://198.18.0.1/', 'https://240.0.0.1/', 'https://[::1]/', 'https://[::]/'],
    ...['https://[fe80::1]/', 'https://[fd00::1]/', 'https://[::ffff:10.0.0.1]/', 'https://[::10.0.0.1]/'],
    ...['https://[64:ff9b::a00:1]/', 'https://[2002:a00:1::]/', 'https://[2001:db8::1]/', 'https://[ff02::1]/'],
    ...['https://inside.example/', 'https://mixed.example/', 'https://nowhere.example/', 'https://127.0.0.1./'],
  ])('is refused where it leads into a network of the operator’s, or nowhere: %s', async (url) => {
    answers.set('inside.example', ['10.0.0.7']).set('mixed.example', ['93.184.215.14', '10.0.0.7'])
    answers.set('localhost', ['127.0.0.1'])
    expect(await create(url)).toEqual({
      path: 'url',
      message: 'The address is not on the public internet: its host is not found, or leads into a private network.',
    })
  })

  it.each([
    ['', 'This is no address. One is such as https://example.com/hooks.'],
    ['example.com/hooks', 'This is no address. One is such as https://example.com/hooks.'],
    ['http://outside.example/', 'The address has to begin with https://.'],
    ['ftp://outside.example/', 'The address has to begin with https://.'],
    ['javascript:alert(1)', 'The address has to begin with https://.'],
    ['https://me:secret@outside.example/', expect.stringMatching(/^An address cannot hold a user name or a password/)],
    [`https://outside.example/${'x'.repeat(2_000)}`, 'An address has at most 2000 characters.'],
  ])('is refused in a wrong form: %s', async (url, message) => {
    answers.set('outside.example', ['93.184.215.14'])
    expect(await create(url)).toEqual({ path: 'url', message })
  })

  it('is taken on the public internet', async () => {
    answers.set('outside.example', ['93.184.215.14', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'])
    for (const url of [
      'https://outside.example/hooks?to=1',
      'https://outside.example:8443/',
      'https://[2606:4700::1111]/',
      'https://[::ffff:93.184.215.14]/',
    ]) {
      expect(await create(url)).toBe('CreateWebhookPayload')
    }
  })

  it('is looked up anew for each message, which goes nowhere once it leads inside', async () => {
    const receiver = await receive()
    const port = new URL(receiver.url).port
    answers.set('turns.example', ['93.184.215.14'])
    const { owner: admin } = strict.alpha
    const { id } = await hook(`https://turns.example:${port}/hooks`, {}, admin)
    answers.set('turns.example', ['127.0.0.1'])
    deliver(strict.dependencies)
    await admin.testWebhook({ input: { id } })
    const problem = 'The address is not on the public internet: its host is not found, or leads into a private network.'
    await until(async () => {
      const { nodes } = (await admin.webhookDeliveries({ webhookId: id })).webhookDeliveries
      expect(nodes[0]?.attempts).toMatchObject([{ problem, statusCode: null }])
    })
    expect(receiver.received).toEqual([])
    await strict.sql('delete from webhooks')
  })

  it('is connected to as it was looked up, and by no second look-up', async () => {
    const receiver = await receive()
    const lookup = async () => [{ address: '127.0.0.1', family: 4 }]
    const pinned = await openDependencies({
      ...{ databaseUrl: world.databaseUrl, databaseConnections: 4, tokenPrefix: 'lk', log: world.dependencies.log },
      ...{ serverKey, webhookNetworks, lookup },
    })
    opened.defer(() => pinned.close())
    const { id } = await hook(receiver.url)
    // No other look-up finds a host of this name: RFC 6761 keeps it for that.
    await world.sql(`update webhooks set url = replace(url, '127.0.0.1', 'pinned.invalid')`)
    deliver(pinned)
    await owner.testWebhook({ input: { id } })
    await until(() => expect(receiver.accepted).toHaveLength(1))
    expect(receiver.accepted[0]?.headers.host).toMatch(/^pinned\.invalid:/)
  })

  it('is checked when it is changed, and a refused change changes nothing', async () => {
    answers.set('outside.example', ['93.184.215.14'])
    const { owner: admin } = strict.alpha
    const { id } = await hook('https://outside.example/', {}, admin)
    const change = await admin.updateWebhook({ input: { id, url: 'https://10.0.0.1/', description: 'Changed' } })
    expect(change.updateWebhook).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'url' }] })
    expect((await admin.webhook({ id })).webhook).toMatchObject({ url: 'https://outside.example/', description: null })
    const none = await admin.updateWebhook({ input: { id, eventTypes: [] } })
    expect(none.updateWebhook).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'eventTypes' }] })
    await strict.sql('delete from webhooks')
  })

  it('stands in the audit log by its host alone, and in the log not at all', async () => {
    answers.set('outside.example', ['93.184.215.14'])
    const { owner: admin } = strict.alpha
    const { id } = await hook('https://outside.example/services/a-secret-of-the-receiver', {}, admin)
    const [event] = (await admin.auditEvents({ first: 1 })).auditEvents.nodes
    expect(event).toMatchObject({ action: 'webhook.created', target: 'outside.example', targetId: id })
    expect(strict.logged.join()).not.toContain('a-secret-of-the-receiver')
    await strict.sql('delete from webhooks')
  })
})

describe('a database that is away', () => {
  it('is told of once by what looks for messages every second, and again when it is back', async () => {
    opened = new AsyncDisposableStack()
    const before = world.logged.length
    const told = () =>
      world.logged
        .slice(before)
        .filter((line) => line.includes('webhook messages that are due'))
        .map((line): unknown => JSON.parse(line))
    const asked = vi.spyOn(world.dependencies.database.lookup, 'query')
    asked.mockImplementation(() => Promise.reject(Object.assign(new Error('gone'), { code: 'ECONNREFUSED' })))
    deliver()
    const looked = () => asked.mock.calls.filter(([text]) => String(text).includes('webhook_deliveries'))
    await until(() => expect(looked().length).toBeGreaterThan(2)).finally(() => asked.mockRestore())
    await until(() => expect(told()).toHaveLength(2))
    expect(told()).toMatchObject([{ level: 40, error: 'Error: gone' }, { level: 30 }])
  })
})
