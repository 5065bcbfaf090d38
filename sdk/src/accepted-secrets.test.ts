import { hash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatSecret } from '../../server/tokens/secret.ts'
import { createAcceptedSecrets } from './accepted-secrets.ts'
import type { VerifiedToken } from './verdict.ts'

/** The same in each run, since which slots they share decides what is looked at. */
const issue = (_: unknown, index: number) =>
  formatSecret('lk', 'integrationToken', hash('sha256', `secret ${index}`, 'buffer'))
const tokenOf = (tokenId: string): VerifiedToken => ({
  active: true,
  kind: 'INTEGRATION_TOKEN',
  organizationId: 'org_1',
  tokenId,
  label: null,
  roleId: null,
  memberId: null,
  organizationRole: null,
  permissions: [],
  expiresAt: null,
})
const never = { dueAt: 1e15, endsAt: Number.POSITIVE_INFINITY }

/** Some that differ only where the table does not look first, and some of their own. */
const [model = '', ...others] = Array.from({ length: 40 }, issue)
const alike = Array.from({ length: 20 }, (_, index) => `lki_${others[index]?.slice(4, 20)}${model.slice(20)}`)

describe('the accepted secrets', () => {
  it('are found, due, postponed and forgotten as in a list of them, whatever comes in whichever order', () => {
    const secret = fc.constantFrom(model, ...alike.slice(0, 6), ...others.slice(0, 6))
    const time = fc.integer({ min: 1, max: 40 })
    const step = fc.oneof(
      fc.record({ does: fc.constant('keep' as const), secret, dueAfter: time, endsAfter: time }),
      fc.record({ does: fc.constant('find' as const), secret }),
      fc.record({ does: fc.constant('postpone' as const), secret, dueAfter: time }),
      fc.record({ does: fc.constant('forget' as const), secret }),
      fc.record({ does: fc.constant('forget the idle' as const), count: fc.integer({ min: 0, max: 5 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
        const table = createAcceptedSecrets()
        const known = new Map<string, { token: VerifiedToken; dueAt: number; endsAt: number }>()
        for (const [now, one] of steps.entries()) {
          if (one.does === 'keep') {
            if (known.has(one.secret)) continue
            const token = tokenOf(`tok_${now}`)
            const endsAt = now + one.endsAfter
            known.set(one.secret, { token, dueAt: Math.min(now + one.dueAfter, endsAt), endsAt })
            table.keep(one.secret, token, { dueAt: now + one.dueAfter, endsAt })
          } else if (one.does === 'find') {
            const kept = known.get(one.secret)
            expect(table.find(one.secret, now)).toBe(kept && now < kept.dueAt ? kept.token : undefined)
          } else if (one.does === 'postpone') {
            const kept = known.get(one.secret)
            const isEnded = !kept || now >= kept.endsAt
            expect(table.postpone(one.secret, now, now + one.dueAfter)).toBe(isEnded ? undefined : kept.token)
            if (!isEnded) kept.dueAt = Math.min(now + one.dueAfter, kept.endsAt)
          } else if (one.does === 'forget') {
            expect(table.forget(one.secret)).toBe(known.get(one.secret)?.token)
            known.delete(one.secret)
          } else {
            for (let count = 0; count < one.count; count++) {
              const idle = table.findIdle()
              expect(idle === undefined).toBe(known.size === 0)
              if (idle === undefined) break
              expect(table.forget(idle)).toBe(known.get(idle)?.token)
              known.delete(idle)
            }
          }
          expect(table.size()).toBe(known.size)
        }
        for (const [kept, { token, dueAt }] of known) expect(table.find(kept, dueAt - 1)).toBe(token)
      }),
      { numRuns: 80 },
    )
  })

  it('stay as they are while the table grows, and are none any more when all are forgotten', () => {
    const table = createAcceptedSecrets()
    const many = Array.from({ length: 5_000 }, issue)
    for (const [index, secret] of many.entries()) table.keep(secret, tokenOf(`tok_${index}`), never)
    expect(many.map((secret) => table.find(secret, 1)?.tokenId)).toEqual(many.map((_, index) => `tok_${index}`))
    table.forgetAll()
    expect(table.size()).toBe(0)
    expect(many.filter((secret) => table.find(secret, 1))).toEqual([])
  })

  it('do not include what only resembles them, nor what could be no secret at all', () => {
    const table = createAcceptedSecrets()
    table.keep(model, tokenOf('tok_1'), never)
    const changed = [...model].map((_, index) => `${model.slice(0, index)}-${model.slice(index + 1)}`)
    const presented = [
      '',
      'x',
      model.slice(1),
      `${model}0`,
      '\0'.repeat(53),
      '￿'.repeat(53),
      '🔑'.repeat(30),
      ...changed,
    ]
    for (const text of [...presented, ...alike]) expect(table.find(text, 1), text).toBeUndefined()
    expect(table.find(model, 1)?.tokenId).toBe('tok_1')
  })

  it('give up those that were not found since they were last looked through, before those that were', () => {
    const table = createAcceptedSecrets()
    const given = [model, ...others]
    for (const secret of given) table.keep(secret, tokenOf(secret), never)
    const used = given.filter((_, index) => index % 3 === 0)
    for (const secret of used) table.find(secret, 1)
    const order: string[] = []
    for (let idle = table.findIdle(); idle !== undefined; idle = table.findIdle()) {
      order.push(idle)
      table.forget(idle)
    }
    expect(order.slice(0, given.length - used.length).filter((secret) => used.includes(secret))).toEqual([])
    expect(order.toSorted()).toEqual(given.toSorted())
  })
})
