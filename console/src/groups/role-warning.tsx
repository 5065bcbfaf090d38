import { Text } from '@mantine/core'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Warning } from '../interface/warning.tsx'
import { organizationRoleNames } from '../session/roles.ts'
import { describeMembers, type RoleChange, roleFieldOf } from './group-role.ts'

/** Asks before a group makes super admins of its members, and before it no longer does. Open while there is a change. */
export function RoleWarning({
  change,
  error,
  isPending,
  onClose,
  onProceed,
}: {
  change: RoleChange | null
  error: Error | null
  isPending: boolean
  onClose: () => void
  onProceed: (change: RoleChange) => void
}) {
  // What is said stays while the dialog fades.
  const [shown, show] = useState(change)
  if (change && change !== shown) show(change)
  return (
    <Warning
      opened={change !== null}
      onClose={onClose}
      proceed={shown?.role === 'SUPER_ADMIN' ? 'Make Super Admins' : 'Change the Role'}
      isPending={isPending}
      // The button that opened it goes once the role is saved.
      nextFocus={shown ? roleFieldOf(shown.group) : undefined}
      onProceed={() => shown && onProceed(shown)}
    >
      {shown && <Meaning change={shown} />}
      {error && <FailureNote error={error} />}
    </Warning>
  )
}

function Meaning({ change: { group, role } }: { change: RoleChange }) {
  const everyone = (
    <>
      Everyone in <b>{group.displayName}</b>, {describeMembers(group.memberCount)} now,
    </>
  )
  if (role === 'SUPER_ADMIN') {
    return (
      <>
        <Text>
          {everyone} will be able to create and delete integration tokens and webhooks, to say which role a group gives,
          and to read the audit log.
        </Text>
        <Text>So will whoever the identity provider adds to the group later, at once.</Text>
      </>
    )
  }
  return (
    <>
      <Text>
        {everyone} will no longer be a super admin by it
        {role ? `: it makes them ${organizationRoleNames[role]}, unless another group makes them more` : ''}. They lose
        this page, the integration tokens and the audit log at once.
      </Text>
      <Text>If you are a super admin by this group, so do you.</Text>
    </>
  )
}
