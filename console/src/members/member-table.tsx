import type { Member } from '@latchkey/sdk'
import { Badge, Button, Text } from '@mantine/core'
import { Instant } from '../interface/instant.tsx'
import table from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { mayManage, organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import { memberStatuses } from './member-view.ts'
import styles from './members.module.css'

interface Actions {
  onChangeRole: (member: Member) => void
  onSetActive: (member: Member) => void
}

/** Null while they are read for the first time. The actions are offered to whoever may do them. */
export function MemberTable({
  members,
  isStale,
  actions,
}: {
  members: Member[] | null
  isStale: boolean
  actions: Actions
}) {
  const isManaging = mayManage(useViewer())
  return (
    <Table
      caption="Members, in the order of their email addresses"
      columns={[
        'Member',
        'Role',
        'Status',
        { name: 'Member since', isWide: true },
        ...(isManaging ? [{ name: 'Actions', isHidden: true } as const] : []),
      ]}
      rows={members}
      row={(member) => <Row key={member.id} member={member} actions={isManaging ? actions : null} />}
      isStale={isStale}
    />
  )
}

function Row({ member, actions }: { member: Member; actions: Actions | null }) {
  const viewer = useViewer()
  const { id, displayName, email, role, active, createdAt } = member
  const isOwner = role === 'OWNER'
  return (
    <tr>
      <td className={`${table.main} ${table.words}`}>
        <span className={styles.name}>
          {displayName}
          {id === viewer.member.id && <Badge>You</Badge>}
        </span>
        <Text size="sm" c="dimmed">
          {email}
        </Text>
      </td>
      <td data-name="Role">{organizationRoleNames[role]}</td>
      <td data-name="Status">
        <Badge color={active ? 'latch' : 'gray'}>{memberStatuses[active ? 'ACTIVE' : 'DEACTIVATED']}</Badge>
      </td>
      <td data-name="Member since" className={table.wide}>
        <Instant at={createdAt} />
      </td>
      {actions && (
        <td className={styles.actions}>
          {isOwner ? (
            <Text size="sm" c="dimmed" className={styles.why}>
              Changed by nobody here. Whoever runs Latchkey can hand the organization over.
            </Text>
          ) : (
            <div className={styles.buttons}>
              <Button
                variant="default"
                size="xs"
                aria-haspopup="dialog"
                aria-label={`Change Role of ${displayName}`}
                onClick={() => actions.onChangeRole(member)}
              >
                Change Role
              </Button>
              <Button
                variant="default"
                size="xs"
                className={styles.toggle}
                aria-haspopup="dialog"
                aria-label={`${active ? 'Deactivate' : 'Activate'} ${displayName}`}
                onClick={() => actions.onSetActive(member)}
              >
                {active ? 'Deactivate' : 'Activate'}
              </Button>
            </div>
          )}
        </td>
      )}
    </tr>
  )
}
