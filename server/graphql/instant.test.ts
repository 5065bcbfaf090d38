import { describe, expect, it } from 'vitest'
import { parseInstant } from './instant.ts'

describe('an instant', () => {
  const good: [text: string, utc: string][] = [
    ['2026-11-23T20:49:15.000Z', '2026-11-23T20:49:15.000Z'],
    ['2026-11-23T20:49:15Z', '2026-11-23T20:49:15.000Z'],
    ['2026-11-23t20:49:15z', '2026-11-23T20:49:15.000Z'],
    ['2026-11-23T20:49:15.1Z', '2026-11-23T20:49:15.100Z'],
    ['2026-11-23T20:49:15.123456789Z', '2026-11-23T20:49:15.123Z'],
    ['2026-11-23T20:49:15+00:00', '2026-11-23T20:49:15.000Z'],
    ['2026-11-23T20:49:15-00:00', '2026-11-23T20:49:15.000Z'],
    ['2026-11-23T20:49:15+05:30', '2026-11-23T15:19:15.000Z'],
    ['2026-11-23T20:49:15-08:00', '2026-11-24T04:49:15.000Z'],
    ['2028-02-29T00:00:00Z', '2028-02-29T00:00:00.000Z'],
    ['0096-02-29T00:00:00Z', '0096-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ]
  for (const [text, utc] of good) {
    it(`is ${text}, whichever the offset and to the millisecond`, () => {
      expect(parseInstant(text).toISOString()).toBe(utc)
    })
  }

  const bad: [problem: string, value: unknown][] = [
    ['another form of date', 'Mon, 23 Nov 2026 20:49:15 GMT'],
    ['a date without a time', '2026-11-23'],
    ['a time without an offset', '2026-11-23T20:49:15'],
    ['a blank for the T', '2026-11-23 20:49:15Z'],
    ['an offset without minutes', '2026-11-23T20:49:15+05'],
    ['an offset of 24 hours', '2026-11-23T20:49:15+24:00'],
    ['hour 24', '2026-11-23T24:00:00Z'],
    ['minute 60', '2026-11-23T20:60:15Z'],
    ['a leap second, which no database keeps', '2016-12-31T23:59:60Z'],
    ['month 0', '2026-00-23T20:49:15Z'],
    ['month 13', '2026-13-23T20:49:15Z'],
    ['day 0', '2026-11-00T20:49:15Z'],
    ['31 November', '2026-11-31T20:49:15Z'],
    ['30 February', '2026-02-30T20:49:15Z'],
    ['29 February of a common year', '2027-02-29T20:49:15Z'],
    ['29 February of the year 1900', '1900-02-29T20:49:15Z'],
    ['the year 0', '0000-06-01T00:00:00Z'],
    ['the year 0 of UTC', '0001-01-01T00:00:00+00:01'],
    ['the year 10000', '10000-01-01T00:00:00Z'],
    ['the year 10000 of UTC', '9999-12-31T23:59:59-00:01'],
    ['a signed year', '+002026-11-23T20:49:15Z'],
    ['digits of another script', '２０２６-11-23T20:49:15Z'],
    ['white space around it', ' 2026-11-23T20:49:15Z'],
    ['a line end after it', '2026-11-23T20:49:15Z\n'],
    ['nothing', ''],
    ['a number', 1_795_000_000_000],
    ['a date object', new Date()],
    ['null', null],
    ['an object', { toString: () => '2026-11-23T20:49:15Z' }],
  ]
  for (const [problem, value] of bad) {
    it(`is refused as ${problem}, in words that do not hold it`, () => {
      expect(() => parseInstant(value)).toThrow(
        new TypeError('A DateTime is an RFC 3339 string such as “2026-11-23T20:49:15.000Z”.'),
      )
    })
  }
})
