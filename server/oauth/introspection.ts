import { CallerGone } from '../caller-gone.ts'
import { isUnavailable } from '../database/unavailable.ts'
import type { Dependencies } from '../dependencies.ts'
import { RateLimited } from '../fault.ts'
import { type Answer, answerAndClose, answerJson } from '../http/answer.ts'
import { BodyRefused, type IncomingRequest, readBody } from '../http/body.ts'
import { isAmbiguous, readBearer } from '../http/credential.ts'
import { reportFailure } from '../http/report-failure.ts'
import { admit, type RequestOrigin } from '../identity/principal.ts'
import { countVerifications } from '../rate-limits.ts'
import { type AcceptedToken, judge, readToken, reportedAddress } from '../tokens/verification.ts'

/** OAuth 2.0 Token Introspection (RFC 7662), for callers that are services, by bearer or by HTTP Basic. */
export async function introspect(
  dependencies: Dependencies,
  request: IncomingRequest,
  response: Answer,
  origin: RequestOrigin,
): Promise<void> {
  try {
    if (request.method !== 'POST') {
      return refuse(response, 405, 'invalid_request', 'Introspection takes POST.', { allow: 'POST' })
    }
    if (isAmbiguous(request)) {
      return refuse(response, 400, 'invalid_request', 'Send one “Authorization” header.')
    }
    const caller = readCaller(request.headers.authorization)
    const parameters = readForm(request, await readBody(request))
    if (!caller) return refuseCaller(response)
    // Both are asked in one statement, and nothing is told or recorded before the caller is known.
    const { credentials, digester } = dependencies
    const [credential = null, presented = null] = await credentials.find(
      [digester.read(caller.secret), readToken(digester, parameters.token)],
      origin.isGone,
    )
    const service = admit(dependencies, credential, origin)
    if (service?.kind !== 'service' || (caller.name !== null && caller.name !== service.name))
      return refuseCaller(response)
    if (!service.permissions.includes('tokens:verify')) {
      return refuse(response, 403, 'insufficient_scope', 'This service may not verify tokens: it lacks tokens:verify.')
    }
    await countVerifications({ limits: dependencies.limits, principal: service }, 1)
    const accepted = judge(dependencies, presented, { usedFrom: parameters.usedFrom, way: 'introspect' })
    answerJson(response, 200, accepted ? describe(accepted) : { active: false })
  } catch (error) {
    if (error instanceof CallerGone) throw error
    if (error instanceof BodyRefused && error.status === 413) {
      return answerAndClose(request, response, 413, problem('invalid_request', error.message))
    }
    if (error instanceof InvalidRequest || error instanceof BodyRefused) {
      return refuse(response, error.status, 'invalid_request', error.message)
    }
    if (error instanceof RateLimited) {
      // RFC 6749 has no word for it; the status (RFC 6585, section 4) is what clients go by.
      const headers = { 'retry-after': String(error.retryAfterSeconds) }
      return refuse(response, 429, 'rate_limited', error.message, headers)
    }
    if (isUnavailable(error)) {
      const description = 'Latchkey cannot reach its database. Try again in a moment.'
      return refuse(response, 503, 'temporarily_unavailable', description, { 'retry-after': '1' })
    }
    refuse(response, 500, 'server_error', reportFailure(dependencies, origin.request, error))
  }
}

class InvalidRequest extends Error {
  readonly status: 400 | 415
  constructor(status: 400 | 415, message: string) {
    super(message)
    this.status = status
  }
}

function readForm(request: IncomingRequest, body: string): { token: string; usedFrom: string | null } {
  if (!/^application\/x-www-form-urlencoded *(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new InvalidRequest(415, 'Send the token as application/x-www-form-urlencoded, as in “token=…”.')
  }
  // Nothing in it that would have to be decoded, as nearly always.
  const [, plain] = /^token=(\w+)$/.exec(body) ?? []
  if (plain !== undefined) return { token: plain, usedFrom: null }
  const form = new URLSearchParams(body)
  const [token, ...others] = form.getAll('token')
  if (!token || others.length > 0) throw new InvalidRequest(400, 'Send exactly one parameter “token”.')
  return { token, usedFrom: reportedAddress(form.get('used_from')) }
}

/** The caller's own secret; with HTTP Basic, its name as well, both form-encoded as RFC 6749, section 2.3.1, has it. */
function readCaller(authorization: string | undefined): { name: string | null; secret: string } | null {
  if (authorization === undefined) return null
  const bearer = readBearer(authorization)
  if (bearer !== null) return { name: null, secret: bearer }
  const basic = /^Basic +([\w+/=-]+) *$/i.exec(authorization)?.[1]
  if (basic === undefined) return null
  const pair = Buffer.from(basic, 'base64').toString()
  const colon = pair.indexOf(':')
  if (colon < 0) return null
  try {
    return { name: decodeForm(pair.slice(0, colon)), secret: decodeForm(pair.slice(colon + 1)) }
  } catch {
    return null
  }
}

const decodeForm = (text: string) => decodeURIComponent(text.replaceAll('+', ' '))

/** The members of RFC 7662, section 2.2, and Latchkey's own. */
function describe({
  kind,
  permissions,
  tokenId,
  memberId,
  createdAt,
  expiresAt,
  organizationId,
  roleId,
  organizationRole,
  label,
}: AcceptedToken) {
  const subject = memberId ?? tokenId
  return {
    active: true,
    scope: permissions.join(' '),
    client_id: subject,
    sub: subject,
    token_type: 'Bearer',
    iat: seconds(createdAt),
    exp: expiresAt ? seconds(expiresAt) : undefined,
    organization_id: organizationId,
    role: kind === 'INTEGRATION_TOKEN' ? roleId : organizationRole,
    label: label ?? undefined,
  }
}

const seconds = (instant: Date) => Math.floor(instant.getTime() / 1000)

function refuseCaller(response: Answer): void {
  refuse(
    response,
    401,
    'invalid_client',
    'Introspection is for registered services: send the service’s secret as a bearer, or its name and secret by HTTP Basic.',
    {
      'www-authenticate': 'Bearer realm="latchkey", Basic realm="latchkey"',
    },
  )
}

function refuse(
  response: Answer,
  status: number,
  error: string,
  description: string,
  headers: Record<string, string> = {},
): void {
  answerJson(response, status, problem(error, description), headers)
}

/** RFC 6749, section 5.2. */
const problem = (error: string, description: string) => ({ error, error_description: description })
