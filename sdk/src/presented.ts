import type { BearerRequest } from './bearer.ts'
import { isRecord } from './is-record.ts'

/** What is read of a request of `node:http` or `node:http2`, and of what stands in for one in tests. */
export interface NodeRequest {
  headers: { authorization?: string | undefined }
  rawHeaders?: readonly string[] | undefined
  url?: string | undefined
}

export function presentedToNode(request: NodeRequest, usedFrom: string | undefined): BearerRequest {
  const { headers, url = '' } = request
  return { authorization: presentedTwice(request) ?? [headers.authorization ?? []].flat(), url, usedFrom }
}

/**
 * The same for the Web's requests. Those join several headers with commas, but some servers make them of Node's
 * `headers`, which have only the first: `incoming` is Node's own request, where there is one.
 */
export function presentedToFetch(request: Request, usedFrom: string | undefined, incoming?: unknown): BearerRequest {
  const { headers, url } = request
  return { authorization: presentedTwice(incoming) ?? [headers.get('authorization') ?? []].flat(), url, usedFrom }
}

/**
 * What came in more than one `Authorization` header. A single one is left to `headers`, which is what everybody else goes
 * by: something that ran before may have taken the credential away, or put it there.
 */
function presentedTwice(request: unknown): string[] | null {
  const rawHeaders = isRecord(request) ? request.rawHeaders : undefined
  if (!Array.isArray(rawHeaders)) return null
  // Names and values take turns.
  const values = rawHeaders.filter((_, index) => index % 2 === 1 && /^authorization$/i.test(rawHeaders[index - 1]))
  return values.length > 1 ? values : null
}

/** The connection's, where this is a request of `node:http`. */
export function addressOf(request: unknown): string | undefined {
  const socket = isRecord(request) ? request.socket : undefined
  const address = isRecord(socket) ? socket.remoteAddress : undefined
  return typeof address === 'string' ? address : undefined
}
