import { Button, Text } from '@mantine/core'
import { IconPlus, IconWebhook } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { Notice } from '../interface/notice.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import tools from '../interface/tools.module.css'
import { useViewer } from '../session/session.ts'
import { CreatePanel } from './create-panel.tsx'
import { webhooksQuery } from './queries.ts'
import { WebhookTable } from './webhook-table.tsx'

/** The addresses that are told what happens to the organization's tokens. */
export function WebhooksPage() {
  const { organization } = useViewer()
  usePageTitle('Webhooks', organization.name)
  const webhooks = useQuery(webhooksQuery(organization.id))
  const [isCreating, create] = useState(false)
  const createButton = (
    <Button leftSection={<IconPlus aria-hidden size={16} />} aria-haspopup="dialog" onClick={() => create(true)}>
      Create Webhook
    </Button>
  )
  return (
    <>
      {webhooks.error && !webhooks.data ? (
        <Failure title="The webhooks cannot be shown" error={webhooks.error} retry={() => void webhooks.refetch()} />
      ) : webhooks.data?.length === 0 ? (
        <Notice icon={<IconWebhook />} title="No webhooks yet" action={createButton}>
          A webhook tells a system of yours what happens to the organization’s tokens, within seconds: that one was
          created or deleted, that one expires soon, that a retired value was presented. Each message is signed.
        </Notice>
      ) : (
        <>
          <div className={tools.tools}>
            <Text size="sm" className={tools.about}>
              Each address is sent a signed message when something happens to a token of the organization.
            </Text>
            <div className={tools.create}>{createButton}</div>
          </div>
          <WebhookTable webhooks={webhooks.data ?? null} />
        </>
      )}
      <CreatePanel opened={isCreating} onClose={() => create(false)} />
    </>
  )
}
