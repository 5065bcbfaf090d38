/** A secret, or a function that gives the one to use now; it is asked before every call. */
export type Credential = string | (() => string | undefined | Promise<string | undefined>)

/** Throws a `TypeError` for what is not a base address. */
export function endpointOf(base: string | URL): string {
  const url = URL.canParse(String(base)) ? new URL(base) : null
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    throw new TypeError('`url` must be an http or https address without a user, query or fragment.')
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/graphql`
  return url.href
}

/** Beyond 2^31 - 1 a timer would fire at once. Throws a `TypeError`. */
export function checkMilliseconds(name: string, milliseconds: number): number {
  if (milliseconds > 0 && milliseconds < 2 ** 31) return milliseconds
  throw new TypeError(`\`${name}\` must be above 0 and below 2^31.`)
}

/** `Headers` refuses the same characters, but with the credential in its message. Throws a `TypeError`. */
export function checkCredential(credential: string): string {
  if (/^[\x21-\x7e]+$/.test(credential)) return credential
  throw new TypeError('`credential` is empty, or holds a character that no header may carry, such as a line break.')
}

/** What is sent as the credential of the moment. Throws a `TypeError`, and what the credential's function throws. */
export async function authorizationHeaders(credential: Credential | undefined): Promise<Record<string, string>> {
  const secret = typeof credential === 'function' ? await credential() : credential
  return secret === undefined ? {} : { authorization: `Bearer ${checkCredential(secret)}` }
}
