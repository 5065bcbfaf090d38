import { type TokenPolicy, type UpdateTokenPolicyInput, unwrap } from '@latchkey/sdk'
import { Alert, Button, Card, Checkbox, Text, TextInput } from '@mantine/core'
import { IconAlertCircle, IconAlertTriangle, IconCheck, IconInfoCircle } from '@tabler/icons-react'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { useFocusBack } from '../interface/focus-back.ts'
import { latchkey, readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { describeCount } from '../tokens/list-view.ts'
import { policyQuery, useTokensChanged } from '../tokens/queries.ts'
import { changesOf, type Draft, describeStricter, draftOf, inDays, needsExpiry, readDraft } from './policy.ts'
import styles from './policy-form.module.css'

export function PolicyForm({ policy }: { policy: TokenPolicy }) {
  const { organization } = useViewer()
  const queryClient = useQueryClient()
  const changed = useTokensChanged(organization.id)
  // As it was before the first key: what somebody else changes meanwhile is left as it is.
  const [edit, setEdit] = useState<{ before: TokenPolicy; draft: Draft } | null>(null)
  const [mistakes, setMistakes] = useState<Record<string, string>>({})
  const update = useMutation({
    mutationFn: async (input: UpdateTokenPolicyInput) =>
      unwrap((await latchkey.updateTokenPolicy({ input })).updateTokenPolicy).tokenPolicy,
    onSuccess(saved) {
      queryClient.setQueryData(policyQuery(organization.id).queryKey, saved)
      setEdit(null)
    },
    // Not waited for: what was saved is shown as it was answered.
    onSettled: () => void changed(),
  })
  const refused = readMistakes(update.error)
  const form = useRef<HTMLFormElement>(null)
  const save = useFocusBack<HTMLButtonElement>(update.isPending)
  useEffect(() => {
    if (update.error) focusFirstMistake(form.current)
  }, [update.error])

  const { before, draft } = edit ?? { before: policy, draft: draftOf(policy) }
  const read = readDraft(draft)
  const wanted = read.policy ?? before
  const stricter = describeStricter(before, wanted)
  const change = (part: Partial<Draft>) => {
    setEdit({ before, draft: { ...draft, ...part } })
    setMistakes({})
    update.reset()
  }

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    setMistakes(read.mistakes ?? {})
    if (read.policy) update.mutate(changesOf(before, read.policy))
    else focusFirstMistake(form.current)
  }

  const days = (name: 'longestLifetimeDays' | 'defaultLifetimeDays') => ({
    value: draft[name],
    inputMode: 'numeric' as const,
    maxLength: 5,
    autoComplete: 'off',
    rightSection: 'days',
    rightSectionWidth: 52,
    rightSectionPointerEvents: 'none' as const,
    classNames: { input: styles.days, section: styles.unit },
    disabled: update.isPending,
    error: mistakes[name] ?? refused.fields[name],
    onChange: ({ currentTarget }: { currentTarget: HTMLInputElement }) => change({ [name]: currentTarget.value }),
  })
  const isExpiryImplied = wanted.longestLifetimeDays !== null

  return (
    <Card withBorder padding="lg" className={styles.card}>
      <Standing policy={policy} />
      <form ref={form} onSubmit={submit} noValidate className={styles.form}>
        <TextInput
          {...days('longestLifetimeDays')}
          label="Longest lifetime"
          description="For how many days a value may be accepted, counted from when it was made: when its token was created, or last regenerated. Leave it empty for no limit."
          placeholder="No limit"
        />
        <Checkbox
          label="Require an expiry"
          description={
            isExpiryImplied
              ? 'Where there is a longest lifetime, every token has an expiry in any case.'
              : 'No token is created without one.'
          }
          checked={isExpiryImplied || draft.expiryRequired}
          disabled={update.isPending || isExpiryImplied}
          onChange={({ currentTarget }) => change({ expiryRequired: currentTarget.checked })}
        />
        <TextInput
          {...days('defaultLifetimeDays')}
          label="Default lifetime"
          description="What is chosen at first when a token is created here, and what a token has that a program creates without naming an expiry. Leave it empty for none."
          placeholder="None"
        />
        <div role="status" className={styles.outcome}>
          {stricter.length > 0 && (
            <Alert role="note" color="yellow" icon={<IconInfoCircle aria-hidden />} title="What this means">
              <ul className={styles.meaning}>
                {stricter.map((words) => (
                  <li key={words}>{words}</li>
                ))}
                <li>
                  Tokens that exist are accepted as before, and have to meet the policy once their expiry is changed.
                  How many do not meet it is said here as soon as it is saved.
                </li>
              </ul>
            </Alert>
          )}
          {update.isSuccess && !edit && (
            <Alert role="note" icon={<IconCheck aria-hidden />}>
              The policy is saved, and holds from now on.
            </Alert>
          )}
        </div>
        {refused.message && (
          <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
            {refused.message}
          </Alert>
        )}
        <div className={styles.buttons}>
          <Button ref={save} type="submit" loading={update.isPending}>
            Save
          </Button>
          {edit && (
            <Button
              variant="default"
              disabled={update.isPending}
              onClick={() => {
                setEdit(null)
                setMistakes({})
                update.reset()
                save.current?.focus()
              }}
            >
              Cancel
            </Button>
          )}
        </div>
      </form>
    </Card>
  )
}

/** How the tokens that there are stand to the policy as it is. */
function Standing({ policy }: { policy: TokenPolicy }) {
  const { tokensOutside: count, longestLifetimeDays } = policy
  if (!needsExpiry(policy)) return null
  if (count === 0) {
    return (
      <Text size="sm" c="dimmed">
        Every token meets the policy.
      </Text>
    )
  }
  return (
    <Alert
      color="orange"
      role="note"
      icon={<IconAlertTriangle aria-hidden />}
      title={`${describeCount(count)} ${count === 1 ? 'does' : 'do'} not meet the policy`}
    >
      {count === 1 ? 'It has' : 'They have'} no expiry
      {longestLifetimeDays !== null && `, or one more than ${inDays(longestLifetimeDays)} after the value was made`}.{' '}
      {count === 1 ? 'It is' : 'They are'} accepted as before, until {count === 1 ? 'its' : 'their'} expiry is changed:
      then it has to meet the policy.
    </Alert>
  )
}
