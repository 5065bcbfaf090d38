import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('deleteToken', () => {
  it('refuses another organization’s token as not found, so that ids cannot be probed', async () => {
    const { alpha, beta } = world
    const { token } = unwrap(
      (await alpha.superAdmin.createToken({ input: { label: 'Jenkins', roleId: 'role_ci' } })).createToken,
    )
    const { deleteToken } = await beta.superAdmin.deleteToken({ input: { id: token.id } })
    expect(deleteToken.__typename).toBe('TokenNotFound')
    expect(await alpha.tokenLabels()).toEqual(['Jenkins'])
  })
})
