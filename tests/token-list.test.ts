import { type Latchkey, unwrap } from '@latchkey/sdk'
import { sql } from 'drizzle-orm'
import { PgDialect, pgTable, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { PageBounds } from '../server/database/keyset.ts'
import { withOrganization } from '../server/database/with-organization.ts'
import { findPage, type TokenFilter, type TokenSort, tokenSorts } from '../server/tokens/listing.ts'
import type { TokenStatus } from '../server/tokens/status.ts'
import { openWorld, type TestOrganization, type World } from './world.ts'

type Page = Awaited<ReturnType<Latchkey['integrationTokens']>>['integrationTokens']
type Request = NonNullable<Parameters<Latchkey['integrationTokens']>[0]>

/** A token as the test itself orders and filters it. */
interface Row {
  id: string
  label: string
  searchText: string
  roleId: string
  enabled: boolean
  createdAt: string
  lastUsedAt: string | null
  expiresAt: string | null
  ended: boolean
}

const everyStatus: TokenStatus[] = ['ACTIVE', 'DISABLED', 'EXPIRED']
const everyStatusFilter: TokenFilter = { search: null, roleIds: null, statuses: everyStatus }

let world: World
/** 1,200 tokens: more than a first walk passes. */
let many: TestOrganization
/** 45 tokens: few enough for pages of one. */
let few: TestOrganization
beforeAll(async () => {
  world = await openWorld()
  many = world.alpha
  few = world.beta
  await fill(many, 1_200)
  await fill(few, 45)
})
afterAll(() => world[Symbol.asyncDispose]())

describe('the pages of the list', () => {
  it.each(tokenSorts)('in the order %s hold every token once, from either end, whatever their size', async (sort) => {
    for (const [organization, sizes] of [[few, [1, 7, 100]] as const, [many, [100]] as const]) {
      const due = (await rowsOf(organization)).sort(comparing(sort)).map(({ id }) => id)
      for (const size of sizes) {
        expect(await collect(organization, { first: size, sort, filter: { statuses: everyStatus } })).toEqual(due)
        expect(await collect(organization, { last: size, sort, filter: { statuses: everyStatus } })).toEqual(due)
      }
    }
  })

  it('neither repeat nor leave out a token while others are created and deleted around them', async () => {
    const { owner } = world.beta
    const sort = 'LABEL_ASC'
    const before = (await rowsOf(few)).sort(comparing(sort)).map(({ id }) => id)
    const seen: string[] = []
    const made: string[] = []
    let after: string | null = null
    do {
      const page: Page = await list(few, { first: 5, after, sort, filter: { statuses: everyStatus } })
      seen.push(...page.nodes.map(({ id }) => id))
      // In front of everything, and right after what was just read.
      for (const label of [`0 ${seen.length}`, `${page.nodes.at(-1)?.label} next`]) {
        const created = await owner.createToken({ input: { label, roleId: 'role_ci' } })
        made.push(unwrap(created.createToken).token.id)
      }
      unwrap((await owner.deleteToken({ input: { id: made[0] ?? '' } })).deleteToken)
      made.shift()
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
    } while (after !== null)
    expect(seen.filter((id) => before.includes(id))).toEqual(before)
    expect(new Set(seen).size).toBe(seen.length)
    for (const id of made) await owner.deleteToken({ input: { id } })
  })

  it('are not cut short by a token that is deleted while they are read', async () => {
    const { owner } = world.beta
    const created = await owner.createToken({ input: { label: '0 first of all', roleId: 'role_ci' } })
    const { token } = unwrap(created.createToken)
    const query = pg.Client.prototype.query
    let deleted = false
    const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(async function (
      this: pg.Client,
      ...given: unknown[]
    ) {
      const answer = await Reflect.apply(query, this, given)
      if (!deleted && JSON.stringify(given[0]).includes('position::text')) {
        deleted = true
        await world.sql('delete from integration_tokens where id = $1', [token.id])
      }
      return answer
    })
    try {
      const page = await list(few, { first: 10, sort: 'LABEL_ASC' })
      expect(deleted).toBe(true)
      expect(page.nodes).toHaveLength(10)
      expect(page.pageInfo.hasNextPage).toBe(true)
    } finally {
      spy.mockRestore()
    }
  })

  it('say whether there are more, as the Relay specification has it', async () => {
    const filter = { statuses: everyStatus }
    const [whole, next, previous, last, empty] = [
      await list(few, { first: 100, filter }),
      await list(few, { first: 44, filter }),
      await list(few, { last: 44, filter }),
      await list(few, { first: 45, filter }),
      await list(few, { filter: { search: 'nothing has this' } }),
    ]
    expect(whole.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: false })
    expect(next.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false })
    expect(previous.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true })
    expect(last.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: false })
    expect(empty.pageInfo).toEqual({ hasNextPage: false, hasPreviousPage: false, startCursor: null, endCursor: null })
    const rest = await list(few, { first: 100, after: next.pageInfo.endCursor, filter })
    expect(rest.nodes).toHaveLength(1)
    expect(rest.pageInfo).toMatchObject({ hasNextPage: false, hasPreviousPage: true })
    const between = { after: whole.pageInfo.startCursor, before: whole.pageInfo.endCursor, filter }
    expect((await list(few, { first: 100, ...between })).nodes).toEqual(whole.nodes.slice(1, -1))
    expect((await list(few, { last: 5, ...between })).nodes).toEqual(whole.nodes.slice(-6, -1))
  })

  it('belong to their order: a cursor of another one is refused', async () => {
    const { pageInfo } = await list(few, { first: 1, sort: 'LABEL_ASC' })
    await expect(list(few, { first: 1, after: pageInfo.endCursor, sort: 'CREATED_AT_ASC' })).rejects.toMatchObject({
      code: 'BAD_REQUEST',
    })
  })

  it('are in an order of the contract’s, and in no other that a caller names', async () => {
    const injected = 'label" desc; drop table integration_tokens; --'
    const spy = vi.spyOn(pg.Client.prototype, 'query')
    try {
      for (const sort of [
        'label',
        'createdAt',
        injected,
        'constructor',
        ['LABEL_ASC', injected],
        { label: injected },
      ]) {
        const response = await fetch(`${world.url}/graphql`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', authorization: `Bearer ${many.owner.sessionToken}` },
          body: JSON.stringify({
            query: 'query($sort: IntegrationTokenSort!) { integrationTokens(sort: $sort) { nodes { id } } }',
            variables: { sort },
          }),
        })
        const { data, errors } = await response.json()
        expect([data, errors[0].extensions.code]).toEqual([undefined, 'BAD_REQUEST'])
      }
      const statements = spy.mock.calls.map((call) => JSON.stringify(call))
      expect(statements.filter((statement) => statement.includes('drop table'))).toEqual([])
    } finally {
      spy.mockRestore()
    }
  })

  it('are asked for in SQL that a name cannot leave, were one ever to come from outside', async () => {
    const name = 'label" desc; drop table integration_tokens; --'
    const quoted = `"label"" desc; drop table integration_tokens; --"`
    const dialect = new PgDialect()
    expect(dialect.sqlToQuery(sql`order by ${sql.identifier(name)}`).sql).toBe(`order by ${quoted}`)
    const outside = pgTable('outside', { column: text(name) })
    expect(dialect.sqlToQuery(sql`order by ${outside.column}`).sql).toBe(`order by "outside".${quoted}`)
    expect(dialect.sqlToQuery(sql`select ${sql`now()`.as(name)}`).sql).toBe(`select ${quoted}`)
  })

  it('are the same in whichever way they are found', async () => {
    const rows = await rowsOf(many)
    const ways = {
      'a walk without end': [],
      'one walk': [{ walked: 10_000, gathered: 0 }],
      'all gathered': [{ walked: 0, gathered: 10_000 }],
      'short turns': [
        { walked: 5, gathered: 5 },
        { walked: 50, gathered: 50 },
        { walked: 300, gathered: 300 },
      ],
    }
    const filters: TokenFilter[] = [
      ...subsets(everyStatus).map((statuses) => ({ search: null, roleIds: null, statuses })),
      { ...everyStatusFilter, roleIds: ['role_scim'] },
      { ...everyStatusFilter, roleIds: ['role_scim', 'role_jira', 'no such role'] },
      { ...everyStatusFilter, roleIds: [] },
      { ...everyStatusFilter, search: 'jenkins' },
      { ...everyStatusFilter, search: 'okta 1' },
      { ...everyStatusFilter, search: 'k' },
      { ...everyStatusFilter, search: 'zz' },
      { search: 'jenkins', roleIds: ['role_scim'], statuses: ['ACTIVE', 'DISABLED'] },
      { search: 'rare', roleIds: null, statuses: ['EXPIRED'] },
    ]
    let compared = 0
    for (const sort of tokenSorts) {
      for (const filter of filters) {
        const matching = rows.filter(matches(filter)).sort(comparing(sort))
        const middle = matching[Math.floor(matching.length / 2)]
        const cursors = [null, middle ? { id: middle.id, value: keyOf(sort, middle) } : null]
        for (const cursor of cursors) {
          for (const backward of [false, true]) {
            const bounds: PageBounds = {
              size: 7,
              backward,
              after: backward ? null : cursor,
              before: backward ? cursor : null,
            }
            const at = middle && cursor ? matching.indexOf(middle) : backward ? matching.length : -1
            const due = backward ? matching.slice(0, at).reverse() : matching.slice(at + 1)
            for (const [way, turns] of Object.entries(ways)) {
              const found = await withOrganization(
                world.dependencies.database,
                { organizationId: many.id },
                (transaction) => findPage(transaction, { organizationId: many.id, filter, sort, bounds }, turns),
              )
              const ids = due.slice(0, 8).map(({ id }) => id)
              expect({ way, sort, filter, bounds, ids: found.map(({ id }) => id) }).toEqual({
                ...{ way, sort, filter, bounds, ids },
              })
              compared++
            }
          }
        }
      }
    }
    expect(compared).toBe(tokenSorts.length * filters.length * 4 * 4)
  }, 120_000)
})

