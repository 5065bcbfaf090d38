import { queryOptions } from '@tanstack/react-query'
import { latchkey } from '../latchkey.ts'

const everyMinute = 60_000

export const groupsKey = (organizationId: string) => ['groups', organizationId] as const

export function groupsQuery(organizationId: string) {
  return queryOptions({
    queryKey: groupsKey(organizationId),
    queryFn: async () => (await latchkey.groups()).groups,
    refetchInterval: everyMinute,
  })
}
