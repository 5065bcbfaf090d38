import { type CreateTokenRoleInput, unwrap } from '@latchkey/sdk'
import { Alert, Button, Drawer } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { focusAfterwards } from '../interface/focus-afterwards.ts'
import styles from '../interface/form.module.css'
import { isAnswerLost, latchkey, readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { useRolesChanged } from './queries.ts'
import { findMissing, type RoleDetails, RoleFields, settle } from './role-fields.tsx'

/** The panel in which a role of the organization's own is made. It is made anew each time it is opened. */
export function CreatePanel({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const [isBegun, begin] = useState(false)
  const close = () => {
    begin(false)
    onClose()
  }
  return (
    <Drawer
      opened={opened}
      onClose={close}
      onExitTransitionEnd={() => focusAfterwards()}
      title="New Token Role"
      // A stray click or key closes only what holds nothing yet.
      closeOnClickOutside={!isBegun}
      closeOnEscape={!isBegun}
    >
      <Form onBegin={() => begin(true)} onClose={close} />
    </Drawer>
  )
}

const emptyDetails: RoleDetails = { label: '', description: '', permissions: [], typed: '' }

function Form({ onBegin, onClose }: { onBegin: () => void; onClose: () => void }) {
  const { organization } = useViewer()
  const changed = useRolesChanged(organization.id)
  const [details, setDetails] = useState(emptyDetails)
  const [missing, setMissing] = useState<Record<string, string>>({})
  const creation = useMutation({
    mutationFn: async (input: CreateTokenRoleInput) =>
      unwrap((await latchkey.createTokenRole({ input })).createTokenRole),
    onSettled: changed,
  })
  const refused = readMistakes(creation.error)
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    if (creation.error) focusFirstMistake(form.current)
  }, [creation.error])

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const settled = settle(details)
    const left = findMissing(settled)
    setDetails(settled)
    setMissing(left)
    if (Object.keys(left).length > 0) {
      focusFirstMistake(form.current)
      return
    }
    const { label, description, permissions } = settled
    creation.mutate({ label, description, permissions }, { onSuccess: onClose })
  }

  return (
    <form ref={form} onSubmit={submit} noValidate className={styles.form}>
      <RoleFields
        details={details}
        onChange={(part) => {
          setDetails((before) => ({ ...before, ...part }))
          onBegin()
          setMissing({})
          creation.reset()
        }}
        mistakes={{ ...refused.fields, ...missing }}
        disabled={creation.isPending}
      />
      {refused.message && (
        <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
          {isAnswerLost(creation.error)
            ? 'No answer came, so the role may exist already. Look for it in the list before you try again.'
            : refused.message}
        </Alert>
      )}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onClose} disabled={creation.isPending}>
          Cancel
        </Button>
        <Button type="submit" loading={creation.isPending}>
          Create Role
        </Button>
      </div>
    </form>
  )
}
