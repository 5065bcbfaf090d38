const dayMilliseconds = 86_400_000

export const lifetimes = [
  ['30', '30 days'],
  ['90', '90 days'],
  ['180', '180 days'],
  ['365', '1 year'],
  ['day', 'Until a day of your choice'],
  ['never', 'No expiry'],
] as const
type Lifetime = (typeof lifetimes)[number][0]

export interface Expiry {
  /** `keep` is the one that the token has. */
  lifetime: Lifetime | 'keep'
  /** As a date field has it; matters to the lifetime `day` alone. */
  day: string
}

export function isLifetime(text: string): text is Expiry['lifetime'] {
  return text === 'keep' || lifetimes.some(([value]) => value === text)
}

/** The instant at which it ends; null for never, undefined for the one it has, and while no day is chosen. */
export function endOf({ lifetime, day }: Expiry, now: Date): Date | null | undefined {
  if (lifetime === 'never') return null
  if (lifetime === 'keep') return undefined
  if (lifetime !== 'day') return new Date(now.getTime() + Number(lifetime) * dayMilliseconds)
  return endOfDay(day)
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
