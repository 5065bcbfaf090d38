import { GraphQLError } from 'graphql'

const rfc3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/

/** An RFC 3339 date-time, whichever its offset, to the millisecond. Does not say what it was given: that might be a secret. */
export function parseInstant(value: unknown): Date {
  if (typeof value === 'string' && rfc3339.test(value)) {
    const instant = new Date(value)
    const day = Number(value.slice(8, 10))
    const daysInMonth = new Date(Date.UTC(Number(value.slice(0, 4)), Number(value.slice(5, 7)), 0)).getUTCDate()
    if (!Number.isNaN(instant.getTime()) && day <= daysInMonth) return instant
  }
  throw new GraphQLError('A DateTime is an RFC 3339 string such as “2026-11-23T20:49:15.000Z”.')
}
