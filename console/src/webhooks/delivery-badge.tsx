import type { WebhookDeliveryStatus } from '@latchkey/sdk'
import { Badge } from '@mantine/core'
import { statuses } from './delivery-view.ts'

const colors: Record<WebhookDeliveryStatus, string> = { PENDING: 'orange', DELIVERED: 'latch', FAILED: 'red' }

export function DeliveryBadge({ status }: { status: WebhookDeliveryStatus }) {
  return <Badge color={colors[status]}>{statuses[status]}</Badge>
}
