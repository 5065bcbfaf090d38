import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkSignature, openReceiver, passTime, type Receiver } from './receiver.ts'
import { startServerProcess } from './server-process.ts'
import { openWorld, type World } from './world.ts'

const environment = { WEBHOOK_NETWORKS: '127.0.0.0/8' }
const minutes = 60
const stack = new AsyncDisposableStack()

let world: World
let receiver: Receiver
beforeAll(async () => {
  world = stack.use(await openWorld())
  receiver = stack.use(await openReceiver())
})
afterAll(() => stack.disposeAsync())

interface Event {
  id: string
  type: string
  tokenId: string
}

describe('with the receiving end down for an hour, and the server killed twice', { timeout: 120_000 }, () => {
  it('every event arrives, for each token in order, and none is invented', async () => {
    let server = await startServerProcess(stack, { ...world, environment })
    const { address } = server
    const port = new URL(address).port
    const owner = createClient({ url: address, credential: world.alpha.owner.sessionToken })
    const restart = async () => {
      server.child.kill('SIGKILL')
      await once(server.child, 'exit')
      server = await startServerProcess(stack, { ...world, port, environment })
    }
    const { createWebhook } = await owner.createWebhook({
      input: {
        url: receiver.url,
        eventTypes: ['TOKEN_CREATED', 'TOKEN_UPDATED', 'TOKEN_DISABLED', 'TOKEN_ENABLED', 'TOKEN_DELETED'],
      },
    })
    if (createWebhook.__typename !== 'CreateWebhookPayload') throw new Error(createWebhook.message)

    /** What was answered, so that it has to arrive. Of what was under way when the server was killed, nobody knows. */
    const acknowledged: [type: string, tokenId: string][] = []
    let busy = true
    async function work(name: number): Promise<void> {
      for (let round = 0; busy; round++) {
        try {
          const { createToken } = await owner.createToken({
            input: { label: `Token ${name}.${round}`, roleId: 'role_ci' },
          })
          if (createToken.__typename !== 'CreateTokenPayload') throw new Error(createToken.message)
          const { id } = createToken.token
          acknowledged.push(['token.created', id])
          for (const enabled of [false, true, false]) {
            await owner.updateToken({ input: { id, enabled } })
            acknowledged.push([enabled ? 'token.enabled' : 'token.disabled', id])
            await delay(100)
          }
          await owner.deleteToken({ input: { id } })
          acknowledged.push(['token.deleted', id])
        } catch {
          await delay(100)
        }
        await delay(100)
      }
    }
    const working = [work(1), work(2), work(3)]

    await until(() => receiver.accepted.length > 10)
    // It answers that it is not well, or not at all.
    for (let minute = 0; minute < minutes; minute++) {
      receiver.answer = minute % 10 === 9 ? null : minute % 2 === 0 ? 500 : 503
      if (minute === 20) await restart()
      await passAMinute()
      await delay(150)
    }
    const tried = receiver.received.length - receiver.accepted.length
    receiver.answer = 204
    busy = false
    await Promise.all(working)
    const [{ waiting } = { waiting: 0 }] = await world.sql<{ waiting: number }>(
      `select count(*)::int as waiting from webhook_deliveries where status = 'PENDING'`,
    )
    expect(tried).toBeGreaterThan(20)
    expect(waiting).toBeGreaterThan(50)

    // Killed once more, in the middle of what has piled up.
    const before = receiver.accepted.length
    await passAMinute()
    await until(() => receiver.accepted.length > before + 20)
    await restart()
    await until(async () => {
      await passAMinute()
      await delay(500)
      const left = await world.sql(`select from webhook_deliveries where status <> 'DELIVERED'`)
      return left.length === 0
    })

    const recorded = await world.sql<Event>(
      `select id, action as type, target_id as "tokenId" from audit_events where action like 'token.%' order by position`,
    )
    for (const message of receiver.accepted) checkSignature(createWebhook.secret, message)
    const arrived = new Map<string, Event>()
    for (const { id, type, data } of receiver.accepted) {
      // A second time is allowed. What counts is when it first came.
      if (!arrived.has(id)) arrived.set(id, { id, type, tokenId: String(data.tokenId) })
    }
    const ofEachToken = (events: Iterable<Event>) => Object.fromEntries(Map.groupBy(events, ({ tokenId }) => tokenId))
    expect(ofEachToken(arrived.values())).toEqual(ofEachToken(recorded))
    const answered = new Set([...arrived.values()].map(({ type, tokenId }) => `${type} ${tokenId}`))
    expect(acknowledged.filter(([type, tokenId]) => !answered.has(`${type} ${tokenId}`))).toEqual([])
    expect(acknowledged.length).toBeGreaterThan(60)
  })
})

const passAMinute = () => passTime(world, '1 minute')

async function until(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 40_000
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error('It does not come to that.')
    await delay(20)
  }
}
