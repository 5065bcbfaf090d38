import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLastUse } from '../server/identity/last-use.ts'
import { createMetrics } from '../server/observability/metrics.ts'
import { openWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

async function create(label: string) {
  return unwrap((await world.alpha.owner.createToken({ input: { label, roleId: 'role_ci' } })).createToken)
}
async function find(secret: string) {
  const { credentials, digester } = world.dependencies
  const [credential] = await credentials.find([digester.read(secret)])
  if (!credential) throw new Error('It is not on record.')
  return credential
}

describe('uses that wait to be written', () => {
  it('of one secret are one, at the last time and from the last address that was told', async () => {
    let seconds = 0
    const start = Date.now()
    const lastUse = createLastUse({
      ...world.dependencies,
      metrics: createMetrics(),
      now: () => new Date(start + seconds * 1_000),
    })
    const { token, secret } = await create('Used often')
    const credential = await find(secret)
    for (const [at, from] of [
      [0, '203.0.113.8'],
      [100, '203.0.113.9'],
      [200, null],
    ] as const) {
      seconds = at
      lastUse.record(credential, from)
    }
    seconds = 230
    await lastUse.close()
    const [written] = await world.sql<{ age: number; from: string }>(
      `select extract(epoch from now() - last_used_at)::float8 as age, last_used_from as "from" from token_uses where token_id = $1`,
      [token.id],
    )
    expect(written?.from).toBe('203.0.113.9')
    expect(Math.round((written?.age ?? 0) / 10)).toBe(3)
  })

  it('are two of a secret that was accepted, and was retired by the time that it was used again', async () => {
    const lastUse = createLastUse({ ...world.dependencies, metrics: createMetrics() })
    const { token, secret } = await create('Regenerated')
    const accepted = await find(secret)
    unwrap((await world.alpha.owner.regenerateToken({ input: { id: token.id } })).regenerateToken)
    const retired = await find(secret)
    expect([accepted.accepted, retired.accepted]).toEqual([true, false])
    lastUse.record(accepted, null)
    lastUse.record(retired, '203.0.113.9')
    await lastUse.close()
    const filter = { targetId: token.id, actions: ['token.retired_secret_used'] }
    const { nodes } = (await world.alpha.owner.auditEvents({ filter })).auditEvents
    expect(nodes).toMatchObject([{ ipAddress: '203.0.113.9' }])
  })
})
