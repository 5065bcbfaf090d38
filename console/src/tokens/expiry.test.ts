import { describe, expect, it } from 'vitest'
import { dayOf, type ExpiryPolicy, endOf, firstExpiry, latestEnd, latestEndOfNew, lifetimesFor } from './expiry.ts'

const now = new Date('2026-11-25T12:00:00.000Z')
const nothingAsked: ExpiryPolicy = { longestLifetimeDays: null, expiryRequired: false, defaultLifetimeDays: null }
const atMost = (longestLifetimeDays: number): ExpiryPolicy => ({ ...nothingAsked, longestLifetimeDays })
const offeredFor = (policy: ExpiryPolicy) => lifetimesFor(policy, latestEndOfNew(policy, now), now)

describe('the end of a token', () => {
  it('is so many days from now, the end of a day in the local time zone, never, or left as it is', () => {
    expect(endOf({ lifetime: 30, day: '' }, now)).toEqual(new Date('2026-12-25T12:00:00.000Z'))
    expect(endOf({ lifetime: 'never', day: '2027-01-31' }, now)).toBeNull()
    expect(endOf({ lifetime: 'keep', day: '2027-01-31' }, now)).toBeUndefined()
    expect(endOf({ lifetime: 'day', day: '2027-01-31' }, now)).toEqual(new Date(2027, 0, 31, 23, 59, 59, 999))
    for (const day of ['', '2027-1-31', 'tomorrow']) expect(endOf({ lifetime: 'day', day }, now)).toBeUndefined()
  })

  it('as a day in a field is the local one', () => {
    expect(dayOf(new Date(2027, 0, 5, 23, 59))).toBe('2027-01-05')
    expect(dayOf(new Date(2027, 11, 31, 0, 0))).toBe('2027-12-31')
  })

  it('is no later than the policy allows, on the last day of all to the instant', () => {
    const latest = new Date(2026, 11, 20, 8, 0)
    expect(endOf({ lifetime: 30, day: '' }, now, latest)).toEqual(latest)
    expect(endOf({ lifetime: 'latest', day: '' }, now, latest)).toEqual(latest)
    expect(endOf({ lifetime: 'day', day: '2026-12-20' }, now, latest)).toEqual(latest)
    expect(endOf({ lifetime: 'day', day: '2026-12-19' }, now, latest)).toEqual(new Date(2026, 11, 19, 23, 59, 59, 999))
    expect(endOf({ lifetime: 'day', day: '2026-12-21' }, now, latest)).toEqual(new Date(2026, 11, 21, 23, 59, 59, 999))
  })
})

describe('what is offered', () => {
  it('is everything where the policy asks for nothing, and 90 days at first', () => {
    expect(offeredFor(nothingAsked)).toEqual([30, 90, 180, 365, 'day', 'never'])
    expect(firstExpiry(nothingAsked, now).lifetime).toBe(90)
  })

  it('has the default among it, which is chosen at first', () => {
    const policy = { ...nothingAsked, defaultLifetimeDays: 45 }
    expect(offeredFor(policy)).toEqual([30, 45, 90, 180, 365, 'day', 'never'])
    expect(firstExpiry(policy, now).lifetime).toBe(45)
  })

  it('is no token without an expiry where one is required, or a lifetime is the longest', () => {
    expect(offeredFor({ ...nothingAsked, expiryRequired: true })).toEqual([30, 90, 180, 365, 'day'])
    expect(offeredFor(atMost(90))).toEqual([30, 90, 'day'])
    expect(offeredFor(atMost(60))).toEqual([30, 'latest', 'day'])
    expect(offeredFor(atMost(7))).toEqual(['latest', 'day'])
    expect(firstExpiry(atMost(60), now).lifetime).toBe('latest')
    expect(firstExpiry(atMost(365), now).lifetime).toBe(90)
  })

  it('counts the longest from when the value was made, and ends a little early where the browser’s clock may be ahead', () => {
    const madeAt = new Date('2026-11-05T12:00:00.000Z')
    const latest = latestEnd(atMost(60), madeAt)
    expect(latest).toEqual(new Date('2027-01-04T12:00:00.000Z'))
    expect(lifetimesFor(atMost(60), latest, now)).toEqual([30, 'latest', 'day'])
    expect(lifetimesFor(atMost(10), latestEnd(atMost(10), madeAt), now)).toEqual([])
    expect(latestEndOfNew(atMost(60), now)).toEqual(new Date('2027-01-24T11:55:00.000Z'))
  })
})
