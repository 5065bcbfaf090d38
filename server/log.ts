import { type Logger, pino } from 'pino'
import type { Config } from './config.ts'
import { databaseCause, sqlState } from './database/unavailable.ts'

/** A line of JSON for each entry, on standard error: standard output is for what a person, or a script, reads. */
export const createLog = (level: Config['logLevel']) =>
  pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }))

/** An error as a log may hold it: without a statement's parameters, and without the values that some messages quote. */
export function nameError(error: unknown): string {
  const cause = databaseCause(error)
  const state = sqlState(cause)
  if (!(cause instanceof Error)) return typeof cause
  // PostgreSQL quotes a value that it cannot read (class 22); JSON.parse and graphql-js quote what they were given.
  if (state?.startsWith('22')) return `PostgreSQL refused a value, SQLSTATE ${state}`
  if (cause instanceof SyntaxError || cause.name === 'GraphQLError') return cause.name
  return `${cause.name}: ${cause.message}`
}

/** Work that is tried again by itself, for as long as it takes. */
export interface Retried {
  failed(error: unknown): void
  succeeded(): void
}

/** Tells of the first failure in a row, and that it works again: an outage of an hour leaves two lines, not thousands. */
export function createRetried(
  log: Pick<Logger, 'warn' | 'info'>,
  messages: { failed: string; succeeded: string },
): Retried {
  let failures = 0
  return {
    failed(error) {
      if (failures === 0) log.warn({ error: nameError(error) }, messages.failed)
      failures++
    },
    succeeded() {
      if (failures > 0) log.info({ failures }, messages.succeeded)
      failures = 0
    },
  }
}
