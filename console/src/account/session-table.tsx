import type { Session } from '@latchkey/sdk'
import { Badge, Button, Text } from '@mantine/core'
import { describeExactly, Instant } from '../interface/instant.tsx'
import styles from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { useViewer } from '../session/session.ts'
import page from './sessions-page.module.css'

/** Null while they are read for the first time. */
export function SessionTable({ sessions, onEnd }: { sessions: Session[] | null; onEnd: (session: Session) => void }) {
  const isInSeveral = useViewer().organizations.length > 1
  return (
    <Table
      caption="Your sessions, this one first"
      columns={[
        'From where',
        ...(isInSeveral ? ['Organization'] : []),
        'Signed in',
        'Last used',
        { name: 'Actions', isHidden: true },
      ]}
      rows={sessions}
      row={(session) => (
        <Row key={session.id} session={session} isInSeveral={isInSeveral} onEnd={() => onEnd(session)} />
      )}
    />
  )
}

function Row({ session, isInSeveral, onEnd }: { session: Session; isInSeveral: boolean; onEnd: () => void }) {
  const { organization, createdAt, lastUsedAt, current } = session
  const { place, program } = originOf(session)
  return (
    <tr aria-current={current || undefined}>
      <td className={`${styles.main} ${styles.words}`}>
        <span className={page.place}>
          {place}
          {current && <Badge>This session</Badge>}
        </span>
        <Text size="sm" c="dimmed">
          {program}
        </Text>
      </td>
      {isInSeveral && (
        <td data-name="Organization" className={styles.words}>
          {organization.name}
        </td>
      )}
      <td data-name="Signed in">
        <Instant at={createdAt} />
      </td>
      <td data-name="Last used">
        <Instant at={lastUsedAt} />
      </td>
      <td className={styles.actions}>
        <Button
          variant="subtle"
          color="red"
          size="compact-sm"
          aria-haspopup="dialog"
          aria-label={
            current
              ? 'End this session'
              : `End the session from ${place}, signed in ${describeExactly(new Date(createdAt))}`
          }
          onClick={onEnd}
        >
          End
        </Button>
      </td>
    </tr>
  )
}

export function originOf({ ipAddress, userAgent }: Session): { place: string; program: string } {
  return { place: ipAddress ?? 'An unknown address', program: userAgent ?? 'It did not say what it is.' }
}
