import type { Refusal, RefusalCode } from './types.ts'

/** Whatever this package throws on its own account; `code` says what went wrong, for a program, and `message` for a person. */
export abstract class LatchkeyError extends Error {
  abstract readonly code: string
}

/**
 * What can go wrong before Latchkey could decide.
 *
 * - `UNAUTHENTICATED` — no credential, or one that is not accepted (any more).
 * - `FORBIDDEN` — the credential is good, but not for this.
 * - `BAD_REQUEST` — the call, or the client's settings, must change before it can succeed.
 * - `RATE_LIMITED` — too many calls; wait `retryAfterSeconds`.
 * - `UNAVAILABLE` — Latchkey, or the way to it, is down or slow; the same call may succeed later.
 * - `INTERNAL` — Latchkey failed, or something other than Latchkey answered.
 */
export type RequestErrorCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'BAD_REQUEST'
  | 'RATE_LIMITED'
  | 'UNAVAILABLE'
  | 'INTERNAL'

/**
 * A call that came to no decision. It never holds what was sent: not the variables, not the headers, not in its cause.
 *
 * A mutation that ends with `UNAVAILABLE` may have happened all the same, since only the answer may be what was lost.
 */
export class RequestError extends LatchkeyError {
  override readonly name = 'RequestError'
  /** A code that this version does not know is given as the known one of the same HTTP status. */
  readonly code: RequestErrorCode
  /** The answer's HTTP status; null where there was no answer. */
  readonly status: number | null
  /** For how long to wait before the next call, where the server said so. */
  readonly retryAfterSeconds: number | null

  constructor(
    message: string,
    about: { code: RequestErrorCode; status?: number | null; retryAfterSeconds?: number | null },
  ) {
    super(message)
    this.code = about.code
    this.status = about.status ?? null
    this.retryAfterSeconds = about.retryAfterSeconds ?? null
  }
}

/** Latchkey refused: nothing was changed. What `unwrap` throws. */
export class RefusalError extends LatchkeyError {
  override readonly name = 'RefusalError'
  /** The refusal's `__typename`. A newer server may give one that is not in the type: let a switch have a default. */
  readonly code: RefusalCode
  /** The refusal with all that it tells, such as `issues` where `code` is `InvalidInput`. */
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.message)
    this.code = refusal.__typename
    this.refusal = refusal
  }
}

/**
 * Latchkey could not be asked, so nothing is known of the token: neither accept nor refuse it, and let the caller try
 * again. `message` says why, and holds neither the token nor the credential.
 */
export class VerifierUnavailableError extends LatchkeyError {
  override readonly name = 'VerifierUnavailableError'
  readonly code = 'UNAVAILABLE'
  /** For how long to wait before the next attempt: what Latchkey said, or else 1. */
  readonly retryAfterSeconds: number

  constructor(reason: string, retryAfterSeconds = 1) {
    super(`Latchkey cannot be asked about the token: ${reason}`)
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/**
 * Latchkey refused the verifier's own credential. Nothing is known of the token, and nothing will be until the
 * configuration is put right.
 */
export class VerifierCredentialError extends LatchkeyError {
  override readonly name = 'VerifierCredentialError'
  /** `UNAUTHENTICATED` for a credential that is not accepted, `FORBIDDEN` for one that may not verify tokens. */
  readonly code: 'UNAUTHENTICATED' | 'FORBIDDEN'

  constructor(code: 'UNAUTHENTICATED' | 'FORBIDDEN') {
    super(
      code === 'UNAUTHENTICATED'
        ? 'Latchkey does not accept the verifier’s own `credential`. Give createVerifier the secret of a registered service.'
        : 'The verifier’s own `credential` may not verify tokens. Give createVerifier the secret of a registered service.',
    )
    this.code = code
  }
}
