import type { Plugin } from 'graphql-yoga'
import { createBearerCheck, type RequireTokenOptions } from './bearer.ts'
import { isRecord } from './is-record.ts'
import { addressOf, presentedToFetch } from './presented.ts'
import type { VerifiedToken } from './verdict.ts'
import type { Verifier } from './verifier.ts'

export interface YogaRequireTokenOptions extends RequireTokenOptions {
  /** The client's address. Without it, the connection's, behind `node:http`; elsewhere none is told. */
  usedFrom?: ((request: Request, serverContext: unknown) => string | undefined) | undefined
}

/**
 * A plugin that lets in requests with a token that is accepted and permits enough, as `context.token`, and answers all
 * others by RFC 6750, before anything of them is read; with 503 while Latchkey cannot be asked. Preflight requests, the
 * health check and GraphiQL's page need none. Anything else that goes wrong, such as a `VerifierCredentialError`, is thrown.
 *
 * @example createYoga({ schema, plugins: [requireToken(verifier, { permission: 'scans:write' })] })
 * @throws {TypeError} for an option that cannot be used
 */
export function requireToken(
  verifier: Pick<Verifier, 'verify'>,
  options: YogaRequireTokenOptions = {},
): Plugin<{ token: VerifiedToken }> {
  const { usedFrom = nodeAddressOf } = options
  const check = createBearerCheck(verifier, options, ['usedFrom'])
  // By request, since what Yoga is handed as its context may be shared among them.
  const tokens = new WeakMap<Request, VerifiedToken>()
  return {
    async onRequestParse({ request, serverContext, fetchAPI, endResponse }) {
      const decision = await check(
        presentedToFetch(request, usedFrom(request, serverContext), incomingOf(serverContext)),
      )
      if ('token' in decision) {
        tokens.set(request, decision.token)
      } else {
        const { status, headers, body } = decision
        endResponse(new fetchAPI.Response(JSON.stringify(body), { status, headers }))
      }
    },
    onContextBuilding({ context, extendContext }) {
      const token = tokens.get(context.request)
      // An operation that came another way, such as a WebSocket.
      if (!token) throw new Error('An operation without a token is not let in.')
      extendContext({ token })
    },
  }
}

function nodeAddressOf(_request: Request, serverContext: unknown): string | undefined {
  return addressOf(incomingOf(serverContext))
}

/** Node's own request, where Yoga was called with it, or with that of Express or Fastify. */
function incomingOf(serverContext: unknown): unknown {
  const request = isRecord(serverContext) ? serverContext.req : undefined
  return isRecord(request) && isRecord(request.raw) ? request.raw : request
}
