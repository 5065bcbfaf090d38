import { hash } from 'node:crypto'
import { ScimError } from './scim-error.ts'

/** Changes with what it is made from, and only then: a weak ETag (RFC 7644, section 3.14). */
export const versionOf = (content: unknown) =>
  `W/"${hash('sha256', JSON.stringify(content), 'base64url').slice(0, 22)}"`

/** Throws `ScimError` 412 where the header names other versions than the one that there is. */
export function requireVersion(ifMatch: string | null, version: string): void {
  if (ifMatch !== null && !isAmong(ifMatch, version)) {
    throw new ScimError(412, 'The resource has changed since this version of it. Read it anew, and then change it.')
  }
}

export const isAmong = (header: string, version: string) =>
  header.trim() === '*' || (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some((one) => opaque(one) === opaque(version))

/** Compared weakly: whatever is served as one version is the same in all that it says. */
const opaque = (version: string) => version.replace(/^W\//, '')
