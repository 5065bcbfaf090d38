import { type CreateTokenInput, RefusalError, type TokenPolicy, unwrap } from '@latchkey/sdk'
import { Alert, Button, Drawer, Skeleton } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { type UseMutationResult, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { focusAfterwards } from '../interface/focus-afterwards.ts'
import layout from '../interface/form.module.css'
import { useLeaveWarning } from '../interface/leave-warning.ts'
import { SecretOnce } from '../interface/secret-once.tsx'
import { isAnswerLost, latchkey, readMistakes } from '../latchkey.ts'
import { useViewer, viewerQuery } from '../session/session.ts'
import { type Details, DetailsFields } from './details-fields.tsx'
import { type Expiry, endOf, firstExpiry, isOffered, latestEndOfNew } from './expiry.ts'
import { ExpiryField, mistakeOf } from './expiry-field.tsx'
import { policyQuery, rolesQuery, useTokensChanged } from './queries.ts'
import { RoleField } from './role-field.tsx'
import { Snippets } from './snippets.tsx'

interface Draft extends Details {
  roleId: string
  /** Null until one is chosen: it is what the organization's policy has for a token until then. */
  expiry: Expiry | null
}

const emptyDraft: Draft = { label: '', description: '', roleId: '', expiry: null }

/** The panel in which a token is made, and its value shown. It is made anew each time it is opened. */
export function CreatePanel({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { organization } = useViewer()
  const queryClient = useQueryClient()
  const changed = useTokensChanged(organization.id)
  const [isBegun, begin] = useState(false)
  /** Names one intention to make one token, whatever becomes of the connection. */
  const idempotencyKey = useRef(createKey())
  const creation = useMutation({
    async mutationFn(input: CreateTokenInput) {
      // Another tab may have switched between two attempts, and the same key makes another token elsewhere.
      if (queryClient.getQueryData(viewerQuery.queryKey)?.organization.id !== organization.id) {
        throw new Error('The session acts in another organization now.')
      }
      const made = await latchkey.createToken({ input: { ...input, idempotencyKey: idempotencyKey.current } })
      return unwrap(made.createToken)
    },
    retry: (failures, error) => isAnswerLost(error) && failures < 2,
    onError(error) {
      // A refused attempt made nothing, and the next one is about another input.
      if (!(error instanceof RefusalError)) return
      idempotencyKey.current = createKey()
      // It may be that somebody else has just changed what may be chosen.
      for (const { queryKey } of [rolesQuery(organization.id), policyQuery(organization.id)])
        void queryClient.invalidateQueries({ queryKey })
    },
    // Not waited for: the value is shown before the list is read anew, and also where that fails.
    onSettled: () => void changed(),
  })
  const { data: made } = creation
  useLeaveWarning(creation.isPending || isAnswerLost(creation.error))
  // A stray click or key closes only what holds nothing yet.
  const mayClose = !isBegun && !creation.isPending && !made
  const close = () => {
    idempotencyKey.current = createKey()
    creation.reset()
    begin(false)
    onClose()
  }
  return (
    <Drawer
      opened={opened}
      onClose={close}
      onExitTransitionEnd={() => focusAfterwards()}
      title={made ? 'Your new token' : 'New Integration Token'}
      closeOnClickOutside={mayClose}
      closeOnEscape={mayClose}
      withCloseButton={!made && !creation.isPending}
    >
      {made ? (
        <SecretOnce secret={made.secret} name={`the value of “${made.token.label}”`} onDone={close}>
          {(onOtherCopied) => <Snippets role={made.token.role} onCopy={onOtherCopied} />}
        </SecretOnce>
      ) : (
        <Form creation={creation} onBegin={() => begin(true)} onCancel={close} />
      )}
    </Drawer>
  )
}

type Creation = UseMutationResult<unknown, Error, CreateTokenInput>

function Form({ creation, onBegin, onCancel }: { creation: Creation; onBegin: () => void; onCancel: () => void }) {
  const { organization } = useViewer()
  const policy = useQuery(policyQuery(organization.id))
  const [draft, setDraft] = useState(emptyDraft)
  const [missing, setMissing] = useState<Record<string, string>>({})
  const form = useRef<HTMLFormElement>(null)
  const isOutcomeUnknown = isAnswerLost(creation.error)
  const refused = readMistakes(creation.error)
  const mistakes = { ...refused.fields, ...missing }
  useEffect(() => {
    if (creation.error) focusFirstMistake(form.current)
  }, [creation.error])
  const change = (part: Partial<Draft>) => {
    setDraft({ ...draft, ...part })
    onBegin()
    setMissing({})
    creation.reset()
  }

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    if (!policy.data) {
      focusFirstMistake(form.current)
      return
    }
    const { label, description, roleId } = draft
    const now = new Date()
    const latest = latestEndOfNew(policy.data, now)
    const expiry = chosenExpiry(draft, policy.data, now)
    const end = endOf(expiry, now, latest)
    const dayMistake = mistakeOf(expiry, latest, now)
    const left = {
      ...(label.trim() === '' && { label: 'Give it a label, such as the system that will use it.' }),
      ...(roleId === '' && { roleId: 'Choose what it may do.' }),
      ...(dayMistake && { expiresAt: dayMistake }),
    }
    setMissing(left)
    if (Object.keys(left).length > 0) {
      focusFirstMistake(form.current)
      return
    }
    // The same question again has to be the same to the millisecond: the first attempt's instant stays.
    const expiresAt =
      creation.variables?.expiresAt !== undefined && isOutcomeUnknown
        ? creation.variables.expiresAt
        : (end?.toISOString() ?? null)
    creation.mutate({
      label,
      ...(description.trim() && { description }),
      roleId,
      expiresAt,
    })
  }

  const isLocked = creation.isPending || isOutcomeUnknown
  return (
    <form ref={form} onSubmit={submit} noValidate className={layout.form}>
      <DetailsFields details={draft} onChange={change} mistakes={mistakes} disabled={isLocked} />
      <RoleField
        value={draft.roleId}
        onChange={(roleId) => change({ roleId })}
        error={mistakes.roleId}
        disabled={isLocked}
      />
      {policy.data ? (
        <ExpiryField
          value={chosenExpiry(draft, policy.data, new Date())}
          policy={policy.data}
          latest={latestEndOfNew(policy.data, new Date())}
          disabled={isLocked}
          error={mistakes.expiresAt}
          onChange={(expiry) => change({ expiry })}
        />
      ) : policy.error ? (
        <Failure title="The token policy cannot be shown" error={policy.error} retry={() => void policy.refetch()} />
      ) : (
        <Skeleton height={84} />
      )}
      {refused.message && (
        <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
          {isOutcomeUnknown
            ? 'No answer came, so the token may exist already. Try again: it is the same one, and no second one is made.'
            : refused.message}
        </Alert>
      )}
      <div className={layout.buttons}>
        <Button variant="default" onClick={onCancel} disabled={creation.isPending}>
          Cancel
        </Button>
        <Button type="submit" loading={creation.isPending}>
          {isOutcomeUnknown ? 'Try again' : 'Create Token'}
        </Button>
      </div>
    </form>
  )
}

function chosenExpiry({ expiry }: Draft, policy: TokenPolicy, now: Date): Expiry {
  const isChosen = expiry && isOffered(expiry, policy, latestEndOfNew(policy, now), now)
  return isChosen ? expiry : firstExpiry(policy, now)
}

/** 128 random bits; not `randomUUID`, which browsers have over HTTPS only. */
function createKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