describe('the search', () => {
  const found = async (search: string) => {
    const { nodes, totalCount } = await list(few, { first: 100, filter: { search }, withTotalCount: true })
    expect(totalCount).toBe(nodes.length)
    return nodes.map(({ label }) => label).sort()
  }
  beforeAll(async () => {
    for (const [label, description] of [
      ['Straße', null],
      ['İstanbul', null],
      ['ＷＩＤＥ', null],
      ['🔑 key', null],
      ['100% done', null],
      ['under_score', null],
      ['back\\slash', null],
      ['qqq', 'In the Description\nof Grüße'],
    ] as const) {
      unwrap((await few.owner.createToken({ input: { label, description, roleId: 'role_ci' } })).createToken)
    }
  })

  it('finds any part of the label or the description, in any case and width', async () => {
    for (const search of ['straße', 'STRAßE', 'STRAẞE', 'ß', 'aß']) expect(await found(search)).toContain('Straße')
    for (const search of ['İSTANBUL', 'i̇st', 'stan', 'bul']) expect(await found(search)).toEqual(['İstanbul'])
    for (const search of ['wide', 'ＩＤ', 'WID']) expect(await found(search)).toEqual(['ＷＩＤＥ'])
    for (const search of ['the descr', 'DESCRIPTION', 'grüße', 'GRÜ']) expect(await found(search)).toEqual(['qqq'])
    for (const search of ['🔑', '🔑 k', 'KEY']) expect(await found(search)).toEqual(['🔑 key'])
  })

  it('takes every character for itself', async () => {
    expect(await found('%')).toEqual(['100% done'])
    expect(await found('0% d')).toEqual(['100% done'])
    expect(await found('_')).toEqual(['under_score'])
    expect(await found('r_s')).toEqual(['under_score'])
    expect(await found('\\')).toEqual(['back\\slash'])
    expect(await found('k\\s')).toEqual(['back\\slash'])
    expect(await found("'")).toEqual([])
    expect(await found('100%%')).toEqual([])
    expect(await found('straßen')).toEqual([])
  })

  it('leaves out the spaces around it, and is none where nothing else is left', async () => {
    expect(await found('  under_  ')).toEqual(['under_score'])
    expect(await found('  ')).toEqual(await found(''))
    expect((await found('')).length).toBeGreaterThan(30)
  })

  it('finds what was just created, renamed and described, and no more what was deleted', async () => {
    const { owner } = few
    const { token } = unwrap((await owner.createToken({ input: { label: 'Old name', roleId: 'role_ci' } })).createToken)
    expect(await found('old n')).toEqual(['Old name'])
    await owner.updateToken({ input: { id: token.id, label: 'New name' } })
    expect([await found('old n'), await found('new n')]).toEqual([[], ['New name']])
    await owner.updateToken({ input: { id: token.id, description: 'Somewhere' } })
    expect(await found('where')).toEqual(['New name'])
    await owner.updateToken({ input: { id: token.id, description: null } })
    expect(await found('where')).toEqual([])
    await owner.deleteToken({ input: { id: token.id } })
    expect(await found('new n')).toEqual([])
    expect(await world.sql('select from token_search_texts where token_id = $1', [token.id])).toEqual([])
  })

  it('finds nothing of another organization', async () => {
    expect((await list(many, { filter: { search: 'straße' } })).nodes).toEqual([])
  })

  it('finds all, and counts all, among more tokens than are walked at first', async () => {
    const rows = await rowsOf(many)
    for (const search of [
      'k',
      'ar',
      'jenkins',
      'okta 1',
      '77',
      '777',
      'token 1',
      'rare',
      'rare 600',
      'zz',
      'nothing',
    ]) {
      const due = rows.filter(matches({ ...everyStatusFilter, search })).sort(comparing('CREATED_AT_DESC'))
      const request = { filter: { search, statuses: everyStatus }, withTotalCount: true }
      const { nodes, totalCount } = await list(many, { first: 100, ...request })
      expect({ search, labels: nodes.map(({ label }) => label), totalCount }).toEqual({
        search,
        labels: due.slice(0, 100).map(({ label }) => label),
        totalCount: due.length,
      })
    }
  })
})

