import type { IncomingMessage } from 'node:http'
import { Fault } from '../fault.ts'

/** The name of the session's cookie, and its headers. */
export interface SessionCookies {
  name: string
  /** Whose pages may act with the cookie, besides those of the server itself. */
  trustedOrigins: ReadonlySet<string>
  set(secret: string, expiresAt: Date): string
  clear(): string
}

/** Over HTTPS the name itself makes browsers refuse the cookie to every other host, path and plain HTTP (`__Host-`, RFC 6265bis). */
export function createSessionCookies({
  publicUrl,
  corsOrigins,
}: {
  publicUrl: URL
  corsOrigins: string[]
}): SessionCookies {
  const secure = publicUrl.protocol === 'https:'
  const name = secure ? '__Host-latchkey_session' : 'latchkey_session'
  const attributes = `Path=/; HttpOnly; SameSite=Lax${secure ? '; Secure' : ''}`
  return {
    name,
    trustedOrigins: new Set([publicUrl.origin, ...corsOrigins]),
    set: (secret, expiresAt) => `${name}=${secret}; ${attributes}; Expires=${expiresAt.toUTCString()}`,
    clear: () => `${name}=; ${attributes}; Max-Age=0`,
  }
}

/**
 * The presented secret: the bearer's, or else the session cookie's. Null where there is none. Throws `Fault` FORBIDDEN for
 * a cookie that another site's page sent along, and BAD_REQUEST for an `Authorization` of another scheme.
 */
export function readCredential({ headers }: { headers: Headers }, cookies: SessionCookies): string | null {
  const authorization = headers.get('authorization')
  if (authorization !== null) {
    const bearer = readBearer(authorization)
    if (bearer === null) throw new Fault('BAD_REQUEST', 'Send the credential as “Authorization: Bearer …”.')
    return bearer
  }
  const cookie = readCookie(headers.get('cookie'), cookies.name)
  if (cookie === null) return null
  if (isCrossSite(headers, cookies)) {
    throw new Fault(
      'FORBIDDEN',
      'Another site’s page may not act with this session. Its address has to be among CORS_ORIGINS.',
    )
  }
  return cookie
}

/** Node reads the first of several `Authorization` headers; whatever stands in front of it may have gone by another. */
export function isAmbiguous({ rawHeaders }: { rawHeaders: readonly string[] }): boolean {
  let found = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === 13 && name.toLowerCase() === 'authorization') found++
  }
  return found > 1
}

/** RFC 6750, section 2.1. */
export function readBearer(authorization: string): string | null {
  return /^Bearer +([\w.~+/=-]+) *$/i.exec(authorization)?.[1] ?? null
}

/**
 * The session’s secret, for a page that is opened: whichever site’s link leads there, opening it does nothing. What the page
 * then asks for comes from the page itself, with `readCredential`.
 */
export function readPageSession({ headers }: IncomingMessage, { name }: SessionCookies): string | null {
  return readCookie(headers.cookie, name)
}

function readCookie(header: string | null | undefined, name: string): string | null {
  for (const pair of header?.split(';') ?? []) {
    const at = pair.indexOf('=')
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim() || null
  }
  return null
}

/** Browsers tell where a request comes from; other clients do not, and have no cookie that they did not mean to send. */
function isCrossSite(headers: Headers, { trustedOrigins }: SessionCookies): boolean {
  const origin = headers.get('origin')
  if (origin !== null && trustedOrigins.has(origin)) return false
  const site = headers.get('sec-fetch-site')
  if (site !== null) return site !== 'same-origin' && site !== 'none'
  return origin !== null && originHost(origin) !== headers.get('host')
}

function originHost(origin: string): string | null {
  return URL.canParse(origin) ? new URL(origin).host : null
}
