import { describe, expect, it } from 'vitest'
import { describe as describeInstant } from './instant.tsx'

const now = new Date('2026-11-25T12:00:00.000Z')
const said = (at: string) => describeInstant(new Date(at), now)

describe('an instant', () => {
  it('is said by its distance within a week, either way, and by its day beyond', () => {
    expect(said('2026-11-25T12:00:00.000Z')).toBe('now')
    expect(said('2026-11-25T11:59:18.000Z')).toBe('42 seconds ago')
    expect(said('2026-11-25T11:59:00.400Z')).toBe('1 minute ago')
    expect(said('2026-11-25T11:00:31.000Z')).toBe('59 minutes ago')
    expect(said('2026-11-25T11:00:29.000Z')).toBe('1 hour ago')
    expect(said('2026-11-24T12:00:00.000Z')).toBe('yesterday')
    expect(said('2026-11-26T12:00:00.000Z')).toBe('tomorrow')
    expect(said('2026-11-19T12:00:00.000Z')).toBe('6 days ago')
    expect(said('2026-11-18T12:00:00.000Z')).toBe('Nov 18, 2026')
    expect(said('2027-02-23T12:00:00.000Z')).toBe('Feb 23, 2027')
  })
})
