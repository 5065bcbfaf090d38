import { GraphQLError } from 'graphql'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { Fault, faultStatus } from '../fault.ts'
import { presentError } from './present-error.ts'
import { RequestProblem } from './request-problem.ts'

const secret = 'lki_inside'
const log = pino({ level: 'silent' })
const present = (error: GraphQLError) => presentError(error, { log }, { id: 'abababababab' })

describe('an error on its way out', () => {
  it('has the code and the words of a fault, and the status of that code', () => {
    for (const code of [
      'UNAUTHENTICATED',
      'FORBIDDEN',
      'BAD_REQUEST',
      'RATE_LIMITED',
      'UNAVAILABLE',
      'INTERNAL',
    ] as const) {
      const fault = new Fault(code, 'What to do next.')
      const { message, extensions } = present(new GraphQLError('wrapped', { originalError: fault }))
      expect(message).toBe('What to do next.')
      expect(extensions).toMatchObject({ code, http: { status: faultStatus[code] } })
    }
  })

  it('has the words of a problem with the request, and leaves its status to the client’s “Accept”', () => {
    const { message, extensions } = present(new RequestProblem('What is wrong.'))
    expect(message).toBe('What is wrong.')
    expect(extensions).toMatchObject({ code: 'BAD_REQUEST', http: { status: 400, spec: true } })
  })

  it('has no words of another’s making: neither a library’s about the request, nor those of a field that failed', () => {
    const foreign = new GraphQLError(`Unexpected parameter "${secret}" in the request body.`, {
      extensions: { code: secret, secret, http: { status: 422, headers: { allow: 'POST' } } },
    })
    expect(present(foreign)).toMatchObject({
      message: 'This is not a GraphQL request that can be answered.',
      extensions: { code: 'BAD_REQUEST', http: { status: 422, headers: { allow: 'POST' } } },
    })
    const failed = [
      new GraphQLError(`Enum "E" cannot represent value: "${secret}"`, { path: ['a'] }),
      new GraphQLError('wrapped', { path: ['a'], originalError: new Error(secret) }),
      new GraphQLError('wrapped', { originalError: new TypeError(secret) }),
    ]
    for (const error of failed) {
      const presented = present(error)
      expect(presented.message).toBe(
        'Something went wrong on our side. Tell the operator this reference: abababababab.',
      )
      expect(presented.extensions).toEqual({ code: 'INTERNAL', http: { status: 500, headers: {} } })
      expect(JSON.stringify(presented)).not.toContain(secret)
    }
  })
})
