import { type Member, type SetMemberRoleInput, unwrap } from '@latchkey/sdk'
import { Button, Drawer, Text } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type SubmitEvent, useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { focusAfterwards } from '../interface/focus-afterwards.ts'
import styles from '../interface/form.module.css'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { type GivenRole, isGivenRole, organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import { useMembersChanged } from './queries.ts'
import { RoleChoice } from './role-choice.tsx'

/** Gives a member another role. Open while there is one, who is not the owner. */
export function ChangeRolePanel({
  member,
  onClose,
  onChanged,
}: {
  member: Member | null
  onClose: () => void
  onChanged: (words: string) => void
}) {
  // What is said stays while the panel slides away.
  const [shown, show] = useState(member)
  if (member && member !== shown) show(member)
  const [asked, ask] = useState<GivenRole | null>(null)
  const { organization } = useViewer()
  const changed = useMembersChanged(organization.id)
  const change = useMutation({
    mutationFn: async (input: SetMemberRoleInput) =>
      unwrap((await latchkey.setMemberRole({ input })).setMemberRole).member,
    async onSuccess({ displayName, role }) {
      close()
      onChanged(`The role of ${displayName} is ${organizationRoleNames[role]} now.`)
    },
    onSettled: changed,
  })
  function close(): void {
    ask(null)
    change.reset()
    onClose()
  }
  const proceed = (role: GivenRole) => shown && change.mutate({ id: shown.id, role })
  return (
    <>
      <Drawer
        opened={member !== null}
        onClose={close}
        onExitTransitionEnd={() => focusAfterwards()}
        title={`Role of ${shown?.displayName}`}
        closeOnClickOutside={false}
        // Of the two that are open, a key closes the upper one.
        closeOnEscape={asked === null}
      >
        {shown && isGivenRole(shown.role) && (
          <Form
            key={shown.id}
            member={shown}
            role={shown.role}
            error={asked ? null : change.error}
            isPending={change.isPending}
            onCancel={close}
            onTouch={change.reset}
            onSave={(role) => {
              if (role === shown.role) close()
              else if ([role, shown.role].includes('SUPER_ADMIN')) ask(role)
              else proceed(role)
            }}
          />
        )}
      </Drawer>
      <RoleWarning
        member={shown}
        role={member && asked}
        error={change.error}
        isPending={change.isPending}
        isDone={member === null}
        onClose={() => {
          ask(null)
          change.reset()
        }}
        onProceed={proceed}
      />
    </>
  )
}

function Form({
  member,
  role,
  error,
  isPending,
  onCancel,
  onTouch,
  onSave,
}: {
  member: Member
  role: GivenRole
  error: Error | null
  isPending: boolean
  onCancel: () => void
  onTouch: () => void
  onSave: (role: GivenRole) => void
}) {
  const [chosen, choose] = useState(role)
  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    onSave(chosen)
  }
  return (
    <form onSubmit={submit} noValidate className={styles.form}>
      <Text size="sm">
        The role of {member.email} is {organizationRoleNames[role]}. Another one holds at once, here and for their
        access token. A group of your identity provider then changes it no more, unless it is Member, which a group may
        raise.
      </Text>
      <RoleChoice
        value={chosen}
        disabled={isPending}
        onChange={(next) => {
          choose(next)
          onTouch()
        }}
      />
      {error && <FailureNote error={error} />}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onCancel} disabled={isPending}>
          Cancel
        </Button>
        <Button type="submit" loading={isPending}>
          Save
        </Button>
      </div>
    </form>
  )
}

/** Asks before somebody becomes a super admin, and before somebody no longer is one. Open while there is a role. */
function RoleWarning({
  member,
  role,
  error,
  isPending,
  isDone,
  onClose,
  onProceed,
}: {
  member: Member | null
  role: GivenRole | null
  error: Error | null
  isPending: boolean
  /** Whether the panel, whose button opened it, has closed. */
  isDone: boolean
  onClose: () => void
  onProceed: (role: GivenRole) => void
}) {
  // What is said stays while the dialog fades.
  const [shown, show] = useState(role)
  if (role && role !== shown) show(role)
  return (
    <Warning
      opened={role !== null}
      onClose={onClose}
      proceed={shown === 'SUPER_ADMIN' ? 'Make Super Admin' : 'Change the Role'}
      isPending={isPending}
      returnFocus={!isDone}
      onProceed={() => shown && onProceed(shown)}
    >
      {member && shown && <Meaning member={member} role={shown} />}
      {error && <FailureNote error={error} />}
    </Warning>
  )
}

function Meaning({ member: { id, displayName }, role }: { member: Member; role: GivenRole }) {
  const viewer = useViewer()
  if (role === 'SUPER_ADMIN') {
    return (
      <Text>
        <b>{displayName}</b> will be able to do whatever you can: invite members and change or deactivate everybody but
        the owner, create and delete integration tokens and webhooks, and read the audit log.
      </Text>
    )
  }
  if (id === viewer.member.id) {
    return (
      <>
        <Text>
          <b>You take your own role of a super admin away.</b> You lose the integration tokens, the webhooks and the
          audit log at once, and only the owner or another super admin can give them back to you.
        </Text>
        <Text>The links of invitations that you have made are refused as long as you are no super admin.</Text>
      </>
    )
  }
  return (
    <>
      <Text>
        <b>{displayName}</b> will no longer be a super admin, and loses the integration tokens, the webhooks and the
        audit log at once. The tokens that they created stay.
      </Text>
      <Text>The links of invitations that they have made are refused as long as they are no super admin.</Text>
    </>
  )
}
