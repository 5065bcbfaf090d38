import type { Group } from '@latchkey/sdk'
import { Button, NativeSelect } from '@mantine/core'
import { useState } from 'react'
import { useFocusBack } from '../interface/focus-back.ts'
import table from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { isGivenRole } from '../session/roles.ts'
import { groupRoleOptions, type RoleChange, roleFieldOf } from './group-role.ts'
import styles from './group-table.module.css'

/** Null while they are read for the first time. */
export function GroupTable({
  groups,
  changing,
  onChange,
}: {
  groups: Group[] | null
  /** The group whose role is being changed. */
  changing: string | null
  onChange: (change: RoleChange) => void
}) {
  return (
    <Table
      caption="Groups"
      columns={['Group', 'Members', 'Role of its members']}
      rows={groups}
      row={(group) => (
        <Row
          key={group.id}
          group={group}
          isChanging={changing === group.id}
          onChange={(role) => onChange({ group, role })}
        />
      )}
    />
  )
}

function Row({
  group,
  isChanging,
  onChange,
}: {
  group: Group
  isChanging: boolean
  onChange: (role: Group['role']) => void
}) {
  const { displayName, memberCount } = group
  const role = group.role ?? ''
  const [chosen, choose] = useState(role)
  // What was chosen before the role became another, here or elsewhere, was about the one before.
  const [last, setLast] = useState(role)
  if (role !== last) {
    setLast(role)
    choose(role)
  }
  const field = useFocusBack<HTMLSelectElement>(isChanging)
  return (
    <tr className={table.level}>
      <td className={`${table.main} ${table.words}`}>
        <b>{displayName}</b>
      </td>
      <td data-name="Members">{memberCount.toLocaleString()}</td>
      <td className={styles.roleCell}>
        {/* Not at once: with the keyboard, the way to a role leads through the others. */}
        <form
          className={styles.role}
          onSubmit={(event) => {
            event.preventDefault()
            onChange(isGivenRole(chosen) ? chosen : null)
          }}
        >
          <NativeSelect
            ref={field}
            className={styles.field}
            id={roleFieldOf(group)}
            aria-label={`Role of the members of ${displayName}`}
            value={chosen}
            data={groupRoleOptions}
            disabled={isChanging}
            onChange={({ currentTarget }) => choose(currentTarget.value)}
          />
          {chosen !== role && (
            <>
              <Button type="submit" loading={isChanging} aria-label={`Save the role of ${displayName}`}>
                Save
              </Button>
              <Button variant="default" disabled={isChanging} onClick={() => choose(role)}>
                Cancel
              </Button>
            </>
          )}
        </form>
      </td>
    </tr>
  )
}
