import type { RequestRecord } from '../http/request-log.ts'

/** What became of a request, in the words of the log. */
interface Ended {
  route: string | null
  status: number | null
}

const operationOfRoute: Record<string, string> = {
  '/oauth/introspect': 'introspect',
  '/healthz': 'healthz',
  '/readyz': 'readyz',
  console: 'console',
}

/**
 * What a request was about, in as few words as the contract has fields: the field of GraphQL that was asked for, `several` for
 * more than one, `graphql` for none that there is; `introspect`, `scim`, `console`, `healthz`, `readyz`; `other` for what
 * there is nothing at.
 */
export function operationOf({ operations }: Pick<RequestRecord, 'operations'>, route: string | null): string {
  if (route === null) return 'other'
  const [first, ...others] = operations
  if (first !== undefined) return others.every((name) => name === first) ? first : 'several'
  if (route === '/graphql') return 'graphql'
  return operationOfRoute[route] ?? (route.startsWith('/scim/v2') ? 'scim' : 'other')
}

/**
 * What came of it: `ok`; the name of a refusal, the code of a fault or SCIM’s word for it, the first where there are several;
 * `hung_up` where nobody waited for the answer.
 */
export function outcomeOf({ refusals }: Pick<RequestRecord, 'refusals'>, status: number | null): string {
  if (status === null) return 'hung_up'
  return refusals[0] ?? (status < 400 ? 'ok' : (codeOfStatus[status] ?? (status < 500 ? 'BAD_REQUEST' : 'INTERNAL')))
}

const codeOfStatus: Record<number, string> = {
  401: 'UNAUTHENTICATED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  429: 'RATE_LIMITED',
  503: 'UNAVAILABLE',
}

/** Both, of a request that has ended. */
export const labelsOf = (record: RequestRecord, { route, status }: Ended) => ({
  operation: operationOf(record, route),
  outcome: outcomeOf(record, status),
})
