import { createBearerCheck, type RequireTokenOptions } from './bearer.ts'
import { type NodeRequest, presentedToNode } from './presented.ts'
import { type NodeResponse, sendRefusal } from './send-refusal.ts'
import type { VerifiedToken } from './verdict.ts'
import type { Verifier } from './verifier.ts'

export type { RequireTokenOptions } from './bearer.ts'

declare global {
  namespace Express {
    interface Request {
      /** Whose request it is, behind `requireToken`. */
      token: VerifiedToken
    }
  }
}

/** Express's `RequestHandler`, as far as it is used. */
export type TokenHandler = (
  request: NodeRequest & { ip?: string | undefined; token: VerifiedToken },
  response: NodeResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Lets in requests with a token that is accepted and permits enough, as `request.token`, and answers all others by
 * RFC 6750; with 503 while Latchkey cannot be asked. `request.ip` is told as the address of the token's use: set Express's
 * “trust proxy” where there is a proxy. Anything else that goes wrong, such as a `VerifierCredentialError`, goes to `next`.
 *
 * @example app.post('/scans', requireToken(verifier, { permission: 'scans:write' }), (request, response) => { … })
 * @throws {TypeError} for an option that cannot be used
 */
export function requireToken(verifier: Pick<Verifier, 'verify'>, options: RequireTokenOptions = {}): TokenHandler {
  const check = createBearerCheck(verifier, options)
  return (request, response, next) => {
    check(presentedToNode(request, request.ip)).then((decision) => {
      if (!('token' in decision)) return sendRefusal(response, decision)
      request.token = decision.token
      next()
    }, next)
  }
}
