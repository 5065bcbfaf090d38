import { type IncomingMessage, ServerResponse } from 'node:http'
import type { IncomingRequest } from './body.ts'

/** An answer on its way, with the headers that every one carries. The server makes them of this class. */
export class Answer extends ServerResponse<IncomingRequest> {
  /** Names and values in turn, as Node writes them fastest. */
  commonHeaders: readonly string[] = []

  /** For whoever then adds to them, or sets some otherwise, one by one. */
  setCommonHeaders(): this {
    for (let at = 0; at < this.commonHeaders.length; at += 2) {
      this.setHeader(this.commonHeaders[at] ?? '', this.commonHeaders[at + 1] ?? '')
    }
    return this
  }
}

/**
 * Answers are for the caller alone, are what they say they are, and are no page: not to be framed, nor to run anything, nor
 * to be read by another site’s. Over HTTPS, browsers are to come by nothing else for a year.
 */
export function commonHeadersFor(publicUrl: URL): readonly string[] {
  return Object.entries({
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'x-frame-options': 'DENY',
    'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    ...(publicUrl.protocol === 'https:' && { 'strict-transport-security': 'max-age=31536000; includeSubDomains' }),
  }).flat()
}

export function answerJson(
  response: Answer,
  status: number,
  body: object,
  headers: Record<string, string> = {},
  mediaType = 'application/json',
): void {
  const text = JSON.stringify(body)
  response.writeHead(status, [
    ...response.commonHeaders,
    'content-type',
    mediaType,
    'content-length',
    String(Buffer.byteLength(text)),
    ...Object.entries(headers).flat(),
  ])
  response.end(text)
}

/** In the form in which GraphQL clients expect an error, whatever address it is for. */
export function answerFault(
  response: Answer,
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
export function answerAndClose(
  request: IncomingMessage,
  response: Answer,
  status: number,
  body: object,
  mediaType = 'application/json',
): void {
  const text = JSON.stringify(body)
  response.setCommonHeaders().writeHead(status, {
    connection: 'close',
    'content-type': mediaType,
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
