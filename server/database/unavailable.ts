import { DrizzleQueryError } from 'drizzle-orm'

/** The database cannot be asked now. Whoever asked may try again; nothing is known of the answer. */
export class DatabaseUnavailable extends Error {
  constructor(cause: unknown) {
    super('The database cannot be reached.', { cause })
  }
}

/** Connections, resources, an operator's intervention, and a statement that took too long. */
const unavailableClasses = /^(08|53|57P|57014)/
const networkCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOENT', 'ENOTFOUND', 'EAI_AGAIN'])
const driverMessages =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Cannot use a pool after calling end)/

/** The error below the ORM's own, whose message would hold the statement's parameters. */
export function databaseCause(error: unknown): unknown {
  return error instanceof DrizzleQueryError && error.cause ? error.cause : error
}

/** The SQLSTATE, where PostgreSQL itself refused a statement. */
export function sqlState(error: unknown): string | null {
  const cause = databaseCause(error)
  if (!(cause instanceof Error) || !('code' in cause) || typeof cause.code !== 'string') return null
  return /^[0-9A-Z]{5}$/.test(cause.code) ? cause.code : null
}

/** The name of the constraint that a statement would have broken. */
export function constraintOf(error: unknown): string | null {
  const cause = databaseCause(error)
  return cause instanceof Error && 'constraint' in cause && typeof cause.constraint === 'string'
    ? cause.constraint
    : null
}

export function isUnavailable(error: unknown): boolean {
  const cause = databaseCause(error)
  if (cause instanceof DatabaseUnavailable) return true
  if (!(cause instanceof Error)) return false
  if (cause instanceof AggregateError) return cause.errors.some(isUnavailable)
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : ''
  return networkCodes.has(code) || unavailableClasses.test(sqlState(cause) ?? '') || driverMessages.test(cause.message)
}
