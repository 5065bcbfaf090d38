import { Button, Text } from '@mantine/core'
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
import styles from './access-token.module.css'

export interface AccessTokenReset {
  /** The new value, from the moment there is one. */
  secret: string | undefined
  error: Error | null
  isPending: boolean
  /** Whether it is asked for and not yet confirmed. */
  isAsked: boolean
  ask: (isAsked: boolean) => void
  proceed: () => void
}

/** Resetting one's own access token, which ends the very session in which that is done. */
export function useAccessTokenReset(): AccessTokenReset {
  const [isAsked, ask] = useState(false)
  const reset = useMutation({
    mutationFn: async () => (await latchkey.resetAccessToken()).resetAccessToken.secret,
    onError: () => ask(false),
  })
  const { data: secret, error, isPending } = reset
  useLeaveWarning(isPending)
  return { secret, error, isPending, isAsked: isAsked && !secret, ask, proceed: () => reset.mutate() }
}

/** What there is to know of one's own access token to the organization, and the way to another. */
export function AccessToken({ reset }: { reset: AccessTokenReset }) {
  const { accessToken, organization } = useViewer()
  return (
    <div className={styles.content}>
      <Text size="sm">
        Your own credential to {organization.name}, for programs that act as you. What it may do follows your role.
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
      <Button variant="outline" color="red" aria-haspopup="dialog" onClick={() => reset.ask(true)}>
        Reset Token
      </Button>
    </div>
  )
}

export function ResetWarning({ reset }: { reset: AccessTokenReset }) {
  const { accessToken } = useViewer()
  return (
    <Warning
      opened={reset.isAsked}
      onClose={() => reset.ask(false)}
      proceed="Reset Token"
      isPending={reset.isPending}
      returnFocus={!reset.secret}
      onProceed={reset.proceed}
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
  )
}

export const newAccessToken = 'Your new access token'

export function NewAccessToken({ secret }: { secret: string }) {
  const navigate = useNavigate()
  return (
    <SecretOnce
      secret={secret}
      name="your access token"
      done="Go to sign-in"
      onDone={() => void navigate({ to: '/sign-in', search: { ending: 'reset' }, ignoreBlocker: true })}
    />
  )
}