describe('the filters', () => {
  it('leave expired tokens out unless they are asked for', async () => {
    const { nodes, totalCount } = await list(many, { first: 100, sort: 'EXPIRES_AT_ASC', withTotalCount: true })
    expect(new Set(nodes.map(({ status }) => status))).toEqual(new Set(['ACTIVE', 'DISABLED']))
    const due = (await rowsOf(many)).filter(matches({ ...everyStatusFilter, statuses: ['ACTIVE', 'DISABLED'] }))
    expect(totalCount).toBe(due.length)
    expect(due.length).toBeLessThan(1_200)
  })

  it('by role, by status, and by both with a search, hold what they name, and count it', async () => {
    const rows = await rowsOf(many)
    for (const roleIds of [null, ['role_jira'], ['role_scim', 'role_ci'], ['nobody’s'], []]) {
      for (const statuses of subsets(everyStatus)) {
        for (const search of [null, 'rare', 'jenkins']) {
          const filter = { roleIds, statuses, search }
          const due = rows.filter(matches(filter)).sort(comparing('CREATED_AT_DESC'))
          const { nodes, totalCount } = await list(many, { first: 20, filter, withTotalCount: true })
          expect({ filter, ids: nodes.map(({ id }) => id), totalCount }).toEqual({
            ...{ filter, ids: due.slice(0, 20).map(({ id }) => id), totalCount: due.length },
          })
          for (const { status } of nodes) expect(statuses).toContain(status)
        }
      }
    }
  })
})

