import type { BearerRefusal } from './bearer.ts'

/** What is needed of a response of `node:http`. */
export interface NodeResponse {
  headersSent: boolean
  statusCode: number
  setHeader(name: string, value: string): unknown
  end(body: string): unknown
}

/** Headers that were set before, such as those of CORS, stay; so does an answer that was begun before, such as a timeout's. */
export function sendRefusal(response: NodeResponse, { status, headers, body }: BearerRefusal): void {
  if (response.headersSent) return
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.end(JSON.stringify(body))
}
