import type { TokenStatus } from '@latchkey/sdk'
import { Badge } from '@mantine/core'
import { statuses } from './list-view.ts'

const colors: Record<TokenStatus, string> = { ACTIVE: 'latch', DISABLED: 'gray', EXPIRED: 'orange' }

export function StatusBadge({ status }: { status: TokenStatus }) {
  return <Badge color={colors[status]}>{statuses[status]}</Badge>
}
