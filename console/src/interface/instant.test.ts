import { describe, expect, it } from 'vitest'
import { describe as describeInstant } from './instant.tsx'

const now = new Date('2026-11-25T12:00:00.000Z')
const said = (at: string) => describeInstant(new Date(at), now)

// In whichever language and time zone the machine has.
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })
const day = (at: string) => new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' }).format(new Date(at))

describe('an instant', () => {
  it('is said by its distance within a week, either way, and by its day beyond', () => {
    expect(said('2026-11-25T12:00:00.000Z')).toBe(relative.format(0, 'second'))
    expect(said('2026-11-25T11:59:18.000Z')).toBe(relative.format(-42, 'second'))
    expect(said('2026-11-25T11:59:00.400Z')).toBe(relative.format(-1, 'minute'))
    expect(said('2026-11-25T11:00:31.000Z')).toBe(relative.format(-59, 'minute'))
    expect(said('2026-11-25T11:00:29.000Z')).toBe(relative.format(-1, 'hour'))
    expect(said('2026-11-24T12:00:00.000Z')).toBe(relative.format(-1, 'day'))
    expect(said('2026-11-26T12:00:00.000Z')).toBe(relative.format(1, 'day'))
    expect(said('2026-11-19T12:00:00.000Z')).toBe(relative.format(-6, 'day'))
    for (const at of ['2026-11-18T12:00:00.000Z', '2027-02-23T12:00:00.000Z']) expect(said(at)).toBe(day(at))
  })
})
