import {
  ActionIcon,
  Avatar,
  Button,
  Divider,
  Drawer,
  Menu,
  SegmentedControl,
  Text,
  useMantineColorScheme,
  VisuallyHidden,
} from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import {
  IconBuilding,
  IconChevronDown,
  IconCode,
  IconDeviceDesktop,
  IconDevices,
  IconKey,
  IconLock,
  IconLogout,
  IconMenu2,
  IconMoon,
  IconSun,
} from '@tabler/icons-react'
import { useMutation } from '@tanstack/react-query'
import { Link, Outlet, useNavigate, useRouterState } from '@tanstack/react-router'
import { type ReactNode, useEffect, useRef } from 'react'
import { Brand } from '../interface/brand.tsx'
import { FailureNote } from '../interface/failure.tsx'
import { latchkey } from '../latchkey.ts'
import styles from './frame.module.css'
import { OrganizationMenu } from './organization-menu.tsx'
import { mayManage, organizationRoleNames } from './roles.ts'
import { useViewer } from './session.ts'

/** What is around every page of someone who is signed in. */
export function Frame() {
  const [opened, { open, close }] = useDisclosure()
  useFocusOnArrival()
  return (
    <div className={styles.frame}>
      <a href="#content" className={styles.skip}>
        Skip to the content
      </a>
      <nav className={styles.bar} aria-label="Top">
        <Brand />
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label="Open the navigation" onClick={open}>
          <IconMenu2 aria-hidden />
        </ActionIcon>
      </nav>
      <Drawer opened={opened} onClose={close} position="left" size={300} title={<Brand />}>
        <nav aria-label="Main">
          <Navigation onLeave={close} />
        </nav>
      </Drawer>
      <nav className={styles.side} aria-label="Main">
        <div className={styles.brand}>
          <Brand />
        </div>
        <Navigation />
      </nav>
      <main id="content" className={styles.content} tabIndex={-1} data-scroll-restoration-id="content">
        <div className={styles.page}>
          <Outlet />
        </div>
      </main>
    </div>
  )
}

/** What was focused may be gone with the page that it was on: on from the beginning of the one that has come. */
function useFocusOnArrival(): void {
  const path = useRouterState({ select: ({ resolvedLocation }) => resolvedLocation?.pathname })
  const last = useRef(path)
  useEffect(() => {
    if (last.current === path) return
    last.current = path
    if (document.activeElement === document.body) document.getElementById('content')?.focus()
  }, [path])
}

function Navigation({ onLeave }: { onLeave?: () => void }) {
  const viewer = useViewer()
  const { slug } = viewer.organization
  return (
    <div className={styles.navigation}>
      <OrganizationMenu onLeave={onLeave} />
      <div>
        <Link
          to="/organizations/$slug"
          params={{ slug }}
          className={styles.link}
          activeProps={{ 'data-active': true }}
          onClick={onLeave}
        >
          <IconBuilding aria-hidden size={18} />
          Organizations
        </Link>
        {mayManage(viewer) && (
          <a href="/graphql" className={styles.link}>
            <IconCode aria-hidden size={18} />
            GraphiQL
          </a>
        )}
      </div>
      <div className={styles.spacer} />
      <ColorScheme />
      <Divider />
      <Account onLeave={onLeave} />
    </div>
  )
}

function ColorScheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const choice = (label: string, icon: ReactNode) => (
    <>
      {icon}
      <VisuallyHidden>{label}</VisuallyHidden>
    </>
  )
  return (
    <SegmentedControl
      aria-label="Appearance"
      fullWidth
      size="xs"
      value={colorScheme}
      onChange={(value) => {
        if (value === 'light' || value === 'dark' || value === 'auto') setColorScheme(value)
      }}
      data={[
        { value: 'auto', label: choice('As the system has it', <IconDeviceDesktop aria-hidden size={16} />) },
        { value: 'light', label: choice('Light', <IconSun aria-hidden size={16} />) },
        { value: 'dark', label: choice('Dark', <IconMoon aria-hidden size={16} />) },
      ]}
    />
  )
}

const ownPages = [
  ['/account/access-token', 'Access Token', IconKey],
  ['/account/sessions', 'Sessions', IconDevices],
  ['/account/password', 'Password', IconLock],
] as const

function Account({ onLeave }: { onLeave?: (() => void) | undefined }) {
  const { member } = useViewer()
  const navigate = useNavigate()
  const signOut = useMutation({
    mutationFn: () => latchkey.signOut(),
    onSuccess: () => navigate({ to: '/sign-in', search: { ending: 'signed-out' } }),
  })
  return (
    <>
      <Menu position="top-start" width="target" withinPortal={false} withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <Button
            variant="subtle"
            color="gray"
            fullWidth
            justify="start"
            className={styles.account}
            leftSection={<Avatar name={member.displayName} size="sm" alt="" />}
            rightSection={<IconChevronDown aria-hidden size={14} />}
          >
            <span className={styles.who}>
              <Text span size="sm" fw={550} truncate>
                {member.displayName}
              </Text>
              <Text span size="xs" c="dimmed" truncate>
                {organizationRoleNames[member.role]}
              </Text>
            </span>
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>
            Your account
            <span className={styles.email}>{member.email}</span>
          </Menu.Label>
          {ownPages.map(([to, name, Icon]) => (
            <Menu.Item key={to} component={Link} to={to} leftSection={<Icon aria-hidden size={16} />} onClick={onLeave}>
              {name}
            </Menu.Item>
          ))}
          <Menu.Divider />
          <Menu.Item
            leftSection={<IconLogout aria-hidden size={16} />}
            disabled={signOut.isPending}
            onClick={() => signOut.mutate()}
          >
            Sign out
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      {signOut.error && <FailureNote error={signOut.error} />}
    </>
  )
}
