import type { IntegrationToken, UpdateTokenInput } from '@latchkey/sdk'
import { Alert, Button, Drawer } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import styles from '../interface/form.module.css'
import { readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { DetailsFields } from './details-fields.tsx'
import { type Expiry, endOf } from './expiry.ts'
import { ExpiryField } from './expiry-field.tsx'
import { useUpdateToken } from './queries.ts'

/** Changes a token's label, description and expiry. */
export function EditPanel({
  token,
  opened,
  onClose,
}: {
  token: IntegrationToken
  opened: boolean
  onClose: () => void
}) {
  return (
    <Drawer opened={opened} onClose={onClose} title={`Edit “${token.label}”`} closeOnClickOutside={false}>
      <Form token={token} onClose={onClose} />
    </Drawer>
  )
}

function Form({ token, onClose }: { token: IntegrationToken; onClose: () => void }) {
  const { organization } = useViewer()
  const update = useUpdateToken(organization.id)
  const [details, setDetails] = useState({ label: token.label, description: token.description ?? '' })
  const [expiry, setExpiry] = useState<Expiry>({ lifetime: 'keep', day: '' })
  const [isDayMissing, missDay] = useState(false)
  const { fields, message } = readMistakes(update.error)
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    if (update.error) focusFirstMistake(form.current)
  }, [update.error])

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const end = endOf(expiry, new Date())
    const lacksDay = expiry.lifetime === 'day' && end === undefined
    missDay(lacksDay)
    if (lacksDay) return
    update.mutate(changesOf(token, details, end), { onSuccess: onClose })
  }

  return (
    <form ref={form} onSubmit={submit} noValidate className={styles.form}>
      <DetailsFields
        details={details}
        onChange={(changed) => setDetails({ ...details, ...changed })}
        mistakes={fields}
        disabled={update.isPending}
      />
      <ExpiryField
        value={expiry}
        onChange={setExpiry}
        present={token.expiresAt ?? null}
        error={isDayMissing ? 'Choose the last day.' : fields.expiresAt}
        disabled={update.isPending}
      />
      {message && (
        <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
          {message}
        </Alert>
      )}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <Button type="submit" loading={update.isPending}>
          Save
        </Button>
      </div>
    </form>
  )
}

/** Only what differs, so that what somebody else changed meanwhile is left as it is. */
function changesOf(
  token: IntegrationToken,
  { label, description }: { label: string; description: string },
  end: Date | null | undefined,
): UpdateTokenInput {
  return {
    id: token.id,
    ...(label !== token.label && { label }),
    ...(description !== (token.description ?? '') && { description: description.trim() || null }),
    ...(end !== undefined && { expiresAt: end?.toISOString() ?? null }),
  }
}
