import { type DeleteTokenRoleInput, RefusalError, type TokenRole, unwrap } from '@latchkey/sdk'
import { Alert, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { roleUseQuery } from '../tokens/queries.ts'
import { useRolesChanged } from './queries.ts'
import { RoleUse } from './role-use.tsx'

/** Open while there is a role of the organization's own. */
export function DeleteWarning({ role, onClose }: { role: TokenRole | null; onClose: () => void }) {
  // What is said stays while the dialog fades.
  const [shown, show] = useState(role)
  if (role && role !== shown) show(role)
  const [deletedId, setDeletedId] = useState<string | null>(null)
  const { organization } = useViewer()
  const changed = useRolesChanged(organization.id)
  const use = useQuery({ ...roleUseQuery(organization.id, shown?.id ?? ''), enabled: role !== null })
  const deletion = useMutation({
    mutationFn: async (input: DeleteTokenRoleInput) =>
      unwrap((await latchkey.deleteTokenRole({ input })).deleteTokenRole),
    onError: changed,
    async onSuccess(_deleted, { id }) {
      setDeletedId(id)
      close()
      document.getElementById('content')?.focus()
      await changed()
    },
  })
  function close(): void {
    deletion.reset()
    onClose()
  }
  const refused = tokensOf(deletion.error)
  const count = refused ?? use.data
  const isInUse = count !== undefined && count > 0
  return (
    <Warning
      opened={role !== null}
      onClose={close}
      proceed={isInUse ? null : 'Delete'}
      isPending={deletion.isPending}
      returnFocus={shown === null || deletedId !== shown.id}
      onProceed={() => shown && deletion.mutate({ id: shown.id })}
    >
      {shown && isInUse ? (
        <>
          <Text>
            The role <b>{shown.label}</b> cannot be deleted while a token has it.
          </Text>
          <Alert
            color="orange"
            icon={<IconAlertTriangle aria-hidden />}
            role="alert"
            title={<RoleUse role={shown} count={count} />}
          >
            {count === 1
              ? 'Delete it first. To have it do less at once, take permissions from the role instead.'
              : 'Delete them first, expired ones as well. To have them do less at once, take permissions from the role instead.'}
          </Alert>
        </>
      ) : (
        <Text>
          Deleting the role <b>{shown?.label}</b> cannot be taken back.
          {count === 0 && ' No token has it, so nothing stops working.'}
        </Text>
      )}
      {deletion.error && refused === null && <FailureNote error={deletion.error} />}
    </Warning>
  )
}

/** How many tokens kept the role from being deleted; null where something else did, or nothing. */
function tokensOf(error: unknown): number | null {
  const refusal = error instanceof RefusalError ? error.refusal : null
  return refusal?.__typename === 'TokenRoleInUse' ? refusal.tokenCount : null
}
