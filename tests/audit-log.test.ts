import type { Latchkey } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, type World } from './world.ts'

type Page = Awaited<ReturnType<Latchkey['auditEvents']>>['auditEvents']
type Request = NonNullable<Parameters<Latchkey['auditEvents']>[0]>

let world: World
/** The ids of alpha’s events about “tok_many”, newest first: five at each instant, in no order. */
let due: string[]
beforeAll(async () => {
  world = await openWorld()
  for (const { id } of [world.alpha, world.beta]) {
    await world.sql(
      `insert into audit_events (id, organization_id, at, action, actor, target_id)
       select 'evt_0' || translate(left(md5($1 || n), 25), 'ilou', 'wxyz'), $1,
         date_trunc('day', now()) - n * 7 % 9 * interval '1 hour',
         (array['token.updated', 'token.disabled'])[1 + n % 2], 'someone', 'tok_many'
       from generate_series(1, 45) n`,
      [id],
    )
  }
  const rows = await world.sql<{ id: string }>(
    `select id from audit_events where organization_id = $1 and target_id = 'tok_many' order by at desc, id collate "C" desc`,
    [world.alpha.id],
  )
  due = rows.map(({ id }) => id)
})
afterAll(() => world[Symbol.asyncDispose]())

const filter = { targetId: 'tok_many' }
const list = async (request: Request): Promise<Page> =>
  (await world.alpha.superAdmin.auditEvents({ filter, ...request })).auditEvents
const idsOf = ({ nodes }: Page) => nodes.map(({ id }) => id)

describe('the audit log', () => {
  it.each([1, 7, 20, 45, 100])('has every event once, newest first, in pages of %i from either end', async (size) => {
    const forward: string[] = []
    for (let after: string | null = null; ; ) {
      const page: Page = await list({ first: size, after })
      forward.push(...idsOf(page))
      if (!page.pageInfo.hasNextPage) break
      after = page.pageInfo.endCursor
    }
    const backward: string[] = []
    for (let before: string | null = null; ; ) {
      const page: Page = await list({ last: size, before })
      backward.unshift(...idsOf(page))
      if (!page.pageInfo.hasPreviousPage) break
      before = page.pageInfo.startCursor
    }
    expect(due).toHaveLength(45)
    expect({ forward, backward }).toEqual({ forward: due, backward: due })
  })

  it('goes back from a page to the one before it, and says whether there are more either way', async () => {
    const first = await list({ first: 20 })
    const second = await list({ first: 20, after: first.pageInfo.endCursor })
    expect(first.pageInfo).toMatchObject({ hasPreviousPage: false, hasNextPage: true })
    expect(second.pageInfo).toMatchObject({ hasPreviousPage: true, hasNextPage: true })
    const back = await list({ last: 20, before: second.pageInfo.startCursor })
    expect(idsOf(back)).toEqual(idsOf(first))
    expect(back.pageInfo).toMatchObject({ hasPreviousPage: false, hasNextPage: true })
    const between = { after: first.pageInfo.startCursor, before: second.pageInfo.endCursor }
    expect(idsOf(await list({ first: 100, ...between }))).toEqual(due.slice(1, 39))
    expect(idsOf(await list({ last: 5, ...between }))).toEqual(due.slice(34, 39))
  })

  it('goes back within a filter', async () => {
    const disabled = { ...filter, actions: ['token.disabled'] }
    const whole = idsOf(await list({ first: 100, filter: disabled }))
    expect(whole).toHaveLength(23)
    const end = await list({ last: 10, filter: disabled })
    const middle = await list({ last: 10, before: end.pageInfo.startCursor, filter: disabled })
    expect([...idsOf(middle), ...idsOf(end)]).toEqual(whole.slice(-20))
  })

  it('is asked from one end at a time', async () => {
    await expect(list({ first: 1, last: 1 })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: 'Give “first” or “last”, not both.',
    })
    for (const last of [0, -1, 101]) await expect(list({ last })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
    await expect(list({ last: 1, before: 'x' })).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  })
})
