import { Button, Drawer, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { FactList } from '../interface/fact-list.tsx'
import { FailureNote } from '../interface/failure.tsx'
import { Instant } from '../interface/instant.tsx'
import { useLeaveWarning } from '../interface/leave-warning.ts'
import { SecretOnce } from '../interface/secret-once.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import styles from './access-token-panel.module.css'

/** One's own access token to the organization. Resetting it ends the very session in which that is done. */
export function AccessTokenPanel({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { accessToken, organization } = useViewer()
  const navigate = useNavigate()
  const [isAsked, ask] = useState(false)
  const reset = useMutation({
    mutationFn: async () => (await latchkey.resetAccessToken()).resetAccessToken.secret,
    onSettled: () => ask(false),
  })
  const { data: secret } = reset
  useLeaveWarning(reset.isPending)
  // Of the two that are open, a key closes the upper one; and none that waits for a value that is shown once.
  const mayClose = !secret && !isAsked
  return (
    <>
      <Drawer
        opened={opened}
        onClose={onClose}
        title={secret ? 'Your new access token' : 'Access Token'}
        closeOnClickOutside={mayClose}
        closeOnEscape={mayClose}
        withCloseButton={!secret}
      >
        {secret ? (
          <SecretOnce
            secret={secret}
            name="your access token"
            done="Go to sign-in"
            onDone={() => void navigate({ to: '/sign-in', search: { ending: 'reset' }, ignoreBlocker: true })}
          />
        ) : (
          <div className={styles.content}>
            <Text size="sm">
              Your own credential to {organization.name}, for programs that act as you. What it may do follows your
              role.
            </Text>
            {accessToken ? (
              <FactList
                facts={[
                  ['Value', <code key="value">…{accessToken.hint}</code>],
                  ['Made', <Instant key="made" at={accessToken.createdAt} inFull />],
                  ['Last used', accessToken.lastUsedAt ? <Instant key="used" at={accessToken.lastUsedAt} /> : 'Never'],
                ]}
              />
            ) : (
              <Text size="sm" c="dimmed">
                You have none yet. Resetting makes the first one.
              </Text>
            )}
            {reset.error && <FailureNote error={reset.error} />}
            <Button variant="outline" color="red" aria-haspopup="dialog" onClick={() => ask(true)}>
              Reset Token
            </Button>
          </div>
        )}
      </Drawer>
      <Warning
        opened={isAsked}
        onClose={() => ask(false)}
        proceed="Reset Token"
        isPending={reset.isPending}
        onProceed={() => reset.mutate()}
      >
        <Text>
          {accessToken
            ? 'The access token that you have now is refused at once: whatever uses it stops working.'
            : 'You get an access token, which is shown once.'}
        </Text>
        <Text>
          <b>You are signed out everywhere,</b> here included, and sign in again afterwards.
        </Text>
      </Warning>
    </>
  )
}
