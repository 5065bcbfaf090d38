import { BadSetting } from './config.ts'
import { DataDirectoryInUse } from './database/embedded.ts'
import { RolesMissing } from './database/pool.ts'
import { databaseCause, isUnavailable, sqlState } from './database/unavailable.ts'
import { OperatorError } from './organizations/operator.ts'

/** Says itself, in whole sentences, what was wrong and what to do next. */
export class Foreseen extends Error {}

const foreseen = [Foreseen, BadSetting, DataDirectoryInUse, RolesMissing, OperatorError]

/** What went wrong and what to do next, for the person at the terminal; a stack only for what nobody foresaw. */
export function explain(error: unknown): string {
  const cause = databaseCause(error)
  if (!(cause instanceof Error)) return `Something unexpected was thrown: ${typeof cause}.`
  if (foreseen.some((known) => cause instanceof known)) return cause.message
  return explainDatabase(cause) ?? explainSystem(cause) ?? cause.stack ?? cause.message
}

function explainDatabase(error: Error): string | null {
  switch (sqlState(error)) {
    case '28P01':
    case '28000':
      return 'PostgreSQL refused the login in DATABASE_URL. Check its user and password.'
    case '3D000':
      return 'The database named in DATABASE_URL does not exist. Create it first.'
    case '42501':
      return (
        'The login in DATABASE_URL may not do what the database needs. ' +
        'Run “latchkey migrate” once with a login that owns the database and may create roles, and grant the roles ' +
        'latchkey_server and latchkey_lookup to the login that serves.'
      )
    case '55P03':
      return (
        'The tables could not be migrated, and are as they were: something else has had one of them open for a minute. ' +
        'Let a dump end first, or end the transaction that was left open (pg_stat_activity has it), and migrate again.'
      )
    case '53300':
      return (
        'PostgreSQL has no connection left. Stop what uses them, let it take more (max_connections), ' +
        'or set DATABASE_CONNECTIONS lower.'
      )
  }
  if (!isUnavailable(error)) return null
  return 'PostgreSQL cannot be reached. Check that it runs, and the host and port in DATABASE_URL if that is set.'
}

function explainSystem(error: Error): string | null {
  const code = 'code' in error ? error.code : null
  const path = 'path' in error && typeof error.path === 'string' ? `: ${error.path}` : ''
  if (code === 'EACCES' || code === 'EPERM') {
    return `The system does not allow it${path}. Start Latchkey as the user who may, or set DATA_DIRECTORY to another directory.`
  }
  if (code === 'ENOSPC') return 'The disk is full. Make room, and start again.'
  return null
}
