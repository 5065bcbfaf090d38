import { type DocumentNode, print } from 'graphql'
import { hasSha256, sha256 } from './digest.ts'
import { RequestError, type RequestErrorCode } from './errors.ts'
import { createExchange, type ExchangeOptions, type HttpAnswer, type HttpRequest } from './exchange.ts'
import { isRecord } from './is-record.ts'

/** What the generated operations send through. */
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

/**
 * Sends operations and reads their answers. A document is named by its hash, which Latchkey knows for the operations of
 * its own version; to one that does not, and from where no hash can be made, it is sent in full.
 */
export function createTransport(options: ExchangeOptions): GraphQLClient {
  const unknown = new WeakSet<DocumentNode>()
  const exchange = createExchange(options)

  async function send(
    document: DocumentNode,
    inFull: boolean,
    { variables, requestHeaders }: RequestOptions,
  ): Promise<Exchanged> {
    const source = inFull
      ? { query: print(document) }
      : { extensions: { persistedQuery: { version: 1, sha256Hash: await hashOf(document) } } }
    const request = {
      headers: {
        accept: 'application/graphql-response+json, application/json',
        'content-type': 'application/json',
        ...requestHeaders,
      },
      body: writeBody({ ...source, variables, operationName: nameOf(document) }),
    }
    const answer = await exchange(request)
    return { request, answer, content: parse(answer.body) }
  }

  return {
    async request<Data>(asked: RequestOptions): Promise<Data> {
      const { document } = asked
      let sent = await send(document, unknown.has(document) || !hasSha256(), asked)
      if (isUnknownDocument(sent)) {
        unknown.add(document)
        sent = await send(document, true, asked)
      }
      return readAnswer<Data>(sent, options)
    },
  }
}

const hashes = new WeakMap<DocumentNode, string | Promise<string>>()

/** Of its definitions in a fixed order, so that it is the same however they were put together. */
function hashOf(document: DocumentNode): string | Promise<string> {
  const known = hashes.get(document)
  if (known !== undefined) return known
  const hash = sha256(document.definitions.map(print).sort().join('\n\n'))
  hashes.set(document, hash)
  return hash
}

function nameOf({ definitions }: DocumentNode): string | undefined {
  for (const definition of definitions) if (definition.kind === 'OperationDefinition') return definition.name?.value
  return undefined
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

interface Exchanged {
  request: HttpRequest
  answer: HttpAnswer
  /** What the answer's body says, where that is JSON. */
  content: unknown
}

function isUnknownDocument({ content }: Exchanged): boolean {
  const fault = faultOf(content)
  return isRecord(fault?.extensions) && fault.extensions.code === 'PERSISTED_QUERY_NOT_FOUND'
}

function faultOf(content: unknown): Record<string, unknown> | undefined {
  const [fault]: unknown[] = isRecord(content) && Array.isArray(content.errors) ? content.errors : []
  return isRecord(fault) ? fault : undefined
}

/** @throws {RequestError} for whatever is not a complete GraphQL answer */
function readAnswer<Data>(
  { request, answer: { status, retryAfter }, content }: Exchanged,
  { endpoint }: ExchangeOptions,
): Data {
  if (status >= 200 && status < 300 && isResult<Data>(content)) return content.data

  const fault = faultOf(content)
  const extensions = isRecord(fault?.extensions) ? fault.extensions : {}
  const about = {
    code: isRequestErrorCode(extensions.code) ? extensions.code : codeOfStatus(status),
    status: status === 0 ? null : status,
    retryAfterSeconds: secondsOf(retryAfter) ?? secondsOf(extensions.retryAfterSeconds),
  }
  if (typeof fault?.message === 'string') {
    throw new RequestError(withoutWhatWasSent(fault.message, request), about)
  }
  if (isRedirect(status)) {
    throw new RequestError(`${endpoint} redirects. Give the client the address that it leads to.`, about)
  }
  throw new RequestError(
    `${endpoint} answered with HTTP ${status} and no GraphQL result. Is it Latchkey that answers there?`,
    about,
  )
}

/** The contract promises the type of `data`, and the server's own tests hold it to that. */
function isResult<Data>(content: unknown): content is { data: Data } {
  if (!isRecord(content) || !isRecord(content.data)) return false
  return !Array.isArray(content.errors) || content.errors.length === 0
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
function withoutWhatWasSent(message: string, { body, headers }: HttpRequest): string {
  const sent = parse(body)
  const credential = headers.authorization?.replace('Bearer ', '') ?? ''
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
