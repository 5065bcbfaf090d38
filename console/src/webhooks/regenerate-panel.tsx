import { unwrap, type Webhook } from '@latchkey/sdk'
import { Alert, Button, Modal, Radio, Stack, Text } from '@mantine/core'
import { IconAlertCircle } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Instant } from '../interface/instant.tsx'
import { useLeaveWarning } from '../interface/leave-warning.ts'
import { SecretOnce } from '../interface/secret-once.tsx'
import styles from '../interface/warning.module.css'
import { isAnswerLost, latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { hostOf } from './address.ts'
import { useWebhooksChanged } from './queries.ts'
import { SignatureHint } from './signature-hint.tsx'

const overlaps = [
  ['86400', 'For one day', 'Time to put the new secret in its place.'],
  ['604800', 'For seven days', 'Where several receivers have it.'],
  [
    '0',
    'Not at all',
    'Where the old secret may have leaked. Receivers refuse what is sent until they have the new one.',
  ],
] as const

/** Gives a webhook a new signing secret, with the time for which messages are signed with the old one as well. */
export function RegeneratePanel({
  webhook,
  opened,
  onClose,
}: {
  webhook: Webhook
  opened: boolean
  onClose: () => void
}) {
  const { organization } = useViewer()
  const changed = useWebhooksChanged(organization.id)
  const [overlap, setOverlap] = useState('86400')
  const regeneration = useMutation({
    mutationFn: async (overlapSeconds: number) =>
      unwrap(
        (await latchkey.regenerateWebhookSecret({ input: { id: webhook.id, overlapSeconds } })).regenerateWebhookSecret,
      ),
    // Not waited for: the secret comes first.
    onSettled: () => void changed(),
  })
  const made = regeneration.data?.secret
  const mayClose = !made && !regeneration.isPending
  useLeaveWarning(regeneration.isPending)
  const close = () => {
    regeneration.reset()
    onClose()
  }
  const host = hostOf(webhook.url)
  return (
    <Modal
      opened={opened}
      onClose={close}
      title={made ? 'The new secret' : 'Regenerate the signing secret'}
      size="lg"
      closeOnClickOutside={mayClose}
      closeOnEscape={mayClose}
      withCloseButton={mayClose}
    >
      {made ? (
        <SecretOnce secret={made} name={`the new signing secret of the webhook to ${host}`} onDone={close}>
          {(onOtherCopied) => <SignatureHint onCopy={onOtherCopied} />}
        </SecretOnce>
      ) : (
        <div className={styles.content}>
          <Text size="sm">
            Messages to {host} are signed with a new secret from now on, those that wait to be sent included. As long as
            they are signed with the present one as well, receivers take them with either.
          </Text>
          {webhook.formerSecretUntil && (
            <Text size="sm">
              The secret before the present one, which was to end <Instant at={webhook.formerSecretUntil} />, ends at
              once, whatever you choose here.
            </Text>
          )}
          <Radio.Group
            label="For how long are messages also signed with the present secret?"
            value={overlap}
            onChange={setOverlap}
          >
            <Stack gap="sm" mt="xs">
              {overlaps.map(([value, label, description]) => (
                <Radio key={value} value={value} label={label} description={description} />
              ))}
            </Stack>
          </Radio.Group>
          {isAnswerLost(regeneration.error) ? (
            <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
              No answer came, so the webhook may have a new secret that nobody has seen. Regenerate again to have one
              that you see; if there was one, the secret that receivers have then ends at once.
            </Alert>
          ) : (
            regeneration.error && <FailureNote error={regeneration.error} />
          )}
          <div className={styles.buttons}>
            <Button variant="default" onClick={close} disabled={regeneration.isPending}>
              Cancel
            </Button>
            <Button loading={regeneration.isPending} onClick={() => regeneration.mutate(Number(overlap))}>
              Regenerate
            </Button>
          </div>
        </div>
      )}
    </Modal>
  )
}
