import { useSyncExternalStore } from 'react'

/** Of the invitation whose link was opened. It lives as long as the document, and is in no storage and in no address. */
let presented: string | null = null
const followers = new Set<() => void>()

function change(secret: string | null): void {
  presented = secret
  for (const tell of followers) tell()
}

function take(): void {
  const { pathname, search, hash } = globalThis.location
  if (pathname !== '/invitation' || hash === '') return
  // Not by the router's own, which would take this for a step of its own.
  History.prototype.replaceState.call(history, history.state, '', pathname + search)
  change(hash.slice(1))
}

/** Takes the secret of an invitation out of the address, now and whenever a link is opened in this tab. To be called before a router reads the address. */
export function takeSecretFromAddress(): void {
  take()
  // A link to the page that is open already changes nothing but what follows the #.
  addEventListener('popstate', take)
  addEventListener('hashchange', take)
}

export function forgetSecret(): void {
  change(null)
}

export function usePresentedSecret(): string | null {
  return useSyncExternalStore(follow, () => presented)
}

function follow(tell: () => void): () => void {
  followers.add(tell)
  return () => followers.delete(tell)
}
