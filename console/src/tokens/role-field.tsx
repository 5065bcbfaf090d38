import type { TokenRole } from '@latchkey/sdk'
import { Radio, Skeleton, Text, TextInput } from '@mantine/core'
import { IconSearch } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import styles from '../interface/choice.module.css'
import { Failure } from '../interface/failure.tsx'
import { PermissionList } from '../interface/permission-list.tsx'
import { useViewer } from '../session/session.ts'
import { rolesQuery } from './queries.ts'

/** So many can be looked through at a glance. */
const fewRoles = 6

/** What a token may do, chosen among the organization's roles. */
export function RoleField({
  value,
  onChange,
  error,
  disabled,
}: {
  value: string
  onChange: (roleId: string) => void
  error: string | undefined
  disabled: boolean
}) {
  const { organization } = useViewer()
  const roles = useQuery(rolesQuery(organization.id))
  const [sought, seek] = useState('')
  if (roles.isError) {
    return <Failure title="The roles cannot be shown" error={roles.error} retry={() => void roles.refetch()} />
  }
  const isMany = roles.data !== undefined && roles.data.length > fewRoles
  // The chosen one stays in sight, so that it is clear what will be made.
  const shown = roles.data?.filter((role) => !isMany || role.id === value || isFound(role, sought))
  return (
    <Radio.Group
      label="Role"
      description="What it may do. Choose the least that is needed."
      required
      value={value}
      error={error}
      onChange={onChange}
    >
      {isMany && (
        <TextInput
          type="search"
          mt="xs"
          aria-label="Find a role or a permission"
          placeholder="Find a role or a permission"
          leftSection={<IconSearch aria-hidden size={16} />}
          value={sought}
          disabled={disabled}
          onChange={({ currentTarget }) => seek(currentTarget.value)}
          // Enter is for the whole form otherwise.
          onKeyDown={(event) => {
            if (event.key === 'Enter') event.preventDefault()
          }}
        />
      )}
      <div className={styles.roles} data-many={isMany || undefined}>
        {shown
          ? shown.map((role) => <RoleCard key={role.id} role={role} disabled={disabled} />)
          : [1, 2, 3].map((nth) => <Skeleton key={nth} height={84} />)}
        {shown?.length === 0 && (
          <Text size="sm" c="dimmed">
            No role matches.
          </Text>
        )}
      </div>
    </Radio.Group>
  )
}

function isFound({ label, description, permissions }: TokenRole, sought: string): boolean {
  return [label, description, ...permissions].join('\n').toLowerCase().includes(sought.trim().toLowerCase())
}

function RoleCard({ role: { id, label, description, permissions }, disabled }: { role: TokenRole; disabled: boolean }) {
  return (
    <Radio.Card
      value={id}
      className={styles.role}
      disabled={disabled}
      aria-label={label}
      aria-describedby={`${id}-about`}
    >
      <Radio.Indicator disabled={disabled} aria-hidden />
      <span className={styles.about} id={`${id}-about`}>
        <Text span fw={600} size="sm" aria-hidden>
          {label}
        </Text>
        <Text span size="sm" c="dimmed">
          {description}
        </Text>
        <span className={styles.permissions}>
          <PermissionList permissions={permissions} />
        </span>
      </span>
    </Radio.Card>
  )
}
