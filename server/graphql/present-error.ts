import { GraphQLError, Kind } from 'graphql'
import { isUnavailable, sqlState } from '../database/unavailable.ts'
import type { Dependencies } from '../dependencies.ts'
import { Fault, type FaultCode, faultStatus, RateLimited, unavailable } from '../fault.ts'
import { reportFailure } from '../http/report-failure.ts'
import type { RequestRecord } from '../http/request-log.ts'
import { nameError } from '../log.ts'
import { Refusal } from '../refusal.ts'
import { RequestProblem, UnknownDocument } from './request-problem.ts'

/**
 * The one form in which an error leaves the server: a code, the HTTP status of that code, and words of our own, so that
 * they hold nothing internal and nothing that the caller sent.
 */
export function presentError(
  error: GraphQLError,
  { log }: Pick<Dependencies, 'log'>,
  request: Pick<RequestRecord, 'id'>,
): GraphQLError {
  const root = rootOf(error)
  if (root instanceof RateLimited) return presentRateLimited(error, root)
  if (root instanceof Fault) return present(error, root.code, root.message)
  if (root instanceof UnknownDocument) return present(error, 'PERSISTED_QUERY_NOT_FOUND', root.message, httpOf(root))
  if (root instanceof RequestProblem) return present(error, 'BAD_REQUEST', root.message, httpOf(root))
  if (isUnavailable(root)) {
    log.warn({ request: request.id, error: nameError(root) }, 'the database is unavailable')
    const { code, message } = unavailable()
    return present(error, code, message)
  }
  if (unfitValues.has(sqlState(root) ?? '')) {
    log.warn({ request: request.id, error: nameError(root) }, 'a request held a value that the database cannot take')
    return present(
      error,
      'BAD_REQUEST',
      'A cursor or another value in the request is damaged. Send it as it was given.',
    )
  }
  if (root instanceof GraphQLError && root.nodes?.[0]?.kind === Kind.VARIABLE) {
    const { message } = new RequestProblem('this variable cannot be null here.', root)
    return present(error, 'BAD_REQUEST', message)
  }
  if (root instanceof GraphQLError && !error.path) {
    return present(error, 'BAD_REQUEST', 'This is not a GraphQL request that can be answered.', httpOf(root))
  }
  const [node] = error.nodes ?? []
  const field = node?.kind === Kind.FIELD ? `${node.name.value}: ` : ''
  const undeclared = root instanceof Refusal ? 'a refusal that its field does not declare: ' : ''
  return present(error, 'INTERNAL', reportFailure({ log }, request, root, field + undeclared))
}

/**
 * SQLSTATEs of values that are bound as parameters and are not what they should be: a cursor that someone has made up, an
 * instant that PostgreSQL does not know, the character NUL.
 */
const unfitValues = new Set(['22007', '22008', '22021', '22P02', '22P05'])

interface HttpExtension {
  status?: number
  spec?: boolean
  headers?: Record<string, string>
}

function presentRateLimited(error: GraphQLError, { code, message, retryAfterSeconds }: RateLimited): GraphQLError {
  const http = { status: faultStatus[code], headers: { 'retry-after': String(retryAfterSeconds) } }
  return present(error, code, message, http, { retryAfterSeconds })
}

function present(
  error: GraphQLError,
  code: FaultCode,
  message: string,
  http: HttpExtension = { status: faultStatus[code] },
  extensions: Record<string, unknown> = {},
): GraphQLError {
  const headers: Record<string, string> = { ...http.headers }
  if (code === 'UNAUTHENTICATED') headers['www-authenticate'] = 'Bearer realm="latchkey"'
  if (code === 'UNAVAILABLE') headers['retry-after'] = '1'
  return new GraphQLError(message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    path: error.path ?? null,
    extensions: { code, ...extensions, http: { ...http, headers } },
  })
}

/** What was thrown, within what GraphQL makes of it. */
export function rootOf(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? rootOf(error.originalError) : error
}

function httpOf({ extensions: { http } }: GraphQLError): HttpExtension {
  return isHttp(http) ? http : { status: 400, spec: true }
}

function isHttp(value: unknown): value is HttpExtension {
  return typeof value === 'object' && value !== null && 'status' in value && typeof value.status === 'number'
}
