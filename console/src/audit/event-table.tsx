import type { AuditEvent } from '@latchkey/sdk'
import { Text } from '@mantine/core'
import { Instant } from '../interface/instant.tsx'
import styles from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { auditActions } from './audit-actions.ts'

/** Null while they are read for the first time. */
export function EventTable({
  events,
  withTarget = true,
  isStale = false,
}: {
  events: AuditEvent[] | null
  withTarget?: boolean
  isStale?: boolean
}) {
  return (
    <Table
      caption="Events, newest first"
      columns={['When', 'What', ...(withTarget ? ['Of what'] : []), 'By whom', 'From']}
      rows={events}
      row={(event) => <Row key={event.id} event={event} withTarget={withTarget} />}
      empty="There are no events."
      isStale={isStale}
    />
  )
}

function Row({
  event: { at, action, target, actor, ipAddress, userAgent },
  withTarget,
}: {
  event: AuditEvent
  withTarget: boolean
}) {
  return (
    <tr>
      <td>
        <Instant at={at} inFull />
      </td>
      <td title={action}>{auditActions[action] ?? action}</td>
      {withTarget && (
        <td data-name="Of what" className={styles.words}>
          {target ?? '–'}
        </td>
      )}
      <td data-name="By whom" className={styles.words}>
        {actor}
      </td>
      <td data-name="From" className={styles.words}>
        {ipAddress ?? '–'}
        {userAgent && (
          <Text size="xs" c="dimmed" lineClamp={1} maw="16rem" title={userAgent}>
            {userAgent}
          </Text>
        )}
      </td>
    </tr>
  )
}
