import type { TokenRole } from '@latchkey/sdk'
import { ActionIcon, Text, Tooltip } from '@mantine/core'
import { IconPencil, IconTrash } from '@tabler/icons-react'
import { PermissionList } from '../interface/permission-list.tsx'
import table from '../interface/table.module.css'
import { type Column, Table } from '../interface/table.tsx'
import { TextLink } from '../interface/text-link.tsx'
import { useViewer } from '../session/session.ts'
import { viewOfRole } from '../tokens/list-view.ts'
import styles from './role-table.module.css'

interface Actions {
  onEdit: (role: TokenRole) => void
  onDelete: (role: TokenRole) => void
}

const columns: readonly Column[] = ['Role', 'Permissions', { name: 'Tokens', isHidden: true }]

/** Null while they are read for the first time. Those that cannot be changed have no actions. */
export function RoleTable({
  caption,
  roles,
  actions,
}: {
  caption: string
  roles: TokenRole[] | null
  actions?: Actions
}) {
  return (
    <Table
      caption={caption}
      columns={actions ? [...columns, { name: 'Actions', isHidden: true }] : columns}
      rows={roles}
      row={(role) => <Row key={role.id} role={role} actions={actions} />}
    />
  )
}

function Row({ role, actions }: { role: TokenRole; actions: Actions | undefined }) {
  const { slug } = useViewer().organization
  const { id, label, description, permissions } = role
  return (
    <tr>
      <td className={`${table.main} ${table.words} ${styles.main}`}>
        <b>{label}</b>
        {description && (
          <Text size="sm" c="dimmed">
            {description}
          </Text>
        )}
      </td>
      <td className={styles.permissions}>
        <PermissionList permissions={permissions} />
      </td>
      <td className={styles.tokens} data-managed={!actions || undefined}>
        <TextLink
          size="sm"
          to="/organizations/$slug/integration-tokens"
          params={{ slug }}
          search={viewOfRole(id)}
          aria-label={`Its tokens: ${label}`}
        >
          Its tokens
        </TextLink>
      </td>
      {actions && (
        <td className={table.actions}>
          <Tooltip label="Edit" openDelay={400}>
            <ActionIcon
              variant="subtle"
              color="gray"
              size="lg"
              aria-label={`Edit ${label}`}
              aria-haspopup="dialog"
              onClick={() => actions.onEdit(role)}
            >
              <IconPencil aria-hidden size={18} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label="Delete" openDelay={400}>
            <ActionIcon
              variant="subtle"
              color="red"
              size="lg"
              aria-label={`Delete ${label}`}
              aria-haspopup="dialog"
              onClick={() => actions.onDelete(role)}
            >
              <IconTrash aria-hidden size={18} />
            </ActionIcon>
          </Tooltip>
        </td>
      )}
    </tr>
  )
}
