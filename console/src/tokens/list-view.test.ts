import { describe, expect, it } from 'vitest'
import { readListView, requestOf } from './list-view.ts'

describe('the view in an address', () => {
  it('is read without whatever the API would not take', () => {
    expect(readListView({})).toEqual({})
    expect(
      readListView({
        search: '  jenkins ',
        role: 'role_ci,role_jira',
        status: 'ACTIVE,GONE,EXPIRED',
        sort: 'LABEL_ASC',
        after: 'x',
        more: 1,
      }),
    ).toEqual({ search: 'jenkins', role: 'role_ci,role_jira', status: 'ACTIVE,EXPIRED', sort: 'LABEL_ASC', after: 'x' })
    expect(readListView({ search: 4711, sort: 'NEWEST', status: 'GONE', role: ['x'], before: {} })).toEqual({
      search: '4711',
    })
    expect(readListView({ sort: 'CREATED_AT_DESC', after: 'a', before: 'b' })).toEqual({ after: 'a' })
  })

  it('is asked for as it says, and otherwise for the newest, the expired left out by the API', () => {
    expect(requestOf({})).toEqual({ first: 20, filter: {}, sort: 'CREATED_AT_DESC', withTotalCount: true })
    expect(requestOf({ search: 'x', role: 'a,b', status: 'EXPIRED', sort: 'LABEL_ASC', before: 'c' })).toEqual({
      last: 20,
      before: 'c',
      filter: { search: 'x', roleIds: ['a', 'b'], statuses: ['EXPIRED'] },
      sort: 'LABEL_ASC',
      withTotalCount: true,
    })
  })
})
