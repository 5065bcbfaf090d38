import { type AcceptInvitationInput, type InvitationOffer, RefusalError, unwrap } from '@latchkey/sdk'
import { Alert, Button, Paper, PasswordInput, Text, TextInput, Title } from '@mantine/core'
import { IconAlertCircle, IconInfoCircle } from '@tabler/icons-react'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouteContext, useRouter } from '@tanstack/react-router'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { Instant } from '../interface/instant.tsx'
import { isAnswerLost, latchkey, type Mistakes, readMistakes } from '../latchkey.ts'
import styles from '../session/entrance.module.css'
import { organizationRoleNames, organizationRoleRights } from '../session/roles.ts'
import { sessionChanged } from '../session/session.ts'

/** What is offered, and the form by which it is accepted. What is typed is in the fields alone. */
export function Acceptance({
  secret,
  offer,
  onRefused,
}: {
  secret: string
  offer: InvitationOffer
  /** The invitation is not good any more. */
  onRefused: () => void
}) {
  const { organization, email, role, choosesPassword, expiresAt } = offer
  const queryClient = useQueryClient()
  const router = useRouter()
  const [missing, setMissing] = useState<Record<string, string>>({})
  const form = useRef<HTMLFormElement>(null)
  const acceptance = useMutation({
    // The session's secret, which is in the answer too, is the cookie's, and is not kept here.
    mutationFn: async (input: AcceptInvitationInput) =>
      unwrap((await latchkey.acceptInvitation({ input })).acceptInvitation).viewer,
    onError(error) {
      if (refusalOf(error) === 'InvitationNotFound') onRefused()
    },
    onSuccess(viewer) {
      sessionChanged(queryClient, viewer)
      router.history.replace('/')
    },
  })
  const refused = readRefusal(acceptance.error, offer)
  const mistakes = { ...refused.fields, ...missing }
  useEffect(() => {
    if (acceptance.error) focusFirstMistake(form.current)
  }, [acceptance.error])

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    const [displayName, password] = [String(fields.get('displayName')).trim(), String(fields.get('password'))]
    const left = password
      ? {}
      : { password: choosesPassword ? 'Choose a password.' : 'Enter the password with which you sign in.' }
    setMissing(left)
    acceptance.reset()
    if (!password) focusFirstMistake(form.current)
    else acceptance.mutate({ secret, password, ...(displayName && { displayName }) })
  }

  return (
    <>
      <Paper withBorder className={styles.card} component="form" ref={form} onSubmit={submit} noValidate>
        <Title order={1} size="h3">
          Join {organization}
        </Title>
        <Text>
          <b className={styles.address}>{email}</b> is invited to {organization} as a{' '}
          <b>{organizationRoleNames[role]}</b>.
        </Text>
        <Text size="sm" c="dimmed">
          A {organizationRoleNames[role]} may {organizationRoleRights[role]}. The invitation is good until{' '}
          <Instant at={expiresAt} />.
        </Text>
        <SignedInAlready offer={offer} />
        {refused.message && (
          <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
            {refused.message}
          </Alert>
        )}
        {/* By it a password manager knows whose password it is. */}
        <input type="text" name="username" autoComplete="username" value={email} readOnly hidden />
        <TextInput
          name="displayName"
          label="Your name"
          description={`Optional. How you are called in ${organization}; made from your address otherwise.`}
          autoComplete="name"
          maxLength={320}
          readOnly={acceptance.isPending}
          error={mistakes.displayName}
        />
        <PasswordInput
          name="password"
          {...(choosesPassword
            ? {
                label: 'Choose a password',
                description:
                  '12 to 128 characters, and none of those that whoever guesses tries first. A few words together make a good one.',
                autoComplete: 'new-password',
                minLength: 12,
              }
            : {
                label: 'Your password',
                description: 'The one with which you sign in here already.',
                autoComplete: 'current-password',
              })}
          required
          readOnly={acceptance.isPending}
          error={mistakes.password}
          aria-invalid={mistakes.password !== undefined}
          visibilityToggleButtonProps={{ 'aria-label': 'Show or hide the password', tabIndex: 0 }}
        />
        <Button type="submit" loading={acceptance.isPending} fullWidth>
          Accept Invitation
        </Button>
      </Paper>
      <Text size="sm" c="dimmed" ta="center">
        {choosesPassword
          ? 'You sign in with your address and this password from then on.'
          : 'No password here yet? Then you cannot accept yet. Ask whoever invited you: whoever runs Latchkey can confirm the domain of your address, or add you.'}
      </Text>
    </>
  )
}

/** A browser has one session: what becomes of the one that there is. */
function SignedInAlready({ offer: { organization, email } }: { offer: InvitationOffer }) {
  const { viewer } = useRouteContext({ from: '/invitation' })
  if (!viewer) return null
  return (
    <Alert icon={<IconInfoCircle aria-hidden />} role="note">
      {viewer.member.email === email ? (
        `You are signed in to ${viewer.organization.name}. Once you have accepted you are in ${organization}, and can switch between them.`
      ) : (
        <>
          You are signed in as <b>{viewer.member.email}</b>, and this invitation is for somebody else. Accepting it
          signs you out here.
        </>
      )}
    </Alert>
  )
}

const refusalOf = (error: unknown) => (error instanceof RefusalError ? error.code : null)

function readRefusal(error: Error | null, { email, choosesPassword }: InvitationOffer): Mistakes {
  if (refusalOf(error) === 'SignInRefused') {
    const password = choosesPassword
      ? 'A new password is not accepted: you may have one here by now, or have been deactivated. Open the link again, or ask whoever invited you.'
      : `This is not the password with which ${email} signs in, or the account is not active.`
    return { fields: { password }, message: null }
  }
  if (isAnswerLost(error)) {
    const message =
      'No answer came, so you may have accepted already. Try again, and sign in if the invitation is not good any more.'
    return { fields: {}, message }
  }
  return readMistakes(error)
}
