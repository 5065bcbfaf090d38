import { BadSetting } from './config.ts'
import { DataDirectoryInUse } from './database/embedded.ts'
import { RolesMissing } from './database/pool.ts'
import { databaseCause, isUnavailable, sqlState } from './database/unavailable.ts'
import { OperatorError } from './organizations/operator.ts'

/** What went wrong and what to do next, for the person at the terminal; a stack only for what nobody foresaw. */
export function explain(error: unknown): string {
  const cause = databaseCause(error)
  if (!(cause instanceof Error)) return `Something unexpected was thrown: ${typeof cause}.`
  if ([BadSetting, DataDirectoryInUse, RolesMissing, OperatorError].some((known) => cause instanceof known))
    return cause.message
  if ('code' in cause && cause.code === 'EADDRINUSE') {
    return 'The port is taken by another program. Stop that one, or set PORT to another.'
  }
  if ('code' in cause && cause.code === 'EACCES')
    return 'The system does not allow that port or file. Set PORT or DATA_DIRECTORY to another.'
  if (sqlState(cause) === '28P01' || sqlState(cause) === '28000')
    return 'PostgreSQL refused the login in DATABASE_URL. Check its user and password.'
  if (sqlState(cause) === '3D000') return 'The database named in DATABASE_URL does not exist. Create it first.'
  if (isUnavailable(cause))
    return 'PostgreSQL cannot be reached. Check that it runs, and the host and port in DATABASE_URL.'
  return cause.stack ?? cause.message
}
