import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { readNetworks } from '../server/http/client-address.ts'
import { startDeliveries } from '../server/webhooks/delivery.ts'
import { checkSignature, openReceiver, type Receiver } from './receiver.ts'
import { openWorld, type World } from './world.ts'

let world: World
let receiver: Receiver
let stop: () => Promise<void>

beforeAll(async () => {
  world = await openWorld({ webhookNetworks: readNetworks(['127.0.0.0/8']) })
  receiver = await openReceiver()
  stop = startDeliveries(world.dependencies)
})
afterAll(async () => {
  await stop()
  await receiver[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})

describe('a webhook', () => {
  it('is told what happens to a token, in order and signed', async () => {
    const { owner } = world.alpha
    const { secret } = unwrap(
      (
        await owner.createWebhook({
          input: { url: receiver.url, eventTypes: ['TOKEN_CREATED', 'TOKEN_DISABLED', 'TOKEN_DELETED'] },
        })
      ).createWebhook,
    )
    const { token } = unwrap((await owner.createToken({ input: { label: 'Jenkins', roleId: 'role_ci' } })).createToken)
    unwrap((await owner.updateToken({ input: { id: token.id, enabled: false } })).updateToken)
    unwrap((await owner.deleteToken({ input: { id: token.id } })).deleteToken)
    await vi.waitFor(() => expect(receiver.accepted).toHaveLength(3), 5_000)
    expect(receiver.accepted.map(({ type }) => type)).toEqual(['token.created', 'token.disabled', 'token.deleted'])
    for (const got of receiver.accepted) checkSignature(secret, got)
  })
})
