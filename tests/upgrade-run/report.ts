import type { BesideOutcome } from './beside.ts'
import type { TestsOutcome } from './old-tests.ts'

export interface UpgradeOutcome {
  beside: BesideOutcome
  tests: TestsOutcome
}

/** Everything that is not as promised. */
export function problemsOf({ beside, tests }: UpgradeOutcome): string[] {
  return [
    ...beside.problems,
    ...(tests.passed === 0 ? ['no test of the version before passed'] : []),
    ...tests.failed.map(({ name, reason }) => `${name}\n      ${reason}`),
  ]
}

/** What a run did and found, for a person. */
export function report(outcome: UpgradeOutcome): string {
  const { beside, tests } = outcome
  const problems = problemsOf(outcome)
  return [
    '',
    beside.migrated.trim(),
    `while that ran      ${beside.requestsMeanwhile} requests to the version before, in ${beside.migratingMilliseconds.toFixed(0)} ms`,
    `beside each other   ${beside.checks} checks`,
    `its own tests       ${tests.passed} passed, ${tests.failed.length} failed, of ${tests.files} files, in ${tests.seconds.toFixed(0)} s`,
    `problems            ${problems.length}`,
    ...problems.map((problem) => `  ${problem}`),
  ].join('\n')
}
