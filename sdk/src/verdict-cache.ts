import { LRUCache } from 'lru-cache'
import type { Answer, Verdict } from './verdict.ts'

/** Enough for floods of the same few bad secrets; a flood of ever new ones gains nothing from more. */
const mostRefusals = 1_000
const refusalMilliseconds = 1_000

interface KeptVerdict {
  /** Settled already, so that giving it out costs nothing. */
  readonly verdict: Promise<Verdict>
  /** When the question was sent. */
  askedAt: number
  readonly endsAt: number
}

/** What Latchkey answered, by secret. Whether that may still be trusted is for the verifier to know. */
export interface VerdictCache {
  /** What was kept, unless it has come to its end. */
  find(secret: string, now: number): KeptVerdict | undefined
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

interface AcceptedVerdict extends KeptVerdict {
  readonly tokenId: string
  /** How many secrets had been accepted when it was last moved to the front. */
  movedAt: number
}

export function createVerdictCache(size: number): VerdictCache {
  const secretsOf = new Map<string, readonly string[]>()
  const accepted = new LRUCache<string, AcceptedVerdict>({
    max: size,
    dispose({ tokenId }, secret) {
      const others = secretsOf.get(tokenId)?.filter((other) => other !== secret) ?? []
      if (others.length > 0) secretsOf.set(tokenId, others)
      else secretsOf.delete(tokenId)
    },
  })
  const refused = new LRUCache<string, KeptVerdict>({ max: mostRefusals })
  let epoch = 0
  let acceptances = 0

  const forget = (secret: string) => {
    accepted.delete(secret)
    refused.delete(secret)
  }
  return {
    find(secret, now) {
      const known = accepted.peek(secret)
      // Moving an entry to the front takes as long as finding it, and is of no use until others have come before it.
      if (known && acceptances - known.movedAt > size / 4) {
        accepted.get(secret)
        known.movedAt = acceptances
      }
      const kept = known ?? refused.get(secret)
      return kept !== undefined && now < kept.endsAt ? kept : undefined
    },
    keep(secret, { verdict, lifetimeMilliseconds }, askedAt) {
      const settled = Promise.resolve(verdict)
      if (verdict.active) {
        const { tokenId } = verdict
        if (refused.size > 0) refused.delete(secret)
        const endsAt = askedAt + lifetimeMilliseconds
        accepted.set(secret, { verdict: settled, tokenId, askedAt, endsAt, movedAt: ++acceptances })
        const others = secretsOf.get(tokenId)
        secretsOf.set(tokenId, others ? [...others, secret] : [secret])
      } else {
        accepted.delete(secret)
        refused.set(secret, { verdict: settled, askedAt, endsAt: askedAt + refusalMilliseconds })
      }
    },
    forget,
    forgetTokens(tokenIds) {
      epoch++
      refused.clear()
      for (const tokenId of tokenIds) for (const secret of secretsOf.get(tokenId) ?? []) accepted.delete(secret)
    },
    forgetEverything() {
      epoch++
      refused.clear()
      accepted.clear()
    },
    epoch: () => epoch,
    tokenCount: () => secretsOf.size,
  }
}
