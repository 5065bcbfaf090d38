import type { CredentialKind, OrganizationRole, TokenVerification } from './types.ts'

/** A token that is to be accepted, and as what. Frozen, since the next caller is given the same object. */
export interface VerifiedToken {
  readonly active: true
  readonly kind: CredentialKind
  /** The organization on whose behalf the bearer acts. */
  readonly organizationId: string
  /** The integration token's id, or the access token's. */
  readonly tokenId: string
  /** An integration token's label. */
  readonly label: string | null
  /** An integration token's role. */
  readonly roleId: string | null
  /** Whose access token it is. */
  readonly memberId: string | null
  /** That member's role. */
  readonly organizationRole: OrganizationRole | null
  /** What the bearer may do, each as `resource:action`, whichever kind it is. */
  readonly permissions: readonly string[]
  /** When the token ends by itself; null where it does not. By Latchkey's clock: the verifier sees to it. */
  readonly expiresAt: Date | null
}

/** A token that is not to be accepted. Whether it is unknown, malformed, expired, disabled or deleted is not told. */
export interface RefusedToken {
  readonly active: false
}

/** Told apart by `active`. */
export type Verdict = VerifiedToken | RefusedToken

export const refusal: RefusedToken = Object.freeze({ active: false })

/** A verdict, and how long it holds by itself, by the clock of whoever gave it. */
export interface Answer {
  verdict: Verdict
  lifetimeMilliseconds: number
}

export class UnreadableAnswer extends Error {}

/** Throws `UnreadableAnswer` for whatever cannot be understood: a verdict is never guessed. */
export function readAnswer(given: TokenVerification | undefined): Answer {
  if (!given) throw new UnreadableAnswer()
  const { active, kind, organizationId, tokenId, label, roleId, memberId, organizationRole, permissions } = given
  if (active === false) return { verdict: refusal, lifetimeMilliseconds: Number.POSITIVE_INFINITY }
  if (active !== true || !kind || !organizationId || !tokenId || !Array.isArray(permissions))
    throw new UnreadableAnswer()
  const endsAt = given.expiresAt === null ? null : Date.parse(given.expiresAt)
  const lifetimeMilliseconds = endsAt === null ? Number.POSITIVE_INFINITY : given.expiresInMilliseconds
  if (Number.isNaN(endsAt) || typeof lifetimeMilliseconds !== 'number') throw new UnreadableAnswer()
  const verdict: VerifiedToken = {
    active,
    kind,
    organizationId,
    tokenId,
    label,
    roleId,
    memberId,
    organizationRole,
    permissions: Object.freeze(permissions),
    expiresAt: null,
  }
  // Made anew each time, since a Date cannot be frozen.
  if (endsAt !== null) Object.defineProperty(verdict, 'expiresAt', { enumerable: true, get: () => new Date(endsAt) })
  return { verdict: Object.freeze(verdict), lifetimeMilliseconds }
}
