import { admins, builder } from '../graphql/builder.ts'
import { acting } from '../graphql/context.ts'
import { InvalidInput } from '../refusal.ts'
import { createRole, deleteRole, updateRole } from './custom-roles.ts'
import { tokenRoleType } from './graphql.ts'
import { countOutside, findPolicy, type TokenPolicy, updatePolicy } from './policy.ts'
import { ConfirmationNeeded, LabelTaken, TokenRoleInUse, TokenRoleNotFound, TooManyTokenRoles } from './refusals.ts'
import type { TokenRole } from './roles.ts'

const tokenPolicy = builder.objectRef<TokenPolicy>('TokenPolicy').implement({
  description: "What an organization asks of its tokens' expiry.",
  fields: (t) => ({
    longestLifetimeDays: t.exposeInt('longestLifetimeDays', {
      nullable: true,
      description:
        'For how many days a value may be accepted, from when it was made, by the creation or the last regeneration; null for no\nlimit. Where there is one, no token is without an expiry.',
    }),
    expiryRequired: t.exposeBoolean('expiryRequired', { description: 'Whether every token needs an expiry.' }),
    defaultLifetimeDays: t.exposeInt('defaultLifetimeDays', {
      nullable: true,
      description: 'When a token expires that is created without a word about it, in days from then; null for never.',
    }),
    tokensOutside: t.int({
      description:
        'How many tokens do not meet it, up to 10,000: that number means as many or more. They are accepted as before, and have to\nmeet it when their expiry is changed.',
      resolve: (policy, _args, context) => countOutside(acting(context), policy),
    }),
  }),
})

const updateTokenPolicyInput = builder.inputType('UpdateTokenPolicyInput', {
  description: 'Only the fields that are given change; a number given as null is cleared.',
  fields: (t) => ({
    longestLifetimeDays: t.int({ description: '1 to 3,650.' }),
    expiryRequired: t.boolean(),
    defaultLifetimeDays: t.int({ description: '1 to 3,650, and no more than the longest.' }),
  }),
})

const updateTokenPolicyPayload = builder.objectRef<{ tokenPolicy: TokenPolicy }>('UpdateTokenPolicyPayload').implement({
  fields: (t) => ({ tokenPolicy: t.expose('tokenPolicy', { type: tokenPolicy }) }),
})

const createTokenRoleInput = builder.inputType('CreateTokenRoleInput', {
  fields: (t) => ({
    label: t.string({ required: true, description: '1 to 100 characters, unlike that of every other role.' }),
    description: t.string({ description: 'At most 500 characters.' }),
    permissions: t.stringList({
      required: true,
      description:
        "1 to 50, each as `resource:action`. Latchkey's own cannot be given: those for tokens, members and SCIM.",
    }),
  }),
})

const createTokenRolePayload = builder.objectRef<{ tokenRole: TokenRole }>('CreateTokenRolePayload').implement({
  fields: (t) => ({ tokenRole: t.expose('tokenRole', { type: tokenRoleType }) }),
})

const updateTokenRoleInput = builder.inputType('UpdateTokenRoleInput', {
  description: 'Only the fields that are given change; `description` given as null is cleared.',
  fields: (t) => ({
    id: t.id({ required: true }),
    label: t.string(),
    description: t.string(),
    permissions: t.stringList(),
    force: t.boolean({
      defaultValue: false,
      description:
        'Whether to change what tokens may do that have the role, which they may at once: see `ConfirmationNeeded`.',
    }),
  }),
})

const updateTokenRolePayload = builder.objectRef<{ tokenRole: TokenRole }>('UpdateTokenRolePayload').implement({
  fields: (t) => ({ tokenRole: t.expose('tokenRole', { type: tokenRoleType }) }),
})

const deleteTokenRoleInput = builder.inputType('DeleteTokenRoleInput', {
  fields: (t) => ({ id: t.id({ required: true }) }),
})

const deleteTokenRolePayload = builder.objectRef<{ deletedTokenRoleId: string }>('DeleteTokenRolePayload').implement({
  fields: (t) => ({ deletedTokenRoleId: t.exposeID('deletedTokenRoleId') }),
})

builder.queryField('tokenPolicy', (t) =>
  t.field({
    type: tokenPolicy,
    directives: { hasRole: { anyOf: admins } },
    resolve: (_root, _args, context) => findPolicy(acting(context)),
  }),
)

builder.mutationFields((t) => ({
  updateTokenPolicy: t.field({
    type: updateTokenPolicyPayload,
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput], union: { name: 'UpdateTokenPolicyResult' } },
    args: { input: t.arg({ type: updateTokenPolicyInput, required: true }) },
    resolve: async (_root, { input }, context) => ({ tokenPolicy: await updatePolicy(acting(context), input) }),
  }),
  createTokenRole: t.field({
    type: createTokenRolePayload,
    description: "Makes a role of the organization's own, which tokens can then be given.",
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput, LabelTaken, TooManyTokenRoles], union: { name: 'CreateTokenRoleResult' } },
    args: { input: t.arg({ type: createTokenRoleInput, required: true }) },
    resolve: async (_root, { input }, context) => ({ tokenRole: await createRole(acting(context), input) }),
  }),
  updateTokenRole: t.field({
    type: updateTokenRolePayload,
    description:
      "Changes a role of the organization's own. Managed roles are found by it as little as another organization's.",
    directives: { hasRole: { anyOf: admins } },
    errors: {
      types: [InvalidInput, LabelTaken, TokenRoleNotFound, ConfirmationNeeded],
      union: { name: 'UpdateTokenRoleResult' },
    },
    args: { input: t.arg({ type: updateTokenRoleInput, required: true }) },
    resolve: async (_root, { input: { id, force, ...change } }, context) => ({
      tokenRole: await updateRole(acting(context), id, change, force === true),
    }),
  }),
  deleteTokenRole: t.field({
    type: deleteTokenRolePayload,
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [TokenRoleNotFound, TokenRoleInUse], union: { name: 'DeleteTokenRoleResult' } },
    args: { input: t.arg({ type: deleteTokenRoleInput, required: true }) },
    resolve: async (_root, { input: { id } }, context) => ({
      deletedTokenRoleId: await deleteRole(acting(context), id),
    }),
  }),
}))
