import { type SignInInput, unwrap } from '@latchkey/sdk'
import { Alert, Button, Paper, PasswordInput, Text, TextInput, Title } from '@mantine/core'
import { IconAlertCircle, IconInfoCircle } from '@tabler/icons-react'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter, useSearch } from '@tanstack/react-router'
import { type SubmitEvent, useRef } from 'react'
import { usePageTitle } from '../interface/page-title.ts'
import { explainFailure, latchkey } from '../latchkey.ts'
import styles from './entrance.module.css'
import { Entrance } from './entrance.tsx'
import { endings, sessionChanged, useForgetting } from './session.ts'

export function SignInPage() {
  usePageTitle('Sign in')
  const { next, ending } = useSearch({ from: '/sign-in' })
  useForgetting(ending !== undefined)
  const router = useRouter()
  const queryClient = useQueryClient()
  const password = useRef<HTMLInputElement>(null)
  const signIn = useMutation({
    // The session's secret, which is in the answer too, is the cookie's, and is not kept here.
    mutationFn: async (input: SignInInput) => unwrap((await latchkey.signIn({ input })).signIn).viewer,
    onError: () => password.current?.select(),
    onSuccess(viewer) {
      sessionChanged(queryClient, viewer)
      if (next?.startsWith('/graphql')) return globalThis.location.assign(next)
      router.history.replace(next ?? '/')
    },
  })
  const refusal = signIn.error && explainFailure(signIn.error)

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const fields = new FormData(event.currentTarget)
    signIn.mutate({ email: String(fields.get('email')), password: String(fields.get('password')) })
  }

  return (
    <Entrance>
      <Paper withBorder className={styles.card} component="form" onSubmit={submit}>
        <Title order={1} size="h3">
          Sign in
        </Title>
        {ending && !refusal && (
          <Alert icon={<IconInfoCircle aria-hidden />} role="status">
            {endings[ending]}
          </Alert>
        )}
        {refusal && (
          <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
            {refusal}
          </Alert>
        )}
        <TextInput name="email" type="email" label="Email address" autoComplete="username" required autoFocus />
        <PasswordInput
          ref={password}
          name="password"
          label="Password"
          autoComplete="current-password"
          required
          visibilityToggleButtonProps={{ 'aria-label': 'Show or hide the password', tabIndex: 0 }}
        />
        <Button type="submit" loading={signIn.isPending} fullWidth>
          Sign in
        </Button>
      </Paper>
      <Text size="sm" c="dimmed" ta="center">
        No account, or no password at hand? An operator of this service can add you or set a new one.
      </Text>
    </Entrance>
  )
}
