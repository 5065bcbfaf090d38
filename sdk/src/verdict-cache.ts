import { createAcceptedSecrets } from './accepted-secrets.ts'
import { type Answer, refusal, type Verdict } from './verdict.ts'

/** Enough for floods of the same few bad secrets; a flood of ever new ones gains nothing from more. */
const mostRefusals = 1_000
const refusalMilliseconds = 1_000

/** What Latchkey answered, by secret. Whether that may still be trusted is for the verifier to know. */
export interface VerdictCache {
  /** What was kept, unless it has come to its end. */
  find(secret: string, now: number, usedFrom: string | null): Verdict | undefined
  /** A refusal is kept for a second. */
  keep(secret: string, answer: Answer, askedAt: number): void
  forget(secret: string): void
  /** Forgets these tokens and every refusal, since a refused secret does not tell whose it is. */
  forgetTokens(tokenIds: readonly string[]): void
  forgetEverything(): void
  /** Is another once more than a single secret was forgotten: what was asked before is not to be kept after. */
  epoch(): number
  tokenCount(): number
}

export interface VerdictCacheSettings {
  /** How many accepted secrets are kept. */
  size: number
  /** An accepted secret that is found so long after it was asked about is given to `onDue`, from where it was used. */
  refreshMilliseconds: number
  onDue: (secret: string, usedFrom: string | null) => void
}

export function createVerdictCache({ size, refreshMilliseconds, onDue }: VerdictCacheSettings): VerdictCache {
  const accepted = createAcceptedSecrets()
  const secretsOf = new Map<string, readonly string[]>()
  /** When each refusal ends, in the order in which they came. */
  const refused = new Map<string, number>()
  let epoch = 0

  function forgetAccepted(secret: string): void {
    const token = accepted.forget(secret)
    if (!token) return
    const others = secretsOf.get(token.tokenId)?.filter((other) => other !== secret) ?? []
    if (others.length > 0) secretsOf.set(token.tokenId, others)
    else secretsOf.delete(token.tokenId)
  }
  function forget(secret: string): void {
    forgetAccepted(secret)
    refused.delete(secret)
  }

  return {
    find(secret, now, usedFrom) {
      const token = accepted.find(secret, now)
      if (token) return token
      const due = accepted.postpone(secret, now, now + refreshMilliseconds)
      if (due) {
        onDue(secret, usedFrom)
        return due
      }
      const refusedUntil = refused.get(secret)
      return refusedUntil !== undefined && now < refusedUntil ? refusal : undefined
    },
    keep(secret, { verdict, lifetimeMilliseconds }, askedAt) {
      forget(secret)
      if (verdict.active) {
        const idle = accepted.size() < size ? undefined : accepted.findIdle()
        if (idle !== undefined) forgetAccepted(idle)
        accepted.keep(secret, verdict, { dueAt: askedAt + refreshMilliseconds, endsAt: askedAt + lifetimeMilliseconds })
        secretsOf.set(verdict.tokenId, [...(secretsOf.get(verdict.tokenId) ?? []), secret])
      } else {
        refused.set(secret, askedAt + refusalMilliseconds)
        const [oldest] = refused.size > mostRefusals ? refused.keys() : []
        if (oldest !== undefined) refused.delete(oldest)
      }
    },
    forget,
    forgetTokens(tokenIds) {
      epoch++
      refused.clear()
      for (const tokenId of tokenIds) for (const secret of secretsOf.get(tokenId) ?? []) forgetAccepted(secret)
    },
    forgetEverything() {
      epoch++
      refused.clear()
      accepted.forgetAll()
      secretsOf.clear()
    },
    epoch: () => epoch,
    tokenCount: () => secretsOf.size,
  }
}
