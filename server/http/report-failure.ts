import type { Logger } from 'pino'
import { databaseCause } from '../database/unavailable.ts'
import { nameError } from '../log.ts'
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

function stackOf(error: unknown): string | undefined {
  const cause = databaseCause(error)
  if (!(cause instanceof Error)) return undefined
  // A message can have lines of its own.
  return cause.stack
    ?.split('\n')
    .filter((line) => /^ +at /.test(line))
    .join('\n')
}
