import type { OrganizationRole } from '@latchkey/sdk'
import { Card, Text, Title } from '@mantine/core'
import { FactList } from '../interface/fact-list.tsx'
import { Instant } from '../interface/instant.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'

const rights: Record<OrganizationRole, string> = {
  OWNER: 'You may do everything, and hand the organization over.',
  SUPER_ADMIN: 'You manage members, settings and integration tokens.',
  POWER_USER:
    'You may read everything but integration tokens and the audit log, and send scans with your access token.',
  MEMBER:
    'You may read the organization, its members and its findings, and comment on findings with your access token.',
  GUEST: 'You may read the organization’s name and its apps.',
}

/** What there is for those who do not manage tokens. */
export function OverviewPage() {
  const { organization, member } = useViewer()
  usePageTitle(organization.name)
  return (
    <Card withBorder padding="lg">
      <Title order={2} size="h4" mb="md">
        Your membership
      </Title>
      <FactList
        facts={[
          ['Signed in as', member.email],
          ['Your role', organizationRoleNames[member.role]],
          ['Member since', <Instant key="since" at={member.createdAt} />],
        ]}
      />
      <Text c="dimmed" size="sm" mt="md">
        {rights[member.role]} Your own access token is at the top right of this page.
      </Text>
    </Card>
  )
}
