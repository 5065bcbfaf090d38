import { type DeleteWebhookInput, unwrap, type Webhook } from '@latchkey/sdk'
import { Button, Text } from '@mantine/core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { hostOf } from './address.ts'
import { useUpdateWebhook, useWebhooksChanged, waitingQuery } from './queries.ts'

export function DeleteWarning({
  webhook,
  opened,
  onClose,
  onDeleted,
}: {
  webhook: Webhook
  opened: boolean
  onClose: () => void
  onDeleted: () => Promise<void>
}) {
  const [isDeleted, setDeleted] = useState(false)
  const { organization } = useViewer()
  const changed = useWebhooksChanged(organization.id)
  const deletion = useMutation({
    mutationFn: async (input: DeleteWebhookInput) => unwrap((await latchkey.deleteWebhook({ input })).deleteWebhook),
    onError: changed,
    async onSuccess() {
      setDeleted(true)
      close()
      // Away first: what is read anew would have nothing to show here.
      await onDeleted()
      document.getElementById('content')?.focus()
      await changed()
    },
  })
  const disabling = useUpdateWebhook(organization.id)
  function close(): void {
    deletion.reset()
    disabling.reset()
    onClose()
  }
  const error = deletion.error ?? disabling.error
  return (
    <Warning
      opened={opened}
      onClose={close}
      proceed="Delete"
      isPending={deletion.isPending}
      returnFocus={!isDeleted}
      onProceed={() => deletion.mutate({ id: webhook.id })}
      other={
        webhook.enabled && (
          <Button
            variant="default"
            loading={disabling.isPending}
            onClick={() => disabling.mutate({ id: webhook.id, enabled: false }, { onSuccess: close })}
          >
            Disable instead
          </Button>
        )
      }
    >
      <Text>
        Deleting the webhook to <b>{hostOf(webhook.url)}</b> ends it for good: nothing more is sent there. The log of
        its deliveries and its signing secret are deleted with it.
      </Text>
      {opened && <Waiting webhook={webhook} />}
      {webhook.enabled && (
        <Text size="sm" c="dimmed">
          Not sure? Disable it first: what waits to be sent is kept until you enable it again.
        </Text>
      )}
      {error && <FailureNote error={error} />}
    </Warning>
  )
}

/** What would not be sent any more, as it is now. */
function Waiting({ webhook }: { webhook: Webhook }) {
  const { organization } = useViewer()
  const { data } = useQuery(waitingQuery(organization.id, webhook.id))
  if (!data) return null
  const { count, hasMore } = data
  if (count === 0) return <Text size="sm">Nothing waits to be sent.</Text>
  return (
    <Text>
      <b>{hasMore ? `More than ${count} messages wait` : count === 1 ? '1 message waits' : `${count} messages wait`}</b>{' '}
      to be sent, and {count === 1 ? 'is' : 'are'} lost with it.
    </Text>
  )
}
