import { keepPreviousData, queryOptions, useQueryClient } from '@tanstack/react-query'
import { latchkey } from '../latchkey.ts'
import { viewerQuery } from '../session/session.ts'
import { type MemberView, memberRequestOf } from './member-view.ts'

const everyMinute = 60_000

/** Everything that is read about members begins with this key, and is read anew when one has changed. */
const membersKey = (organizationId: string) => ['members', organizationId] as const

export function membersQuery(organizationId: string, view: MemberView) {
  return queryOptions({
    queryKey: [...membersKey(organizationId), 'list', view],
    queryFn: async () => (await latchkey.members(memberRequestOf(view))).members,
    placeholderData: keepPreviousData,
    refetchInterval: everyMinute,
  })
}

export function invitationsQuery(organizationId: string) {
  return queryOptions({
    queryKey: [...membersKey(organizationId), 'invitations'],
    queryFn: async () => (await latchkey.invitations()).invitations,
    refetchInterval: everyMinute,
  })
}

/** Has whatever shows members, invitations or events read them again; and who one is oneself, which may have changed too. */
export function useMembersChanged(organizationId: string): () => Promise<void> {
  const queryClient = useQueryClient()
  return async () => {
    const keys = [membersKey(organizationId), viewerQuery.queryKey, ['audit', organizationId]]
    await Promise.all(keys.map((queryKey) => queryClient.invalidateQueries({ queryKey })))
  }
}
