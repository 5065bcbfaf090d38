import { isJson, type NameScope, valuesAt } from './attribute-path.ts'
import { compareKeys, type Filter, keyOf, parseFilter } from './filter.ts'
import { requireSchema } from './input.ts'
import type { Json } from './schemas.ts'
import { invalid } from './scim-error.ts'

/** What a list is asked for (RFC 7644, section 3.4.2), by its address or in the body of `.search`. */
export interface ListQuery {
  filter: string | null
  sortBy: string | null
  descending: boolean
  /** From 1 on. */
  startIndex: number
  count: number
  attributes: readonly string[] | null
  excludedAttributes: readonly string[] | null
}

export const mostListed = 1_000
const defaultCount = 100
export const searchUrn = 'urn:ietf:params:scim:api:messages:2.0:SearchRequest'
export const listUrn = 'urn:ietf:params:scim:api:messages:2.0:ListResponse'

/** Throws `ScimError`. */
export function readListQuery(parameters: URLSearchParams): ListQuery {
  const text = (name: string) => parameters.get(name)
  return queryOf({
    filter: text('filter'),
    sortBy: text('sortBy'),
    sortOrder: text('sortOrder'),
    startIndex: numberIn(text('startIndex')),
    count: numberIn(text('count')),
    attributes: text('attributes')?.split(',') ?? null,
    excludedAttributes: text('excludedAttributes')?.split(',') ?? null,
  })
}

const numberIn = (text: string | null) => (text === null ? null : /^[-+]?\d{1,15}$/.test(text) ? Number(text) : text)

/** Throws `ScimError`. */
export function readSearch(body: Json): ListQuery {
  requireSchema(body, searchUrn)
  return queryOf(body)
}

function queryOf(query: Json): ListQuery {
  const sortOrder = textOf(query, 'sortOrder') ?? 'ascending'
  if (sortOrder !== 'ascending' && sortOrder !== 'descending') {
    throw invalid('invalidValue', '“sortOrder” is “ascending” or “descending”.')
  }
  return {
    filter: textOf(query, 'filter'),
    sortBy: textOf(query, 'sortBy'),
    descending: sortOrder === 'descending',
    startIndex: Math.max(integerOf(query, 'startIndex') ?? 1, 1),
    count: Math.min(Math.max(integerOf(query, 'count') ?? defaultCount, 0), mostListed),
    attributes: namesOf(query, 'attributes'),
    excludedAttributes: namesOf(query, 'excludedAttributes'),
  }
}

function textOf(query: Json, name: string): string | null {
  const value = query[name] ?? null
  if (value !== null && typeof value !== 'string') throw invalid('invalidValue', `“${name}” is a text.`)
  return value
}

function integerOf(query: Json, name: string): number | null {
  const value = query[name] ?? null
  if (value === null) return null
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw invalid('invalidValue', `“${name}” is a whole number.`)
  }
  return value
}

function namesOf(query: Json, name: string): string[] | null {
  const value = query[name] ?? null
  if (value === null) return null
  const names: unknown[] = [value].flat()
  return names.map((one) => {
    if (typeof one !== 'string') throw invalid('invalidValue', `“${name}” is a list of names.`)
    return one
  })
}

/** Throws `ScimError` invalidFilter. */
export const readFilter = ({ filter }: ListQuery, scope: NameScope): Filter | null =>
  filter === null ? null : parseFilter(filter, scope)

export interface Listed {
  total: number
  /** Those of the page. */
  resources: Json[]
}

/** The page of what the filter lets through. What lacks the attribute that is sorted by comes last, descending first. */
export function selectPage(
  resources: readonly Json[],
  filter: Filter | null,
  query: ListQuery,
  scope: NameScope,
): Listed {
  const matching = filter ? resources.filter((resource) => filter.matches(resource)) : [...resources]
  const sorted = query.sortBy === null ? matching : sort(matching, query.sortBy, query.descending, scope)
  const from = query.startIndex - 1
  return { total: sorted.length, resources: sorted.slice(from, from + query.count) }
}

function sort(resources: Json[], sortBy: string, descending: boolean, scope: NameScope): Json[] {
  const path = scope(sortBy)
  if (!path) throw invalid('invalidPath', '“sortBy” does not name an attribute.')
  const value = path.attribute?.subAttributes.get('value')
  const attribute = value ?? path.attribute ?? { type: 'string', caseExact: false }
  const keyed = resources.map((resource) => {
    const [first, ...others] = valuesAt(resource, path.keys)
    // Of several the primary one, or else the first.
    const chosen = [first, ...others].find((one) => isJson(one) && one.primary === true) ?? first
    const plain = value && isJson(chosen) ? chosen.value : chosen
    return { resource, key: plain === undefined || isJson(plain) ? null : keyOf(plain, attribute) }
  })
  keyed.sort((one, other) => {
    if (one.key === null || other.key === null) return Number(one.key === null) - Number(other.key === null)
    return compareKeys(one.key, other.key)
  })
  if (descending) keyed.reverse()
  return keyed.map(({ resource }) => resource)
}

export const listBody = ({ startIndex }: Pick<ListQuery, 'startIndex'>, { total, resources }: Listed) => ({
  schemas: [listUrn],
  totalResults: total,
  startIndex,
  itemsPerPage: resources.length,
  Resources: resources,
})
