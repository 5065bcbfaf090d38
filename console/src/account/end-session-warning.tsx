import { type Session, unwrap } from '@latchkey/sdk'
import { Text } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { FactList } from '../interface/fact-list.tsx'
import { FailureNote } from '../interface/failure.tsx'
import { Instant } from '../interface/instant.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { sessionsKey } from './queries.ts'
import { originOf } from './session-table.tsx'

/** Open while there is a session. */
export function EndSessionWarning({
  session,
  onClose,
  onEnded,
}: {
  session: Session | null
  onClose: () => void
  onEnded: (words: string) => void
}) {
  // What is said stays while the dialog fades.
  const [shown, show] = useState(session)
  if (session && session !== shown) show(session)
  const [endedId, setEndedId] = useState<string | null>(null)
  const queryClient = useQueryClient()
  const navigate = useNavigate()
  const changed = () => queryClient.invalidateQueries({ queryKey: sessionsKey })
  const end = useMutation({
    mutationFn: async ({ id }: Session) => unwrap((await latchkey.endSession({ input: { id } })).endSession),
    onError: changed,
    async onSuccess(_ended, ended) {
      if (ended.current) return navigate({ to: '/sign-in', search: { ending: 'signed-out' } })
      setEndedId(ended.id)
      onClose()
      onEnded(`The session from ${originOf(ended).place} has ended.`)
      await changed()
    },
  })
  return (
    <Warning
      opened={session !== null}
      onClose={onClose}
      proceed={shown?.current ? 'End and Sign Out' : 'End'}
      isPending={end.isPending}
      returnFocus={shown === null || endedId !== shown.id}
      onProceed={() => shown && end.mutate(shown)}
    >
      {shown?.current ? (
        <Text>
          This is the session that you are in. <b>You are signed out here,</b> and sign in again to go on.
        </Text>
      ) : (
        <Text>
          Whoever uses this session is signed out at once, and needs the password to sign in again. Your other sessions
          and your access token stay as they are.
        </Text>
      )}
      {shown && !shown.current && (
        <>
          <FactList facts={factsOf(shown)} />
          <Text size="sm" c="dimmed">
            Was it somebody else? Then change your password, which ends every session but this one.
          </Text>
        </>
      )}
      {end.error && end.variables.id === shown?.id && <FailureNote error={end.error} />}
    </Warning>
  )
}

function factsOf(session: Session) {
  const { place, program } = originOf(session)
  return [
    ['Address', place],
    ['Last used', <Instant key="used" at={session.lastUsedAt} />],
    ['Browser or program', program],
  ] as const
}
