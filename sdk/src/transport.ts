import type { DocumentNode } from 'graphql'
import { GraphQLClient as GraphQLRequestClient } from 'graphql-request'
import { RequestError, type RequestErrorCode } from './errors.ts'

/** The part of graphql-request's client that the generated operations use. */
export interface GraphQLClient {
  request: <Data>(options: RequestOptions) => Promise<Data>
}

export interface RequestOptions {
  document: DocumentNode
  variables?: object | undefined
  requestHeaders?: Record<string, string>
  /** Part of what the generated operations would pass on; the client has one signal for all calls instead. */
  signal?: RequestInit['signal']
}

export interface TransportOptions {
  endpoint: string
  timeoutMilliseconds: number
  signal: AbortSignal | undefined
  fetch: typeof fetch | undefined
}

/**
 * Sends operations and reads their answers. Every failure is found here, before graphql-request sees it: the error
 * that it would make of one has the whole request in its message.
 */
export function createTransport(options: TransportOptions): GraphQLClient {
  const client = new GraphQLRequestClient(options.endpoint, {
    fetch: async (_endpoint, init = {}) => {
      const answer = readAnswer(await exchange(init, options), init, options)
      return new Response(answer, { headers: { 'content-type': 'application/json' } })
    },
    jsonSerializer: { stringify: writeBody, parse: (text): unknown => JSON.parse(text) },
  })
  return { request: ({ document, variables, requestHeaders }) => client.request(document, variables, requestHeaders) }
}

/** JSON would write an invalid date or number as null, and null clears a token's expiry. */
function writeBody(body: unknown): string {
  try {
    return JSON.stringify(body, function (this: Record<string, unknown>, key: string, value: unknown) {
      const lost = (value === null && this[key] !== null) || (typeof value === 'number' && !Number.isFinite(value))
      if (lost) throw new RequestError(`\`${key}\` is no valid date or number.`, { code: 'BAD_REQUEST' })
      return value
    })
  } catch (error) {
    if (error instanceof RequestError) throw error
    throw new RequestError('The variables cannot be written as JSON.', { code: 'BAD_REQUEST' })
  }
}

interface HttpAnswer {
  status: number
  headers: Headers
  text: string
}

async function exchange(init: RequestInit, options: TransportOptions): Promise<HttpAnswer> {
  const { endpoint, timeoutMilliseconds, signal, fetch: send = fetch } = options
  signal?.throwIfAborted()
  // AbortSignal.any and .timeout would do, but `any` is younger than Node 20.0 and than some browsers in use.
  const deadline = new AbortController()
  const abort = () => deadline.abort()
  const timer = setTimeout(abort, timeoutMilliseconds)
  signal?.addEventListener('abort', abort)
  try {
    // A redirect could carry passwords and tokens to an address that nobody chose.
    const response = await send(endpoint, { ...init, redirect: 'manual', signal: deadline.signal })
    return { status: response.status, headers: response.headers, text: await response.text() }
  } catch (error) {
    signal?.throwIfAborted()
    const reason = deadline.signal.aborted ? `no answer within ${timeoutMilliseconds} ms` : reasonOf(error)
    throw new RequestError(`${endpoint} cannot be reached: ${reason}.`, { code: 'UNAVAILABLE' })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}

/** The system's name for a network failure, such as ECONNREFUSED. Nothing else of the error is safe to show. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && isRecord(error.cause) ? error.cause : error
  const code = isRecord(cause) ? cause.code : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,63}$/.test(code) ? code : 'the network request failed'
}

/** @throws {RequestError} for whatever is not a complete GraphQL answer */
function readAnswer({ status, headers, text }: HttpAnswer, init: RequestInit, { endpoint }: TransportOptions): string {
  const answer = parse(text)
  const [fault]: unknown[] = isRecord(answer) && Array.isArray(answer.errors) ? answer.errors : []
  const isComplete = isRecord(answer) && isRecord(answer.data) && fault === undefined
  if (isComplete && status >= 200 && status < 300) return text

  const extensions = isRecord(fault) && isRecord(fault.extensions) ? fault.extensions : {}
  const about = {
    code: isRequestErrorCode(extensions.code) ? extensions.code : codeOfStatus(status),
    status: status === 0 ? null : status,
    retryAfterSeconds: secondsOf(headers.get('retry-after')) ?? secondsOf(extensions.retryAfterSeconds),
  }
  if (isRecord(fault) && typeof fault.message === 'string') {
    throw new RequestError(withoutWhatWasSent(fault.message, init), about)
  }
  if (isRedirect(status)) {
    throw new RequestError(`${endpoint} redirects. Give the client the address that it leads to.`, about)
  }
  throw new RequestError(
    `${endpoint} answered with HTTP ${status} and no GraphQL result. Is it Latchkey that answers there?`,
    about,
  )
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const codes: Record<RequestErrorCode, true> = {
  UNAUTHENTICATED: true,
  FORBIDDEN: true,
  BAD_REQUEST: true,
  RATE_LIMITED: true,
  UNAVAILABLE: true,
  INTERNAL: true,
}

function isRequestErrorCode(code: unknown): code is RequestErrorCode {
  return typeof code === 'string' && Object.hasOwn(codes, code)
}

function codeOfStatus(status: number): RequestErrorCode {
  if (status === 401) return 'UNAUTHENTICATED'
  if (status === 403) return 'FORBIDDEN'
  if (status === 429) return 'RATE_LIMITED'
  if ([408, 502, 503, 504].includes(status)) return 'UNAVAILABLE'
  if (isRedirect(status) || (status >= 400 && status < 500)) return 'BAD_REQUEST'
  return 'INTERNAL'
}

/** A browser gives a redirect that is not to be followed the status 0. */
function isRedirect(status: number): boolean {
  return status === 0 || (status >= 300 && status < 400)
}

function secondsOf(value: unknown): number | null {
  const seconds = typeof value === 'string' && value !== '' ? Number(value) : value
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds : null
}

/** A server may quote the value that it could not take. Short values are left in: they are words that messages use. */
function withoutWhatWasSent(message: string, { body, headers }: RequestInit): string {
  const sent = parse(String(body))
  const credential = new Headers(headers).get('authorization')?.replace('Bearer ', '') ?? ''
  return [...strings(isRecord(sent) ? sent.variables : null), credential]
    .filter((value) => value.length >= 8)
    .sort((one, other) => other.length - one.length)
    .flatMap((value) => [value, JSON.stringify(value).slice(1, -1)])
    .reduce((text, value) => text.replaceAll(value, '…'), message)
}

function strings(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return isRecord(value) ? Object.values(value).flatMap(strings) : []
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
