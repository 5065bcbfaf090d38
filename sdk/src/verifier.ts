import { createClient } from './client.ts'
import { createClock } from './clock.ts'
import { type Credential, checkMilliseconds, endpointOf } from './connection.ts'
import { sha256 } from './digest.ts'
import { type LatchkeyError, RequestError, VerifierCredentialError, VerifierUnavailableError } from './errors.ts'
import { followInvalidations, type Invalidation } from './invalidation-stream.ts'
import { createQuestions, type Question } from './questions.ts'
import { createFormCheck } from './token-form.ts'
import { type Answer, readAnswer, refusal, UnreadableAnswer, type Verdict } from './verdict.ts'
import { createVerdictCache } from './verdict-cache.ts'

export { LatchkeyError, VerifierCredentialError, VerifierUnavailableError } from './errors.ts'
export type { RefusedToken, Verdict, VerifiedToken } from './verdict.ts'

/** A token that is used from the cache is asked about this often, which tells Latchkey that it is used. */
const refreshMilliseconds = 30_000

export interface VerifierOptions {
  /** Latchkey's base address, such as `https://tokens.example.com`. */
  url: string | URL
  /** The secret of a service that is registered with Latchkey. */
  credential?: Credential | undefined
  /** What secrets begin with where Latchkey runs with a `TOKEN_PREFIX` of its own; `lk` unless set. */
  prefix?: string | undefined
  /** For how long after the last message from Latchkey cached answers are trusted; 5,000 unless set. */
  stalenessBoundMilliseconds?: number | undefined
  /** How many accepted secrets are kept; 100,000 unless set. Those not used for long go first. */
  cacheSize?: number | undefined
  /** For how long `verify` may take; 2,000 unless set. */
  timeoutMilliseconds?: number | undefined
  /** Used instead of Node's own HTTP client for calls, and of the global `fetch` for the stream of invalidations. */
  fetch?: typeof fetch | undefined
  /** Called with each change of `VerifierMetrics.state`. */
  onStateChange?: ((state: VerifierState) => void) | undefined
}

/** `live` while the cache is trusted; `stale` while every question goes to Latchkey. */
export type VerifierState = 'live' | 'stale'

/** All counted since the verifier was created. */
export interface VerifierMetrics {
  state: VerifierState
  stateSince: Date
  /** Verifications answered from the cache. */
  hits: number
  /** Verifications for which Latchkey had to be asked. */
  misses: number
  /** Verifications refused for their form alone. */
  refusedLocally: number
  /** Calls to Latchkey; one answers up to 1,000 questions. */
  calls: number
  /** Messages by which something cached was invalidated. */
  invalidations: number
  /** How often all that was cached was dropped. */
  drops: number
  /** How often the stream of invalidations was taken up again. */
  reconnections: number
  /** How many tokens are cached now. */
  cachedTokens: number
}

export interface Verifier {
  /**
   * Whether a presented secret is to be accepted, and as what. `usedFrom`, the address that presented it, is kept as the
   * token's `lastUsedFrom`. The secret itself never leaves the process.
   *
   * @throws {VerifierUnavailableError} when Latchkey cannot be asked, within the timeout
   * @throws {VerifierCredentialError} when Latchkey refuses the verifier's own credential
   */
  verify: (secret: string, about?: { usedFrom?: string | null | undefined }) => Promise<Verdict>
  metrics: () => VerifierMetrics
  /** Ends the stream and all that is under way, which rejects with `VerifierUnavailableError`, as does `verify` from now on. */
  close: () => Promise<void>
}

/**
 * Verifies tokens from a cache that Latchkey keeps true by pushing what changes. One for each process, made at its start.
 *
 * What is exact: without a cached answer Latchkey is asked, and a token that was deleted, disabled or regenerated before
 * is refused. What is bounded: a cached answer ends when Latchkey's message arrives, which takes milliseconds; should the
 * way be cut, within `stalenessBoundMilliseconds`. From then on, and until Latchkey is heard again, nothing is cached.
 * A refusal is kept for up to a second, and until any token changes.
 *
 * @throws {TypeError} for an option that cannot be used
 */
