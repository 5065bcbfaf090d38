import { type TokenRole, type UpdateTokenRoleInput, unwrap } from '@latchkey/sdk'
import { Alert, Button, Drawer, Stack } from '@mantine/core'
import { IconAlertCircle, IconAlertTriangle } from '@tabler/icons-react'
import { useMutation, useQuery } from '@tanstack/react-query'
import { type SubmitEvent, useEffect, useRef, useState } from 'react'
import { focusFirstMistake } from '../interface/first-mistake.ts'
import { focusAfterwards } from '../interface/focus-afterwards.ts'
import styles from '../interface/form.module.css'
import { PermissionList } from '../interface/permission-list.tsx'
import { latchkey, needsConfirmation, readMistakes } from '../latchkey.ts'
import { useViewer } from '../session/session.ts'
import { roleUseQuery } from '../tokens/queries.ts'
import { changeOf, type PermissionChange } from './permissions.ts'
import { useRolesChanged } from './queries.ts'
import { findMissing, type RoleDetails, RoleFields, settle } from './role-fields.tsx'
import { RoleUse } from './role-use.tsx'

/** Changes a role of the organization's own. Open while there is one. */
export function EditPanel({ role, onClose }: { role: TokenRole | null; onClose: () => void }) {
  // What is said stays while the panel slides away.
  const [shown, show] = useState(role)
  if (role && role !== shown) show(role)
  return (
    <Drawer
      opened={role !== null}
      onClose={onClose}
      onExitTransitionEnd={() => focusAfterwards()}
      title={`Edit “${shown?.label}”`}
      closeOnClickOutside={false}
    >
      {shown && <Form key={shown.id} role={shown} onClose={onClose} />}
    </Drawer>
  )
}

function Form({ role, onClose }: { role: TokenRole; onClose: () => void }) {
  const { organization } = useViewer()
  const changed = useRolesChanged(organization.id)
  // As it was when the panel was opened: what somebody else changes meanwhile is left as it is.
  const [before] = useState<RoleDetails>(() => ({
    label: role.label,
    description: role.description,
    permissions: role.permissions,
    typed: '',
  }))
  const [details, setDetails] = useState(before)
  const [missing, setMissing] = useState<Record<string, string>>({})
  const update = useMutation({
    mutationFn: async (input: UpdateTokenRoleInput) =>
      unwrap((await latchkey.updateTokenRole({ input })).updateTokenRole),
    onSettled: changed,
  })
  // What would become of the tokens has been shown by then: whoever goes on means it.
  const force = needsConfirmation(update.error)
  const { fields, message } = readMistakes(update.error)
  const form = useRef<HTMLFormElement>(null)
  useEffect(() => {
    if (update.error) focusFirstMistake(form.current)
  }, [update.error])
  const permissionChange = changeOf(role.permissions, details.permissions)

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault()
    const settled = settle(details)
    const left = findMissing(settled)
    setDetails(settled)
    setMissing(left)
    if (Object.keys(left).length > 0) focusFirstMistake(form.current)
    else update.mutate({ id: role.id, ...changesOf(before, settled), force }, { onSuccess: onClose })
  }

  return (
    <form ref={form} onSubmit={submit} noValidate className={styles.form}>
      <RoleFields
        details={details}
        onChange={(part) => {
          setDetails((last) => ({ ...last, ...part }))
          setMissing({})
          update.reset()
        }}
        mistakes={{ ...fields, ...missing }}
        disabled={update.isPending}
      />
      {force
        ? permissionChange && <Confirmation role={role} change={permissionChange} />
        : message && (
            <Alert color="red" icon={<IconAlertCircle aria-hidden />} role="alert">
              {message}
            </Alert>
          )}
      <div className={styles.buttons}>
        <Button variant="default" onClick={onClose} disabled={update.isPending}>
          Cancel
        </Button>
        <Button type="submit" {...(force && { color: 'red' })} loading={update.isPending}>
          {force ? 'Change it all the same' : 'Save'}
        </Button>
      </div>
    </form>
  )
}

/** What becomes of the tokens that have the role. */
function Confirmation({ role, change: { added, taken } }: { role: TokenRole; change: PermissionChange }) {
  const { organization } = useViewer()
  const { data: count } = useQuery(roleUseQuery(organization.id, role.id))
  const them = count === 1 ? 'it' : 'they'
  return (
    <Alert
      color="orange"
      icon={<IconAlertTriangle aria-hidden />}
      role="alert"
      title={<RoleUse role={role} count={count} />}
    >
      <Stack gap="xs">
        {added.length > 0 && <PermissionList permissions={added}>At once {them} may also</PermissionList>}
        {taken.length > 0 && <PermissionList permissions={taken}>At once {them} may no longer</PermissionList>}
        {taken.length > 0 && 'Whatever relies on that stops working.'}
      </Stack>
    </Alert>
  )
}

/** Only what differs, so that what somebody else changed meanwhile is left as it is. */
function changesOf(before: RoleDetails, after: RoleDetails): Omit<UpdateTokenRoleInput, 'id'> {
  return {
    ...(after.label !== before.label && { label: after.label }),
    ...(after.description !== before.description && { description: after.description.trim() || null }),
    ...(changeOf(before.permissions, after.permissions) && { permissions: after.permissions }),
  }
}
