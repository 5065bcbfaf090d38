import type { TokenPolicy } from '@latchkey/sdk'

const dayMilliseconds = 86_400_000
/** By so much may the browser's clock be ahead of the server's, which has the word on what is the latest. */
const leewayMilliseconds = 300_000
const usualDays = [30, 90, 180, 365]
const preferredDays = 90

/** What of the organization's policy bears on when a token expires. */
export type ExpiryPolicy = Pick<TokenPolicy, 'longestLifetimeDays' | 'expiryRequired' | 'defaultLifetimeDays'>

/** So many days from now, the `latest` that the policy allows, or a `day` of one's choice. */
type Offered = number | 'latest' | 'day' | 'never'

export interface Expiry {
  /** `keep` is the one that the token has. */
  lifetime: Offered | 'keep'
  /** As a date field has it; matters to the lifetime `day` alone. */
  day: string
}

/** The last instant at which a token may expire whose value was made then; null where the policy sets none. */
export function latestEnd({ longestLifetimeDays }: ExpiryPolicy, madeAt: Date): Date | null {
  return longestLifetimeDays ? new Date(madeAt.getTime() + longestLifetimeDays * dayMilliseconds) : null
}

/** The same of a token that is about to be made. */
export function latestEndOfNew(policy: ExpiryPolicy, now: Date): Date | null {
  return latestEnd(policy, new Date(now.getTime() - leewayMilliseconds))
}

/** What a person may choose from, the shortest first. */
export function lifetimesFor(policy: ExpiryPolicy, latest: Date | null, now: Date): Offered[] {
  const { longestLifetimeDays, expiryRequired, defaultLifetimeDays } = policy
  const beyondLatest = (days: number) =>
    latest ? now.getTime() + days * dayMilliseconds - latest.getTime() : -Infinity
  const days = [...new Set([...usualDays, ...(defaultLifetimeDays ? [defaultLifetimeDays] : [])])]
    .filter((number) => beyondLatest(number) <= leewayMilliseconds)
    .toSorted((one, other) => one - other)
  const isPast = latest !== null && latest <= now
  const isLatestAmong = days.some((number) => beyondLatest(number) >= -leewayMilliseconds)
  return [
    ...days,
    ...(latest && !isPast && !isLatestAmong ? (['latest'] as const) : []),
    ...(isPast ? [] : (['day'] as const)),
    ...(expiryRequired || longestLifetimeDays ? [] : (['never'] as const)),
  ]
}

/** Whether it can still be chosen: somebody else may have changed the policy since it was. */
export function isOffered({ lifetime }: Expiry, policy: ExpiryPolicy, latest: Date | null, now: Date): boolean {
  return lifetime === 'keep' || lifetimesFor(policy, latest, now).includes(lifetime)
}

/** What is chosen for a new token until a person chooses. */
export function firstExpiry(policy: ExpiryPolicy, now: Date): Expiry {
  const offered = lifetimesFor(policy, latestEndOfNew(policy, now), now)
  const { defaultLifetimeDays } = policy
  const most = offered.findLast(
    (lifetime) => lifetime === 'latest' || (typeof lifetime === 'number' && lifetime <= preferredDays),
  )
  return { lifetime: defaultLifetimeDays ?? most ?? 'latest', day: '' }
}

/** The instant at which it ends; null for never, undefined for the one it has, and while no day is chosen. */
export function endOf({ lifetime, day }: Expiry, now: Date, latest: Date | null = null): Date | null | undefined {
  if (lifetime === 'never') return null
  if (lifetime === 'keep') return undefined
  if (lifetime === 'latest') return latest ?? undefined
  if (lifetime === 'day') {
    const end = endOfDay(day)
    // On the last day that there is, as long as may be.
    return end && latest && end > latest && day === dayOf(latest) ? latest : end
  }
  const end = new Date(now.getTime() + lifetime * dayMilliseconds)
  return latest && end > latest ? latest : end
}

/** In whole days, as near as it gets. */
export function daysUntil(end: Date, now: Date): number {
  return Math.round((end.getTime() - now.getTime()) / dayMilliseconds)
}

/** A day counts to its end, in the browser's time zone. */
function endOfDay(day: string): Date | undefined {
  const [, year, month, date] = /^(\d{4,6})-(\d\d)-(\d\d)$/.exec(day) ?? []
  if (!year || !month || !date) return undefined
  return new Date(Number(year), Number(month) - 1, Number(date), 23, 59, 59, 999)
}

/** As a date field has it, in the browser's time zone. */
export function dayOf(at: Date): string {
  const two = (number: number) => String(number).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}
