import { RequestError } from './errors.ts'
import { getSdk, type Operations } from './generated.ts'
import { createTransport } from './transport.ts'

/** A secret, or a function that gives the one to use now; it is asked before every call. */
export type Credential = string | (() => string | undefined | Promise<string | undefined>)

export interface ClientOptions {
  /** The service's base address, such as `https://tokens.example.com`; `/graphql` is added to its path. */
  url: string | URL
  /**
   * Sent as `Authorization: Bearer …`: an access token, a session token, or the secret of an integration token or of a
   * service. Without one, a browser sends the session's cookie to a service of the page's own origin.
   */
  credential?: Credential | undefined
  /** For how long a call may take, its answer included; 10,000 unless set. */
  timeoutMilliseconds?: number | undefined
  /** Ends every call of the client; they reject with the signal's `reason`. */
  signal?: AbortSignal | undefined
  /** Used instead of the global `fetch`. */
  fetch?: typeof fetch | undefined
}

/** The API, one method for every field. The methods need no `this`: take them out of it, and pass them on, as you like. */
export interface Latchkey extends Operations {
  /**
   * The same client with some options changed; the client itself stays as it is.
   *
   * @example const signedIn = latchkey.with({ credential: unwrap((await latchkey.signIn({ input })).signIn).sessionToken })
   */
  with: (changes: Omit<ClientOptions, 'url'>) => Latchkey
}

/**
 * A client of one service. It holds no connection and nothing to close, and never repeats a call by itself.
 *
 * A method answers with the GraphQL result, refusals included: see `unwrap`. For everything else that can go wrong it
 * throws a `RequestError`.
 *
 * @throws {TypeError} for an option that cannot be used
 */
export function createClient(options: ClientOptions): Latchkey {
  const { credential, signal, fetch } = options
  const endpoint = endpointOf(options.url)
  const timeoutMilliseconds = checkTimeout(options.timeoutMilliseconds ?? 10_000)
  if (typeof credential === 'string') checkCredential(credential)

  const transport = createTransport({ endpoint, timeoutMilliseconds, signal, fetch })
  const { tokenInvalidations: _stream, ...operations } = getSdk(transport, async (call) => {
    const secret = typeof credential === 'function' ? await credential() : credential
    const headers = secret === undefined ? {} : { authorization: `Bearer ${checkCredential(secret)}` }
    try {
      return await call(headers)
    } catch (error) {
      if (error instanceof RequestError || (signal?.aborted && error === signal.reason)) throw error
      // Not even as a cause: what graphql-request throws holds the request.
      throw new RequestError('The call failed before it was sent, or its answer could not be read.', {
        code: 'INTERNAL',
      })
    }
  })
  return { ...operations, with: (changes) => createClient({ ...options, ...changes }) }
}

function endpointOf(base: string | URL): string {
  const url = URL.canParse(String(base)) ? new URL(base) : null
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new TypeError('`url` must be an http or https address without a user, query or fragment.')
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/graphql`
  return url.href
}

/** Beyond 2^31 - 1 a timer would fire at once. */
function checkTimeout(milliseconds: number): number {
  if (milliseconds > 0 && milliseconds < 2 ** 31) return milliseconds
  throw new TypeError('`timeoutMilliseconds` must be above 0 and below 2^31.')
}

/** `Headers` refuses the same characters, but with the credential in its message. */
function checkCredential(credential: string): string {
  if (/^[\x21-\x7e]+$/.test(credential)) return credential
  throw new TypeError('`credential` is empty, or holds a character that no header may carry, such as a line break.')
}
