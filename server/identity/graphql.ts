import { withOrganization } from '../database/with-organization.ts'
import { builder } from '../graphql/builder.ts'
import { actingMember, type Context } from '../graphql/context.ts'
import { memberType, organizationType } from '../organizations/graphql.ts'
import { findMember, readOrganization } from '../organizations/members.ts'
import { organizationRoles } from '../organizations/roles.ts'
import { InvalidInput } from '../refusal.ts'
import { integrationTokenType } from '../tokens/graphql.ts'
import * as tokens from '../tokens/service.ts'
import { changePassword } from './password-change.ts'
import type { MemberPrincipal, ServicePrincipal, TokenPrincipal } from './principal.ts'
import { NotAMember, SessionNotFound, SignInRefused, TooManyAttempts, WrongPassword } from './refusals.ts'
import { type AccessToken, listMemberships } from './repository.ts'
import type { SignedIn } from './service.ts'
import * as service from './service.ts'
import { endOtherSessions, endSession, type ListedSession, listSessions } from './sessions.ts'

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

const sessionType = builder.objectRef<ListedSession>('Session').implement({
  description:
    'A browser or a program in which a person is signed in: until it signs out, has not been used for 12 hours, or 7 days have\npassed.',
  fields: (t) => ({
    id: t.exposeID('id'),
    organization: t.expose('organization', {
      type: organizationType,
      description: 'The organization in which it acts.',
    }),
    createdAt: t.expose('createdAt', {
      type: 'DateTime',
      description: 'When it began: at signing in, or at switching to the organization.',
    }),
    lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime', description: 'To within a minute.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When it ends, however much it is used.' }),
    ipAddress: t.exposeString('ipAddress', { nullable: true, description: 'The address from which it began.' }),
    userAgent: t.exposeString('userAgent', {
      nullable: true,
      description: 'What the browser or the program called itself then.',
    }),
    current: t.exposeBoolean('current', { description: 'Whether it is the session that asks.' }),
  }),
})

builder.queryField('sessions', (t) =>
  t.field({
    type: [sessionType],
    description:
      'Where the person behind the caller is signed in, in every organization: the 200 sessions that were used last, the latest\nfirst. An access token belongs to one organization, and is shown those in that one alone.',
    directives: { hasRole: { anyOf: organizationRoles } },
    resolve: (_root, _args, context) => listSessions(actingMember(context)),
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

export const signInPayload = builder.objectRef<SignedIn>('SignInPayload').implement({
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

const endSessionInput = builder.inputType('EndSessionInput', { fields: (t) => ({ id: t.id({ required: true }) }) })

const endSessionPayload = builder.objectRef<{ id: string }>('EndSessionPayload').implement({
  fields: (t) => ({ endedSessionId: t.exposeID('id') }),
})

const endOtherSessionsPayload = builder.objectRef<{ endedSessions: number }>('EndOtherSessionsPayload').implement({
  fields: (t) => ({ endedSessions: t.exposeInt('endedSessions', { description: 'How many there were.' }) }),
})

const changePasswordInput = builder.inputType('ChangePasswordInput', {
  fields: (t) => ({
    currentPassword: t.string({ required: true }),
    newPassword: t.string({
      required: true,
      description: '12 to 128 characters, and none of those passwords that whoever guesses tries first.',
    }),
  }),
})

const changePasswordPayload = builder
  .objectRef<{ sessionToken: string; expiresAt: Date }>('ChangePasswordPayload')
  .implement({
    fields: (t) => ({
      sessionToken: t.exposeString('sessionToken', {
        description:
          "The session's new secret, for clients that keep no cookies. Browsers get it as their HttpOnly cookie instead.",
      }),
      expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
    }),
  })

export function keepSession<Kept extends { sessionToken: string; expiresAt: Date }>(
  { session }: Context,
  kept: Kept,
): Kept {
  session.set(kept.sessionToken, kept.expiresAt)
  return kept
}

/** A browser forgets the session of a cookie that is replaced; a bearer's goes on with whoever holds it. */
export const replacedBySignIn = ({ session, principal }: Context) =>
  session.isCallers && principal?.kind === 'member' ? principal : null

builder.mutationFields((t) => ({
  signIn: t.field({
    type: signInPayload,
    description: 'Begins a session. In a browser it takes the place of the one before, which ends.',
    directives: { public: {} },
    errors: { types: [SignInRefused, TooManyAttempts], union: { name: 'SignInResult' } },
    args: { input: t.arg({ type: signInInput, required: true }) },
    resolve: async (_root, { input: { email, password, organization } }, context) => {
      const replacing = replacedBySignIn(context)
      return keepSession(
        context,
        await service.signIn(context, { email, password, slug: organization ?? null, replacing }),
      )
    },
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
  endSession: t.field({
    type: endSessionPayload,
    description: 'Ends one of the sessions that `sessions` shows the caller. The one that asks may end itself.',
    directives: { hasRole: { anyOf: organizationRoles } },
    errors: { types: [SessionNotFound], union: { name: 'EndSessionResult' } },
    args: { input: t.arg({ type: endSessionInput, required: true }) },
    resolve: async (_root, { input }, context) => {
      const ended = await endSession(actingMember(context), input.id)
      if (ended.current) context.session.clear()
      return ended
    },
  }),
  endOtherSessions: t.field({
    type: endOtherSessionsPayload,
    description: 'Ends every session that `endSession` could end, but for the one that asks.',
    directives: { hasRole: { anyOf: organizationRoles } },
    resolve: async (_root, _args, context) => ({ endedSessions: await endOtherSessions(actingMember(context)) }),
  }),
  changePassword: t.field({
    type: changePasswordPayload,
    description:
      'Changes the password with which the person behind the caller signs in to every organization, and ends all of their other\nsessions; the one that asks goes on under a new secret. Only a session can do it. Access tokens stay as they are:\n`resetAccessToken` replaces one. A wrong current password counts as an attempt to sign in.',
    directives: { hasRole: { anyOf: organizationRoles } },
    errors: { types: [InvalidInput, WrongPassword, TooManyAttempts], union: { name: 'ChangePasswordResult' } },
    args: { input: t.arg({ type: changePasswordInput, required: true }) },
    resolve: async (_root, { input }, context) =>
      keepSession(context, await changePassword(actingMember(context), input)),
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
