import { Fault } from '../fault.ts'

/** Relay's arguments of a connection. */
export interface PageRequest {
  first?: number | null | undefined
  after?: string | null | undefined
  last?: number | null | undefined
  before?: string | null | undefined
}

/** A place in a list: the sorted value, as the database writes it, and the id that tells equal values apart. */
export interface Position {
  value: string
  id: string
}

/** A page to be read: from `after` or `before` on, in the list's order or, when `backward`, from its end. */
export interface PageBounds {
  size: number
  backward: boolean
  after: Position | null
  before: Position | null
}

export interface PageInfo {
  startCursor: string | null
  endCursor: string | null
  hasNextPage: boolean
  hasPreviousPage: boolean
}

export interface Page<T> {
  edges: { cursor: string; node: T }[]
  pageInfo: PageInfo
}

const defaultSize = 20
const largestSize = 100

/** Throws `Fault` BAD_REQUEST for sizes out of bounds and for a cursor that this list did not give. */
export function readPageRequest(list: string, { first, after, last, before }: PageRequest): PageBounds {
  if (first != null && last != null) throw new Fault('BAD_REQUEST', 'Give “first” or “last”, not both.')
  const size = last ?? first ?? defaultSize
  if (size < 1 || size > largestSize) {
    throw new Fault(
      'BAD_REQUEST',
      `A page has 1 to ${largestSize} entries: give “first” or “last” a number in between.`,
    )
  }
  return {
    size,
    backward: last != null,
    after: after == null ? null : readCursor(list, after),
    before: before == null ? null : readCursor(list, before),
  }
}

/** The page out of the rows read: one more than its size, in the order read, tells that there are more. */
export function pageOf<T>(
  list: string,
  { size, backward, after, before }: PageBounds,
  rows: { node: T; position: Position }[],
): Page<T> {
  const more = rows.length > size
  const edges = rows.slice(0, size).map(({ node, position: { value, id } }) => ({
    cursor: Buffer.from(JSON.stringify([list, value, id])).toString('base64url'),
    node,
  }))
  if (backward) edges.reverse()
  return {
    edges,
    pageInfo: {
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
      hasNextPage: backward ? before !== null : more,
      hasPreviousPage: backward ? more : after !== null,
    },
  }
}

function readCursor(list: string, cursor: string): Position {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString())
    if (Array.isArray(parsed) && parsed.length === 3 && parsed[0] === list) {
      const [, value, id]: unknown[] = parsed
      if (typeof value === 'string' && typeof id === 'string' && !`${value}${id}`.includes('\0')) return { value, id }
    }
  } catch {
    // Falls through to the same answer: why it could not be read is of no use to the caller.
  }
  throw new Fault('BAD_REQUEST', 'The cursor is not one of this list in this order. Start from the first page.')
}
