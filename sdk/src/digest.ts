import { builtinModule } from './builtin-module.ts'

/** The SHA-256 of a text in lower-case hexadecimal. Node's own takes a twentieth of the Web's time, and is used where it is. */
export const sha256: (text: string) => string | Promise<string> = nodeSha256() ?? webSha256

/** Browsers have none in a page that came over plain HTTP from another machine. */
export function hasSha256(): boolean {
  return sha256 !== webSha256 || globalThis.crypto?.subtle !== undefined
}

function nodeSha256(): ((text: string) => string) | null {
  const { hash } = builtinModule('node:crypto') ?? {}
  return typeof hash === 'function' ? (text) => String(hash('sha256', text)) : null
}

async function webSha256(text: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
