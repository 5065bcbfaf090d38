import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { provisioner, type ScimClient } from './scim.ts'
import { openWorld, type World } from './world.ts'

/** What an identity provider sends, in its order, and what it is to be answered; `{user}` is the id that was kept so. */
const exchanges = z.array(
  z.object({
    what: z.string(),
    method: z.string(),
    path: z.string(),
    headers: z.record(z.string(), z.string()).optional(),
    body: z.unknown().optional(),
    status: z.number(),
    /** The answer holds at least this. */
    answer: z.record(z.string(), z.unknown()).optional(),
    lacks: z.array(z.string()).optional(),
    keepId: z.string().optional(),
  }),
)

const recorded = (provider: string) =>
  exchanges.parse(JSON.parse(readFileSync(new URL(`./scim-exchanges/${provider}.json`, import.meta.url), 'utf8')))

let world: World
let scim: ScimClient
beforeAll(async () => {
  world = await openWorld()
  scim = await provisioner(world, world.alpha)
})
afterAll(() => world[Symbol.asyncDispose]())

describe.each(['okta', 'entra'])('%s', (provider) => {
  const kept = new Map<string, string>()
  const fill = (text: string) => text.replace(/\{(user|group)\}/g, (_, name: string) => kept.get(name) ?? name)

  it.each(recorded(provider))('$what', async ({ method, path, headers, body, status, answer, lacks = [], keepId }) => {
    const sent = body === undefined ? undefined : fill(JSON.stringify(body))
    const answered = await scim.send(method, fill(path), sent, headers)
    expect({ status: answered.status, text: answered.text }).toMatchObject({ status })
    if (answer)
      expect(answered.body).toMatchObject(
        z.record(z.string(), z.unknown()).parse(JSON.parse(fill(JSON.stringify(answer)))),
      )
    for (const name of lacks) expect(answered.body).not.toHaveProperty(name)
    expect(answered.text).not.toMatch(/password|from-okta/)
    if (keepId !== undefined) kept.set(keepId, answered.body.id ?? '')
  })

  it('has left no password anywhere', async () => {
    const everything = await world.sql<{ row: string }>(
      'select to_jsonb(m)::text as row from members m union all select to_jsonb(p)::text from people p union all select to_jsonb(e)::text from audit_events e',
    )
    const sent = /1mz050nq|another-from-okta/
    expect(everything.filter(({ row }) => sent.test(row))).toEqual([])
    expect(world.logged.filter((line) => sent.test(line))).toEqual([])
  })
})
