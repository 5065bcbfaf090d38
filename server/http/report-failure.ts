import type { Logger } from 'pino'
import { databaseCause, sqlState } from '../database/unavailable.ts'
import type { RequestRecord } from './request-log.ts'

/** Logs an error that nobody foresaw. Gives the words for the caller, with the reference under which the log has it. */
export function reportFailure(
  { log }: { log: Logger },
  { id }: Pick<RequestRecord, 'id'>,
  error: unknown,
  circumstances = '',
): string {
  log.error({ request: id, error: circumstances + nameError(error), stack: stackOf(error) }, 'a request failed')
  return `Something went wrong on our side. Tell the operator this reference: ${id}.`
}

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

function stackOf(error: unknown): string | undefined {
  const cause = databaseCause(error)
  if (!(cause instanceof Error)) return undefined
  // A message can have lines of its own.
  return cause.stack
    ?.split('\n')
    .filter((line) => /^ +at /.test(line))
    .join('\n')
}
