import type { MemberViewer } from '@latchkey/sdk'
import { Button, Tabs } from '@mantine/core'
import { IconArrowsExchange, IconKey, IconLock } from '@tabler/icons-react'
import { Outlet, useNavigate, useParams, useRouterState } from '@tanstack/react-router'
import { type RefObject, useEffect, useRef, useState } from 'react'
import { AccessTokenPanel } from '../access-token/access-token-panel.tsx'
import { Notice } from '../interface/notice.tsx'
import { PageHeader } from '../interface/page-header.tsx'
import { explainFailure } from '../latchkey.ts'
import { mayManage, mayReadMembers, organizationRoleNames } from '../session/roles.ts'
import { useViewer } from '../session/session.ts'
import { useSwitchOrganization } from '../session/switch-organization.ts'
import styles from './organization-page.module.css'

type Viewer = Pick<MemberViewer, 'member'>

/** Each by its name, with what of that goes without saying where there is little room, and for whom it is. */
const tabs = {
  membership: { lead: 'Your ', name: 'Membership', isFor: (viewer: Viewer) => !mayManage(viewer) },
  'integration-tokens': { lead: 'Integration ', name: 'Tokens', isFor: mayManage },
  'token-roles': { lead: 'Token ', name: 'Roles', isFor: mayManage },
  'token-policy': { lead: 'Token ', name: 'Policy', isFor: mayManage },
  webhooks: { lead: '', name: 'Webhooks', isFor: mayManage },
  members: { lead: '', name: 'Members', isFor: mayReadMembers },
  groups: { lead: '', name: 'Groups', isFor: mayManage },
  'audit-log': { lead: '', name: 'Audit Log', isFor: mayManage },
} as const
type Tab = keyof typeof tabs

function isTab(text: string): text is Tab {
  return Object.hasOwn(tabs, text)
}

const addressOf = (tab: Tab) =>
  tab === 'membership' ? ('/organizations/$slug' as const) : (`/organizations/$slug/${tab}` as const)

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
  const current = useRouterState({ select: ({ location }) => location.pathname.split('/')[3] || 'membership' })
  const offered = Object.entries(tabs).filter(([, { isFor }]) => isFor(viewer))
  const isOffered = offered.some(([value]) => value === current)
  const scroller = useTabInSight(current)
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
      {offered.length > 1 && (
        <Tabs
          value={isOffered ? current : null}
          onChange={(value) => {
            if (value && isTab(value)) void navigate({ to: addressOf(value), params: { slug } })
          }}
          keepMounted={false}
          classNames={{ tab: styles.tab, list: styles.list }}
        >
          <div ref={scroller} className={styles.scroller}>
            <Tabs.List aria-label={`Of ${name}`}>
              {offered.map(([value, { lead, name: short }]) => (
                <Tabs.Tab key={value} value={value}>
                  <span className={styles.lead}>{lead}</span>
                  {short}
                </Tabs.Tab>
              ))}
            </Tabs.List>
          </div>
          {isOffered && (
            <Tabs.Panel value={current} pt="lg">
              <Outlet />
            </Tabs.Panel>
          )}
        </Tabs>
      )}
      {isTab(current) && !tabs[current].isFor(viewer) ? (
        <NotForThisRole tab={current} />
      ) : (
        (!isOffered || offered.length === 1) && <Outlet />
      )}
    </>
  )
}

/** For what the tabs scroll in, where there is no room for all: the one that is chosen is in the middle of it. */
function useTabInSight(current: string): RefObject<HTMLDivElement | null> {
  const scroller = useRef<HTMLDivElement>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: another tab is chosen by then.
  useEffect(() => {
    const tab = scroller.current?.querySelector<HTMLElement>('[aria-selected="true"]')
    if (scroller.current && tab) {
      scroller.current.scrollLeft = tab.offsetLeft - (scroller.current.clientWidth - tab.offsetWidth) / 2
    }
  }, [current])
  return scroller
}

function NotForThisRole({ tab }: { tab: Tab }) {
  const { organization, member } = useViewer()
  return (
    <Notice
      icon={<IconLock />}
      title={tab === 'members' ? 'This page is not for guests' : 'This page is for owners and super admins'}
    >
      Your role in {organization.name} is {organizationRoleNames[member.role]}. An owner or a super admin can show you
      what you need, or give you another role.
    </Notice>
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
