import type { AuditEvent } from '@latchkey/sdk'
import { Skeleton, Text } from '@mantine/core'
import { Instant } from '../interface/instant.tsx'
import styles from '../interface/table.module.css'
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
    <div className={styles.frame}>
      <table className={styles.table} aria-busy={isStale || events === null} data-stale={isStale || undefined}>
        <caption className="visually-hidden">Events, newest first</caption>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">What</th>
            {withTarget && <th scope="col">Of what</th>}
            <th scope="col">By whom</th>
            <th scope="col">From</th>
          </tr>
        </thead>
        <tbody>
          {events
            ? events.map((event) => <Row key={event.id} event={event} withTarget={withTarget} />)
            : [1, 2, 3, 4].map((nth) => (
                <tr key={nth}>
                  <td colSpan={5}>
                    <Skeleton height={20} />
                  </td>
                </tr>
              ))}
        </tbody>
      </table>
      {events?.length === 0 && (
        <Text c="dimmed" size="sm" p="md">
          There are no events.
        </Text>
      )}
    </div>
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
