/** What went wrong in the caller's plumbing or in ours, as `extensions.code` tells it, with the HTTP status of each. */
export const faultStatus = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  BAD_REQUEST: 400,
  PERSISTED_QUERY_NOT_FOUND: 400,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  INTERNAL: 500,
} as const
export type FaultCode = keyof typeof faultStatus

/** Ends the request. The message goes to the caller as it is, so it holds nothing that they sent and nothing secret. */
export class Fault extends Error {
  readonly code: FaultCode
  constructor(code: FaultCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Done too often, on all instances together. */
export class RateLimited extends Fault {
  readonly retryAfterSeconds: number
  constructor(what: string, retryAfterSeconds: number) {
    super('RATE_LIMITED', `${what} Try again in ${inSeconds(retryAfterSeconds)}.`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

export const inSeconds = (seconds: number) => (seconds === 1 ? 'a second' : `${seconds} seconds`)

export const unavailable = () =>
  new Fault('UNAVAILABLE', 'Latchkey cannot reach its database. Nothing is known of the answer; try again in a moment.')
