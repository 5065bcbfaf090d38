import type { VerifierUnavailableError } from './errors.ts'
import type { Verdict, VerifiedToken } from './verdict.ts'
import type { Verifier } from './verifier.ts'

export interface RequireTokenOptions {
  /** What the token must permit, as `resource:action`; all of them, where there are several. Any token is let in without. */
  permission?: string | readonly string[]
  /** What the refusals call this part of the service; `api` unless set. */
  realm?: string | undefined
}

/** What decides about a request, in no framework's form. */
export interface BearerRequest {
  /** The value of every `Authorization` header, as far as they can be told apart. */
  authorization: readonly string[]
  /** The address asked for; only its query matters. */
  url: string
  /** The client's address. */
  usedFrom: string | undefined
}

/** The answer to a request that is not let in. Nothing in it comes from the request. */
export interface BearerRefusal {
  status: 400 | 401 | 403 | 500 | 503
  headers: Record<string, string>
  /** To be sent as JSON. */
  body: { error: string; error_description: string }
}

export type BearerDecision = { token: VerifiedToken } | BearerRefusal

/**
 * Lets a request in as a token, or refuses it, by RFC 6750. A token is taken from the `Authorization` header alone: never
 * from the address, since addresses are logged and passed on, and never from a form, since the body is the handler's to
 * read.
 *
 * @param otherOptions the names of the options that only the framework's own `requireToken` reads
 * @throws {TypeError} for an option that cannot be used, or that there is not: a misspelt `permission` would let all in
 */
export function createBearerCheck(
  verifier: Pick<Verifier, 'verify'>,
  options: RequireTokenOptions,
  otherOptions: readonly string[] = [],
): (request: BearerRequest) => Promise<BearerDecision> {
  if (typeof verifier?.verify !== 'function') throw new TypeError('requireToken needs a verifier: see createVerifier.')
  for (const name of Object.keys(options)) {
    if (![...optionNames, ...otherOptions].includes(name)) throw new TypeError(`There is no option \`${name}\`.`)
  }
  const needed = permissionsOf(options)
  const { realm = 'api' } = options
  if (typeof realm !== 'string' || !/^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(realm)) {
    throw new TypeError('`realm` must be printable ASCII without quotation marks and backslashes.')
  }

  /** RFC 6750, section 3. */
  const refuse = (status: 400 | 401 | 403, error: string, description: string, scope?: string): BearerRefusal => {
    const challenge = [`realm="${realm}"`, `error="${error}"`, `error_description="${description}"`]
    if (scope !== undefined) challenge.push(`scope="${scope}"`)
    return answer(status, { 'www-authenticate': `Bearer ${challenge.join(', ')}` }, error, description)
  }
  /** To a caller who may not know that a token is needed, no error is told in the header (RFC 6750, section 3.1). */
  const challenge = () =>
    answer(
      401,
      { 'www-authenticate': `Bearer realm="${realm}"` },
      'unauthorized',
      'A token is needed. Send it as “Authorization: Bearer …”.',
    )

  return async ({ authorization, url, usedFrom }) => {
    const [credentials] = authorization
    if (credentials === undefined) return challenge()
    // Some frameworks join what came in several headers with commas.
    if (authorization.length > 1 || /, *bearer /i.test(credentials)) {
      return refuse(400, 'invalid_request', 'Send one Authorization header.')
    }
    const [, scheme, secret = ''] = /^([!#$%&'*+.^_`|~0-9a-z-]+)(?: +(.*))?$/i.exec(credentials) ?? []
    if (scheme !== undefined && scheme.toLowerCase() !== 'bearer') return challenge()
    if (!/^[0-9a-z._~+/-]+=*$/i.test(secret)) {
      return refuse(400, 'invalid_request', 'The Authorization header must be the word Bearer, a space and the token.')
    }
    if (hasTokenInQuery(url)) {
      return refuse(
        400,
        'invalid_request',
        'Send the token in the Authorization header, and not in the address as well.',
      )
    }

    let verdict: Verdict
    try {
      verdict = await verifier.verify(secret, { usedFrom: plainAddress(usedFrom) })
    } catch (error) {
      if (!isUnavailable(error)) throw error
      return answer(
        503,
        { 'retry-after': String(Math.max(1, Math.ceil(error.retryAfterSeconds))) },
        'temporarily_unavailable',
        'The token cannot be checked at the moment. Try again shortly.',
      )
    }
    if (!verdict.active) {
      return refuse(
        401,
        'invalid_token',
        'The token is not accepted. It may be mistyped, expired, disabled or deleted.',
      )
    }
    const missing = needed.filter((name) => !verdict.permissions.includes(name))
    if (missing.length > 0) {
      const description = `The token lacks the permission ${missing.join(' and ')}.`
      return refuse(403, 'insufficient_scope', description, needed.join(' '))
    }
    return { token: verdict }
  }
}

function answer(
  status: BearerRefusal['status'],
  headers: Record<string, string>,
  error: string,
  description: string,
): BearerRefusal {
  return {
    status,
    headers: { ...headers, 'content-type': 'application/json' },
    body: { error, error_description: description },
  }
}

const optionNames = ['permission', 'realm']

/** Nothing that could come of a mistake, such as a list that was computed to be empty, is taken for “any token”. */
function permissionsOf(options: RequireTokenOptions): readonly string[] {
  if (!('permission' in options)) return []
  const needed = [options.permission].flat()
  if (needed.length > 0 && needed.every(isPermission)) return needed
  throw new TypeError(
    'Each `permission` must be printable ASCII without spaces, quotation marks and backslashes. To let any token in, leave the option out.',
  )
}

function isPermission(name: unknown): name is string {
  return typeof name === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(name)
}

/** By its name: where a program has both imported and required the package, there are two classes of that name. */
function isUnavailable(error: unknown): error is VerifierUnavailableError {
  return error instanceof Error && error.name === 'VerifierUnavailableError'
}

/**
 * An IPv4 address that arrived over an IPv6 socket, as what it is. None for what Latchkey would not keep: behind a proxy
 * that is trusted too far the caller writes it, at any length, and it travels together with other callers' questions.
 */
function plainAddress(address: string | undefined): string | undefined {
  if (address === undefined || !/^[\x21-\x7e]{1,100}$/.test(address)) return undefined
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
}

function hasTokenInQuery(url: string): boolean {
  const start = url.indexOf('?')
  return start !== -1 && new URLSearchParams(url.slice(start)).has('access_token')
}
