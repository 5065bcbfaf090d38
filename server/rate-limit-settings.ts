/** How often something may be done; 0 where that is not limited. */
export interface RateLimitSettings {
  /** Refused attempts at one account's password, in a quarter of an hour. */
  signInsByAccount: number
  /** Refused sign-ins from one address, to whichever accounts, in a quarter of an hour. */
  signInsByAddress: number
  /** Tokens that one caller creates or regenerates, and resets of their access token, in a minute. */
  secrets: number
  /** Tokens that one service verifies, by introspection and over GraphQL, in a minute. */
  verifications: number
}

/** An office shares an address, so that there is room for a hundred people who each mistype once. */
export const defaultRateLimits: RateLimitSettings = {
  signInsByAccount: 10,
  signInsByAddress: 100,
  secrets: 600,
  verifications: 0,
}
