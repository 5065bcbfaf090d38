const steps = [
  ['second', 60],
  ['minute', 60],
  ['hour', 24],
  ['day', 7],
] as const

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' })
const exactShort = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

/** In the browser's language and time zone: near ones by their distance, others by their day; the exact one on hover. */
export function Instant({ at, inFull = false }: { at: string; inFull?: boolean }) {
  const date = new Date(at)
  return (
    <time dateTime={at} title={exact.format(date)}>
      {inFull ? exactShort.format(date) : describe(date, new Date())}
    </time>
  )
}

export function describe(date: Date, now: Date): string {
  let distance = (date.getTime() - now.getTime()) / 1_000
  for (const [unit, size] of steps) {
    if (Math.abs(Math.round(distance)) < size) return relative.format(Math.round(distance), unit)
    distance /= size
  }
  return day.format(date)
}

export function describeDay(date: Date): string {
  return day.format(date)
}
