import type {
  AcceptInvitationMutation,
  AccessTokenFragment,
  AuditEventFragment,
  ChangePasswordMutation,
  CreateTokenMutation,
  CreateTokenRoleMutation,
  CreateWebhookMutation,
  DeleteTokenMutation,
  DeleteTokenRoleMutation,
  DeleteWebhookMutation,
  EndSessionMutation,
  GroupFragment,
  IntegrationTokenFragment,
  InvitationFragment,
  InvitationOfferQuery,
  InviteMemberMutation,
  MemberFragment,
  OrganizationFragment,
  PageInfoFragment,
  RedeliverWebhookMutation,
  RefusalFragment,
  RegenerateTokenMutation,
  RegenerateWebhookSecretMutation,
  RevokeInvitationMutation,
  SessionFragment,
  SetGroupRoleMutation,
  SetMemberActiveMutation,
  SetMemberRoleMutation,
  SignInMutation,
  SwitchOrganizationMutation,
  TestWebhookMutation,
  TokenPolicyFragment,
  TokenRoleFragment,
  TokenSecretFragment,
  TokenVerificationFragment,
  UpdateTokenMutation,
  UpdateTokenPolicyMutation,
  UpdateTokenRoleMutation,
  UpdateWebhookMutation,
  ViewerQuery,
  WebhookAttemptFragment,
  WebhookDeliveryFragment,
  WebhookFragment,
} from './generated.ts'

export type {
  AcceptInvitationInput,
  AuditEventFilter,
  ChangePasswordInput,
  CreateTokenInput,
  CreateTokenRoleInput,
  CreateWebhookInput,
  CredentialKind,
  DeleteTokenInput,
  DeleteTokenRoleInput,
  DeleteWebhookInput,
  EndSessionInput,
  GroupRole,
  IntegrationTokenFilter,
  IntegrationTokenSort,
  InviteMemberInput,
  MemberFilter,
  OrganizationRole,
  RedeliverWebhookInput,
  RegenerateTokenInput,
  RegenerateWebhookSecretInput,
  RevokeInvitationInput,
  SetGroupRoleInput,
  SetMemberActiveInput,
  SetMemberRoleInput,
  SignInInput,
  TestWebhookInput,
  TokenRoleKind,
  TokenStatus,
  UpdateTokenInput,
  UpdateTokenPolicyInput,
  UpdateTokenRoleInput,
  UpdateWebhookInput,
  WebhookDeliveryFilter,
  WebhookDeliveryStatus,
  WebhookEventType,
} from './generated.ts'

// Every instant in these is an RFC 3339 string in UTC with milliseconds, as it came over the wire: `new Date(at)` reads it.

/** A credential with which another system acts for the organization. Its secret is not in it. */
export type IntegrationToken = IntegrationTokenFragment
/** One accepted secret of a token: its last four characters and its dates, never the value. */
export type TokenSecret = TokenSecretFragment
/** What an integration token may do: a named set of permissions, each as `resource:action`. */
export type TokenRole = TokenRoleFragment
/** What an organization asks of its tokens' expiry. */
export type TokenPolicy = TokenPolicyFragment
/** A member's own access token: its last four characters and its dates, never the value. */
export type AccessToken = AccessTokenFragment
/** A customer of the platform; integration tokens belong to it. */
export type Organization = OrganizationFragment
/** A person in one organization. */
export type Member = MemberFragment
/** An invitation that can be accepted now. Its secret is not in it. */
export type Invitation = InvitationFragment
/** What an invitation offers to whoever holds its secret. */
export type InvitationOffer = NonNullable<InvitationOfferQuery['invitationOffer']>
/** A browser or a program in which the caller's person is signed in. Its secret is not in it. */
export type Session = SessionFragment
/** Something that was done in the organization. */
export type AuditEvent = AuditEventFragment
/** An address that is told what happens to the organization's tokens. Its secret is not in it. */
export type Webhook = WebhookFragment
/** One event on its way to one webhook, with every time that it was sent. */
export type WebhookDelivery = WebhookDeliveryFragment
/** One sending of an event to a webhook. */
export type WebhookAttempt = WebhookAttemptFragment
/** The answer about a presented token: `active` alone is told where it is not to be accepted. */
export type TokenVerification = TokenVerificationFragment
/** Where a page stands among the others. */
export type PageInfo = PageInfoFragment

