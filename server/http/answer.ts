import type { IncomingMessage, ServerResponse } from 'node:http'

/** Answers are for the caller alone, are what they say they are, and are no page to be framed. */
export const commonHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
} as const

/** Names and values in turn, as Node writes them fastest. */
const jsonHeaders = Object.entries({ ...commonHeaders, 'content-type': 'application/json' }).flat()

export function answerJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  const text = JSON.stringify(body)
  const length = String(Buffer.byteLength(text))
  response.writeHead(status, [...jsonHeaders, 'content-length', length, ...Object.entries(headers).flat()])
  response.end(text)
}

/** In the form in which GraphQL clients expect an error, whatever address it is for. */
export function answerFault(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  answerJson(response, status, faultOf(status, message), headers)
}

export const faultOf = (status: number, message: string) => ({
  errors: [{ message, extensions: { code: status >= 500 ? 'INTERNAL' : 'BAD_REQUEST' } }],
})

const lingerMilliseconds = 5_000

/**
 * Answers a request whose body is not wanted, and then closes the connection: once the caller has sent the rest, which is
 * thrown away, or after five seconds. Closed at once, the answer itself could be lost (RFC 9112, section 9.6).
 */
export function answerAndClose(request: IncomingMessage, response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    ...commonHeaders,
    connection: 'close',
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.write(text)
  const end = () => {
    clearTimeout(timer)
    response.end()
  }
  const timer = setTimeout(end, lingerMilliseconds)
  request.once('end', end).once('close', end).resume()
}
