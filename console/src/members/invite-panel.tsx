import { type Invitation, type InviteMemberInput, unwrap } from '@latchkey/sdk'
import { Alert, Button, Drawer, Text, TextInput } from '@mantine/core'
import { IconAlertCircle, IconAlertTriangle } from '@tabler/icons-react'
import { type UseMutationResult, useMutation } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { focusAfterwards } from '../interface/focus-afterwards.ts'
import styles from '../interface/form.module.css'
import { Instant } from '../interface/instant.tsx'
import { useLeaveWarning } from '../interface/leave-warning.ts'
import { SecretOnce } from '../interface/secret-once.tsx'
import { isAnswerLost, latchkey, readMistakes } from '../latchkey.ts'
import { type GivenRole, isGivenRole } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import { useMembersChanged } from './queries.ts'
import { RoleChoice } from './role-choice.tsx'

/** Whom to invite: somebody, or the same once more, by a link that takes the place of the one before. */
export interface Inviting {
  again: Invitation | null
}

/** The panel in which somebody is invited, and the link shown. It is made anew each time it is opened. */
export function InvitePanel({ inviting, onClose }: { inviting: Inviting | null; onClose: () => void }) {
  // What is said stays while the panel slides away.
  const [shown, show] = useState(inviting)
  if (inviting && inviting !== shown) show(inviting)
  const { organization } = useViewer()
  const changed = useMembersChanged(organization.id)
  const [isBegun, begin] = useState(false)
  const invitation = useMutation({
    mutationFn: async (input: InviteMemberInput) => {
      const { invitation, link } = unwrap((await latchkey.inviteMember({ input })).inviteMember)
      return { invitation, link }
    },
    // Not waited for: the link is shown before the list is read anew, and also where that fails.
    onSettled: () => void changed(),
  })
  const { data: made } = invitation
  useLeaveWarning(invitation.isPending)
  // A stray click or key closes only what holds nothing yet.
  const mayClose = !isBegun && !invitation.isPending && !made
  const close = () => {
    invitation.reset()
    begin(false)
    onClose()
  }
  const again = shown?.again ?? null
  return (
    <Drawer
      opened={inviting !== null}
      onClose={close}
      onExitTransitionEnd={() => focusAfterwards()}
      title={made ? 'The link of the invitation' : again ? `New Link for ${again.email}` : 'Invite Member'}
      closeOnClickOutside={mayClose}
      closeOnEscape={mayClose}
      withCloseButton={!made && !invitation.isPending}
    >
      {made ? (
        <Made invitation={made.invitation} link={made.link} onDone={close} />
      ) : (
        <Form again={again} invitation={invitation} onBegin={() => begin(true)} onCancel={close} />
      )}
    </Drawer>
  )
}

function Form({
  again,
  invitation,
  onBegin,
  onCancel,
}: {
  again: Invitation | null
  invitation: UseMutationResult<unknown, Error, InviteMemberInput>
  onBegin: () => void
  onCancel: () => void
}) {
  const [draft, setDraft] = useState<{ email: string; role: GivenRole }>({
    email: again?.email ?? '',
    role: again && isGivenRole(again.role) ? again.role : 'MEMBER',
  })
  const [missing, setMissing] = useState<Record<string, string>>({})
  const form = useRef<HTMLFormElement>(null)
  const refused = readMistakes(invitation.error)
  const mistakes = { ...refused.fields, ...missing }
  // There is no field for the address where it is chosen already.
  const problem = refused.message ?? (again && refused.fields.email)
  useEffect(() => {
    if (invitation.error) focusFirstMistake(form.current)
  }, [invitation.error])
  const change = (part: Partial<typeof draft>) => {
    setDraft({ ...draft, ...part })
    onBegin()
    setMissing({})
    invitation.reset()
  }

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    if (draft.email.trim() === '') {
      setMissing({ email: 'Enter the address of whom you invite.' })
      focusFirstMistake(form.current)
    } else invitation.mutate(draft)
  }

  return (
    <form ref={form} onSubmit={submit} noValidate className={styles.form}>
      <Text size="sm">
        {again
          ? 'It takes the place of the link that was made before, which is refused from then on.'
          : 'You get a link, and send it to them yourself: Latchkey sends nothing. They are a member once they have accepted.'}
      </Text>
      {!again && (
        <TextInput
          type="email"
          label="Email address"
          required
          maxLength={320}
          autoComplete="off"
          data-autofocus
          value={draft.email}
          disabled={invitation.isPending}
          error={mistakes.email}
          onChange={({ currentTarget }) => change({ email: currentTarget.value })}
        />
      )}
      <RoleChoice
        value={draft.role}
        error={mistakes.role}
        disabled={invitation.isPending}
        onChange={(role) => change({ role })}
      />
      {problem && (
        <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
          {isAnswerLost(invitation.error)
            ? 'No answer came, so there may be an invitation whose link nobody has seen. Try again: a new link takes its place.'
            : problem}
        </Alert>
      )}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onCancel} disabled={invitation.isPending}>
          Cancel
        </Button>
        <Button type="submit" loading={invitation.isPending}>
          {again ? 'Make New Link' : 'Invite'}
        </Button>
      </div>
    </form>
  )
}

function Made({ invitation, link, onDone }: { invitation: Invitation; link: string; onDone: () => void }) {
  const { email, domainConfirmed, expiresAt } = invitation
  const domain = email.replace(/^.*@/s, '')
  return (
    <SecretOnce
      secret={link}
      name="the link"
      advice={
        <>
          Send it to <b>{email}</b>, and to nobody else, over a channel that you trust. It is good once, for 7 days,
          until <Instant at={expiresAt} inFull />.
        </>
      }
      onDone={onDone}
    >
      {() =>
        domainConfirmed ? (
          <Text size="sm" c="dimmed">
            Whoever has no password here yet chooses one with it: {domain} is confirmed to be your organization’s.
          </Text>
        ) : (
          <Alert
            color="orange"
            icon={<IconAlertTriangle aria-hidden />}
            title="They need a password that they have here already"
          >
            Nobody has confirmed that {domain} is your organization’s, so only somebody who signs in here already, in
            another organization, can accept. If they have no password yet, ask whoever runs Latchkey to confirm the
            domain, or to add them.
          </Alert>
        )
      }
    </SecretOnce>
  )
}
