import { withOrganization } from '../database/with-organization.ts'
import { builder } from '../graphql/builder.ts'
import { actingMember, type Context } from '../graphql/context.ts'
import { memberType, organizationType } from '../organizations/graphql.ts'
import { findMember, readOrganization } from '../organizations/members.ts'
import { organizationRoles } from '../organizations/roles.ts'
import { integrationTokenType } from '../tokens/graphql.ts'
import * as tokens from '../tokens/service.ts'
import type { MemberPrincipal, ServicePrincipal, TokenPrincipal } from './principal.ts'
import { NotAMember, SignInRefused, TooManyAttempts } from './refusals.ts'
import { type AccessToken, listMemberships } from './repository.ts'
import type { SignedIn } from './service.ts'
import * as service from './service.ts'

const accessTokenType = builder.objectRef<AccessToken>('AccessToken').implement({
  description: "A member's personal access token. The secret itself is shown once, when it is reset, and never again.",
  fields: (t) => ({
    hint: t.exposeString('hint', { description: 'The last four characters of the secret, to tell tokens apart.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime', nullable: true }),
  }),
})

/** Read for the principal itself, which during a sign-in is not the context's. */
const as = <P extends MemberPrincipal | TokenPrincipal>(context: Context, principal: P) => ({ ...context, principal })

const organizationOf = (principal: MemberPrincipal | TokenPrincipal, { database }: Context) =>
  withOrganization(database, principal, (transaction) => readOrganization(transaction, principal))

const memberViewer = builder.objectRef<MemberPrincipal>('MemberViewer').implement({
  fields: (t) => ({
    member: t.field({
      type: memberType,
      resolve: async (principal, _args, { database }) => {
        const member = await withOrganization(database, principal, (transaction) => findMember(transaction, principal))
        if (!member) throw new Error('The member of a credential that was just accepted is gone.')
        return member
      },
    }),
    organization: t.field({
      type: organizationType,
      resolve: (principal, _args, context) => organizationOf(principal, context),
    }),
    organizations: t.field({
      type: [organizationType],
      description: 'Every organization that the person behind this member can switch to, this one included.',
      resolve: async (principal, _args, { database }) => {
        // An access token belongs to one organization, and says nothing of its person's others.
        if (!('session' in principal.by))
          return [
            await withOrganization(database, principal, (transaction) => readOrganization(transaction, principal)),
          ]
        return (await listMemberships(database, principal.personId)).map(({ organization }) => organization)
      },
    }),
    accessToken: t.field({
      type: accessTokenType,
      nullable: true,
      description:
        "The member's personal access token; null until it is first reset. Its permissions follow the member's role.",
      resolve: (principal, _args, context) => service.findAccessToken(as(context, principal)),
    }),
  }),
})

const tokenViewer = builder.objectRef<TokenPrincipal>('TokenViewer').implement({
  fields: (t) => ({
    token: t.field({
      type: integrationTokenType,
      resolve: async (principal, _args, context) => {
        const token = await tokens.findToken(as(context, principal), principal.tokenId)
        if (!token) throw new Error('A token that was just accepted is gone.')
        return token
      },
    }),
    organization: t.field({
      type: organizationType,
      resolve: (principal, _args, context) => organizationOf(principal, context),
    }),
  }),
})

const serviceViewer = builder.objectRef<ServicePrincipal>('ServiceViewer').implement({
  fields: (t) => ({
    name: t.exposeString('name'),
    permissions: t.stringList({ resolve: ({ permissions }) => [...permissions] }),
  }),
})

const viewerTypes = { member: memberViewer, integrationToken: tokenViewer, service: serviceViewer } as const
const viewer = builder.unionType('Viewer', {
  description: 'Whoever made the request.',
  types: [memberViewer, tokenViewer, serviceViewer],
  resolveType: ({ kind }) => viewerTypes[kind],
})

builder.queryField('viewer', (t) =>
  t.field({
    type: viewer,
    directives: { authenticated: {} },
    resolve: (_root, _args, { principal }) => {
      if (!principal) throw new Error('An authenticated field was resolved without a principal.')
      return principal
    },
  }),
)

const signInInput = builder.inputType('SignInInput', {
  fields: (t) => ({
    email: t.string({ required: true }),
    password: t.string({ required: true }),
    organization: t.string({
      description: 'The organization to sign in to, by slug; the one last used where it is left out.',
    }),
  }),
})

const signInPayload = builder.objectRef<SignedIn>('SignInPayload').implement({
  fields: (t) => ({
    viewer: t.expose('principal', { type: memberViewer }),
    sessionToken: t.exposeString('sessionToken', {
      description:
        'For clients that keep no cookies: send it as `Authorization: Bearer …`. Browsers get an HttpOnly cookie instead.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
  }),
})

const signOutPayload = builder.objectRef<{ signedOut: boolean }>('SignOutPayload').implement({
  fields: (t) => ({
    signedOut: t.exposeBoolean('signedOut', {
      description: 'True when a session ended; false for a caller without one, such as an access token.',
    }),
  }),
})

const resetAccessTokenPayload = builder
  .objectRef<{ accessToken: AccessToken; secret: string }>('ResetAccessTokenPayload')
  .implement({
    fields: (t) => ({
      accessToken: t.expose('accessToken', { type: accessTokenType }),
      secret: t.exposeString('secret', {
        description: "The access token's new value. It is shown this once: it cannot be read again.",
      }),
    }),
  })

function keepSession(context: Context, signedIn: SignedIn): SignedIn {
  context.session.set(signedIn.sessionToken, signedIn.expiresAt)
  return signedIn
}

builder.mutationFields((t) => ({
  signIn: t.field({
    type: signInPayload,
    directives: { public: {} },
    errors: { types: [SignInRefused, TooManyAttempts], union: { name: 'SignInResult' } },
    args: { input: t.arg({ type: signInInput, required: true }) },
    resolve: async (_root, { input: { email, password, organization } }, context) =>
      keepSession(context, await service.signIn(context, { email, password, slug: organization ?? null })),
  }),
  signOut: t.field({
    type: signOutPayload,
    directives: { authenticated: {} },
    resolve: async (_root, _args, context) => {
      const { principal } = context
      const signedOut = principal?.kind === 'member' && (await service.signOut({ ...context, principal }))
      if (signedOut) context.session.clear()
      return { signedOut }
    },
  }),
  switchOrganization: t.field({
    type: signInPayload,
    description:
      "Makes the session act in another of the person's organizations, under a new session secret. Only a session can be\nswitched: an access token belongs to one organization.",
    directives: { hasRole: { anyOf: organizationRoles } },
    errors: { types: [NotAMember], union: { name: 'SwitchOrganizationResult' } },
    args: { slug: t.arg.string({ required: true }) },
    resolve: async (_root, { slug }, context) =>
      keepSession(context, await service.switchOrganization(actingMember(context), slug)),
  }),
  resetAccessToken: t.field({
    type: resetAccessTokenPayload,
    description:
      'Gives the caller a new personal access token, refuses the old one at once, and ends every session that the\ncaller has, this one included: they sign in again.',
    directives: { hasRole: { anyOf: organizationRoles } },
    resolve: async (_root, _args, context) => {
      const reset = await service.resetAccessToken(actingMember(context))
      context.session.clear()
      return reset
    },
  }),
}))
