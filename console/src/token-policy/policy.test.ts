import { describe, expect, it } from 'vitest'
import { changesOf, describeStricter, draftOf, type Policy, readDraft } from './policy.ts'

const nothing: Policy = { longestLifetimeDays: null, expiryRequired: false, defaultLifetimeDays: null }
const strict: Policy = { longestLifetimeDays: 90, expiryRequired: true, defaultLifetimeDays: 30 }

describe('a policy', () => {
  it('is read back as it is shown', () => {
    for (const policy of [nothing, strict]) expect(readDraft(draftOf(policy)).policy).toEqual(policy)
  })

  it('has whole numbers of days that a lifetime can have', () => {
    for (const longestLifetimeDays of ['0', '-1', '1.5', '3651', '99999', '1e3', 'ninety']) {
      expect(readDraft({ ...draftOf(nothing), longestLifetimeDays }).mistakes).toEqual({
        longestLifetimeDays: expect.stringMatching(/^Give a whole number of days from 1 to 3.650/),
      })
    }
    expect(readDraft({ ...draftOf(nothing), defaultLifetimeDays: ' 3650 ' }).policy?.defaultLifetimeDays).toBe(3_650)
  })

  it('changes in what differs alone', () => {
    expect(changesOf(strict, strict)).toEqual({})
    expect(changesOf(strict, { ...strict, longestLifetimeDays: null })).toEqual({ longestLifetimeDays: null })
    expect(changesOf(nothing, strict)).toEqual(strict)
  })

  it('that is stricter says what it asks for, and one that is not says nothing', () => {
    expect(describeStricter(nothing, strict)).toEqual([
      expect.stringContaining('for at most 90 days after it was made'),
      'No token is created without an expiry any more.',
    ])
    expect(describeStricter(nothing, { ...nothing, expiryRequired: true })).toEqual([
      'No token is created without an expiry any more.',
      expect.stringContaining('names no expiry is refused'),
    ])
    expect(describeStricter(strict, { ...strict, longestLifetimeDays: 60 })).toHaveLength(1)
    expect(describeStricter(strict, { ...strict, defaultLifetimeDays: null })).toHaveLength(1)
    expect(describeStricter(strict, nothing)).toEqual([])
    expect(describeStricter(nothing, { ...nothing, defaultLifetimeDays: 7 })).toEqual([])
  })
})
