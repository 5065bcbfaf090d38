import { describe, expect, it } from 'vitest'
import { memberRequestOf, readMemberView } from './member-view.ts'

describe('the view in an address', () => {
  it('is read without whatever the API would not take', () => {
    expect(readMemberView({})).toEqual({})
    expect(
      readMemberView({ search: ' ann ', role: 'GUEST,KING,OWNER', status: 'GONE,ACTIVE', after: 'x', more: 1 }),
    ).toEqual({ search: 'ann', role: 'GUEST,OWNER', status: 'ACTIVE', after: 'x' })
    expect(readMemberView({ search: 4711, role: ['GUEST'], status: 'GONE', after: 'a', before: 'b' })).toEqual({
      search: '4711',
      after: 'a',
    })
  })

  it('is asked for as it says, and otherwise for everybody', () => {
    expect(memberRequestOf({})).toEqual({ first: 20, filter: {}, withTotalCount: true })
    expect(memberRequestOf({ search: 'x', role: 'GUEST,OWNER', status: 'DEACTIVATED', before: 'c' })).toEqual({
      last: 20,
      before: 'c',
      filter: { search: 'x', roles: ['GUEST', 'OWNER'], active: false },
      withTotalCount: true,
    })
    expect(memberRequestOf({ status: 'ACTIVE' }).filter).toEqual({ active: true })
    expect(memberRequestOf({ status: 'ACTIVE,DEACTIVATED' }).filter).toEqual({})
  })
})
