import { describe, expect, it } from 'vitest'
import { boundsOf, filterOf, readAuditView } from './audit-view.ts'

describe('the view in an address', () => {
  it('is read without days that are none, and with one cursor at most', () => {
    expect(
      readAuditView({
        action: 'token.created',
        target: 'tok_1',
        since: 'yesterday',
        until: '2026-11-25',
        after: 'a',
        before: 'b',
      }),
    ).toEqual({
      action: 'token.created',
      target: 'tok_1',
      until: '2026-11-25',
      after: 'a',
    })
    expect(boundsOf({ before: 'b' })).toEqual({ last: 50, before: 'b' })
    expect(boundsOf({})).toEqual({ first: 50 })
  })

  it('asks for whole days, from the first’s beginning to the last’s end, in the local time zone', () => {
    expect(filterOf({ since: '2026-10-31', until: '2026-10-31' })).toEqual({
      after: new Date(2026, 9, 31).toISOString(),
      before: new Date(2026, 10, 1).toISOString(),
    })
    expect(filterOf({ action: 'a,b', target: 't' })).toEqual({ actions: ['a', 'b'], targetId: 't' })
  })
})
