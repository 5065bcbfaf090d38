import { Text } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { sessionsKey } from './queries.ts'

export function EndOthersWarning({
  opened,
  onClose,
  onEnded,
}: {
  opened: boolean
  onClose: () => void
  onEnded: (words: string) => void
}) {
  const [isDone, setDone] = useState(false)
  const queryClient = useQueryClient()
  const changed = () => queryClient.invalidateQueries({ queryKey: sessionsKey })
  const end = useMutation({
    mutationFn: async () => (await latchkey.endOtherSessions()).endOtherSessions.endedSessions,
    onMutate: () => setDone(false),
    onError: changed,
    async onSuccess(count) {
      setDone(true)
      onClose()
      onEnded(describeEnded(count))
      await changed()
    },
  })
  return (
    <Warning
      opened={opened}
      onClose={() => {
        end.reset()
        onClose()
      }}
      proceed="End All Others"
      isPending={end.isPending}
      returnFocus={!isDone}
      onProceed={() => end.mutate()}
    >
      <Text>
        <b>Every session of yours but this one ends at once,</b> in every organization. Whoever uses one needs the
        password to sign in again.
      </Text>
      <Text>You stay signed in here, and your access token stays as it is.</Text>
      <Text size="sm" c="dimmed">
        Was one of them somebody else’s? Then change your password, which ends them, too.
      </Text>
      {end.error && <FailureNote error={end.error} />}
    </Warning>
  )
}

function describeEnded(count: number): string {
  if (count === 0) return 'There was no other session any more.'
  return count === 1 ? 'The other session has ended.' : `The ${count} other sessions have ended.`
}
