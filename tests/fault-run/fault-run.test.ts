import { expect, it } from 'vitest'
import { runFaults } from './fault-run.ts'
import { shortPlan } from './plan.ts'
import { problemsOf, report } from './report.ts'

/** Half a minute on a machine that does nothing else, of which most goes by while PostgreSQL is away and instances start. */
const timeoutMilliseconds = 240_000

it('loses nothing that it acknowledged and accepts nothing that it refused while it is killed and PostgreSQL comes and goes', {
  timeout: timeoutMilliseconds,
}, async () => {
  const outcome = await runFaults(shortPlan, () => undefined)
  const counts = report(outcome)
  expect(problemsOf(outcome), counts).toEqual([])
  expect(outcome.faults.map(({ kind }) => kind).sort()).toEqual([
    ...['crash', 'freeze', 'kill', 'kill', 'kill', 'restart'],
  ])
  // That it was not by doing nothing that nothing went wrong.
  const acknowledged = outcome.history.operations.filter(({ gave }) => gave.tokenId !== undefined)
  expect(acknowledged.length, counts).toBeGreaterThan(20)
  expect(outcome.history.verifications.length, counts).toBeGreaterThan(500)
  expect(outcome.availability.unavailable.during, counts).toBeGreaterThan(0)
})
