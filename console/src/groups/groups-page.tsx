import { type Group, unwrap } from '@latchkey/sdk'
import { Alert, Text } from '@mantine/core'
import { IconCheck, IconUsersGroup } from '@tabler/icons-react'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Failure, FailureNote } from '../interface/failure.tsx'
import { Notice } from '../interface/notice.tsx'
import { usePageTitle } from '../interface/page-title.ts'
import { TextLink } from '../interface/text-link.tsx'
import tools from '../interface/tools.module.css'
import { latchkey } from '../latchkey.ts'
import { organizationRoleNames } from '../session/roles.ts'
import { useViewer, viewerQuery } from '../session/session.ts'
import type { RoleChange } from './group-role.ts'
import { GroupTable } from './group-table.tsx'
import { groupsKey, groupsQuery } from './queries.ts'
import { RoleWarning } from './role-warning.tsx'

/** What the identity provider's groups make of their members. */
export function GroupsPage() {
  const { organization } = useViewer()
  usePageTitle('Groups', organization.name)
  const groups = useQuery(groupsQuery(organization.id))
  const queryClient = useQueryClient()
  const [asked, ask] = useState<RoleChange | null>(null)
  const [done, say] = useState<string | null>(null)
  const setting = useMutation({
    mutationFn: async ({ group: { id: groupId }, role }: RoleChange) =>
      unwrap((await latchkey.setGroupRole({ input: { groupId, role } })).setGroupRole).group,
    onSuccess: (group) => {
      ask(null)
      say(describeOutcome(group))
    },
    async onSettled() {
      // Whoever changes what a group stands for may be in it.
      const keys = [groupsKey(organization.id), viewerQuery.queryKey, ['audit', organization.id]]
      await Promise.all(keys.map((queryKey) => queryClient.invalidateQueries({ queryKey })))
    },
  })
  const change = (changed: RoleChange) => {
    say(null)
    setting.reset()
    if ([changed.group.role, changed.role].includes('SUPER_ADMIN')) ask(changed)
    else setting.mutate(changed)
  }
  if (groups.error && !groups.data) {
    return <Failure title="The groups cannot be shown" error={groups.error} retry={() => void groups.refetch()} />
  }
  if (groups.data?.length === 0) return <NoGroups />
  return (
    <>
      <div className={tools.tools}>
        <Text size="sm" className={tools.about}>
          Your identity provider says who is in a group, and you say here which role that gives them. Whoever is in
          several has the highest role of theirs. A role that was given by hand stays; only a Member’s is raised.
        </Text>
      </div>
      <div role="status">
        {done && (
          <Alert role="note" icon={<IconCheck aria-hidden />} mb="md">
            {done}
          </Alert>
        )}
      </div>
      {setting.error && !asked && (
        <div className={tools.tools}>
          <FailureNote error={setting.error} />
        </div>
      )}
      <GroupTable
        groups={groups.data ?? null}
        changing={setting.isPending ? setting.variables.group.id : null}
        onChange={change}
      />
      <RoleWarning
        change={asked}
        error={setting.error}
        isPending={setting.isPending}
        onClose={() => {
          setting.reset()
          ask(null)
        }}
        onProceed={(confirmed) => setting.mutate(confirmed)}
      />
    </>
  )
}

function describeOutcome({ displayName, role }: Group): string {
  return role
    ? `The role of whoever is in ${displayName} is ${organizationRoleNames[role]}, unless another one counts more.`
    : `${displayName} says nothing of its members’ role any more.`
}

function NoGroups() {
  const { slug } = useViewer().organization
  return (
    <Notice
      icon={<IconUsersGroup />}
      title="No groups yet"
      action={
        <TextLink to="/organizations/$slug/integration-tokens" params={{ slug }}>
          Go to the integration tokens
        </TextLink>
      }
    >
      Groups come from your identity provider, such as Okta or Microsoft Entra, over SCIM. Create an integration token
      with the role SCIM: beside its value you are shown where it goes. Then have the provider push its groups, and say
      here which role the members of each have.
    </Notice>
  )
}
