import { NotAMember, SessionNotFound, SignInRefused, TooManyAttempts, WrongPassword } from '../identity/refusals.ts'
import {
  AlreadyMember,
  GroupNotFound,
  InvitationNotFound,
  MemberNotFound,
  OwnerProtected,
  TooManyInvitations,
} from '../organizations/refusals.ts'
import { type InputIssue, InvalidInput, type Refusal } from '../refusal.ts'
import {
  ConfirmationNeeded,
  IdempotencyKeyReused,
  LabelTaken,
  TokenNotFound,
  TokenRoleInUse,
  TokenRoleNotFound,
  TooManyTokenRoles,
} from '../tokens/refusals.ts'
import { DeliveryNotFound, TooManyWebhooks, WebhookNotFound } from '../webhooks/refusals.ts'
import { builder } from './builder.ts'

const refusal = builder.interfaceRef<Refusal>('Refusal').implement({
  description:
    'Why a mutation did nothing, in words for a person. Its `__typename` is the code; more refusals may be added.',
  fields: (t) => ({ message: t.exposeString('message') }),
})

const inputIssue = builder.objectRef<InputIssue>('InputIssue').implement({
  fields: (t) => ({
    path: t.exposeString('path', { description: "The input's field, such as `label`." }),
    message: t.exposeString('message'),
  }),
})

builder.objectType(InvalidInput, {
  name: 'InvalidInput',
  interfaces: [refusal],
  fields: (t) => ({ issues: t.field({ type: [inputIssue], resolve: ({ issues }) => issues }) }),
})
builder.objectType(TokenNotFound, { name: 'TokenNotFound', interfaces: [refusal] })
builder.objectType(ConfirmationNeeded, {
  name: 'ConfirmationNeeded',
  description:
    'What was asked for would end or change something that is in use, and was not done. Sent again with `force: true`, it is.',
  interfaces: [refusal],
})
builder.objectType(LabelTaken, {
  name: 'LabelTaken',
  description: 'Another token, or another role, of the organization has the label.',
  interfaces: [refusal],
})
builder.objectType(IdempotencyKeyReused, {
  name: 'IdempotencyKeyReused',
  description:
    'The idempotency key was used within 24 hours with another input, or the token that it made has been deleted or\nregenerated since, so that the first answer no longer holds.',
  interfaces: [refusal],
})
builder.objectType(SignInRefused, {
  name: 'SignInRefused',
  description: 'The same for an unknown email address, a wrong password and a deactivated member.',
  interfaces: [refusal],
})
builder.objectType(TooManyAttempts, {
  name: 'TooManyAttempts',
  interfaces: [refusal],
  fields: (t) => ({ retryAfterSeconds: t.exposeInt('retryAfterSeconds') }),
})
builder.objectType(NotAMember, {
  name: 'NotAMember',
  description: 'The person is no active member of an organization of that name. Whether it exists is not told.',
  interfaces: [refusal],
})
builder.objectType(SessionNotFound, {
  name: 'SessionNotFound',
  description: "The same for a session that has ended, for another person's, and for one that never was.",
  interfaces: [refusal],
})
builder.objectType(MemberNotFound, { name: 'MemberNotFound', interfaces: [refusal] })
builder.objectType(OwnerProtected, {
  name: 'OwnerProtected',
  description: 'The owner keeps their role and stays active, whoever asks.',
  interfaces: [refusal],
})
builder.objectType(AlreadyMember, {
  name: 'AlreadyMember',
  description: 'There is a member of this email address, active or not.',
  interfaces: [refusal],
})
builder.objectType(InvitationNotFound, {
  name: 'InvitationNotFound',
  description:
    'The same for an invitation that was accepted, withdrawn or replaced, for one that expired, and for one that never was.',
  interfaces: [refusal],
})
builder.objectType(TooManyInvitations, {
  name: 'TooManyInvitations',
  description: 'The organization has as many open invitations as it may have.',
  interfaces: [refusal],
})
builder.objectType(GroupNotFound, { name: 'GroupNotFound', interfaces: [refusal] })
builder.objectType(TokenRoleNotFound, { name: 'TokenRoleNotFound', interfaces: [refusal] })
builder.objectType(TokenRoleInUse, {
  name: 'TokenRoleInUse',
  description: 'The role cannot go while tokens have it.',
  interfaces: [refusal],
  fields: (t) => ({
    tokenCount: t.exposeInt('tokenCount', {
      description: 'How many tokens have it, up to 10,000: that number means as many or more.',
    }),
  }),
})
builder.objectType(TooManyTokenRoles, {
  name: 'TooManyTokenRoles',
  description: 'The organization has as many roles of its own as it may have.',
  interfaces: [refusal],
})
builder.objectType(WebhookNotFound, { name: 'WebhookNotFound', interfaces: [refusal] })
builder.objectType(TooManyWebhooks, {
  name: 'TooManyWebhooks',
  description: 'The organization has as many webhooks as it may have.',
  interfaces: [refusal],
})
builder.objectType(DeliveryNotFound, {
  name: 'DeliveryNotFound',
  description: 'The same for a delivery that never was, for one whose webhook was deleted, and for one no longer kept.',
  interfaces: [refusal],
})
builder.objectType(WrongPassword, {
  name: 'WrongPassword',
  description: "What was given as the current password is not the caller's.",
  interfaces: [refusal],
})
