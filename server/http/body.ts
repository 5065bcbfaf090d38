import { IncomingMessage } from 'node:http'
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

interface Reader {
  /** Takes a part of the body, null being its end. Gives whether it wants more. */
  take(chunk: Buffer | null): boolean
  /** The caller has hung up, so that no more will come. */
  abandon(): void
}

/**
 * A request whose body can be had from the parser directly. By a stream's way, with three ticks and five events, the few
 * bytes of a verification take a twentieth of the whole. The server makes its requests of this class.
 */
export class IncomingRequest extends IncomingMessage {
  /**
   * None once it has what it wants: Node.js keeps a request whose stream has not ended until the connection's next one, and
   * the body is not to be kept with it.
   */
  #reader: Reader | null = null

  /** Called at once with what has come already. What a reader does not want any more, the stream has. */
  readBy(reader: Reader): void {
    if (this.destroyed) {
      reader.abandon()
      return
    }
    this.#reader = reader
    const come: unknown = this.read()
    if (come instanceof Buffer) this.push(come)
    if (this.complete) this.push(null)
  }

  /** The parser's, by which it fills the stream. */
  override push(chunk: Buffer | null): boolean {
    if (!this.#reader) return super.push(chunk)
    if (!this.#reader.take(chunk)) this.#reader = null
    return true
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#reader?.abandon()
    this.#reader = null
    super._destroy(error, callback)
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The body as text. Throws `BodyRefused` for one that is too large, compressed or not UTF-8, and `CallerGone` for one cut short. */
export async function readBody(request: IncomingRequest): Promise<string> {
  const tooLarge = () => new BodyRefused(413, `The body is larger than ${mostBodyBytes} bytes. Send less at once.`)
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new BodyRefused(415, 'Send the body uncompressed, without “Content-Encoding”.')
  }
  if (Number(request.headers['content-length'] ?? 0) > mostBodyBytes) throw tooLarge()
  const bytes = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.readBy({
      take(chunk) {
        if (chunk === null) {
          const [only] = chunks
          resolve(chunks.length === 1 && only ? only : Buffer.concat(chunks))
          return false
        }
        size += chunk.length
        chunks.push(chunk)
        if (size <= mostBodyBytes) return true
        reject(tooLarge())
        return false
      },
      abandon: () => reject(new CallerGone()),
    })
  })
  try {
    return utf8.decode(bytes)
  } catch {
    throw new BodyRefused(400, 'The body is not valid UTF-8.')
  }
}
