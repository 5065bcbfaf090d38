import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readNetworks } from '../server/http/client-address.ts'
import { startDeliveries } from '../server/webhooks/delivery.ts'
import { webhookEventTypes } from '../server/webhooks/event-types.ts'
import { tellExpiries } from '../server/webhooks/expiry.ts'
import { codes, readPage } from './markdown.ts'
import { openReceiver } from './receiver.ts'
import { firstAnswer, freePort, writeProgram } from './shown-program.ts'
import { openWorld, type World } from './world.ts'

const { block, table } = await readPage(new URL('../docs/webhooks.md', import.meta.url))

let world: World
let stop: () => Promise<void>
beforeAll(async () => {
  world = await openWorld({ webhookNetworks: readNetworks(['127.0.0.0/8']) })
  stop = startDeliveries(world.dependencies)
})
afterAll(async () => {
  await stop()
  await world[Symbol.asyncDispose]()
})

describe('the page on webhooks', () => {
  it('shows a receiver that takes what is sent to it, and refuses what is not signed', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/hooks`
    const credential = world.alpha.owner.sessionToken
    const response = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${credential}` },
      body: JSON.stringify({ query: block('graphql', 'CreateWebhook'), variables: { url } }),
    })
    const { data } = await response.json()
    const { webhook, secret } = data.createWebhook
    await using program = await writeProgram(block('ts', 'standardwebhooks').replaceAll('3000', String(port)))
    expect(await program.faults()).toBe('')
    const receiver = program.start({ WEBHOOK_SECRET: secret })
    const unsigned = await firstAnswer(() => fetch(url, { method: 'POST', body: '{}' }))
    expect(unsigned.status).toBe(401)
    unwrap((await world.alpha.owner.testWebhook({ input: { id: webhook.id } })).testWebhook)
    await vi.waitFor(
      async () => {
        const { nodes } = (await world.alpha.owner.webhookDeliveries({ webhookId: webhook.id })).webhookDeliveries
        expect(nodes[0]?.attempts).toMatchObject([{ statusCode: 204, problem: null }])
      },
      { timeout: 10_000 },
    )
    expect(await receiver.stop()).toBe('')
  })

  it('lists every type that there is, and shows a message as it is sent', async () => {
    const listed = table('| `type` | when |').flatMap(([types]) => codes(types))
    expect(listed.sort()).toEqual([...webhookEventTypes].sort())
    await using receiver = await openReceiver()
    const { owner } = world.alpha
    unwrap((await owner.createWebhook({ input: { url: receiver.url, eventTypes: ['TOKEN_EXPIRING'] } })).createWebhook)
    const expiresAt = new Date(Date.now() + 14 * 24 * 60 * 60 * 1_000 + 500).toISOString()
    unwrap((await owner.createToken({ input: { label: 'Jenkins', roleId: 'role_ci', expiresAt } })).createToken)
    // As if the half minute had gone by after which it is looked at anew.
    const past = `now() - interval '30 seconds'`
    await vi.waitFor(
      async () => {
        await world.sql(`update webhooks set expiries_told_until = least(expiries_told_until, ${past})`)
        await tellExpiries(world.dependencies)
        expect(receiver.accepted).not.toEqual([])
      },
      { timeout: 10_000, interval: 500 },
    )
    const shown = JSON.parse(block('json', 'token.expiring'))
    const sent = JSON.parse(receiver.accepted[0]?.body ?? '')
    expect(Object.keys(sent)).toEqual(Object.keys(shown))
    expect(Object.keys(sent.data)).toEqual(Object.keys(shown.data))
    const { label, actor, expiresInDays } = shown.data
    expect(sent).toMatchObject({ type: shown.type, data: { label, actor, expiresInDays } })
  })
})
