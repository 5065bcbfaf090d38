import type { FastifyRequest } from 'fastify'
import { createBearerCheck, type RequireTokenOptions } from './bearer.ts'
import { type NodeRequest, presentedToNode } from './presented.ts'
import type { VerifiedToken } from './verdict.ts'
import type { Verifier } from './verifier.ts'

export type { RequireTokenOptions } from './bearer.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose request it is, behind `requireToken`. */
    token: VerifiedToken
  }
}

/** Fastify's `onRequest` and `preHandler` hook, as far as it is used, over HTTP/1 and HTTP/2. */
export type TokenHook = (
  request: Pick<FastifyRequest, 'ip' | 'token'> & { raw: NodeRequest },
  reply: {
    code(status: number): unknown
    headers(values: Record<string, string>): unknown
    send(body: unknown): unknown
  },
) => Promise<unknown>

/**
 * A hook that lets in requests with a token that is accepted and permits enough, as `request.token`, and answers all
 * others by RFC 6750; with 503 while Latchkey cannot be asked. As `onRequest` it does so before the body is read; it may be
 * a `preHandler` as well. `request.ip` is told as the address of the token's use: set Fastify's `trustProxy` where there is
 * a proxy. Anything else that goes wrong, such as a `VerifierCredentialError`, is thrown, as the `cause` of an error whose
 * message may be answered, since Fastify answers it.
 *
 * @example app.post('/scans', { onRequest: requireToken(verifier, { permission: 'scans:write' }) }, async (request) => { … })
 * @throws {TypeError} for an option that cannot be used
 */
export function requireToken(verifier: Pick<Verifier, 'verify'>, options: RequireTokenOptions = {}): TokenHook {
  const check = createBearerCheck(verifier, options)
  return async (request, reply) => {
    const decision = await check(presentedToNode(request.raw, request.ip)).catch((cause: unknown) => {
      throw new Error('The token cannot be checked.', { cause })
    })
    if ('token' in decision) {
      request.token = decision.token
      return undefined
    }
    reply.code(decision.status)
    reply.headers(decision.headers)
    // Fastify goes no further where it is given back its reply.
    return reply.send(decision.body)
  }
}
