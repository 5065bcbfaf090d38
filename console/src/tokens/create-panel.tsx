import { type CreateTokenInput, RefusalError, type TokenRole, unwrap } from '@latchkey/sdk'
import { Alert, Badge, Button, Drawer, Radio, Skeleton, Text } from '@mantine/core'
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
import styles from './create-panel.module.css'
import { type Details, DetailsFields } from './details-fields.tsx'
import { type Expiry, endOf } from './expiry.ts'
import { ExpiryField } from './expiry-field.tsx'
import { rolesQuery, useTokensChanged } from './queries.ts'
import { Snippets } from './snippets.tsx'

interface Draft extends Details {
  roleId: string
  expiry: Expiry
}

const emptyDraft: Draft = { label: '', description: '', roleId: '', expiry: { lifetime: '90', day: '' } }

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
      if (error instanceof RefusalError) idempotencyKey.current = createKey()
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
  const roles = useQuery(rolesQuery(organization.id))
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
    const { label, description, roleId, expiry } = draft
    const end = endOf(expiry, new Date())
    const left = {
      ...(label.trim() === '' && { label: 'Give it a label, such as the system that will use it.' }),
      ...(roleId === '' && { roleId: 'Choose what it may do.' }),
      ...(end === undefined && { expiresAt: 'Choose the last day.' }),
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
      {roles.isError ? (
        <Failure title="The roles cannot be shown" error={roles.error} retry={() => void roles.refetch()} />
      ) : (
        <Radio.Group
          label="Role"
          description="What it may do. Choose the least that is needed."
          required
          value={draft.roleId}
          error={mistakes.roleId}
          onChange={(roleId) => change({ roleId })}
        >
          <div className={styles.roles}>
            {roles.data
              ? roles.data.map((role) => <RoleCard key={role.id} role={role} disabled={isLocked} />)
              : [1, 2, 3].map((nth) => <Skeleton key={nth} height={84} />)}
          </div>
        </Radio.Group>
      )}
      <ExpiryField
        value={draft.expiry}
        disabled={isLocked}
        error={mistakes.expiresAt}
        onChange={(expiry) => change({ expiry })}
      />
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

function RoleCard({ role: { id, label, description, permissions }, disabled }: { role: TokenRole; disabled: boolean }) {
  return (
    <Radio.Card
      value={id}
      className={styles.role}
      disabled={disabled}
      aria-label={label}
      aria-describedby={`${id}-about`}
    >
      <Radio.Indicator disabled={disabled} aria-hidden />
      <span className={styles.about} id={`${id}-about`}>
        <Text span fw={600} size="sm" aria-hidden>
          {label}
        </Text>
        <Text span size="sm" c="dimmed">
          {description}
        </Text>
        <span className={styles.permissions}>
          {permissions.map((permission) => (
            <Badge key={permission} component="span" color="gray" size="sm" className={styles.permission}>
              {permission}
            </Badge>
          ))}
        </span>
      </span>
    </Radio.Card>
  )
}

/** 128 random bits; not `randomUUID`, which browsers have over HTTPS only. */
function createKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
}
