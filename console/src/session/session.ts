import type { MemberViewer } from '@latchkey/sdk'
import { type QueryClient, queryOptions, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { isHeld } from '../interface/leave-warning.ts'
import { latchkey } from '../latchkey.ts'

/** Who is signed in. Fails as UNAUTHENTICATED where nobody is. */
export const viewerQuery = queryOptions({
  queryKey: ['viewer'],
  staleTime: 30_000,
  async queryFn(): Promise<MemberViewer> {
    const { viewer } = await latchkey.viewer()
    if (viewer.__typename !== 'MemberViewer') throw new Error('A browser’s session is a member’s.')
    return viewer
  },
})

/** Who is signed in. Only below the route that lets nobody else in. */
export function useViewer(): MemberViewer {
  const { data } = useQuery({ ...viewerQuery, enabled: () => !isHeld() })
  if (!data) throw new Error('Nobody is signed in.')
  return data
}

/** Why the sign-in page is shown to someone who was signed in. */
export const endings = {
  ended: 'Your session has ended. Sign in again to go on.',
  reset: 'Your access token was reset, and every session of yours has ended. Sign in again.',
  'signed-out': 'You are signed out.',
} as const
export type Ending = keyof typeof endings

export function isEnding(text: unknown): text is Ending {
  return typeof text === 'string' && Object.hasOwn(endings, text)
}

/** Only to addresses of this very server, so that a link cannot lead elsewhere after signing in. */
export function isOwnAddress(text: unknown): text is string {
  return typeof text === 'string' && /^\/(?![/\\])/.test(text) && URL.canParse(text, globalThis.location.origin)
}

const channel = new BroadcastChannel('session')

/** Forgets all that was read for whoever was signed in before, and has the browser's other tabs do so too. */
export function sessionChanged(queryClient: QueryClient, viewer: Omit<MemberViewer, '__typename'>): void {
  const [key] = viewerQuery.queryKey
  queryClient.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== key })
  queryClient.setQueryData(viewerQuery.queryKey, { ...viewer, __typename: 'MemberViewer' })
  channel.postMessage('changed')
}

/** The same, once nothing of it is shown any more. */
export function useForgetting(isForgetting: boolean): void {
  const queryClient = useQueryClient()
  useEffect(() => {
    if (!isForgetting) return
    queryClient.clear()
    // GraphiQL keeps what was typed into it, in the browser, whoever signs in next.
    for (const key of Object.keys(localStorage)) if (key.startsWith('graphiql:')) localStorage.removeItem(key)
    channel.postMessage('changed')
  }, [isForgetting, queryClient])
}

/** The session is one for all tabs: what another tab does to it holds here too. */
export function onSessionChangedElsewhere(react: () => void): void {
  channel.onmessage = react
}
