import { type ChangePasswordInput, unwrap } from '@latchkey/sdk'
import { Alert, Button, Card, PasswordInput, Text } from '@mantine/core'
import { IconAlertCircle, IconCheck } from '@tabler/icons-react'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { useLeaveWarning } from '../interface/leave-warning.ts'
import { usePageTitle } from '../interface/page-title.ts'
import { isAnswerLost, latchkey, readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import styles from './password-page.module.css'
import { sessionsKey } from './queries.ts'

/** Changes the password. What is typed is in the fields alone, and in them no longer than it is needed. */
export function PasswordPage() {
  usePageTitle('Password', 'Your account')
  const { member } = useViewer()
  const queryClient = useQueryClient()
  const [missing, setMissing] = useState<Record<string, string>>({})
  const [isVisible, setVisible] = useState({ currentPassword: false, newPassword: false })
  const [isDone, setDone] = useState(false)
  const form = useRef<HTMLFormElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const change = useMutation({
    // The session's new secret, which is in the answer, is the cookie's, and is not kept here.
    mutationFn: async (input: ChangePasswordInput) => {
      unwrap((await latchkey.changePassword({ input })).changePassword)
    },
    onSuccess() {
      queryClient.removeQueries({ queryKey: sessionsKey })
      form.current?.reset()
      setVisible({ currentPassword: false, newPassword: false })
      setDone(true)
    },
  })
  // Under a new secret from some moment on: what would be asked in between would seem to come from a session that has ended.
  useLeaveWarning(change.isPending)
  const refused = readMistakes(change.error)
  const mistakes = { ...refused.fields, ...missing }
  const isAtField = Object.keys(refused.fields).length > 0
  useEffect(() => {
    if (isAtField) focusFirstMistake(form.current)
    // While it was busy it could not have the focus, and lost it.
    else if (change.error || isDone) button.current?.focus()
  }, [change.error, isAtField, isDone])

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    const input = {
      currentPassword: String(fields.get('currentPassword')),
      newPassword: String(fields.get('newPassword')),
    }
    const left = {
      ...(input.currentPassword === '' && { currentPassword: 'Enter the password with which you sign in now.' }),
      ...(input.newPassword === '' && { newPassword: 'Choose a new password.' }),
    }
    setMissing(left)
    setDone(false)
    change.reset()
    if (Object.keys(left).length > 0) focusFirstMistake(form.current)
    else change.mutate(input, { onSuccess: () => change.reset() })
  }

  const field = (name: 'currentPassword' | 'newPassword', called: string) => ({
    name,
    required: true,
    readOnly: change.isPending,
    error: mistakes[name],
    'aria-invalid': mistakes[name] !== undefined,
    visible: isVisible[name],
    onVisibilityChange: (visible: boolean) => setVisible({ ...isVisible, [name]: visible }),
    visibilityToggleButtonProps: { 'aria-label': `Show or hide the ${called}`, tabIndex: 0 },
  })

  return (
    <Card withBorder padding="lg" className={styles.card}>
      <Text size="sm">
        You sign in with it to every organization. Changing it ends all your other sessions; this one goes on, and your
        access token stays as it is.
      </Text>
      <div role="status" className={styles.outcome}>
        {isDone && (
          <Alert role="note" icon={<IconCheck aria-hidden />} title="Your password is changed">
            Every other session of yours has ended, and this one goes on. Sign in with the new password from now on.
          </Alert>
        )}
      </div>
      <form ref={form} onSubmit={submit} noValidate className={styles.form}>
        {/* By it a password manager knows whose password is changed. */}
        <input type="text" name="username" autoComplete="username" value={member.email} readOnly hidden />
        <PasswordInput
          {...field('currentPassword', 'current password')}
          label="Current password"
          autoComplete="current-password"
        />
        <PasswordInput
          {...field('newPassword', 'new password')}
          label="New password"
          description="12 to 128 characters, and none of those that whoever guesses tries first. A few words together make a good one."
          autoComplete="new-password"
          minLength={12}
        />
        {refused.message && (
          <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
            {isAnswerLost(change.error)
              ? 'No answer came, so your password may have been changed all the same. Try again: where that leads to the sign-in page, the new password holds.'
              : refused.message}
          </Alert>
        )}
        <Button ref={button} type="submit" loading={change.isPending} className={styles.button}>
          Change Password
        </Button>
      </form>
    </Card>
  )
}
