import { Button, Tabs } from '@mantine/core'
import { IconArrowsExchange, IconKey, IconLock } from '@tabler/icons-react'
import { Outlet, useNavigate, useParams, useRouterState } from '@tanstack/react-router'
import { useState } from 'react'
import { AccessTokenPanel } from '../access-token/access-token-panel.tsx'
import { Notice } from '../interface/notice.tsx'
import { PageHeader } from '../interface/page-header.tsx'
import { explainFailure } from '../latchkey.ts'
import { mayManageTokens, organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import { useSwitchOrganization } from '../session/switch-organization.ts'
import styles from './organization-page.module.css'

/** Each by its name, with what of that goes without saying where there is little room. */
const tabs = {
  'integration-tokens': { lead: 'Integration ', name: 'Tokens' },
  'token-roles': { lead: 'Token ', name: 'Roles' },
  'token-policy': { lead: 'Token ', name: 'Policy' },
  webhooks: { lead: '', name: 'Webhooks' },
  groups: { lead: '', name: 'Groups' },
  'audit-log': { lead: '', name: 'Audit Log' },
} as const

function isTab(text: string | undefined): text is keyof typeof tabs {
  return text !== undefined && Object.hasOwn(tabs, text)
}

/** An organization: its name, its tabs, and one's own access token to it. */
export function OrganizationPage() {
  const viewer = useViewer()
  const { slug } = useParams({ from: '/signed-in/organizations/$slug' })
  if (viewer.organization.slug !== slug) return <AnotherOrganization slug={slug} />
  return <OwnOrganization />
}

function OwnOrganization() {
  const viewer = useViewer()
  const { name, slug } = viewer.organization
  const navigate = useNavigate()
  const [isAccessTokenShown, showAccessToken] = useState(false)
  const current = useRouterState({ select: ({ location }) => location.pathname.split('/')[3] })
  const mayManage = mayManageTokens(viewer)
  return (
    <>
      <PageHeader above="Organizations" title={name}>
        <Button
          variant="default"
          leftSection={<IconKey aria-hidden size={16} />}
          aria-haspopup="dialog"
          onClick={() => showAccessToken(true)}
        >
          Access Token
        </Button>
      </PageHeader>
      <AccessTokenPanel opened={isAccessTokenShown} onClose={() => showAccessToken(false)} />
      {mayManage ? (
        <Tabs
          value={isTab(current) ? current : null}
          onChange={(value) => {
            if (value && isTab(value)) void navigate({ to: `/organizations/$slug/${value}`, params: { slug } })
          }}
          keepMounted={false}
          classNames={{ tab: styles.tab }}
        >
          <Tabs.List aria-label={`Of ${name}`}>
            {Object.entries(tabs).map(([value, { lead, name: short }]) => (
              <Tabs.Tab key={value} value={value}>
                <span className={styles.lead}>{lead}</span>
                {short}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          {isTab(current) && (
            <Tabs.Panel value={current} pt="lg">
              <Outlet />
            </Tabs.Panel>
          )}
        </Tabs>
      ) : isTab(current) ? (
        <Notice icon={<IconLock />} title="This page is for owners and super admins">
          Your role in {name} is {organizationRoleNames[viewer.member.role]}. An owner or a super admin can show you
          what you need, or give you another role.
        </Notice>
      ) : (
        <Outlet />
      )}
    </>
  )
}

/** A session acts in one organization at a time, and an address may be another's. */
function AnotherOrganization({ slug }: { slug: string }) {
  const { organization, organizations } = useViewer()
  const switching = useSwitchOrganization()
  const other = organizations.find((candidate) => candidate.slug === slug)
  if (!other) {
    return (
      <Notice order={1} icon={<IconLock />} title="This address is none of your organizations’">
        You are no member of an organization called “{slug}”, or there is none. You are signed in to {organization.name}
        .
      </Notice>
    )
  }
  return (
    <Notice
      order={1}
      icon={<IconArrowsExchange />}
      title={`This page belongs to ${other.name}`}
      action={
        <Button loading={switching.isPending} onClick={() => switching.mutate(slug)}>
          Switch to {other.name}
        </Button>
      }
    >
      {switching.error ? explainFailure(switching.error) : `You are signed in to ${organization.name}.`}
    </Notice>
  )
}
