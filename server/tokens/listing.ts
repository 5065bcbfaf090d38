import { and, eq, not, or, type SQL, sql } from 'drizzle-orm'
import type { PageBounds, Position } from '../database/keyset.ts'
import { integrationTokens, tokenUses, whenEnding, whenUsed } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { OrganizationId } from '../identifiers.ts'
import type { TokenStatus } from './status.ts'
import { labelKey } from './token-input.ts'

export const tokenSorts = [
  'CREATED_AT_DESC',
  'CREATED_AT_ASC',
  'LABEL_ASC',
  'LAST_USED_AT_DESC',
  'EXPIRES_AT_ASC',
] as const
export type TokenSort = (typeof tokenSorts)[number]

export interface TokenFilter {
  search: string | null
  roleIds: readonly string[] | null
  statuses: readonly TokenStatus[]
}

export interface Listing {
  organizationId: OrganizationId
  filter: TokenFilter
  sort: TokenSort
  bounds: PageBounds
}

const endsAt = sql.raw(whenEnding)
const disabled = not(sql`${integrationTokens.enabled}`)
const ended = sql`${endsAt} <= now()`
const unended = sql`${endsAt} > now()`

export const usesOfToken = and(
  eq(tokenUses.organizationId, integrationTokens.organizationId),
  eq(tokenUses.tokenId, integrationTokens.id),
)

interface Order {
  /** Whose index holds the order: of the organization, then by the key, then by the id. */
  table: typeof integrationTokens | typeof tokenUses
  key: SQL
  type: SQL
  descending: boolean
}

const byCreation = { table: integrationTokens, key: sql`${integrationTokens.createdAt}`, type: sql`timestamptz` }
const orders: Record<TokenSort, Order> = {
  CREATED_AT_DESC: { ...byCreation, descending: true },
  CREATED_AT_ASC: { ...byCreation, descending: false },
  LABEL_ASC: {
    table: integrationTokens,
    key: sql`${integrationTokens.labelKey}`,
    type: sql`text`,
    descending: false,
  },
  LAST_USED_AT_DESC: {
    table: tokenUses,
    key: sql.raw(whenUsed),
    type: sql`timestamptz`,
    descending: true,
  },
  EXPIRES_AT_ASC: { table: integrationTokens, key: endsAt, type: sql`timestamptz`, descending: false },
}

/** Counting stops here, so that it costs the same however many there are. */
const mostCounted = 10_000

/** How many tokens a walk may pass, and how many may be gathered, before the other way is tried. */
interface Effort {
  walked: number
  gathered: number
}

const efforts: Effort[] = [
  { walked: 1_000, gathered: 3_000 },
  { walked: 30_000, gathered: 100_000 },
]

/**
 * The places of one page’s tokens, and of one more where there are more.
 *
 * A page is found in two ways: walking along the order is quick where much of what is passed matches, gathering all that
 * matches where little does. Which it is shows only in the doing, so they take turns, each with a limit to its effort.
 * A last walk, without one, always has the answer. A test tries each way by itself.
 */
export async function findPage(transaction: Transaction, listing: Listing, turns = efforts): Promise<Position[]> {
  for (const { walked, gathered } of turns) {
    const page =
      (await walk(transaction, listing, walked)) ??
      (await gather(transaction, listing, textMatches(listing, gathered))) ??
      (await gather(transaction, listing, facetMatches(listing, gathered)))
    if (page) return page
  }
  return walkOn(transaction, listing)
}

/** Null where the page is not full after so many tokens. */
async function walk(transaction: Transaction, listing: Listing, atMost: number): Promise<Position[] | null> {
  const { filter, sort, bounds } = listing
  const { key } = orders[sort]
  const passed = stretches(listing).map(
    (stretch) => sql`(
      select ${integrationTokens}.*, ${key} as position from ${source(listing)}
      where ${and(within(listing), stretch)} ${inOrder(listing, key)} limit ${atMost})`,
  )
  const order = inOrder(listing, sql`position`)
  const { rows } = await transaction.execute<{ id: string; value: string }>(sql`
    select id, position::text as value
    from (select * from (${sql.join(passed, sql` union all `)}) passed ${order} limit ${atMost}) ${integrationTokens}
    where ${and(facets(filter), contains(filter))} ${order} limit ${bounds.size + 1}`)
  return rows.length > bounds.size ? rows : null
}

async function walkOn(transaction: Transaction, listing: Listing): Promise<Position[]> {
  const { filter, sort, bounds } = listing
  const { key } = orders[sort]
  const { rows } = await transaction.execute<{ id: string; value: string }>(sql`
    select id, (${key})::text as value from ${source(listing)}
    where ${and(within(listing), facets(filter), contains(filter))} ${inOrder(listing, key)} limit ${bounds.size + 1}`)
  return rows
}

/** What may match, at most one more than `atMost` of it, and what of that does. */
interface Candidates {
  atMost: number
  candidates: SQL
  matches: SQL
}

/** What holds the text that is searched; null where none is. */
function textMatches(listing: Listing, atMost: number): Candidates | null {
  const { search } = listing.filter
  if (search === null) return null
  const { key } = orders[listing.sort]
  return {
    atMost,
    candidates: sql`select token_ids_matching(${labelKey(search)}, ${atMost + 1}) as id`,
    matches: sql`
      select id, ${key} as position from ${source(listing)}
      where ${and(within(listing), facets(listing.filter), sql`${integrationTokens.id} in (select id from candidates)`)}`,
  }
}

