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
  /** Answers that the database could not be asked, and how many of them came while it was there: a slow machine makes them. */
  unavailable: { during: number; between: number }
  slowestUnavailableMilliseconds: number
  slowestHealthCheckMilliseconds: number
  longestRecoveryMilliseconds: number
}

/** What is promised, and half a second for a machine that runs other tests meanwhile. */
const inTimeMilliseconds = 2_000 + 500
/** 100 milliseconds are promised; the rest is for a machine on which an instance starts and passwords are hashed meanwhile. */
const aliveInTimeMilliseconds = 1_000

/**
 * Whether each request was answered, within two seconds where the database was away, and whether both instances were whole
 * again within two seconds of its return. A sign-in also takes as long as hashing a password does on this machine.
 */
export function checkAvailability(
  history: History,
  faults: readonly Fault[],
  health: readonly HealthCheck[],
): Availability {
  const violations: string[] = []
  const outages = faults.filter(({ kind }) => kind !== 'kill')
  const kills = faults.filter(({ kind }) => kind === 'kill')
  const hashingMilliseconds = longestSignIn(history)
  const during: number[] = []
  let between = 0
  for (const { instance, began, ended, answered, about, why } of requestsWithoutAnswer(history)) {
    const where = `${about} on instance ${instance} at ${began.toFixed(0)} (${why})`
    if (!answered) {
      const killed = kills.some((kill) => kill.instance === instance && kill.began <= ended && kill.back >= began)
      if (!killed)
        violations.push(`no answer after ${(ended - began).toFixed(0)} ms, though nobody killed it: ${where}`)
      continue
    }
    const outage = outages.find((one) => one.began <= ended && one.whole >= began)
    if (!outage) {
      between += 1
      continue
    }
    const milliseconds = ended - Math.max(began, outage.began) - (about === 'signIn' ? hashingMilliseconds : 0)
    during.push(milliseconds)
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
    unavailable: { during: during.length, between },
    slowestUnavailableMilliseconds: Math.max(0, ...during),
    slowestHealthCheckMilliseconds: Math.max(0, ...checks),
    longestRecoveryMilliseconds: Math.max(0, ...recoveries),
  }
}

/** Of those that succeeded. */
function longestSignIn({ operations }: History): number {
  const attempts = operations.filter(({ intent }) => intent.does === 'signIn').flatMap(({ attempts }) => attempts)
  const succeeded = attempts.filter(({ outcome }) => outcome.is === 'acknowledged')
  return Math.max(0, ...succeeded.map(({ began, ended }) => ended - began))
}

/** Those that never were answered, and those that were answered with 503. The SDK's verifier gives no answers of an instance. */
function requestsWithoutAnswer({ operations, verifications }: History) {
  const attempts = operations.flatMap((operation) =>
    operation.attempts.flatMap(({ outcome, ...times }) =>
      outcome.is === 'unknown' ? [{ ...times, ...outcome, about: operation.intent.does }] : [],
    ),
  )
  const questions = verifications.flatMap(({ answer, by, ...times }) =>
    answer.is === 'unavailable' && by !== 'verifier' ? [{ ...times, ...answer, about: by }] : [],
  )
  return [...attempts, ...questions]
}
