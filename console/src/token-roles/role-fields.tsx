import { TagsInput, Textarea, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useViewer } from '../session/session.ts'
import { rolesQuery } from '../tokens/queries.ts'
import { knownPermissions, permissionMistake } from './permissions.ts'
import styles from './role-fields.module.css'

export interface RoleDetails {
  label: string
  description: string
  permissions: string[]
  /** What is being typed as the next of them. */
  typed: string
}

const separators = [',', ' ', ';', '\n', '\r', '\t']

/** With what was typed last among the permissions, whether or not Enter was pressed after it. */
export function settle(details: RoleDetails): RoleDetails {
  const { permissions, typed } = details
  const last = typed.split(/[,;\s]+/).filter(Boolean)
  return { ...details, permissions: [...new Set([...permissions, ...last])], typed: '' }
}

/** What the API would refuse in any case, by the fields’ names. */
export function findMissing({ label, permissions }: RoleDetails): Record<string, string> {
  return {
    ...(label.trim() === '' && { label: 'Give it a label, such as what its tokens are for.' }),
    ...(permissions.length === 0 && { permissions: 'Give it at least one permission.' }),
  }
}

/** What a role is called, what it is for, and what it permits. */
export function RoleFields({
  details,
  onChange,
  mistakes,
  disabled,
}: {
  details: RoleDetails
  onChange: (changed: Partial<RoleDetails>) => void
  mistakes: Record<string, string>
  disabled: boolean
}) {
  const { organization } = useViewer()
  const { data: roles = [] } = useQuery(rolesQuery(organization.id))
  const { label, description, permissions, typed } = details
  return (
    <>
      <TextInput
        label="Label"
        description="What its tokens are for, such as “Deployments”. No two roles have the same."
        required
        maxLength={100}
        data-autofocus
        value={label}
        disabled={disabled}
        error={mistakes.label}
        onChange={({ currentTarget }) => onChange({ label: currentTarget.value })}
      />
      <Textarea
        label="Description"
        description="Optional. Shown to whoever chooses a role for a token."
        rows={2}
        maxLength={500}
        value={description}
        disabled={disabled}
        error={mistakes.description}
        onChange={({ currentTarget }) => onChange({ description: currentTarget.value })}
      />
      <TagsInput
        label="Permissions"
        description="What a token with it may do, each as resource:action, such as deploys:write. Your platform’s services say which ones they ask for. Press Enter after each, or paste several."
        placeholder={permissions.length === 0 ? 'resource:action' : undefined}
        required
        classNames={{ pill: styles.permission, inputField: styles.typed }}
        data={knownPermissions(roles)}
        searchValue={typed}
        onSearchChange={(text) => {
          if (text !== typed) onChange({ typed: text })
        }}
        // The one more would move the button that is about to be pressed.
        acceptValueOnBlur={false}
        // Only while it may help: it would cover the buttons.
        dropdownOpened={typed !== ''}
        withScrollArea={false}
        comboboxProps={{ withinPortal: false }}
        maxDropdownHeight={240}
        splitChars={separators}
        value={permissions}
        disabled={disabled}
        error={permissionMistake(mistakes, permissions)}
        onChange={(given) => onChange({ permissions: given.map((permission) => permission.trim()).filter(Boolean) })}
      />
    </>
  )
}
