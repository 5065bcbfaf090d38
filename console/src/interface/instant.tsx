import { useSyncExternalStore } from 'react'

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

const stepMilliseconds = 20_000
let now = new Date()
const followers = new Set<() => void>()
let timer: ReturnType<typeof setInterval> | undefined

/** One clock for all that is shown, which goes on while something is. */
function follow(tell: () => void): () => void {
  followers.add(tell)
  timer ??= setInterval(() => {
    now = new Date()
    for (const follower of followers) follower()
  }, stepMilliseconds)
  return () => {
    followers.delete(tell)
    if (followers.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

/** In the browser's language and time zone: near ones by their distance, others by their day; the exact one on hover. */
export function Instant({ at, inFull = false }: { at: string; inFull?: boolean }) {
  useSyncExternalStore(follow, () => now)
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

export function describeExactly(date: Date): string {
  return exactShort.format(date)
}

export function describeDay(date: Date): string {
  return day.format(date)
}
