import type { UpdateWebhookInput, Webhook } from '@latchkey/sdk'
import { Alert, Button, Drawer } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import styles from '../interface/form.module.css'
import { readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { hostOf } from './address.ts'
import { useUpdateWebhook } from './queries.ts'
import { findMissing, type WebhookDetails, WebhookFields } from './webhook-fields.tsx'

/** Changes a webhook’s address, description and events. */
export function EditPanel({ webhook, opened, onClose }: { webhook: Webhook; opened: boolean; onClose: () => void }) {
  return (
    <Drawer
      opened={opened}
      onClose={onClose}
      title={`Edit the webhook to ${hostOf(webhook.url)}`}
      closeOnClickOutside={false}
    >
      <Form webhook={webhook} onClose={onClose} />
    </Drawer>
  )
}

function Form({ webhook, onClose }: { webhook: Webhook; onClose: () => void }) {
  const { organization } = useViewer()
  const update = useUpdateWebhook(organization.id)
  // As it was when the panel was opened: what somebody else changes meanwhile is left as it is.
  const [before] = useState<WebhookDetails>(() => ({
    url: webhook.url,
    description: webhook.description ?? '',
    eventTypes: webhook.eventTypes,
  }))
  const [details, setDetails] = useState(before)
  const [missing, setMissing] = useState<Record<string, string>>({})
  const { fields, message } = readMistakes(update.error)
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    if (update.error) focusFirstMistake(form.current)
  }, [update.error])

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const left = findMissing(details)
    setMissing(left)
    if (Object.keys(left).length > 0) focusFirstMistake(form.current)
    else update.mutate({ id: webhook.id, ...changesOf(before, details) }, { onSuccess: onClose })
  }

  return (
    <form ref={form} onSubmit={submit} noValidate className={styles.form}>
      <WebhookFields
        details={details}
        onChange={(changed) => {
          setDetails({ ...details, ...changed })
          setMissing({})
        }}
        mistakes={{ ...fields, ...missing }}
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

function changesOf(before: WebhookDetails, after: WebhookDetails): Omit<UpdateWebhookInput, 'id'> {
  const isSameChoice = before.eventTypes.toSorted().join() === after.eventTypes.toSorted().join()
  return {
    ...(after.url !== before.url && { url: after.url }),
    ...(after.description !== before.description && { description: after.description.trim() || null }),
    ...(!isSameChoice && { eventTypes: [...after.eventTypes] }),
  }
}
