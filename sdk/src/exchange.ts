import { builtinModule } from './builtin-module.ts'
import { RequestError } from './errors.ts'
import { isRecord } from './is-record.ts'

export interface HttpRequest {
  headers: Record<string, string>
  body: string
}

export interface HttpAnswer {
  status: number
  retryAfter: string | null
  body: string
}

export interface ExchangeOptions {
  endpoint: string
  timeoutMilliseconds: number
  signal: AbortSignal | undefined
  fetch: typeof fetch | undefined
}

/** There and back once. Follows no redirect: that could carry passwords and tokens to an address that nobody chose. */
type Send = (request: HttpRequest, signal: AbortSignal) => Promise<HttpAnswer>

/** Gives what was answered, whatever its status. Throws a `RequestError` where nothing was, and the signal's reason. */
export function createExchange(options: ExchangeOptions): (request: HttpRequest) => Promise<HttpAnswer> {
  const { endpoint, timeoutMilliseconds, signal } = options
  const send = (options.fetch ? null : sendByNode(endpoint)) ?? sendByFetch(endpoint, options.fetch)
  const underWay: AbortController[] = []
  const abortAll = () => {
    for (const exchange of underWay) exchange.abort()
  }

  // One listener for all: of those that come and go while others stay, each leaves behind a reference to the next, and all
  // that hangs on them lives until the garbage collector's slow rounds.
  function begin(): AbortController {
    const exchange = new AbortController()
    if (underWay.push(exchange) === 1) signal?.addEventListener('abort', abortAll)
    return exchange
  }
  function end(exchange: AbortController): void {
    underWay.splice(underWay.indexOf(exchange), 1)
    if (underWay.length === 0) signal?.removeEventListener('abort', abortAll)
  }

  return async (request) => {
    signal?.throwIfAborted()
    // AbortSignal.any and .timeout would do, but `any` is younger than Node 20.0 and than some browsers in use.
    const exchange = begin()
    const timer = setTimeout(() => exchange.abort(), timeoutMilliseconds)
    try {
      return await send(request, exchange.signal)
    } catch (error) {
      signal?.throwIfAborted()
      const reason = exchange.signal.aborted ? `no answer within ${timeoutMilliseconds} ms` : reasonOf(error)
      throw new RequestError(`${endpoint} cannot be reached: ${reason}.`, { code: 'UNAVAILABLE' })
    } finally {
      clearTimeout(timer)
      end(exchange)
    }
  }
}

/** The system's name for a network failure, such as ECONNREFUSED. Nothing else of the error is safe to show. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && isRecord(error.cause) ? error.cause : error
  const code = isRecord(cause) ? cause.code : undefined
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{2,63}$/.test(code) ? code : 'the network request failed'
}

/** By the one that is given, or by what is the global one when it is called. */
function sendByFetch(endpoint: string, given: typeof fetch | undefined): Send {
  return async (request, signal) => {
    const response = await (given ?? fetch)(endpoint, { method: 'POST', ...request, redirect: 'manual', signal })
    return {
      status: response.status,
      retryAfter: response.headers.get('retry-after'),
      body: await response.text(),
    }
  }
}

/** Node's `fetch` names itself likewise; a browser names itself and lets nobody else do so. */
const named = { 'user-agent': 'latchkey-sdk' }

/** Of `node:http` and `node:https`, what is used here. */
interface NodeHttp {
  request: (
    url: URL,
    options: { method: string; headers: Record<string, string>; signal: AbortSignal },
    onAnswer: (answer: NodeAnswer) => void,
  ) => {
    on: (event: 'error', listener: (error: unknown) => void) => void
    end: (body: string) => void
  }
}
interface NodeAnswer {
  statusCode?: number
  headers: { 'retry-after'?: string }
  setEncoding: (encoding: 'utf8') => void
  on: (event: 'data' | 'end' | 'error', listener: (value: unknown) => void) => void
}

/**
 * By Node's own client where there is one, whose exchange takes a third of the processor's time that its `fetch` does. It
 * goes through the process's own agents, which keep connections open, and know the environment's proxies where Node is told to.
 */
function sendByNode(endpoint: string): Send | null {
  const url = new URL(endpoint)
  const http = builtinModule(url.protocol === 'https:' ? 'node:https' : 'node:http')
  if (!isNodeHttp(http)) return null
  return ({ headers, body }, signal) =>
    new Promise((resolve, reject) => {
      const request = http.request(url, { method: 'POST', headers: { ...named, ...headers }, signal }, (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (part) => {
          text += String(part)
        })
        answer.on('error', reject)
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'] ?? null, body: text }),
        )
      })
      request.on('error', reject)
      request.end(body)
    })
}

function isNodeHttp(http: object | null): http is NodeHttp {
  return http !== null && 'request' in http && typeof http.request === 'function'
}
