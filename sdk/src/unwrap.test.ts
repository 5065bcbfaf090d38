import { describe, expect, expectTypeOf, it } from 'vitest'
import { type CreateTokenResult, LatchkeyError, type Refusal, RefusalError, type RefusalOf, unwrap } from './index.ts'

function resultOf(refusal: CreateTokenResult): CreateTokenResult {
  return refusal
}

describe('unwrap', () => {
  it('gives the payload, and its type has no refusal in it', () => {
    const payload = unwrap<{ __typename: 'DeleteTokenPayload'; deletedTokenId: string } | RefusalOf<'TokenNotFound'>>({
      __typename: 'DeleteTokenPayload',
      deletedTokenId: 'tok_1',
    })
    expect(payload.deletedTokenId).toBe('tok_1')
    expectTypeOf(payload.__typename).toEqualTypeOf<'DeleteTokenPayload'>()
    expectTypeOf(unwrap<CreateTokenResult>).returns.toHaveProperty('secret')
  })

  it('throws a refusal with its code, its words and all that it tells', () => {
    const refusal = {
      __typename: 'InvalidInput',
      message: 'The label is too long.',
      issues: [{ path: 'label', message: 'At most 100 characters.' }],
    } as const
    const thrown = thrownBy(() => unwrap(resultOf({ ...refusal, issues: [...refusal.issues] })))
    expect(thrown).toBeInstanceOf(LatchkeyError)
    expect(thrown).toBeInstanceOf(RefusalError)
    expect(thrown).toMatchObject({ name: 'RefusalError', code: 'InvalidInput', message: refusal.message, refusal })
  })

  it('throws a refusal that only a newer server knows', () => {
    const newer: { __typename: string; message: string } = {
      __typename: 'QuotaReached',
      message: 'Delete a token first.',
    }
    const result: CreateTokenResult = Object.assign(resultOf({ __typename: 'LabelTaken', message: '' }), newer)
    expect(thrownBy(() => unwrap(result))).toMatchObject({ code: 'QuotaReached', message: 'Delete a token first.' })
  })

  it('lets the refusal be told apart by its code', () => {
    const thrown = thrownBy(() => unwrap(resultOf({ __typename: 'LabelTaken', message: 'Choose another.' })))
    if (!(thrown instanceof RefusalError)) throw thrown
    expectTypeOf(thrown.refusal).toEqualTypeOf<Refusal>()
    if (thrown.refusal.__typename === 'TooManyAttempts') {
      expectTypeOf(thrown.refusal.retryAfterSeconds).toEqualTypeOf<number>()
    }
  })
})

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('Nothing was thrown.')
}
