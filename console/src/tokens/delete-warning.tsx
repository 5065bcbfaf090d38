import { type DeleteTokenInput, type IntegrationToken, unwrap } from '@latchkey/sdk'
import { Alert, Button, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { FailureNote } from '../interface/failure.tsx'
import { Instant } from '../interface/instant.tsx'
import { Warning } from '../interface/warning.tsx'
import { latchkey, needsConfirmation } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { tokenQuery, useTokensChanged, useUpdateToken } from './queries.ts'

const recentMilliseconds = 86_400_000

/** Open while there is a token. */
export function DeleteWarning({
  token,
  onClose,
  onDeleted,
}: {
  token: IntegrationToken | null
  onClose: () => void
  onDeleted?: () => void
}) {
  // What is said stays while the dialog fades.
  const [shown, show] = useState(token)
  if (token && token !== shown) show(token)
  const [deletedId, setDeletedId] = useState<string | null>(null)
  const { organization } = useViewer()
  const changed = useTokensChanged(organization.id)
  const deletion = useMutation({
    mutationFn: async (input: DeleteTokenInput) => unwrap((await latchkey.deleteToken({ input })).deleteToken),
    onError: changed,
    async onSuccess(_deleted, { id }) {
      setDeletedId(id)
      close()
      onDeleted?.()
      document.getElementById('content')?.focus()
      await changed()
    },
  })
  const disabling = useUpdateToken(organization.id)
  function close(): void {
    deletion.reset()
    disabling.reset()
    onClose()
  }
  const error = (deletion.variables?.id === shown?.id ? deletion.error : null) ?? disabling.error
  // What would stop has been shown by then: whoever goes on means it.
  const force = needsConfirmation(error)
  return (
    <Warning
      opened={token !== null}
      onClose={close}
      proceed={force ? 'Delete it all the same' : 'Delete'}
      isPending={deletion.isPending}
      returnFocus={shown === null || deletedId !== shown.id}
      onProceed={() => shown && deletion.mutate({ id: shown.id, force })}
      other={
        shown?.status === 'ACTIVE' && (
          <Button
            variant="default"
            loading={disabling.isPending}
            onClick={() => disabling.mutate({ id: shown.id, enabled: false, force }, { onSuccess: close })}
          >
            {needsConfirmation(disabling.error) ? 'Disable it all the same' : 'Disable instead'}
          </Button>
        )
      }
    >
      <Text>
        Deleting <b>{shown?.label}</b> may break integrations and automation that use it. It is refused from that moment
        on, and cannot be brought back.
      </Text>
      {token && <LastUse token={token} />}
      {shown?.status === 'ACTIVE' && (
        <Text size="sm" c="dimmed">
          Not sure? Disable it first: it is refused just the same, and can be enabled again.
        </Text>
      )}
      {error && <FailureNote error={error} />}
    </Warning>
  )
}

/** As it is now, not as it was when the list was read. */
function LastUse({ token }: { token: IntegrationToken }) {
  const { organization } = useViewer()
  const { data } = useQuery(tokenQuery(organization.id, token.id))
  const { lastUsedAt, lastUsedFrom } = data ?? token
  if (!lastUsedAt) return <Text size="sm">It has never been used.</Text>
  const from = lastUsedFrom && ` from ${lastUsedFrom}`
  if (Date.now() - Date.parse(lastUsedAt) < recentMilliseconds) {
    return (
      <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title="It is in use">
        It was last used <Instant at={lastUsedAt} />
        {from}. Whatever did that will stop working.
      </Alert>
    )
  }
  return (
    <Text size="sm">
      It was last used <Instant at={lastUsedAt} />
      {from}.
    </Text>
  )
}
