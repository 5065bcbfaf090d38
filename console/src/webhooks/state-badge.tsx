import type { Webhook } from '@latchkey/sdk'
import { Badge } from '@mantine/core'

export function StateBadge({ webhook: { enabled, failingSince } }: { webhook: Webhook }) {
  if (!enabled) return <Badge color="gray">Disabled</Badge>
  return failingSince ? <Badge color="red">Failing</Badge> : <Badge>Enabled</Badge>
}
