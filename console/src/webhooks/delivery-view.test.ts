import { describe, expect, it } from 'vitest'
import { readDeliveryView, requestOf } from './delivery-view.ts'

describe('the view in an address', () => {
  it('is read without whatever the API would not take', () => {
    expect(readDeliveryView({ status: 'PENDING,GONE,FAILED', after: 'a', before: 'b', more: 1 })).toEqual({
      status: 'PENDING,FAILED',
      after: 'a',
    })
    expect(readDeliveryView({ status: 7, after: {}, before: 'b' })).toEqual({ before: 'b' })
  })

  it('is asked for as it says, and otherwise for the latest', () => {
    expect(requestOf({})).toEqual({ first: 20, filter: {} })
    expect(requestOf({ status: 'PENDING,FAILED', before: 'b' })).toEqual({
      last: 20,
      before: 'b',
      filter: { statuses: ['PENDING', 'FAILED'] },
    })
  })
})
