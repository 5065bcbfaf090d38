import type { IncomingMessage } from 'node:http'
import { CallerGone } from '../caller-gone.ts'

/** The largest body that any address takes: 1,000 digests with their addresses fit ten times over. */
export const mostBodyBytes = 1_048_576

/** Why a body was not read. The status is HTTP's. */
export class BodyRefused extends Error {
  readonly status: 400 | 413 | 415
  constructor(status: 400 | 413 | 415, message: string) {
    super(message)
    this.status = status
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The body as text. Throws `BodyRefused` for one that is too large, compressed or not UTF-8, and `CallerGone` for one cut short. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const tooLarge = () => new BodyRefused(413, `The body is larger than ${mostBodyBytes} bytes. Send less at once.`)
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new BodyRefused(415, 'Send the body uncompressed, without “Content-Encoding”.')
  }
  if (Number(request.headers['content-length'] ?? 0) > mostBodyBytes) throw tooLarge()
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > mostBodyBytes) reject(tooLarge())
      else chunks.push(chunk)
    })
    request.on('end', () => {
      const [only] = chunks
      resolve(chunks.length === 1 && only ? only : Buffer.concat(chunks))
    })
    request.on('error', () => reject(new CallerGone()))
    request.on('close', () => {
      if (!request.readableEnded) reject(new CallerGone())
    })
  })
  try {
    return utf8.decode(bytes)
  } catch {
    throw new BodyRefused(400, 'The body is not valid UTF-8.')
  }
}
