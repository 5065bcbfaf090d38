import type { Context, MiddlewareHandler } from 'hono'
import { createBearerCheck, type RequireTokenOptions } from './bearer.ts'
import { isRecord } from './is-record.ts'
import { addressOf, presentedToFetch } from './presented.ts'
import type { VerifiedToken } from './verdict.ts'
import type { Verifier } from './verifier.ts'

export interface HonoRequireTokenOptions extends RequireTokenOptions {
  /**
   * The client's address. Without it, the connection's, on `@hono/node-server`; elsewhere none is told.
   *
   * @example usedFrom: (context) => getConnInfo(context).remote.address
   */
  usedFrom?: ((context: Context) => string | undefined) | undefined
}

/**
 * Lets in requests with a token that is accepted and permits enough, as `context.get('token')`, and answers all others by
 * RFC 6750; with 503 while Latchkey cannot be asked. Anything else that goes wrong, such as a `VerifierCredentialError`, is
 * thrown.
 *
 * @example app.post('/scans', requireToken(verifier, { permission: 'scans:write' }), (context) => { … })
 * @throws {TypeError} for an option that cannot be used
 */
export function requireToken(
  verifier: Pick<Verifier, 'verify'>,
  options: HonoRequireTokenOptions = {},
): MiddlewareHandler<{ Variables: { token: VerifiedToken } }> {
  const { usedFrom = nodeAddressOf } = options
  const check = createBearerCheck(verifier, options, ['usedFrom'])
  return async (context, next) => {
    const decision = await check(presentedToFetch(context.req.raw, usedFrom(context)))
    if (!('token' in decision)) return context.json(decision.body, decision.status, decision.headers)
    context.set('token', decision.token)
    return next()
  }
}

/** As `getConnInfo` of `@hono/node-server` does. */
function nodeAddressOf({ env }: { env: unknown }): string | undefined {
  const bindings = isRecord(env) && isRecord(env.server) ? env.server : env
  return isRecord(bindings) ? addressOf(bindings.incoming) : undefined
}
