import type { History } from './history.ts'

/** Something that was done to the machinery, and what came of it. */
export interface Fault {
  kind: 'kill' | 'stop' | 'crash' | 'freeze' | 'restart'
  /** Which instance was killed; null where it was PostgreSQL that went away. */
  instance: number | null
  began: number
  /** When what had gone away was there again: for PostgreSQL, when it took a connection, repairs after a crash included. */
  back: number
  /** When both instances did all of their work again. */
  whole: number
}

/** A question whether an instance is alive. */
export interface HealthCheck {
  instance: number
  began: number
  ended: number
}

export interface Availability {
  violations: string[]
  /** Answers that the database could not be asked. */
  unavailable: number
  slowestUnavailableMilliseconds: number
  slowestHealthCheckMilliseconds: number
  longestRecoveryMilliseconds: number
}

/** What is promised, and half a second for a machine that runs other tests meanwhile. */
const inTimeMilliseconds = 2_000 + 500
/** 100 milliseconds are promised; the rest is for a machine on which an instance starts and passwords are hashed meanwhile. */
const aliveInTimeMilliseconds = 1_000

/**
 * Whether each request was answered, within two seconds where the database was away, and with 503 only then; and whether
 * both instances were whole again within two seconds of its return.
 */
export function checkAvailability(
  history: History,
  faults: readonly Fault[],
  health: readonly HealthCheck[],
): Availability {
  const violations: string[] = []
  const outages = faults.filter(({ kind }) => kind !== 'kill')
  const kills = faults.filter(({ kind }) => kind === 'kill')
  const unavailable: number[] = []
  for (const { instance, began, ended, answered, about } of requestsWithoutAnswer(history)) {
    const where = `${about} on instance ${instance} at ${began.toFixed(0)}`
    if (!answered) {
      const killed = kills.some((kill) => kill.instance === instance && kill.began <= ended && kill.back >= began)
      if (!killed) violations.push(`no answer, though nobody had killed it: ${where}`)
      continue
    }
    const outage = outages.find((one) => one.began <= ended && one.whole >= began)
    if (!outage) violations.push(`503, though PostgreSQL was there: ${where}`)
    const milliseconds = ended - Math.max(began, outage?.began ?? began)
    unavailable.push(milliseconds)
    if (milliseconds > inTimeMilliseconds) violations.push(`503 after ${milliseconds.toFixed(0)} ms: ${where}`)
  }
  const checks = health
    .filter(({ began, ended }) => outages.some((outage) => outage.began <= ended && outage.back >= began))
    .map(({ began, ended }) => ended - began)
  const recoveries = outages.map(({ back, whole }) => whole - back)
  for (const milliseconds of checks) {
    if (milliseconds > aliveInTimeMilliseconds) violations.push(`/healthz took ${milliseconds.toFixed(0)} ms`)
  }
  for (const { kind, back, whole } of outages) {
    if (whole - back > inTimeMilliseconds) {
      violations.push(`whole again only ${(whole - back).toFixed(0)} ms after PostgreSQL (${kind})`)
    }
  }
  return {
    violations,
    unavailable: unavailable.length,
    slowestUnavailableMilliseconds: Math.max(0, ...unavailable),
    slowestHealthCheckMilliseconds: Math.max(0, ...checks),
    longestRecoveryMilliseconds: Math.max(0, ...recoveries),
  }
}

/** Those that never were answered, and those that were answered with 503. The SDK's verifier gives no answers of an instance. */
function requestsWithoutAnswer({ operations, verifications }: History) {
  const attempts = operations.flatMap((operation) =>
    operation.attempts.flatMap(({ outcome, ...times }) =>
      outcome.is === 'unknown' ? [{ ...times, answered: outcome.answered, about: operation.intent.does }] : [],
    ),
  )
  const questions = verifications.flatMap(({ answer, by, ...times }) =>
    answer.is === 'unavailable' && by !== 'verifier' ? [{ ...times, answered: answer.answered, about: by }] : [],
  )
  return [...attempts, ...questions]
}
