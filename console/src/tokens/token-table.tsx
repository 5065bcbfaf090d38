import type { IntegrationToken } from '@latchkey/sdk'
import { ActionIcon, Badge, Text, Tooltip } from '@mantine/core'
import { IconAlertTriangle, IconTrash } from '@tabler/icons-react'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { Instant } from '../interface/instant.tsx'
import styles from '../interface/table.module.css'
import { Table } from '../interface/table.tsx'
import { useViewer } from '../session/session.ts'
import { DeleteWarning } from './delete-warning.tsx'
import { StatusBadge } from './status-badge.tsx'

const columns = [
  'Token',
  'Role',
  'Status',
  'Last used',
  { name: 'From', isWide: true },
  'Expires',
  { name: 'Created by', isWide: true },
  { name: 'Actions', isHidden: true },
] as const

/** Null while they are read for the first time. */
export function TokenTable({ tokens, isStale }: { tokens: IntegrationToken[] | null; isStale: boolean }) {
  const [deleting, askToDelete] = useState<IntegrationToken | null>(null)
  return (
    <>
      <Table
        caption="Integration tokens"
        columns={columns}
        rows={tokens}
        row={(token) => <Row key={token.id} token={token} onDelete={() => askToDelete(token)} />}
        isStale={isStale}
      />
      <DeleteWarning token={deleting} onClose={() => askToDelete(null)} />
    </>
  )
}

function Row({ token, onDelete }: { token: IntegrationToken; onDelete: () => void }) {
  const { slug } = useViewer().organization
  return (
    <tr>
      <td className={styles.main}>
        <Link
          to="/organizations/$slug/integration-tokens/$tokenId"
          params={{ slug, tokenId: token.id }}
          className={styles.link}
        >
          {token.label}
        </Link>
        {token.description && (
          <Text size="sm" c="dimmed" lineClamp={2} className={styles.words}>
            {token.description}
          </Text>
        )}
        {token.retiredSecretLastUsedAt && (
          <Badge color="orange" mt={4} leftSection={<IconAlertTriangle aria-hidden size={12} />}>
            Old value presented <Instant at={token.retiredSecretLastUsedAt} />
          </Badge>
        )}
      </td>
      <td data-name="Role">{token.role.label}</td>
      <td data-name="Status">
        <StatusBadge status={token.status} />
      </td>
      <td data-name="Last used">{token.lastUsedAt ? <Instant at={token.lastUsedAt} /> : 'Never'}</td>
      <td data-name="From" className={styles.wide}>
        {token.lastUsedFrom ?? '–'}
      </td>
      <td data-name="Expires">{token.expiresAt ? <Instant at={token.expiresAt} /> : 'Never'}</td>
      <td data-name="Created by" className={`${styles.wide} ${styles.words}`}>
        <span title={token.createdBy?.email}>{token.createdBy?.displayName ?? 'Another token'}</span>
        <Text size="sm" c="dimmed">
          <Instant at={token.createdAt} />
        </Text>
      </td>
      <td className={styles.actions}>
        <Tooltip label="Delete" openDelay={400}>
          <ActionIcon
            variant="subtle"
            color="red"
            size="lg"
            aria-label={`Delete ${token.label}`}
            aria-haspopup="dialog"
            onClick={onDelete}
          >
            <IconTrash aria-hidden size={18} />
          </ActionIcon>
        </Tooltip>
      </td>
    </tr>
  )
}
