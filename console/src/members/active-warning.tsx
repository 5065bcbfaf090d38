import { type Member, type SetMemberActiveInput, unwrap } from '@latchkey/sdk'
import { Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { mayManage, organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import { useMembersChanged } from './queries.ts'

/** Asks before a member is deactivated, or one who is deactivated comes back. Open while there is one. */
export function ActiveWarning({
  member,
  onClose,
  onChanged,
}: {
  member: Member | null
  onClose: () => void
  onChanged: (words: string) => void
}) {
  // What is said stays while the dialog fades.
  const [shown, show] = useState(member)
  if (member && member !== shown) show(member)
  const { organization } = useViewer()
  const changed = useMembersChanged(organization.id)
  const change = useMutation({
    mutationFn: async (input: SetMemberActiveInput) =>
      unwrap((await latchkey.setMemberActive({ input })).setMemberActive).member,
    onSuccess({ displayName, active }) {
      close()
      onChanged(active ? `${displayName} is active again.` : `${displayName} is deactivated.`)
    },
    onSettled: changed,
  })
  function close(): void {
    change.reset()
    onClose()
  }
  return (
    <Warning
      opened={member !== null}
      onClose={close}
      proceed={shown?.active ? 'Deactivate' : 'Activate'}
      isPending={change.isPending}
      onProceed={() => shown && change.mutate({ id: shown.id, active: !shown.active })}
    >
      {shown?.active ? <Deactivation member={shown} /> : shown && <Activation member={shown} />}
      {change.error && <FailureNote error={change.error} />}
    </Warning>
  )
}

function Deactivation({ member }: { member: Member }) {
  const viewer = useViewer()
  const isOneself = member.id === viewer.member.id
  return (
    <>
      {isOneself ? (
        <Text>
          <b>This is yourself.</b> You are signed out of {viewer.organization.name} at once, your access token is
          refused, and only the owner or another super admin can activate you again.
        </Text>
      ) : (
        <Text>
          <b>{member.displayName}</b> is out of {viewer.organization.name} at once: their sessions here end, and their
          access token is refused. They can be activated again.
        </Text>
      )}
      {mayManage({ member }) && (
        <Text>
          The links of invitations that {isOneself ? 'you' : 'they'} have made are refused as long as this lasts.
        </Text>
      )}
      <Text>
        The integration tokens that {isOneself ? 'you' : 'they'} created belong to the organization: they stay, and go
        on working.
      </Text>
      <Text size="sm" c="dimmed">
        Where an identity provider keeps your members, deactivate {isOneself ? 'yourself' : 'them'} there, too: it may
        undo this otherwise.
      </Text>
    </>
  )
}

function Activation({ member }: { member: Member }) {
  const { displayName, role } = member
  return (
    <Text>
      <b>{displayName}</b> can sign in again, with the password and the role that they had, which is{' '}
      {organizationRoleNames[role]}, and their access token
      {mayManage({ member }) ? ' and the links of invitations that they have made are' : ' is'} accepted again. The
      sessions that ended stay ended.
    </Text>
  )
}
