import { Card, Text, Title } from '@mantine/core'
import { FactList } from '../interface/fact-list.tsx'
import { Instant } from '../interface/instant.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { organizationRoleNames, organizationRoleRights } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'

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
        You may {organizationRoleRights[member.role]}. Your own access token is at the top right of this page.
      </Text>
    </Card>
  )
}
