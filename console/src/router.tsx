import type { MemberViewer } from '@latchkey/sdk'
import type { QueryClient } from '@tanstack/react-query'
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  type ErrorComponentProps,
  lazyRouteComponent,
  Outlet,
  redirect,
  useRouter,
} from '@tanstack/react-router'
import { AccessTokenPage } from './access-token/access-token-page.tsx'
import { AccountPage } from './account/account-page.tsx'
import { PasswordPage } from './account/password-page.tsx'
import { SessionsPage } from './account/sessions-page.tsx'
import { AuditPage } from './audit/audit-page.tsx'
import { readAuditView } from './audit/audit-view.ts'
import { GroupsPage } from './groups/groups-page.tsx'
import { Failure } from './interface/failure.tsx'
import { NothingHere } from './interface/nothing-here.tsx'
import { forgetSecret } from './invitation/presented-secret.ts'
import { isUnauthenticated } from './latchkey.ts'
import { readMemberView } from './members/member-view.ts'
import { OrganizationPage } from './organization/organization-page.tsx'
import { OverviewPage } from './organization/overview-page.tsx'
import { Frame } from './session/frame.tsx'
import { mayManage } from './session/roles.ts'
import { type Ending, isEnding, isOwnAddress, viewerQuery } from './session/session.ts'
import { SignInPage } from './session/sign-in-page.tsx'
import { PolicyPage } from './token-policy/policy-page.tsx'
import { RolesPage } from './token-roles/roles-page.tsx'
import { ListPage } from './tokens/list-page.tsx'
import { readListView } from './tokens/list-view.ts'
import { TokenPage } from './tokens/token-page.tsx'
import { readDeliveryView } from './webhooks/delivery-view.ts'

const rootRoute = createRootRouteWithContext<{ queryClient: QueryClient }>()({
  component: Outlet,
  notFoundComponent: NothingHere,
})

/** Null where nobody is signed in, which is asked once: signing in is what changes it. */
async function findViewer(queryClient: QueryClient) {
  if (isUnauthenticated(queryClient.getQueryState(viewerQuery.queryKey)?.error)) return null
  return nullWhereNobody(queryClient.ensureQueryData(viewerQuery))
}

async function nullWhereNobody(reading: Promise<MemberViewer>): Promise<MemberViewer | null> {
  try {
    return await reading
  } catch (error) {
    if (isUnauthenticated(error)) return null
    throw error
  }
}

const signInRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/sign-in',
  validateSearch: ({ next, ending }: Record<string, unknown>): { next?: string; ending?: Ending } => ({
    ...(isOwnAddress(next) && { next }),
    ...(isEnding(ending) && { ending }),
  }),
  async beforeLoad({ context: { queryClient }, search: { ending } }) {
    if (!ending && (await findViewer(queryClient))) throw redirect({ to: '/', replace: true })
  },
  component: SignInPage,
})

const invitationRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: '/invitation',
  async beforeLoad({ context: { queryClient } }) {
    // Also where the session has changed in another tab, which nothing on the page itself follows.
    return { viewer: await nullWhereNobody(queryClient.fetchQuery(viewerQuery)) }
  },
  component: lazyRouteComponent(() => import('./invitation/invitation-page.tsx'), 'InvitationPage'),
  onLeave: forgetSecret,
})

const signedInRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: 'signed-in',
  async beforeLoad({ context: { queryClient }, location: { href } }) {
    const viewer = await findViewer(queryClient)
    if (!viewer) throw redirect({ to: '/sign-in', search: href === '/' ? {} : { next: href }, replace: true })
    return { viewer }
  },
  component: Frame,
})

function toOwnOrganization({
  context: { viewer },
}: {
  context: { viewer: { organization: { slug: string } } }
}): never {
  throw redirect({ to: '/organizations/$slug', params: { slug: viewer.organization.slug }, replace: true })
}

const indexRoute = createRoute({ getParentRoute: () => signedInRoute, path: '/', beforeLoad: toOwnOrganization })
const organizationsRoute = createRoute({
  getParentRoute: () => signedInRoute,
  path: '/organizations',
  beforeLoad: toOwnOrganization,
})

const organizationRoute = createRoute({
  getParentRoute: () => signedInRoute,
  path: '/organizations/$slug',
  component: OrganizationPage,
})

const overviewRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/',
  beforeLoad({ context: { viewer }, params: { slug } }) {
    if (viewer.organization.slug === slug && mayManage(viewer)) {
      throw redirect({ to: '/organizations/$slug/integration-tokens', params: { slug }, replace: true })
    }
  },
  component: OverviewPage,
})

const listRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/integration-tokens',
  validateSearch: readListView,
  component: ListPage,
})

const tokenRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/integration-tokens/$tokenId',
  component: TokenPage,
})

const rolesRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/token-roles',
  component: RolesPage,
})

const policyRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/token-policy',
  component: PolicyPage,
})

const webhooksRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/webhooks',
  component: lazyRouteComponent(() => import('./webhooks/webhooks-page.tsx'), 'WebhooksPage'),
})

const webhookRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/webhooks/$webhookId',
  validateSearch: readDeliveryView,
  component: lazyRouteComponent(() => import('./webhooks/webhook-page.tsx'), 'WebhookPage'),
})

const membersRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/members',
  validateSearch: readMemberView,
  component: lazyRouteComponent(() => import('./members/members-page.tsx'), 'MembersPage'),
})

const groupsRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/groups',
  component: GroupsPage,
})

const auditRoute = createRoute({
  getParentRoute: () => organizationRoute,
  path: '/audit-log',
  validateSearch: readAuditView,
  component: AuditPage,
})

const accountRoute = createRoute({
  getParentRoute: () => signedInRoute,
  path: '/account',
  component: AccountPage,
})

const accountIndexRoute = createRoute({
  getParentRoute: () => accountRoute,
  path: '/',
  beforeLoad() {
    throw redirect({ to: '/account/access-token', replace: true })
  },
})

const accessTokenRoute = createRoute({
  getParentRoute: () => accountRoute,
  path: '/access-token',
  component: AccessTokenPage,
})

const sessionsRoute = createRoute({ getParentRoute: () => accountRoute, path: '/sessions', component: SessionsPage })
const passwordRoute = createRoute({ getParentRoute: () => accountRoute, path: '/password', component: PasswordPage })

function Failed({ error, reset }: ErrorComponentProps) {
  const router = useRouter()
  return <Failure title="This page cannot be shown" error={error} retry={() => void router.invalidate().then(reset)} />
}

export function createConsoleRouter(queryClient: QueryClient) {
  return createRouter({
    routeTree: rootRoute.addChildren([
      signInRoute,
      invitationRoute,
      signedInRoute.addChildren([
        indexRoute,
        organizationsRoute,
        organizationRoute.addChildren([
          overviewRoute,
          listRoute,
          tokenRoute,
          rolesRoute,
          policyRoute,
          webhooksRoute,
          webhookRoute,
          membersRoute,
          groupsRoute,
          auditRoute,
        ]),
        accountRoute.addChildren([accountIndexRoute, accessTokenRoute, sessionsRoute, passwordRoute]),
      ]),
    ]),
    context: { queryClient },
    // Otherwise what a route's own reading left out would still be there.
    search: { strict: true },
    defaultErrorComponent: Failed,
    defaultNotFoundComponent: NothingHere,
    defaultPendingMs: 300,
    scrollRestoration: true,
    scrollToTopSelectors: ['#content'],
  })
}