/** What has the role and the status. */
function facetMatches(listing: Listing, atMost: number): Candidates {
  const { key } = orders[listing.sort]
  return {
    atMost,
    candidates: sql`
      select id, ${key} as position, search_text from ${source(listing)}
      where ${and(within(listing), facets(listing.filter))} limit ${atMost + 1}`,
    matches: sql`select id, position from candidates ${integrationTokens} where ${contains(listing.filter) ?? sql`true`}`,
  }
}

/** Null where there are too many. */
async function gather(
  transaction: Transaction,
  listing: Listing,
  among: Candidates | null,
): Promise<Position[] | null> {
  if (!among) return null
  const { atMost, candidates, matches } = among
  const { rows } = await transaction.execute<{ found: number; id: string | null; value: string | null }>(sql`
    with candidates as materialized (${candidates})
    select found, page.id, page.position::text as value
    from (select count(*)::int as found from candidates) counted
    left join lateral (
      select * from (${matches}) matches where found <= ${atMost}
      ${inOrder(listing, sql`position`)} limit ${listing.bounds.size + 1}
    ) page on true
    ${inOrder(listing, sql`position`)}`)
  if ((rows[0]?.found ?? 0) > atMost) return null
  return rows.flatMap(({ id, value }) => (id === null || value === null ? [] : [{ id, value }]))
}

/** How many tokens match, up to 10,000. */
export async function countTokens(
  transaction: Transaction,
  { organizationId, filter }: Pick<Listing, 'organizationId' | 'filter'>,
): Promise<number> {
  const own = eq(integrationTokens.organizationId, organizationId)
  const matches = and(facets(filter), contains(filter)) ?? sql`true`
  if (filter.search !== null) {
    const tried = await count(
      transaction,
      sql`
      select count(*)::int as candidates, count(*) filter (where ${matches})::int as matches
      from (select * from ${integrationTokens} where ${own} limit 1000) ${integrationTokens}`,
    )
    if (tried.candidates < 1_000) return tried.matches
    if (tried.matches < 100) {
      for (const atMost of [3_000, 100_000]) {
        const found = await count(
          transaction,
          sql`
          with candidates as materialized (select token_ids_matching(${labelKey(filter.search)}, ${atMost + 1}) as id)
          select (select count(*)::int from candidates) as candidates, count(*)::int as matches from ${integrationTokens}
          where ${and(own, facets(filter), sql`${integrationTokens.id} in (select id from candidates)`)}`,
        )
        if (found.candidates <= atMost || found.matches >= mostCounted) return Math.min(found.matches, mostCounted)
      }
    }
  }
  const all = await count(
    transaction,
    sql`
    select count(*)::int as candidates, count(*)::int as matches
    from (select from ${integrationTokens} where ${and(own, matches)} limit ${mostCounted}) matches`,
  )
  return all.matches
}

async function count(transaction: Transaction, query: SQL): Promise<{ candidates: number; matches: number }> {
  const { rows } = await transaction.execute<{ candidates: number; matches: number }>(query)
  return rows[0] ?? { candidates: 0, matches: 0 }
}

function inOrder({ sort, bounds }: Listing, key: SQL): SQL {
  const direction = sql.raw(orders[sort].descending === bounds.backward ? 'asc' : 'desc')
  return sql`order by ${key} ${direction}, id ${direction}`
}

/** The tokens, with what they are ordered by. */
function source({ sort }: Pick<Listing, 'sort'>): SQL {
  return orders[sort].table === tokenUses
    ? sql`${integrationTokens} join ${tokenUses} on ${usesOfToken}`
    : sql`${integrationTokens}`
}

/** The organization’s tokens between the cursors. */
function within({ organizationId, sort, bounds }: Listing): SQL | undefined {
  const { table, key, type, descending } = orders[sort]
  const id = table === tokenUses ? tokenUses.tokenId : integrationTokens.id
  const beyond = (position: Position, after: boolean) =>
    sql`(${key}, ${id}) ${sql.raw(after === descending ? '<' : '>')} (${position.value}::${type}, ${position.id})`
  return and(
    eq(table.organizationId, organizationId),
    bounds.after ? beyond(bounds.after, true) : undefined,
    bounds.before ? beyond(bounds.before, false) : undefined,
  )
}

/**
 * The parts of the order that a walk has to go along. In the order of expiry, the present parts what can have expired from
 * what cannot, so that a walk need not pass all that has.
 */
function stretches({ filter: { statuses }, sort }: Listing): (SQL | undefined)[] {
  if (sort !== 'EXPIRES_AT_ASC' || statuses.includes('EXPIRED') === statuses.includes('ACTIVE')) return [undefined]
  const [wanted, other] = statuses.includes('ACTIVE') ? [unended, ended] : [ended, unended]
  return statuses.includes('DISABLED') ? [and(other, disabled), wanted] : [wanted]
}

function facets({ roleIds, statuses }: TokenFilter): SQL {
  const given = roleIds ? sql`${integrationTokens.roleId} = any(${sql.param([...roleIds])})` : undefined
  return and(sql`true`, given, hasStatus(statuses)) ?? sql`true`
}

/** In words that an index knows. */
function hasStatus(statuses: readonly TokenStatus[]): SQL | undefined {
  const [active, isDisabled, expired] = [
    statuses.includes('ACTIVE'),
    statuses.includes('DISABLED'),
    statuses.includes('EXPIRED'),
  ]
  const end = active === expired ? undefined : active ? unended : ended
  if (!active && !expired) return isDisabled ? disabled : sql`false`
  return isDisabled ? end && or(disabled, end) : and(sql`${integrationTokens.enabled}`, end)
}

function contains({ search }: TokenFilter): SQL | undefined {
  return search === null ? undefined : sql`strpos(${integrationTokens.searchText}, ${labelKey(search)}) > 0`
}
