import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createId } from '../identifiers.ts'
import type { Authentication, Principal } from '../identity/principal.ts'
import { createMetrics } from '../observability/metrics.ts'
import { createDigester } from '../tokens/secret.ts'
import { createLookAhead } from './look-ahead.ts'
import type { Verification } from './persisted-documents.ts'

const sources = { now: () => new Date(), randomBytes }
const digester = createDigester({ serverKey: 'the server key of this test, which is long', prefix: 'lk', randomBytes })
const digest = () => randomBytes(32).toString('latin1')
const service = (...permissions: string[]): Principal => ({
  kind: 'service',
  serviceId: createId('service', sources),
  name: 'scanner',
  permissions,
})

function open() {
  const asked: number[] = []
  const credentials: Authentication['credentials'] = {
    find: async (presented) => {
      asked.push(presented.length)
      return presented.map(() => null)
    },
  }
  const nameOf = (text: string | null | undefined): Verification | null =>
    text === 'verifyTokenDigests' || text === 'verifyToken' ? text : null
  const lastUse = { record: () => undefined, flush: async () => undefined, close: async () => undefined }
  const lookAhead = createLookAhead({ credentials, digester, lastUse, metrics: createMetrics() }, { nameOf })
  const begin = (
    from: string | null,
    query = 'verifyTokenDigests',
    variables: object = { digests: ['a'.repeat(64)] },
  ) => lookAhead.begin({ query, variables: { ...variables } }, from, { ipAddress: null, userAgent: null })
  return { ...lookAhead, asked, begin }
}

describe('the look-ahead', () => {
  it('begins for a service that was good before and may verify', () => {
    const { begin, learn, asked } = open()
    const known = digest()
    expect(begin(known)).toBeNull()
    learn(known, service('tokens:verify'))
    expect(begin(known)).not.toBeNull()
    expect(asked).toEqual([1])
  })

  it('begins for nobody else: no other service, none that may not verify, none that has been refused since', () => {
    const { begin, learn, asked } = open()
    const [known, other] = [digest(), digest()]
    learn(known, service('tokens:verify', 'tokens:count'))
    expect([begin(null), begin(other)]).toEqual([null, null])
    for (const principal of [service(), service('tokens:count'), null]) {
      learn(other, principal)
      expect(begin(other)).toBeNull()
      learn(known, service('tokens:verify'))
      learn(known, principal)
      expect(begin(known)).toBeNull()
    }
    expect(asked).toEqual([])
  })

  it('begins for nothing else: no other operation, and no digests that would be refused', () => {
    const { begin, learn, asked } = open()
    const known = digest()
    learn(known, service('tokens:verify'))
    for (const query of ['verifyToken', '{ __typename }', '']) expect(begin(known, query)).toBeNull()
    const many = Array.from({ length: 1_001 }, () => 'a'.repeat(64))
    for (const digests of [undefined, null, 'a', {}, [1], ['a', null], many]) {
      expect(begin(known, 'verifyTokenDigests', { digests })).toBeNull()
    }
    expect(asked).toEqual([])
  })

  it('remembers a bounded number of services, and those that it knows while it is full', () => {
    const { begin, learn } = open()
    const first = digest()
    const known = [first, ...Array.from({ length: 999 }, digest)]
    for (const one of [...known, first]) learn(one, service('tokens:verify'))
    expect(known.filter((one) => begin(one) === null)).toEqual([])
    learn(digest(), service('tokens:verify'))
    expect(known.filter((one) => begin(one) !== null)).toEqual([])
  })
})
