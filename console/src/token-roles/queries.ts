import { useQueryClient } from '@tanstack/react-query'
import { rolesKey, useTokensChanged } from '../tokens/queries.ts'

/** Has whatever shows roles, or tokens with them, or events, read them again. */
export function useRolesChanged(organizationId: string): () => Promise<void> {
  const queryClient = useQueryClient()
  const tokensChanged = useTokensChanged(organizationId)
  return async () => {
    await Promise.all([queryClient.invalidateQueries({ queryKey: rolesKey(organizationId) }), tokensChanged()])
  }
}
