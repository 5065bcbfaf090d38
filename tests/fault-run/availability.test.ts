import { expect, it } from 'vitest'
import { checkAvailability, type Fault } from './availability.ts'
import type { History, Verification } from './history.ts'

/** PostgreSQL was away from 1,000 to 4,000, and both instances were whole at 5,000; instance 0 was killed at 9,000. */
const outage: Fault = { kind: 'stop', instance: null, began: 1_000, back: 4_000, whole: 5_000 }
const kill: Fault = { kind: 'kill', instance: 0, began: 9_000, back: 12_000, whole: 12_100 }

function historyOf(...times: { began: number; ended: number; answered: boolean; instance?: number }[]): History {
  const verifications = times.map(
    ({ began, ended, answered, instance = 0 }): Verification => ({
      ...{ secret: 'create', by: 'introspection', instance, began, ended },
      answer: { is: 'unavailable', answered },
    }),
  )
  return { operations: [], verifications, events: [], end: { began: 20_000, instances: [] } }
}

const violationsOf = (...times: Parameters<typeof historyOf>) =>
  checkAvailability(historyOf(...times), [outage, kill], []).violations

it('wants 503 within two seconds and a half of the outage', () => {
  expect(violationsOf({ began: 2_000, ended: 4_400, answered: true })).toEqual([])
  expect(violationsOf({ began: 200, ended: 3_400, answered: true })).toEqual([])
  expect(violationsOf({ began: 2_000, ended: 4_600, answered: true })[0]).toMatch(/^503 after 2600 ms/)
})

it('wants an answer of whatever nobody has killed', () => {
  expect(violationsOf({ began: 8_990, ended: 9_010, answered: false })).toEqual([])
  expect(violationsOf({ began: 8_990, ended: 9_010, answered: false, instance: 1 })).toHaveLength(1)
  expect(violationsOf({ began: 2_000, ended: 32_000, answered: false, instance: 1 })).toHaveLength(1)
})

it('counts what was told that the database is away while it was there', () => {
  const history = historyOf(
    { began: 7_000, ended: 7_100, answered: true },
    { began: 1_500, ended: 3_000, answered: true },
  )
  expect(checkAvailability(history, [outage, kill], [])).toEqual({
    violations: [],
    unavailable: { during: 1, between: 1 },
    slowestUnavailableMilliseconds: 1_500,
    slowestHealthCheckMilliseconds: 0,
    longestRecoveryMilliseconds: 1_000,
  })
})

it('wants both instances whole within two seconds and a half, and alive all the time', () => {
  const late = { ...outage, whole: outage.back + 2_600 }
  expect(checkAvailability(historyOf(), [late], []).violations).toHaveLength(1)
  const slow = { instance: 0, began: 2_000, ended: 3_100 }
  expect(checkAvailability(historyOf(), [outage], [slow]).violations).toEqual(['/healthz took 1100 ms'])
})
