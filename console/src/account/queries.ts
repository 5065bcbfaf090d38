import { queryOptions } from '@tanstack/react-query'
import { latchkey } from '../latchkey.ts'

const everyMinute = 60_000

export const sessionsKey = ['sessions'] as const

/** Where the person is signed in: the session that asks first, then the one that was used last. */
export const sessionsQuery = queryOptions({
  queryKey: sessionsKey,
  async queryFn() {
    const { sessions } = await latchkey.sessions()
    return sessions.toSorted((a, b) => Number(b.current) - Number(a.current))
  },
  refetchInterval: everyMinute,
})