describe('what a page costs', () => {
  it('is the same few statements for one token as for a hundred, and a bounded number for any filter', async () => {
    const spy = vi.spyOn(pg.Client.prototype, 'query')
    // Once a second, whatever is asked: the last use of the session that asks, and the listener's heartbeat.
    const besides = /^update \w+ set last_used_at|^select pg_notify/
    const statementsOf = async (request: Request) => {
      spy.mockClear()
      await list(many, { ...request, withTotalCount: true })
      return spy.mock.calls.filter(([statement]) => !(typeof statement === 'string' && besides.test(statement))).length
    }
    try {
      expect(await statementsOf({ first: 100 })).toBe(await statementsOf({ first: 1 }))
      expect(await statementsOf({ first: 100 })).toBeLessThanOrEqual(9)
      for (const search of ['k', 'jenkins', 'rare', 'zz', 'nothing']) {
        expect(await statementsOf({ first: 100, filter: { search, statuses: ['EXPIRED'] } })).toBeLessThanOrEqual(18)
      }
    } finally {
      spy.mockRestore()
    }
  })

  it.each(tokenSorts)('in the order %s is read from its cursor on, also behind row-level security', async (sort) => {
    const middle = (await rowsOf(many)).sort(comparing(sort))[600]
    if (!middle) throw new Error('There are 1,200 tokens.')
    const passed = await withOrganization(
      world.dependencies.database,
      { organizationId: many.id },
      async (transaction) => {
        // As the planner decides by itself among a million.
        await transaction.execute('set local enable_seqscan = off; set local enable_sort = off')
        const spy = vi.spyOn(transaction, 'execute')
        const bounds = { size: 20, backward: false, after: { id: middle.id, value: keyOf(sort, middle) }, before: null }
        await findPage(transaction, { organizationId: many.id, filter: everyStatusFilter, sort, bounds })
        const statements = spy.mock.calls.map(([statement]) => statement)
        spy.mockRestore()
        expect(statements).toHaveLength(1)
        let removed = 0
        for (const statement of statements) {
          const { rows } = await transaction.execute<{ 'QUERY PLAN': string }>(sql`explain analyze ${statement}`)
          for (const { 'QUERY PLAN': line } of rows) {
            removed += Number(/Rows Removed by Filter: (\d+)/.exec(line)?.[1] ?? 0)
          }
        }
        return removed
      },
    )
    // The index of labels has no ids, none being needed: it begins at the cursor's own row.
    expect(passed).toBe(sort === 'LABEL_ASC' ? 1 : 0)
  })

  it('is counted up to 10,000', async () => {
    await world.sql('drop trigger keep_search_text on integration_tokens')
    const count = async () => (await list(few, { first: 1, withTotalCount: true })).totalCount
    const more = 10_000 - ((await count()) ?? 0)
    await fill(few, more - 1, { plain: true })
    expect(await count()).toBe(9_999)
    await fill(few, 1, { plain: true })
    expect(await count()).toBe(10_000)
    await fill(few, 100, { plain: true })
    expect(await count()).toBe(10_000)
    expect((await list(few, { first: 1, withTotalCount: true, filter: { search: 'token' } })).totalCount).toBe(10_000)
  })
})