export function createVerifier(options: VerifierOptions): Verifier {
  const { url, credential, fetch, onStateChange } = options
  const { prefix = 'lk', cacheSize = 100_000, timeoutMilliseconds = 2_000 } = options
  const boundMilliseconds = checkMilliseconds('stalenessBoundMilliseconds', options.stalenessBoundMilliseconds ?? 5_000)
  if (!/^[a-z]{2,10}$/.test(prefix)) throw new TypeError('`prefix` must be 2 to 10 lower-case letters.')
  if (!(Number.isSafeInteger(cacheSize) && cacheSize > 0)) throw new TypeError('`cacheSize` must be a number above 0.')

  const closing = new AbortController()
  const { signal } = closing
  const latchkey = createClient({ url, credential, timeoutMilliseconds, signal, fetch })
  const now = createClock()
  const isWellFormed = createFormCheck(prefix)
  const cache = createVerdictCache({
    size: cacheSize,
    refreshMilliseconds,
    onDue: (secret, usedFrom) => void questions.ask(secret, usedFrom).catch(() => undefined),
  })
  const counts = { hits: 0, misses: 0, refusedLocally: 0, calls: 0, invalidations: 0, drops: 0, reconnections: 0 }

  let state: VerifierState = 'stale'
  let stateSince = new Date()
  let heardAt = Number.NEGATIVE_INFINITY
  let silence: ReturnType<typeof setTimeout> | undefined

  function enter(next: VerifierState): void {
    if (state === next) return
    state = next
    stateSince = new Date()
    // Later, so that what it throws is the process's to handle, and ends no stream.
    if (onStateChange && !signal.aborted) queueMicrotask(() => onStateChange(next))
  }

  function forgetEverything(): void {
    counts.drops++
    cache.forgetEverything()
  }

  function distrust(): void {
    heardAt = Number.NEGATIVE_INFINITY
    clearTimeout(silence)
    forgetEverything()
    enter('stale')
  }

  function onInvalidation({ tokenIds, everything }: Invalidation): void {
    heardAt = now()
    clearTimeout(silence)
    silence = setTimeout(distrust, boundMilliseconds)
    if (everything || tokenIds.length > 0) counts.invalidations++
    if (everything) forgetEverything()
    else if (tokenIds.length > 0) cache.forgetTokens(tokenIds)
    enter('live')
  }

  /** By the clock, since a timer may be late. */
  function isTrusted(at: number): boolean {
    if (at - heardAt <= boundMilliseconds) return true
    if (state === 'live') distrust()
    return false
  }

  async function call(asked: readonly Question[]): Promise<Verdict[]> {
    counts.calls++
    // From before it is sent, so that what is kept of the answer ends too early rather than too late.
    const askedAt = now()
    const epoch = cache.epoch()
    const answers = await ask(asked)
    // Whatever was forgotten in the meantime may have changed after Latchkey had looked.
    const isCurrent = isTrusted(now()) && epoch === cache.epoch()
    for (const { secret, answer } of answers) {
      if (isCurrent) cache.keep(secret, answer, askedAt)
      else if (!answer.verdict.active) cache.forget(secret)
    }
    return answers.map(({ answer }) => answer.verdict)
  }

  async function ask(asked: readonly Question[]): Promise<{ secret: string; answer: Answer }[]> {
    const reported = asked.some((question) => question.usedFrom !== null)
    const usedFrom = reported ? asked.map((question) => question.usedFrom) : undefined
    try {
      const digests = await Promise.all(asked.map(({ secret }) => sha256(secret)))
      const { verifyTokenDigests: answers } = await latchkey.verifyTokenDigests({ digests, usedFrom })
      if (answers.length !== asked.length) throw new UnreadableAnswer()
      return asked.map(({ secret }, index) => ({ secret, answer: readAnswer(answers[index]) }))
    } catch (error) {
      throw explain(error)
    }
  }

  const questions = createQuestions({ call, timeoutMilliseconds, signal })
  const following = followInvalidations({
    endpoint: endpointOf(url),
    credential,
    fetch,
    silenceMilliseconds: boundMilliseconds,
    now,
    onInvalidation,
    onReconnect: () => counts.reconnections++,
    signal,
  })

  return {
    // Nothing here is asynchronous while the answer is known, and a new promise is nearer in memory than one that was kept.
    verify(secret, about) {
      const at = now()
      const usedFrom = about?.usedFrom ?? null
      const verdict = isTrusted(at) && typeof secret === 'string' ? cache.find(secret, at, usedFrom) : undefined
      if (verdict) {
        counts.hits++
        return Promise.resolve(verdict)
      }
      if (!isWellFormed(secret)) {
        counts.refusedLocally++
        return Promise.resolve(refusal)
      }
      counts.misses++
      return questions.ask(secret, usedFrom)
    },
    metrics: () => ({ state, stateSince, ...counts, cachedTokens: cache.tokenCount() }),
    async close() {
      closing.abort(new VerifierUnavailableError('the verifier was closed.'))
      distrust()
      await following
      await questions.settled()
    },
  }
}

/** Nothing else of an error is passed on: it may hold what was sent. */
function explain(error: unknown): LatchkeyError {
  if (error instanceof VerifierUnavailableError) return error
  if (error instanceof UnreadableAnswer) return new VerifierUnavailableError('its answer cannot be understood.')
  if (!(error instanceof RequestError)) return new VerifierUnavailableError('the `credential` cannot be had, or sent.')
  if (error.code === 'UNAUTHENTICATED' || error.code === 'FORBIDDEN') return new VerifierCredentialError(error.code)
  return new VerifierUnavailableError(error.message, error.retryAfterSeconds ?? undefined)
}
