import { unwrap, type WebhookDelivery } from '@latchkey/sdk'
import { Button, Drawer, Text, Title } from '@mantine/core'
import { IconSend } from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { FactList } from '../interface/fact-list.tsx'
import { FailureNote } from '../interface/failure.tsx'
import { focusAfterwards } from '../interface/focus-afterwards.ts'
import styles from '../interface/form.module.css'
import { Instant } from '../interface/instant.tsx'
import { Snippet } from '../interface/snippet.tsx'
import table from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { DeliveryBadge } from './delivery-badge.tsx'
import { NextAttempt, TokenOf } from './delivery-parts.tsx'
import { wordsOf } from './event-types.ts'
import { layOut } from './payload.ts'
import { useWebhooksChanged } from './queries.ts'

/** One delivery: what was sent, and what became of each sending. */
export function DeliveryPanel({
  delivery,
  opened,
  onClose,
  onSentAgain,
}: {
  /** As it is now; undefined once it is no longer on the page of the log. */
  delivery: WebhookDelivery | undefined
  opened: boolean
  onClose: () => void
  onSentAgain: (again: WebhookDelivery) => void
}) {
  // What is said stays while the panel leaves, and where others take its place in the log.
  const [shown, show] = useState(delivery)
  if (delivery && delivery !== shown) show(delivery)
  const { organization } = useViewer()
  const changed = useWebhooksChanged(organization.id)
  const sending = useMutation({
    mutationFn: async (deliveryId: string) =>
      unwrap((await latchkey.redeliverWebhook({ input: { deliveryId } })).redeliverWebhook).delivery,
    async onSuccess(again) {
      close()
      onSentAgain(again)
      await changed()
    },
  })
  function close(): void {
    sending.reset()
    onClose()
  }
  return (
    <Drawer
      opened={opened}
      onClose={close}
      onExitTransitionEnd={() => focusAfterwards()}
      title={shown && wordsOf(shown.eventType).name}
      size={680}
    >
      {shown && (
        <div className={styles.form}>
          <FactList facts={factsOf(shown)} />
          <section>
            <Title order={3} size="h6" mb="xs">
              Attempts
            </Title>
            <Attempts delivery={shown} />
          </section>
          <section>
            <Title order={3} size="h6">
              Message
            </Title>
            <Snippet text={layOut(shown.payload)} copied={shown.payload} of="the message as it is sent" />
          </section>
          {sending.error && <FailureNote error={sending.error} />}
          <div className={styles.buttons}>
            <Button variant="default" onClick={close}>
              Close
            </Button>
            <Button
              leftSection={<IconSend aria-hidden size={16} />}
              loading={sending.isPending}
              onClick={() => sending.mutate(shown.id)}
            >
              Send Again
            </Button>
          </div>
        </div>
      )}
    </Drawer>
  )
}

function factsOf(delivery: WebhookDelivery) {
  const code = (text: string) => (
    <Text span size="sm" ff="monospace">
      {text}
    </Text>
  )
  return [
    ['Status', <DeliveryBadge key="status" status={delivery.status} />],
    ['Token', <TokenOf key="token" delivery={delivery} />],
    ['When', <Instant key="when" at={delivery.createdAt} inFull />],
    ...(delivery.status === 'PENDING'
      ? [['Next attempt', <NextAttempt key="next" delivery={delivery} />] as const]
      : []),
    ['Message ID', code(delivery.eventId)],
  ] as const
}

function Attempts({ delivery: { attempts } }: { delivery: WebhookDelivery }) {
  return (
    <Table
      caption="Attempts, oldest first"
      columns={['When', 'Status code', 'Problem', 'Took']}
      rows={attempts}
      row={({ at, statusCode, problem, durationMilliseconds }) => (
        <tr key={at}>
          <td>
            <Instant at={at} inFull />
          </td>
          <td data-name="Status code">{statusCode ?? '–'}</td>
          <td data-name="Problem" className={table.words}>
            {problem ?? '–'}
          </td>
          <td data-name="Took">{durationMilliseconds.toLocaleString()} ms</td>
        </tr>
      )}
      empty="It has not been sent yet."
    />
  )
}
