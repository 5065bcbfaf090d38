import { unwrap } from '@latchkey/sdk'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate, useRouter } from '@tanstack/react-router'
import { latchkey } from '../latchkey.ts'
import { sessionChanged } from './session.ts'

/** Makes the session act in another of the person's organizations, and goes to its page, or stays at an address within it. */
export function useSwitchOrganization() {
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const router = useRouter()
  return useMutation({
    mutationFn: async (slug: string) => unwrap((await latchkey.switchOrganization({ slug })).switchOrganization).viewer,
    async onSuccess(viewer) {
      sessionChanged(queryClient, viewer)
      const { slug } = viewer.organization
      if (router.state.location.pathname.startsWith(`/organizations/${slug}/`)) return router.invalidate()
      await navigate({ to: '/organizations/$slug', params: { slug } })
    },
  })
}
