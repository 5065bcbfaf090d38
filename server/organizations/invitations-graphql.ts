import { admins, builder } from '../graphql/builder.ts'
import { acting, actingMember } from '../graphql/context.ts'
import { keepSession, replacedBySignIn, signInPayload } from '../identity/graphql.ts'
import { SignInRefused, TooManyAttempts } from '../identity/refusals.ts'
import { InvalidInput } from '../refusal.ts'
import { memberType, organizationRole } from './graphql.ts'
import {
  acceptInvitation,
  findOffer,
  type Invitation,
  type InvitationOffer,
  inviteMember,
  listInvitations,
  revokeInvitation,
} from './invitations.ts'
import { AlreadyMember, InvitationNotFound, TooManyInvitations } from './refusals.ts'

const invitationType = builder.objectRef<Invitation>('Invitation').implement({
  description:
    'An invitation to become a member. Whoever holds its link can accept it, once, until it expires, and as long as whoever made it\nmay invite.',
  fields: (t) => ({
    id: t.exposeID('id'),
    email: t.exposeString('email'),
    role: t.expose('role', { type: organizationRole, description: 'What its member is to be.' }),
    domainConfirmed: t.exposeBoolean('domainConfirmed', {
      description:
        "Whether the operator has confirmed that the address's domain is the organization's. Where it is, whoever has no password yet\nchooses one when they accept. Elsewhere an invitation proves nothing of whose address it is: only whoever has a password\nhere already can accept it, with that.",
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
    createdBy: t.expose('createdBy', { type: memberType }),
  }),
})

const inviteMemberInput = builder.inputType('InviteMemberInput', {
  fields: (t) => ({
    email: t.string({ required: true }),
    role: t.field({
      type: organizationRole,
      required: true,
      description: 'Any but `OWNER`, of whom an organization has one.',
    }),
  }),
})

const inviteMemberPayload = builder
  .objectRef<{ invitation: Invitation; link: string; secret: string }>('InviteMemberPayload')
  .implement({
    fields: (t) => ({
      invitation: t.expose('invitation', { type: invitationType }),
      link: t.exposeString('link', {
        description:
          'The page on which it is accepted, for you to send to them. It is shown this once: it cannot be read again.',
      }),
      secret: t.exposeString('secret', {
        description:
          "What `acceptInvitation` takes, for a page of one's own. It is in the link, after the `#`, which no browser sends to a server.",
      }),
    }),
  })

const revokeInvitationInput = builder.inputType('RevokeInvitationInput', {
  fields: (t) => ({ id: t.id({ required: true }) }),
})

const revokeInvitationPayload = builder.objectRef<{ id: string }>('RevokeInvitationPayload').implement({
  fields: (t) => ({ revokedInvitationId: t.exposeID('id') }),
})

const invitationOffer = builder.objectRef<InvitationOffer>('InvitationOffer').implement({
  description: 'What an invitation offers to whoever holds its link.',
  fields: (t) => ({
    organization: t.exposeString('organization', { description: 'The name of the organization.' }),
    email: t.exposeString('email', { description: 'Whom it is for.' }),
    role: t.expose('role', { type: organizationRole }),
    choosesPassword: t.exposeBoolean('choosesPassword', {
      description:
        'Whether they choose their first password when they accept; otherwise they give the one with which they sign in.',
    }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
  }),
})

const acceptInvitationInput = builder.inputType('AcceptInvitationInput', {
  fields: (t) => ({
    secret: t.string({ required: true }),
    password: t.string({
      required: true,
      description:
        'The one with which they sign in or, for `choosesPassword`, the one with which they will: 12 to 128 characters.',
    }),
    displayName: t.string({
      description: 'How they are called: 1 to 320 characters. Made from the address where it is left out.',
    }),
  }),
})

builder.queryFields((t) => ({
  invitations: t.field({
    type: [invitationType],
    description: 'The invitations that can be accepted now, the newest first.',
    directives: { hasRole: { anyOf: admins } },
    resolve: (_root, _args, context) => listInvitations(acting(context)),
  }),
  invitationOffer: t.field({
    type: invitationOffer,
    nullable: true,
    description: 'What the invitation of this secret offers; null for one that cannot be accepted now.',
    directives: { public: {} },
    args: { secret: t.arg.string({ required: true }) },
    resolve: (_root, { secret }, context) => findOffer(context, secret),
  }),
}))

builder.mutationFields((t) => ({
  inviteMember: t.field({
    type: inviteMemberPayload,
    description:
      'Invites whoever has the email address to become a member: makes a link, which is good once and for 7 days. An address that was\ninvited before has a new invitation, and its former link is good no more. Nothing is sent to anyone.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput, AlreadyMember, TooManyInvitations], union: { name: 'InviteMemberResult' } },
    args: { input: t.arg({ type: inviteMemberInput, required: true }) },
    resolve: async (_root, { input }, context) => {
      const { invitation, secret } = await inviteMember(actingMember(context), input)
      return { invitation, secret, link: `${context.publicUrl.origin}/invitation#${secret}` }
    },
  }),
  revokeInvitation: t.field({
    type: revokeInvitationPayload,
    description: 'Withdraws an invitation: its link is refused once this has answered.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvitationNotFound], union: { name: 'RevokeInvitationResult' } },
    args: { input: t.arg({ type: revokeInvitationInput, required: true }) },
    resolve: async (_root, { input }, context) => ({ id: await revokeInvitation(acting(context), input.id) }),
  }),
  acceptInvitation: t.field({
    type: signInPayload,
    description:
      'Makes whom the invitation is for a member, and begins a session there, as `signIn` does. Whoever became a member in another\nway meanwhile stays what they are. A wrong password counts as an attempt to sign in.',
    directives: { public: {} },
    errors: {
      types: [InvalidInput, InvitationNotFound, SignInRefused, TooManyAttempts],
      union: { name: 'AcceptInvitationResult' },
    },
    args: { input: t.arg({ type: acceptInvitationInput, required: true }) },
    resolve: async (_root, { input: { secret, password, displayName } }, context) => {
      const replacing = replacedBySignIn(context)
      return keepSession(
        context,
        await acceptInvitation(context, { secret, password, displayName: displayName ?? null, replacing }),
      )
    },
  }),
}))
