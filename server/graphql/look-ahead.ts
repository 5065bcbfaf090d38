import type { GraphQLParams } from 'graphql-yoga'
import type { Authentication, Origin, Principal } from '../identity/principal.ts'
import { mostDigests } from '../tokens/graphql.ts'
import type { Digest } from '../tokens/secret.ts'
import { type BegunLookup, beginLookup } from '../tokens/verification.ts'
import type { Verifications } from './persisted-documents.ts'

const mostVerifiers = 1_000

/** What a verifier asks is looked up while the verifier is itself, in one statement with it. */
export interface LookAhead {
  /** Null unless the request is a known verifier’s, and the SDK’s `verifyTokenDigests`. */
  begin({ query, variables }: GraphQLParams, service: Digest | null, origin: Origin): BegunLookup | null
  /** Who the service turned out to be, so that its next request is looked ahead for, or no longer. */
  learn(service: Digest, principal: Principal | null): void
}

/**
 * For services that were good before, and may verify, and for nobody else: what callers will not be told, they cannot have
 * the database look for.
 */
export function createLookAhead(authentication: Authentication, { nameOf }: Pick<Verifications, 'nameOf'>): LookAhead {
  const verifiers = new Set<Digest>()
  return {
    begin({ query, variables }, service, { isGone }) {
      if (service === null || !verifiers.has(service)) return null
      if (nameOf(query) !== 'verifyTokenDigests') return null
      const hashes: unknown = variables?.digests
      if (!Array.isArray(hashes) || hashes.length > mostDigests) return null
      return hashes.every((hash) => typeof hash === 'string') ? beginLookup(authentication, hashes, isGone) : null
    },
    learn(service, principal) {
      if (principal?.kind !== 'service' || !principal.permissions.includes('tokens:verify')) {
        verifiers.delete(service)
        return
      }
      if (verifiers.size >= mostVerifiers && !verifiers.has(service)) verifiers.clear()
      verifiers.add(service)
    },
  }
}
