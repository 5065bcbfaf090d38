import type { Webhook } from '@latchkey/sdk'
import { Text } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { Instant } from '../interface/instant.tsx'
import table from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { useViewer } from '../session/session.ts'
import { hostOf } from './address.ts'
import { describeEventTypes, wordsOf } from './event-types.ts'
import { StateBadge } from './state-badge.tsx'
import styles from './webhook-table.module.css'

/** Null while they are read for the first time. */
export function WebhookTable({ webhooks }: { webhooks: Webhook[] | null }) {
  return (
    <Table
      caption="Webhooks"
      columns={['Address', 'Events', 'State', 'Last delivered', { name: 'Created', isWide: true }]}
      rows={webhooks}
      row={(webhook) => <Row key={webhook.id} webhook={webhook} />}
    />
  )
}

function Row({ webhook }: { webhook: Webhook }) {
  const { slug } = useViewer().organization
  const { id, url, description, eventTypes, failingSince, lastDeliveredAt, createdAt } = webhook
  return (
    <tr>
      <td className={table.main}>
        <Link to="/organizations/$slug/webhooks/$webhookId" params={{ slug, webhookId: id }} className={table.link}>
          {hostOf(url)}
        </Link>
        <Text size="xs" c="dimmed" lineClamp={1} className={styles.address} title={url}>
          {url}
        </Text>
        {description && (
          <Text size="sm" c="dimmed" lineClamp={2} mt={4} className={table.words}>
            {description}
          </Text>
        )}
      </td>
      <td data-name="Events" title={eventTypes.map((type) => wordsOf(type).name).join(', ')}>
        {describeEventTypes(eventTypes)}
      </td>
      <td data-name="State">
        <StateBadge webhook={webhook} />
        {failingSince && (
          <Text size="sm" c="dimmed">
            since <Instant at={failingSince} inFull />
          </Text>
        )}
      </td>
      <td data-name="Last delivered">{lastDeliveredAt ? <Instant at={lastDeliveredAt} /> : 'Never'}</td>
      <td data-name="Created" className={table.wide}>
        <Instant at={createdAt} />
      </td>
    </tr>
  )
}
