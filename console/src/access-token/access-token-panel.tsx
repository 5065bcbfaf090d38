import { Drawer } from '@mantine/core'
import { AccessToken, NewAccessToken, newAccessToken, ResetWarning, useAccessTokenReset } from './access-token.tsx'

/** One's own access token beside an organization's page. */
export function AccessTokenPanel({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const reset = useAccessTokenReset()
  const { secret, isAsked } = reset
  // Of the two that are open, a key closes the upper one; and none that waits for a value that is shown once.
  const mayClose = !secret && !isAsked
  return (
    <>
      <Drawer
        opened={opened}
        onClose={onClose}
        title={secret ? newAccessToken : 'Access Token'}
        closeOnClickOutside={mayClose}
        closeOnEscape={mayClose}
        withCloseButton={!secret}
      >
        {secret ? <NewAccessToken secret={secret} /> : <AccessToken reset={reset} />}
      </Drawer>
      <ResetWarning reset={reset} />
    </>
  )
}