/** Whoever makes the calls, told apart by `__typename`. */
export type Viewer = ViewerQuery['viewer']
/** A group of the organization's identity provider, and what it makes of its members. */
export type Group = GroupFragment
/** A member, by session or access token. */
export type MemberViewer = Extract<Viewer, { __typename: 'MemberViewer' }>
/** An integration token, by its own secret. */
export type TokenViewer = Extract<Viewer, { __typename: 'TokenViewer' }>
/** One of the platform's own services. */
export type ServiceViewer = Extract<Viewer, { __typename: 'ServiceViewer' }>

/** Why a mutation did nothing, told apart by `__typename`. A newer server may have more of them. */
export type Refusal = RefusalFragment
/** The `__typename` of a refusal. */
export type RefusalCode = Refusal['__typename']
/** The refusal of one code, such as `RefusalOf<'InvalidInput'>` with its `issues`. */
export type RefusalOf<Code extends RefusalCode> = Extract<Refusal, { __typename: Code }>

/** What `createToken` answers. */
export type CreateTokenResult = CreateTokenMutation['createToken']
/** What `updateToken` answers. */
export type UpdateTokenResult = UpdateTokenMutation['updateToken']
/** What `regenerateToken` answers. */
export type RegenerateTokenResult = RegenerateTokenMutation['regenerateToken']
/** What `deleteToken` answers. */
export type DeleteTokenResult = DeleteTokenMutation['deleteToken']
/** What `signIn` answers. */
export type SignInResult = SignInMutation['signIn']
/** What `switchOrganization` answers. */
export type SwitchOrganizationResult = SwitchOrganizationMutation['switchOrganization']
/** What `endSession` answers. */
export type EndSessionResult = EndSessionMutation['endSession']
/** What `changePassword` answers. */
export type ChangePasswordResult = ChangePasswordMutation['changePassword']
/** What `setGroupRole` answers. */
export type SetGroupRoleResult = SetGroupRoleMutation['setGroupRole']
/** What `setMemberRole` answers. */
export type SetMemberRoleResult = SetMemberRoleMutation['setMemberRole']
/** What `setMemberActive` answers. */
export type SetMemberActiveResult = SetMemberActiveMutation['setMemberActive']
/** What `inviteMember` answers. */
export type InviteMemberResult = InviteMemberMutation['inviteMember']
/** What `revokeInvitation` answers. */
export type RevokeInvitationResult = RevokeInvitationMutation['revokeInvitation']
/** What `acceptInvitation` answers. */
export type AcceptInvitationResult = AcceptInvitationMutation['acceptInvitation']
/** What `createWebhook` answers. */
export type CreateWebhookResult = CreateWebhookMutation['createWebhook']
/** What `updateWebhook` answers. */
export type UpdateWebhookResult = UpdateWebhookMutation['updateWebhook']
/** What `regenerateWebhookSecret` answers. */
export type RegenerateWebhookSecretResult = RegenerateWebhookSecretMutation['regenerateWebhookSecret']
/** What `deleteWebhook` answers. */
export type DeleteWebhookResult = DeleteWebhookMutation['deleteWebhook']
/** What `testWebhook` answers. */
export type TestWebhookResult = TestWebhookMutation['testWebhook']
/** What `redeliverWebhook` answers. */
export type RedeliverWebhookResult = RedeliverWebhookMutation['redeliverWebhook']
/** What `updateTokenPolicy` answers. */
export type UpdateTokenPolicyResult = UpdateTokenPolicyMutation['updateTokenPolicy']
/** What `createTokenRole` answers. */
export type CreateTokenRoleResult = CreateTokenRoleMutation['createTokenRole']
/** What `updateTokenRole` answers. */
export type UpdateTokenRoleResult = UpdateTokenRoleMutation['updateTokenRole']
/** What `deleteTokenRole` answers. */
export type DeleteTokenRoleResult = DeleteTokenRoleMutation['deleteTokenRole']
