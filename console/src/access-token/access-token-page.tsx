import { Card, Drawer } from '@mantine/core'
import { usePageTitle } from '../interface/page-title.ts'
import { AccessToken, NewAccessToken, newAccessToken, ResetWarning, useAccessTokenReset } from './access-token.tsx'

const keepOpen = () => undefined

/** One's own access token among what else is one's own. */
export function AccessTokenPage() {
  usePageTitle('Access Token', 'Your account')
  const reset = useAccessTokenReset()
  const { secret } = reset
  return (
    <>
      <Card withBorder padding="lg">
        <AccessToken reset={reset} />
      </Card>
      <ResetWarning reset={reset} />
      <Drawer
        opened={secret !== undefined}
        onClose={keepOpen}
        title={newAccessToken}
        closeOnClickOutside={false}
        closeOnEscape={false}
        withCloseButton={false}
      >
        {secret && <NewAccessToken secret={secret} />}
      </Drawer>
    </>
  )
}
