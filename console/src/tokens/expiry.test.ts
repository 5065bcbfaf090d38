import { describe, expect, it } from 'vitest'
import { dayOf, endOf } from './expiry.ts'

const now = new Date('2026-11-25T12:00:00.000Z')

describe('the end of a token', () => {
  it('is so many days from now, the end of a day in the local time zone, never, or left as it is', () => {
    expect(endOf({ lifetime: '30', day: '' }, now)).toEqual(new Date('2026-12-25T12:00:00.000Z'))
    expect(endOf({ lifetime: 'never', day: '2027-01-31' }, now)).toBeNull()
    expect(endOf({ lifetime: 'keep', day: '2027-01-31' }, now)).toBeUndefined()
    expect(endOf({ lifetime: 'day', day: '2027-01-31' }, now)).toEqual(new Date(2027, 0, 31, 23, 59, 59, 999))
    for (const day of ['', '2027-1-31', 'tomorrow']) expect(endOf({ lifetime: 'day', day }, now)).toBeUndefined()
  })

  it('as a day in a field is the local one', () => {
    expect(dayOf(new Date(2027, 0, 5, 23, 59))).toBe('2027-01-05')
    expect(dayOf(new Date(2027, 11, 31, 0, 0))).toBe('2027-12-31')
  })
})
