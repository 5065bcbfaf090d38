import { Tabs } from '@mantine/core'
import { Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { PageHeader } from '../interface/page-header.tsx'
import { useViewer } from '../session/session.ts'

const tabs = {
  'access-token': 'Access Token',
  sessions: 'Sessions',
  password: 'Password',
} as const

function isTab(text: string | undefined): text is keyof typeof tabs {
  return text !== undefined && Object.hasOwn(tabs, text)
}

/** What is the signed-in person's own, whichever organization the session acts in. */
export function AccountPage() {
  const { member } = useViewer()
  const navigate = useNavigate()
  const current = useRouterState({ select: ({ location }) => location.pathname.split('/')[2] })
  return (
    <>
      <PageHeader above={member.email} title="Your account" />
      <Tabs
        value={isTab(current) ? current : null}
        onChange={(value) => {
          if (value && isTab(value)) void navigate({ to: `/account/${value}` })
        }}
        keepMounted={false}
      >
        <Tabs.List aria-label="Of your account">
          {Object.entries(tabs).map(([value, label]) => (
            <Tabs.Tab key={value} value={value}>
              {label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {isTab(current) && (
          <Tabs.Panel value={current} pt="lg">
            <Outlet />
          </Tabs.Panel>
        )}
      </Tabs>
    </>
  )
}
