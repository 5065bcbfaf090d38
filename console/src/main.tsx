import '@mantine/core/styles.css'
import './frame.css'
import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { onceReleased } from './interface/leave-warning.ts'
import { takeSecretFromAddress } from './invitation/presented-secret.ts'
import { createQueryClient } from './latchkey.ts'
import { createConsoleRouter } from './router.tsx'
import { onSessionChangedElsewhere, viewerQuery } from './session/session.ts'
import { adoptTheme, theme } from './theme.ts'

// What holds the page would keep it from leading to the sign-in page, and nothing would ask again.
const queryClient = createQueryClient(() => onceReleased(leadToSignIn))
takeSecretFromAddress()
const router = createConsoleRouter(queryClient)

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

/** Where nobody has to be signed in. */
const openToAll = ['/sign-in', '/invitation']

function leadToSignIn(): void {
  const { pathname, href } = router.state.location
  const wasSignedIn = queryClient.getQueryData(viewerQuery.queryKey) !== undefined
  if (!wasSignedIn || openToAll.includes(pathname)) return
  void router.navigate({ to: '/sign-in', search: { ending: 'ended', next: href } })
}

/** The viewer first, and nothing kept that was read for another. */
async function followSession(): Promise<void> {
  const { queryKey } = viewerQuery
  const before = queryClient.getQueryData(queryKey)?.member.id
  // Whoever was refused before may be signed in now.
  if (before === undefined) queryClient.removeQueries({ queryKey })
  await queryClient.invalidateQueries({ queryKey })
  if (queryClient.getQueryData(queryKey)?.member.id === before) await queryClient.invalidateQueries()
  else queryClient.removeQueries({ predicate: (query) => query.queryKey[0] !== queryKey[0] })
  // What was said there of the session before holds no more.
  if (router.state.location.pathname === '/sign-in') {
    await router.navigate({ to: '/sign-in', search: ({ next }) => (next ? { next } : {}), replace: true })
  } else await router.invalidate()
}

const follow = () => void followSession()
onSessionChangedElsewhere(() => onceReleased(follow))

const place = document.getElementById('console')
if (!place) throw new Error('The page has no place for the console.')
adoptTheme()
createRoot(place).render(
  <StrictMode>
    <MantineProvider theme={theme} withCssVariables={false} withGlobalClasses={false} defaultColorScheme="auto">
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)
