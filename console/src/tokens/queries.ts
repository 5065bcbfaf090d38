import { type UpdateTokenInput, unwrap } from '@latchkey/sdk'
import { keepPreviousData, queryOptions, useMutation, useQueryClient } from '@tanstack/react-query'
import { latchkey } from '../latchkey.ts'
import { type ListView, requestOf, viewOfRole } from './list-view.ts'

const everyMinute = 60_000

/** Everything that is read about tokens begins with this key, and is read anew when one has changed. */
const tokensKey = (organizationId: string) => ['tokens', organizationId] as const

export function listQuery(organizationId: string, view: ListView) {
  return queryOptions({
    queryKey: [...tokensKey(organizationId), 'list', view],
    queryFn: async () => (await latchkey.integrationTokens(requestOf(view))).integrationTokens,
    placeholderData: keepPreviousData,
    refetchInterval: everyMinute,
  })
}

export function tokenQuery(organizationId: string, id: string) {
  return queryOptions({
    queryKey: [...tokensKey(organizationId), 'one', id],
    queryFn: async () => (await latchkey.integrationToken({ id })).integrationToken ?? null,
    refetchInterval: everyMinute,
  })
}

export function eventsOfTokenQuery(organizationId: string, targetId: string) {
  return queryOptions({
    queryKey: [...tokensKey(organizationId), 'events', targetId],
    queryFn: async () => (await latchkey.auditEvents({ first: 20, filter: { targetId } })).auditEvents,
  })
}

/** What the organization asks of its tokens' expiry. */
export function policyQuery(organizationId: string) {
  return queryOptions({
    queryKey: [...tokensKey(organizationId), 'policy'],
    queryFn: async () => (await latchkey.tokenPolicy()).tokenPolicy,
    refetchInterval: everyMinute,
  })
}

/** How many tokens have a role, whatever their status, counted up to 10,000. */
export function roleUseQuery(organizationId: string, roleId: string) {
  return queryOptions({
    queryKey: [...tokensKey(organizationId), 'of-role', roleId],
    async queryFn() {
      const filter = requestOf(viewOfRole(roleId)).filter
      return (await latchkey.integrationTokens({ first: 1, filter, withTotalCount: true })).integrationTokens.totalCount
    },
  })
}

export const rolesKey = (organizationId: string) => ['token-roles', organizationId] as const

export function rolesQuery(organizationId: string) {
  return queryOptions({
    queryKey: rolesKey(organizationId),
    queryFn: async () => (await latchkey.tokenRoles()).tokenRoles,
    staleTime: everyMinute,
  })
}

/** Has whatever shows tokens, or events, read them again. */
export function useTokensChanged(organizationId: string): () => Promise<void> {
  const queryClient = useQueryClient()
  return async () => {
    await Promise.all([
      queryClient.invalidateQueries({ queryKey: tokensKey(organizationId) }),
      queryClient.invalidateQueries({ queryKey: ['audit', organizationId] }),
    ])
  }
}

export function useUpdateToken(organizationId: string) {
  const changed = useTokensChanged(organizationId)
  return useMutation({
    mutationFn: async (input: UpdateTokenInput) => unwrap((await latchkey.updateToken({ input })).updateToken).token,
    onSuccess: changed,
  })
}
