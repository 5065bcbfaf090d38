import { Radio, Text } from '@mantine/core'
import styles from '../interface/choice.module.css'
import {
  type GivenRole,
  givenRoles,
  isGivenRole,
  organizationRoleNames,
  organizationRoleRights,
} from '../session/roles.ts'

/** What somebody is to be in the organization, each with what that means. */
export function RoleChoice({
  value,
  onChange,
  error,
  disabled,
}: {
  value: GivenRole
  onChange: (role: GivenRole) => void
  error?: string | undefined
  disabled: boolean
}) {
  return (
    <Radio.Group
      label="Role"
      description="What they may do. Choose the least that is needed."
      required
      value={value}
      error={error}
      onChange={(chosen) => {
        if (isGivenRole(chosen)) onChange(chosen)
      }}
    >
      <div className={styles.roles}>
        {givenRoles.map((role) => (
          <Radio.Card
            key={role}
            value={role}
            className={styles.role}
            disabled={disabled}
            aria-label={organizationRoleNames[role]}
            aria-describedby={`about-${role}`}
          >
            <Radio.Indicator disabled={disabled} aria-hidden />
            <span className={styles.about} id={`about-${role}`}>
              <Text span fw={600} size="sm" aria-hidden>
                {organizationRoleNames[role]}
              </Text>
              <Text span size="sm" c="dimmed">
                May {organizationRoleRights[role]}.
              </Text>
            </span>
          </Radio.Card>
        ))}
      </div>
    </Radio.Group>
  )
}
