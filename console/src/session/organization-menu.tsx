import { Button, Menu, Text } from '@mantine/core'
import { IconCheck, IconSelector } from '@tabler/icons-react'
import { FailureNote } from '../interface/failure.tsx'
import styles from './organization-menu.module.css'
import { useViewer } from './session.ts'
import { useSwitchOrganization } from './switch-organization.ts'

/** Which organization one is in; for who is in several, the way into another. */
export function OrganizationMenu({ onLeave = () => undefined }: { onLeave?: (() => void) | undefined }) {
  const { organization, organizations } = useViewer()
  const switching = useSwitchOrganization()
  if (organizations.length < 2) {
    return (
      <Text size="sm" fw={600} px="sm" truncate title={organization.name}>
        {organization.name}
      </Text>
    )
  }
  return (
    <>
      <Menu width="target" position="bottom-start" withinPortal={false} withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <Button
            variant="default"
            fullWidth
            justify="space-between"
            loading={switching.isPending}
            rightSection={<IconSelector aria-hidden size={16} />}
            aria-label={`Organization: ${organization.name}. Switch to another one`}
          >
            <span className={styles.name}>{organization.name}</span>
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>Your organizations</Menu.Label>
          {organizations.map(({ id, name, slug }) => (
            <Menu.Item
              key={id}
              aria-current={id === organization.id ? 'true' : undefined}
              rightSection={id === organization.id && <IconCheck aria-hidden size={16} />}
              onClick={() => {
                if (id !== organization.id) switching.mutate(slug, { onSuccess: onLeave })
              }}
            >
              {name}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      {switching.error && <FailureNote error={switching.error} />}
    </>
  )
}
