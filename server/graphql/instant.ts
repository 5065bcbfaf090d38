const rfc3339 = /^\d{4}-\d{2}-\d{2}[Tt]([01]\d|2[0-3]):\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/

/**
 * An RFC 3339 date-time, whichever its offset, to the millisecond, in the years 1 to 9999 of UTC, which is what the database
 * and the answer's own form have room for. Does not say what it was given: that might be a secret.
 */
export function parseInstant(value: unknown): Date {
  if (typeof value === 'string' && rfc3339.test(value)) {
    const instant = new Date(value.toUpperCase())
    const day = Number(value.slice(8, 10))
    const daysInMonth = new Date(Date.UTC(Number(value.slice(0, 4)), Number(value.slice(5, 7)), 0)).getUTCDate()
    const year = instant.getUTCFullYear()
    if (day <= daysInMonth && year >= 1 && year <= 9999) return instant
  }
  throw new TypeError('A DateTime is an RFC 3339 string such as “2026-11-23T20:49:15.000Z”.')
}