async function list(organization: TestOrganization, request: Request): Promise<Page> {
  return (await organization.owner.integrationTokens(request)).integrationTokens
}

/** Page after page, from either end; in the list's order. */
async function collect(organization: TestOrganization, request: Request): Promise<string[]> {
  const ids: string[] = []
  const backward = request.last != null
  let cursor: string | null = null
  do {
    const { nodes, pageInfo }: Page = await list(organization, { ...request, [backward ? 'before' : 'after']: cursor })
    const page = nodes.map(({ id }) => id)
    if (backward) ids.unshift(...page)
    else ids.push(...page)
    const { hasNextPage, hasPreviousPage, startCursor, endCursor } = pageInfo
    cursor = backward ? (hasPreviousPage ? startCursor : null) : hasNextPage ? endCursor : null
  } while (cursor !== null)
  return ids
}

/** Tokens of every kind, with many equal instants and many missing ones, in no order; or only a number of them. */
async function fill({ id }: TestOrganization, tokens: number, { plain = false } = {}): Promise<void> {
  const batch = Math.random().toString(36).slice(2, 8)
  await world.sql(
    `insert into integration_tokens (id, organization_id, label, label_key, search_text, role_id, enabled, created_at, expires_at)
     select 'tok_0' || translate(left(md5($1 || $4 || n), 25), 'ilou', 'wxyz'), $1, label, lower(label), lower(label),
       (array['role_ci', 'role_ci', 'role_ci', 'role_jira', 'role_scim'])[1 + n * 7 % 5],
       $3 or n % 7 <> 0,
       date_trunc('day', now()) - n * 13 % 40 * interval '1 hour',
       case when $3 or n % 4 = 0 then null when n % 4 = 1 then date_trunc('day', now()) - n * 17 % 20 * interval '1 day'
         else date_trunc('day', now()) + (1 + n * 19 % 20) * interval '1 day' end
     from generate_series(1, $2::int) n,
       lateral (select (array['Jenkins', 'Okta', 'Jira', 'Dark'])[1 + n % 4] || case when n % 200 = 0 then ' rare ' else ' token ' end
         || case when $3 then $4 || ' ' else '' end || n as label) named`,
    [id, tokens, plain, batch],
  )
  await world.sql(
    `update token_uses set last_used_at = date_trunc('day', now()) - n * 11 % 30 * interval '1 hour'
     from (select id, row_number() over (order by id) as n from integration_tokens) numbered
     where organization_id = $1 and token_id = id and n % 3 > 0`,
    [id],
  )
}

