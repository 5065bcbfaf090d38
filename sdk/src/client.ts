import { authorizationHeaders, type Credential, checkCredential, checkMilliseconds, endpointOf } from './connection.ts'
import { RequestError } from './errors.ts'
import { getSdk, type Operations } from './generated.ts'
import { createTransport } from './transport.ts'

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
  /** Used instead of Node's own HTTP client, or of the global `fetch` where there is none. */
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
  const timeoutMilliseconds = checkMilliseconds('timeoutMilliseconds', options.timeoutMilliseconds ?? 10_000)
  if (typeof credential === 'string') checkCredential(credential)

  const transport = createTransport({ endpoint, timeoutMilliseconds, signal, fetch })
  const { tokenInvalidations: _stream, ...operations } = getSdk(transport, async (call) => {
    const headers = await authorizationHeaders(credential)
    try {
      return await call(headers)
    } catch (error) {
      if (error instanceof RequestError || (signal?.aborted && error === signal.reason)) throw error
      // Not even as a cause: whatever else was thrown may hold what was to be sent.
      throw new RequestError('The call failed before it was sent, or its answer could not be read.', {
        code: 'INTERNAL',
      })
    }
  })
  return { ...operations, with: (changes) => createClient({ ...options, ...changes }) }
}
