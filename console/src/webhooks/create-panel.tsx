import { type CreateWebhookInput, unwrap } from '@latchkey/sdk'
import { Alert, Button, Drawer } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { type UseMutationResult, useMutation } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { focusAfterwards } from '../interface/focus-afterwards.ts'
import styles from '../interface/form.module.css'
import { useLeaveWarning } from '../interface/leave-warning.ts'
import { SecretOnce } from '../interface/secret-once.tsx'
import { isAnswerLost, latchkey, readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { hostOf } from './address.ts'
import { eventTypes } from './event-types.ts'
import { useWebhooksChanged } from './queries.ts'
import { SignatureHint } from './signature-hint.tsx'
import { findMissing, type WebhookDetails, WebhookFields } from './webhook-fields.tsx'

/** The panel in which a webhook is made, and its signing secret shown. It is made anew each time it is opened. */
export function CreatePanel({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const { organization } = useViewer()
  const changed = useWebhooksChanged(organization.id)
  const [isBegun, begin] = useState(false)
  const creation = useMutation({
    mutationFn: async (input: CreateWebhookInput) => unwrap((await latchkey.createWebhook({ input })).createWebhook),
    // Not waited for: the secret is shown before the list is read anew, and also where that fails.
    onSettled: () => void changed(),
  })
  const { data: made } = creation
  useLeaveWarning(creation.isPending)
  // A stray click or key closes only what holds nothing yet.
  const mayClose = !isBegun && !creation.isPending && !made
  const close = () => {
    creation.reset()
    begin(false)
    onClose()
  }
  return (
    <Drawer
      opened={opened}
      onClose={close}
      onExitTransitionEnd={() => focusAfterwards()}
      title={made ? 'Your new webhook' : 'New Webhook'}
      closeOnClickOutside={mayClose}
      closeOnEscape={mayClose}
      withCloseButton={!made && !creation.isPending}
    >
      {made ? (
        <SecretOnce
          secret={made.secret}
          name={`the signing secret of the webhook to ${hostOf(made.webhook.url)}`}
          onDone={close}
        >
          {(onOtherCopied) => <SignatureHint onCopy={onOtherCopied} />}
        </SecretOnce>
      ) : (
        <Form creation={creation} onBegin={() => begin(true)} onCancel={close} />
      )}
    </Drawer>
  )
}

type Creation = UseMutationResult<unknown, Error, CreateWebhookInput>

function Form({ creation, onBegin, onCancel }: { creation: Creation; onBegin: () => void; onCancel: () => void }) {
  const [details, setDetails] = useState<WebhookDetails>({ url: '', description: '', eventTypes })
  const [missing, setMissing] = useState<Record<string, string>>({})
  const form = useRef<HTMLFormElement>(null)
  const refused = readMistakes(creation.error)
  useEffect(() => {
    if (creation.error) focusFirstMistake(form.current)
  }, [creation.error])

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const left = findMissing(details)
    setMissing(left)
    if (Object.keys(left).length > 0) {
      focusFirstMistake(form.current)
      return
    }
    const { url, description, eventTypes: chosen } = details
    creation.mutate({ url, ...(description.trim() && { description }), eventTypes: [...chosen] })
  }

  return (
    <form ref={form} onSubmit={submit} noValidate className={styles.form}>
      <WebhookFields
        details={details}
        onChange={(changed) => {
          setDetails({ ...details, ...changed })
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
            ? 'No answer came, so the webhook may exist already, with a secret that nobody has seen. Look for it in the list: where it is there, regenerate its secret, and create no second one.'
            : refused.message}
        </Alert>
      )}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onCancel} disabled={creation.isPending}>
          Cancel
        </Button>
        <Button type="submit" loading={creation.isPending}>
          Create Webhook
        </Button>
      </div>
    </form>
  )
}
