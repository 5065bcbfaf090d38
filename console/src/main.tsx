import '@mantine/core/styles.css'
import './frame.css'
import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { createQueryClient } from './latchkey.ts'
import { createConsoleRouter } from './router.tsx'
import { onSessionChangedElsewhere, viewerQuery } from './session/session.ts'
import { adoptTheme, theme } from './theme.ts'

const queryClient = createQueryClient(() => {
  const { pathname, href } = router.state.location
  const wasSignedIn = queryClient.getQueryData(viewerQuery.queryKey) !== undefined
  if (!wasSignedIn || pathname === '/sign-in') return
  void router.navigate({ to: '/sign-in', search: { ending: 'ended', next: href } })
})
const router = createConsoleRouter(queryClient)

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

onSessionChangedElsewhere(() => {
  // Whoever was refused before may be signed in now.
  if (router.state.location.pathname === '/sign-in') queryClient.clear()
  void queryClient.invalidateQueries().then(() => router.invalidate())
})

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
