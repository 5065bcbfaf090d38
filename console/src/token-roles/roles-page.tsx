import type { TokenRole } from '@latchkey/sdk'
import { Button, Text, Title } from '@mantine/core'
import { IconPlus } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Failure } from '../interface/failure.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import tools from '../interface/tools.module.css'
import { useViewer } from '../session/session.ts'
import { rolesQuery } from '../tokens/queries.ts'
import { CreatePanel } from './create-panel.tsx'
import { DeleteWarning } from './delete-warning.tsx'
import { EditPanel } from './edit-panel.tsx'
import { RoleTable } from './role-table.tsx'
import styles from './roles-page.module.css'

type Action = { kind: 'create' } | { kind: 'edit' | 'delete'; role: TokenRole }

/** What tokens may do: the roles of the organization's own, and the managed ones. */
export function RolesPage() {
  const { organization } = useViewer()
  usePageTitle('Token Roles', organization.name)
  const roles = useQuery(rolesQuery(organization.id))
  const [action, act] = useState<Action | null>(null)
  const done = () => act(null)
  if (roles.error && !roles.data) {
    return <Failure title="The roles cannot be shown" error={roles.error} retry={() => void roles.refetch()} />
  }
  const of = (kind: TokenRole['kind']) => roles.data?.filter((role) => role.kind === kind) ?? null
  const own = of('CUSTOM')
  const roleOf = (kind: 'edit' | 'delete') => (action?.kind === kind ? action.role : null)
  return (
    <>
      <div className={tools.tools}>
        <Text size="sm" className={tools.about}>
          A token has one role, which says what may be done with it. Where no managed role fits, create one of your own,
          with the permissions that your platform’s services ask for.
        </Text>
        <div className={tools.create}>
          <Button
            leftSection={<IconPlus aria-hidden size={16} />}
            aria-haspopup="dialog"
            onClick={() => act({ kind: 'create' })}
          >
            Create Role
          </Button>
        </div>
      </div>
      <div className={styles.sections}>
        <section aria-labelledby="own-roles">
          <Title order={2} size="h5" id="own-roles" mb="xs">
            Your own
          </Title>
          {own?.length === 0 ? (
            <Text size="sm" c="dimmed">
              None yet.
            </Text>
          ) : (
            <RoleTable
              caption="Your own token roles"
              roles={own}
              actions={{
                onEdit: (role) => act({ kind: 'edit', role }),
                onDelete: (role) => act({ kind: 'delete', role }),
              }}
            />
          )}
        </section>
        <section aria-labelledby="managed-roles">
          <Title order={2} size="h5" id="managed-roles">
            Managed
          </Title>
          <Text size="sm" c="dimmed" mb="xs">
            Every organization has them, and nobody can change them.
          </Text>
          <RoleTable caption="Managed token roles" roles={of('MANAGED')} />
        </section>
      </div>
      <CreatePanel opened={action?.kind === 'create'} onClose={done} />
      <EditPanel role={roleOf('edit')} onClose={done} />
      <DeleteWarning role={roleOf('delete')} onClose={done} />
    </>
  )
}
