import type { IncomingMessage, ServerResponse } from 'node:http'
import { type BearerRefusal, createBearerCheck, type RequireTokenOptions } from './bearer.ts'
import { addressOf, presentedToNode } from './presented.ts'
import { sendRefusal } from './send-refusal.ts'
import type { VerifiedToken } from './verdict.ts'
import type { Verifier } from './verifier.ts'

export interface NodeRequireTokenOptions extends RequireTokenOptions {
  /** The client's address, where that is not the connection's, as behind a proxy. */
  usedFrom?: ((request: IncomingMessage) => string | undefined) | undefined
  /** Told of what is answered with 500, such as a `VerifierCredentialError`. */
  onError?: ((error: unknown) => void) | undefined
}

/** A request that was let in. */
export type AuthorizedRequest = IncomingMessage & {
  /** Whose request it is. */
  token: VerifiedToken
}

/**
 * Hands the handler the requests with a token that is accepted and permits enough, as `request.token`, and answers all
 * others by RFC 6750; with 503 while Latchkey cannot be asked, and with 500 where it goes wrong to find out. What the
 * handler throws is as unhandled as it is without this.
 *
 * @example createServer(requireToken(verifier, { permission: 'scans:write' })((request, response) => { … }))
 * @throws {TypeError} for an option that cannot be used
 */
export function requireToken(verifier: Pick<Verifier, 'verify'>, options: NodeRequireTokenOptions = {}) {
  const { usedFrom = addressOf, onError } = options
  const check = createBearerCheck(verifier, options, ['usedFrom', 'onError'])
  // Asynchronous from its first step, so that what `usedFrom` throws is answered too.
  const decide = async (request: IncomingMessage) => check(presentedToNode(request, usedFrom(request)))

  return (handler: (request: AuthorizedRequest, response: ServerResponse) => void | Promise<void>) =>
    (request: IncomingMessage, response: ServerResponse): void => {
      decide(request).then(
        (decision) => {
          if ('token' in decision) return handler(Object.assign(request, decision), response)
          sendRefusal(response, decision)
        },
        (error: unknown) => {
          try {
            onError?.(error)
          } finally {
            sendRefusal(response, internalError)
          }
        },
      )
    }
}

const internalError: BearerRefusal = {
  status: 500,
  headers: { 'content-type': 'application/json' },
  body: { error: 'server_error', error_description: 'The token cannot be checked.' },
}
