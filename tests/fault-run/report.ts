import type { Outcome } from './fault-run.ts'
import { outcomeOf } from './history.ts'

const mostProblems = 30

/** Everything that is not as promised. */
export function problemsOf({ checked, availability, auditComplaint, logged }: Outcome): string[] {
  return [
    ...checked.violations.map(({ rule, about }) => `${rule}: ${about}`),
    ...availability.violations,
    ...(auditComplaint === null ? [] : [`“latchkey audit verify” refuses the log:\n${auditComplaint}`]),
    ...logged.map((line) => `an instance logged an error: ${line}`),
  ]
}

/** What a run did and found, for a person. */
export function report(outcome: Outcome): string {
  const { history, faults, killsDuringChanges, checked, availability, seconds } = outcome
  const problems = problemsOf(outcome)
  const operations = history.operations.map((operation) => {
    const outcome = outcomeOf(operation)
    const isUnsent = outcome.is === 'refused' && outcome.code === 'unsent'
    return { kind: operation.intent.does, column: isUnsent ? 'unsent' : outcome.is }
  })
  const verifications = history.verifications.map(({ by, answer }) => ({
    kind: by,
    column: answer.is === 'unavailable' ? 'unavailable' : answer.as === null ? 'refused' : 'accepted',
  }))
  const count = (kind: string) => faults.filter((fault) => fault.kind === kind).length
  const retried = history.operations.filter(
    ({ intent, attempts }) =>
      intent.does === 'createToken' && attempts.slice(0, -1).some(({ outcome }) => outcome.is === 'unknown'),
  ).length
  const milliseconds = (value: number) => `${value.toFixed(0)} ms`
  return [
    '',
    table('operations', ['acknowledged', 'refused', 'unknown', 'unsent'], operations),
    '',
    table('verifications', ['accepted', 'refused', 'unavailable'], verifications),
    '',
    ...columns([
      ['instances killed with -9', `${count('kill')}, of these ${killsDuringChanges} while they worked on a change`],
      [
        'PostgreSQL',
        `${count('stop')} times stopped, ${count('crash')} crashed, ${count('freeze')} frozen, ${count('restart')} restarted`,
      ],
      ['creations asked for again with their idempotency key', String(retried)],
      ['events in the audit log', String(history.events.length)],
      ['answers 503 during outages', String(availability.unavailable.during)],
      ['answers 503 while PostgreSQL was there, but slow', String(availability.unavailable.between)],
      [
        'slowest 503 during outages, without the hashing of passwords',
        milliseconds(availability.slowestUnavailableMilliseconds),
      ],
      ['slowest /healthz during outages', milliseconds(availability.slowestHealthCheckMilliseconds)],
      ['longest from PostgreSQL’s return to full service', milliseconds(availability.longestRecoveryMilliseconds)],
      [
        'longest that a verifier of the SDK went on after an acknowledged change',
        milliseconds(checked.longestStaleAnswerMilliseconds),
      ],
      ['time', `${seconds.toFixed(0)} s`],
      ['violations', String(problems.length)],
    ]),
    ...problems.slice(0, mostProblems).map((problem) => `  ${problem}`),
    ...(problems.length > mostProblems ? [`  … and ${problems.length - mostProblems} more`] : []),
  ].join('\n')
}

function table(title: string, names: readonly string[], items: readonly { kind: string; column: string }[]): string {
  const rows = [...Map.groupBy(items, ({ kind }) => kind)].sort(([one], [other]) => (one < other ? -1 : 1))
  const cells = (group: readonly { column: string }[]) =>
    names.map((name) => String(group.filter(({ column }) => column === name).length))
  return columns([
    [title, ...names],
    ...rows.map(([kind, group]) => [kind, ...cells(group)]),
    ['all', ...cells(items)],
  ]).join('\n')
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
