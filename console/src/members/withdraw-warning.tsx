import { type Invitation, type RevokeInvitationInput, unwrap } from '@latchkey/sdk'
import { Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { useMembersChanged } from './queries.ts'

/** Open while there is an invitation. */
export function WithdrawWarning({
  invitation,
  onClose,
  onWithdrawn,
}: {
  invitation: Invitation | null
  onClose: () => void
  onWithdrawn: (words: string) => void
}) {
  // What is said stays while the dialog fades.
  const [shown, show] = useState(invitation)
  if (invitation && invitation !== shown) show(invitation)
  const [withdrawnId, setWithdrawnId] = useState<string | null>(null)
  const { organization } = useViewer()
  const changed = useMembersChanged(organization.id)
  const withdrawal = useMutation({
    mutationFn: async (input: RevokeInvitationInput) =>
      unwrap((await latchkey.revokeInvitation({ input })).revokeInvitation),
    onSuccess(_withdrawn, { id }) {
      setWithdrawnId(id)
      close()
      onWithdrawn(`The invitation of ${shown?.email} is withdrawn.`)
    },
    onSettled: changed,
  })
  function close(): void {
    withdrawal.reset()
    onClose()
  }
  return (
    <Warning
      opened={invitation !== null}
      onClose={close}
      proceed="Withdraw"
      isPending={withdrawal.isPending}
      returnFocus={shown === null || withdrawnId !== shown.id}
      onProceed={() => shown && withdrawal.mutate({ id: shown.id })}
    >
      <Text>
        The link that was made for <b>{shown?.email}</b> is refused at once. You can invite them again, by a new link.
      </Text>
      {withdrawal.error && <FailureNote error={withdrawal.error} />}
    </Warning>
  )
}