async function rowsOf({ id }: TestOrganization): Promise<Row[]> {
  return world.sql<Row>(
    `select id, label, search_text as "searchText", role_id as "roleId", enabled, created_at::text as "createdAt",
       last_used_at::text as "lastUsedAt", expires_at::text as "expiresAt", coalesce(expires_at <= now(), false) as ended
     from integration_tokens t join token_uses on token_id = id where t.organization_id = $1`,
    [id],
  )
}

/** The instants are all of one zone and of whole seconds, so that their texts are in their order. */
function keyOf(sort: TokenSort, row: Row): string {
  if (sort === 'LABEL_ASC') return row.label.toLowerCase()
  if (sort === 'LAST_USED_AT_DESC') return row.lastUsedAt ?? '-infinity'
  if (sort === 'EXPIRES_AT_ASC') return row.expiresAt ?? 'infinity'
  return row.createdAt
}

/** ‘-’ is before every digit, and ‘i’ after. */
function comparing(sort: TokenSort): (one: Row, other: Row) => number {
  const sign = sort.endsWith('_DESC') ? -1 : 1
  return (one, other) => sign * (compare(keyOf(sort, one), keyOf(sort, other)) || compare(one.id, other.id))
}

const compare = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)

function matches({ search, roleIds, statuses }: TokenFilter): (row: Row) => boolean {
  return (row) => {
    const status = !row.enabled ? 'DISABLED' : row.ended ? 'EXPIRED' : 'ACTIVE'
    return (
      statuses.includes(status) &&
      (roleIds === null || roleIds.includes(row.roleId)) &&
      (search === null || row.searchText.includes(search))
    )
  }
}

function subsets<T>(values: T[]): T[][] {
  return values.reduce<T[][]>((found, value) => found.concat(found.map((subset) => [...subset, value])), [[]])
}
