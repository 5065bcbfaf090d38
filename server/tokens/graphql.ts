import { Fault } from '../fault.ts'
import { admins, builder } from '../graphql/builder.ts'
import { acting, type Context } from '../graphql/context.ts'
import { node, pageInfo } from '../graphql/node.ts'
import { memberType, organizationRole } from '../organizations/graphql.ts'
import { countVerifications } from '../rate-limits.ts'
import { InvalidInput } from '../refusal.ts'
import type { InvalidationMessage, Invalidations } from './invalidation.ts'
import { ConfirmationNeeded, IdempotencyKeyReused, LabelTaken, TokenNotFound } from './refusals.ts'
import { type IntegrationToken, type TokenSecret, tokenSorts } from './repository.ts'
import type { TokenRole } from './roles.ts'
import type { IssuedToken, TokenListing } from './service.ts'
import * as service from './service.ts'
import { type AcceptedToken, reportedAddress, verifyToken, verifyTokenHashes } from './verification.ts'

const tokenRoleKind = builder.enumType('TokenRoleKind', {
  description: 'Where a token role comes from.',
  values: {
    MANAGED: { description: 'Comes with Latchkey; the same in every organization.' },
    CUSTOM: { description: 'Defined by the organization.' },
  },
})

export const tokenRoleType = builder.objectRef<TokenRole>('TokenRole').implement({
  description: 'What an integration token may do: a named set of permissions.',
  interfaces: [node],
  fields: (t) => ({
    id: t.exposeID('id', {
      description: 'Managed roles have fixed ids: `role_ci`, `role_scim`, `role_jira`, `role_service_account`.',
    }),
    kind: t.expose('kind', { type: tokenRoleKind }),
    label: t.exposeString('label'),
    description: t.exposeString('description'),
    permissions: t.exposeStringList('permissions', {
      description: 'Each as `resource:action`, such as `findings:read`.',
    }),
  }),
})

const tokenStatus = builder.enumType('TokenStatus', {
  values: {
    ACTIVE: { description: 'Accepted wherever it is verified.' },
    DISABLED: { description: 'Switched off by an admin; can be switched on again.' },
    EXPIRED: { description: 'Past its expiry date.' },
  },
})

const tokenSecretType = builder.objectRef<TokenSecret>('TokenSecret').implement({
  description: 'One accepted secret of a token. The value itself is shown once and never stored.',
  fields: (t) => ({
    hint: t.exposeString('hint', { description: 'The last four characters of the secret, to tell secrets apart.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    acceptedUntil: t.expose('acceptedUntil', {
      type: 'DateTime',
      nullable: true,
      description: 'When the secret stops being accepted, where that is before the token itself expires.',
    }),
    lastUsedAt: t.expose('lastUsedAt', { type: 'DateTime', nullable: true }),
  }),
})

export const integrationTokenType = builder.objectRef<IntegrationToken>('IntegrationToken').implement({
  description:
    'A credential with which another system acts for the organization: a CI/CD pipeline, an identity provider, Jira.',
  interfaces: [node],
  fields: (t) => ({
    label: t.exposeString('label'),
    description: t.exposeString('description', { nullable: true }),
    role: t.expose('role', { type: tokenRoleType }),
    status: t.expose('status', { type: tokenStatus }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    createdBy: t.expose('createdBy', {
      type: memberType,
      nullable: true,
      description:
        'Who created the token; null where another token created it, or once that member has left. The token stays.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Null for a token that does not expire.',
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the token was last accepted, to within a minute; null if never.',
    }),
    lastUsedFrom: t.exposeString('lastUsedFrom', {
      nullable: true,
      description: 'The address from which it was last used, as the verifying service reported it.',
    }),
    retiredSecretLastUsedAt: t.expose('retiredSecretLastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When a secret that had been retired by a regeneration was last presented, to within a minute; null if never. Something\nstill holds the old value. It was refused.',
    }),
    secrets: t.expose('secrets', {
      type: [tokenSecretType],
      description:
        "The secrets that are accepted now: one, or two while a regenerated token's old secret is still accepted.",
    }),
  }),
})

const edge = builder.objectRef<TokenListing['edges'][number]>('IntegrationTokenEdge').implement({
  fields: (t) => ({ cursor: t.exposeString('cursor'), node: t.expose('node', { type: integrationTokenType }) }),
})

const connection = builder.objectRef<TokenListing>('IntegrationTokenConnection').implement({
  fields: (t) => ({
    edges: t.expose('edges', { type: [edge] }),
    nodes: t.field({ type: [integrationTokenType], resolve: ({ edges }) => edges.map(({ node }) => node) }),
    pageInfo: t.expose('pageInfo', { type: pageInfo }),
    totalCount: t.int({
      description: 'How many tokens match in all. Counted up to 10,000: that number means as many or more.',
      resolve: (listing) => listing.totalCount(),
    }),
  }),
})

const integrationTokenFilter = builder.inputType('IntegrationTokenFilter', {
  fields: (t) => ({
    search: t.string({ description: 'Matches any part of the label or the description, in any case.' }),
    roleIds: t.idList(),
    statuses: t.field({
      type: [tokenStatus],
      defaultValue: ['ACTIVE', 'DISABLED'],
      description: 'Expired tokens are left out unless asked for.',
    }),
  }),
})

const integrationTokenSort = builder.enumType('IntegrationTokenSort', { values: tokenSorts })

builder.queryFields((t) => ({
  integrationTokens: t.field({
    type: connection,
    description: "The organization's integration tokens, a page at a time (20 unless told otherwise, 100 at most).",
    directives: { hasRole: { anyOf: admins } },
    args: {
      first: t.arg.int(),
      after: t.arg.string(),
      last: t.arg.int(),
      before: t.arg.string(),
      filter: t.arg({ type: integrationTokenFilter }),
      sort: t.arg({ type: integrationTokenSort, required: true, defaultValue: 'CREATED_AT_DESC' }),
    },
    resolve: (_root, { filter, sort, ...page }, context) =>
      service.listTokens(acting(context), {
        page,
        sort,
        filter: {
          search: filter?.search?.trim() || null,
          roleIds: filter?.roleIds ?? null,
          statuses: filter?.statuses ?? ['ACTIVE', 'DISABLED'],
        },
      }),
  }),
  integrationToken: t.field({
    type: integrationTokenType,
    nullable: true,
    directives: { hasRole: { anyOf: admins } },
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) => service.findToken(acting(context), id),
  }),
  tokenRoles: t.field({
    type: [tokenRoleType],
    description: 'The roles that a token can be given.',
    directives: { hasRole: { anyOf: admins, orPermission: 'tokens:create-ci' } },
    resolve: (_root, _args, context) => service.listGrantableRoles(acting(context)),
  }),
}))

// ── Changing tokens ──

const createTokenInput = builder.inputType('CreateTokenInput', {
  fields: (t) => ({
    label: t.string({ required: true, description: "1 to 100 characters, unique among the organization's tokens." }),
    description: t.string({ description: 'At most 500 characters.' }),
    roleId: t.id({ required: true }),
    expiresAt: t.field({
      type: 'DateTime',
      description:
        "Must lie in the future and meet the organization's `tokenPolicy`, whose default it is where it is left out. Null for none.",
    }),
    idempotencyKey: t.string({
      description:
        'Makes a retry safe: a second call with the same key within 24 hours answers with the same token instead of\nmaking another, and with a working secret.',
    }),
  }),
})

const secretDescription = "The token's value. It is shown this once: it cannot be read again."
const newSecretDescription = "The token's new value. It is shown this once: it cannot be read again."

const createTokenPayload = builder.objectRef<IssuedToken>('CreateTokenPayload').implement({
  fields: (t) => ({
    token: t.expose('token', { type: integrationTokenType }),
    secret: t.exposeString('secret', { description: secretDescription }),
  }),
})

const forceDescription = 'Whether to do it also where provisioning stops with it: see `ConfirmationNeeded`.'

const updateTokenInput = builder.inputType('UpdateTokenInput', {
  description:
    "Only the fields that are given change; `description` and `expiresAt` given as null are cleared. An expiry that changes has to\nmeet the organization's `tokenPolicy`.",
  fields: (t) => ({
    id: t.id({ required: true }),
    label: t.string(),
    description: t.string(),
    expiresAt: t.field({ type: 'DateTime' }),
    enabled: t.boolean(),
    force: t.boolean({ defaultValue: false, description: forceDescription }),
  }),
})

const updateTokenPayload = builder.objectRef<{ token: IntegrationToken }>('UpdateTokenPayload').implement({
  fields: (t) => ({ token: t.expose('token', { type: integrationTokenType }) }),
})

const regenerateTokenInput = builder.inputType('RegenerateTokenInput', {
  fields: (t) => ({
    id: t.id({ required: true }),
    overlapSeconds: t.int({
      required: true,
      defaultValue: 0,
      description: 'For how long the old secret is still accepted: 0 (at once refused) to 604800 seconds.',
    }),
  }),
})

const regenerateTokenPayload = builder.objectRef<IssuedToken>('RegenerateTokenPayload').implement({
  fields: (t) => ({
    token: t.expose('token', { type: integrationTokenType }),
    secret: t.exposeString('secret', { description: newSecretDescription }),
  }),
})

const deleteTokenInput = builder.inputType('DeleteTokenInput', {
  fields: (t) => ({
    id: t.id({ required: true }),
    force: t.boolean({ defaultValue: false, description: forceDescription }),
  }),
})

const deleteTokenPayload = builder.objectRef<{ deletedTokenId: string }>('DeleteTokenPayload').implement({
  fields: (t) => ({ deletedTokenId: t.exposeID('deletedTokenId') }),
})

builder.mutationFields((t) => ({
  createToken: t.field({
    type: createTokenPayload,
    description:
      'Creates a token that belongs to the organization. A service account may create tokens of the role `role_ci` only.',
    directives: { hasRole: { anyOf: admins, orPermission: 'tokens:create-ci' } },
    errors: { types: [InvalidInput, LabelTaken, IdempotencyKeyReused], union: { name: 'CreateTokenResult' } },
    args: { input: t.arg({ type: createTokenInput, required: true }) },
    resolve: (_root, { input }, context) => service.createToken(acting(context), input),
  }),
  updateToken: t.field({
    type: updateTokenPayload,
    directives: { hasRole: { anyOf: admins } },
    errors: {
      types: [InvalidInput, LabelTaken, TokenNotFound, ConfirmationNeeded],
      union: { name: 'UpdateTokenResult' },
    },
    args: { input: t.arg({ type: updateTokenInput, required: true }) },
    resolve: async (_root, { input: { id, force, ...change } }, context) => ({
      token: await service.updateToken(acting(context), id, change, force === true),
    }),
  }),
  regenerateToken: t.field({
    type: regenerateTokenPayload,
    description: 'Gives the token a new secret. Whatever still uses the old one breaks when the overlap ends.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput, TokenNotFound], union: { name: 'RegenerateTokenResult' } },
    args: { input: t.arg({ type: regenerateTokenInput, required: true }) },
    resolve: (_root, { input: { id, ...rest } }, context) => service.regenerateToken(acting(context), id, rest),
  }),
  deleteToken: t.field({
    type: deleteTokenPayload,
    description:
      'Deletes the token for good. Whatever uses it breaks at once. A service account deletes the tokens that it has\ncreated, and finds no others.',
    directives: { hasRole: { anyOf: admins, orPermission: 'tokens:create-ci' } },
    errors: { types: [TokenNotFound, ConfirmationNeeded], union: { name: 'DeleteTokenResult' } },
    args: { input: t.arg({ type: deleteTokenInput, required: true }) },
    resolve: async (_root, { input: { id, force } }, context) => ({
      deletedTokenId: await service.deleteToken(acting(context), id, force === true),
    }),
  }),
}))

// ── Verifying ──

const credentialKind = builder.enumType('CredentialKind', {
  description: 'The kinds of credential that other services accept from a bearer.',
  values: ['INTEGRATION_TOKEN', 'ACCESS_TOKEN'] as const,
})

const refused = {
  active: false,
  kind: null,
  organizationId: null,
  tokenId: null,
  label: null,
  roleId: null,
  memberId: null,
  organizationRole: null,
  permissions: null,
  expiresAt: null,
  expiresInMilliseconds: null,
}

// Its fields are the answer's own, without a resolver of theirs: a call of one for each would be most of what a verdict costs.
const tokenVerification = builder.objectRef<AcceptedToken | typeof refused>('TokenVerification').implement({
  description:
    'The answer about a presented token. For a token that is unknown, malformed, expired, disabled or deleted, `active` is\nfalse and nothing else is told: a verifier, and whoever holds the token, cannot tell these apart.',
  fields: (t) => ({
    active: t.exposeBoolean('active'),
    kind: t.expose('kind', { type: credentialKind, nullable: true }),
    organizationId: t.exposeID('organizationId', { nullable: true }),
    tokenId: t.exposeID('tokenId', {
      nullable: true,
      description: "The integration token's id, or the access token's.",
    }),
    label: t.exposeString('label', { nullable: true, description: "An integration token's label." }),
    roleId: t.exposeID('roleId', { nullable: true, description: "An integration token's role." }),
    memberId: t.exposeID('memberId', { nullable: true, description: 'Whose access token it is.' }),
    organizationRole: t.expose('organizationRole', {
      type: organizationRole,
      nullable: true,
      description: "That member's role now.",
    }),
    permissions: t.exposeStringList('permissions', {
      nullable: true,
      description: 'What the bearer may do, whichever kind it is.',
    }),
    expiresAt: t.expose('expiresAt', {
      type: 'DateTime',
      nullable: true,
      description: "When this answer stops being true by itself: the earliest of the token's and the secret's end.",
    }),
    expiresInMilliseconds: t.exposeFloat('expiresInMilliseconds', {
      nullable: true,
      description:
        "How long after this answer that is, by the database's clock, for callers whose own clock may be wrong.",
    }),
  }),
})

export const mostDigests = 1_000

builder.queryFields((t) => ({
  verifyToken: t.field({
    type: tokenVerification,
    description:
      "Says whether a presented token is to be accepted, and as what. `usedFrom` is the address that presented it, kept as the\ntoken's `lastUsedFrom`.",
    directives: { hasPermission: { permission: 'tokens:verify' } },
    args: { token: t.arg.string({ required: true }), usedFrom: t.arg.string() },
    resolve: async (_root, { token, usedFrom }, context) => {
      await countVerifications(context, 1)
      const answer = await verifyToken(context, { token, usedFrom: reportedAddress(usedFrom) }, context.origin.isGone)
      return answer ?? refused
    },
  }),
  verifyTokenDigests: t.field({
    type: [tokenVerification],
    description:
      'The same for up to 1,000 tokens at once, each given as the lower-case hexadecimal SHA-256 of its value, so that the\nvalues themselves never leave the service to which they were presented. The answers come in the order asked; so do the\naddresses in `usedFrom`, where it is given.',
    directives: { hasPermission: { permission: 'tokens:verify' } },
    args: {
      digests: t.arg.stringList({ required: true }),
      usedFrom: t.arg.stringList({ required: { list: false, items: false } }),
    },
    resolve: async (_root, { digests, usedFrom }, context) => {
      if (digests.length > mostDigests)
        throw new Fault('BAD_REQUEST', `Ask for at most ${mostDigests} digests at once.`)
      await countVerifications(context, digests.length)
      const reported = (usedFrom ?? []).map(reportedAddress)
      const answers = await verifyTokenHashes(context, { hashes: digests, usedFrom: reported }, context.origin.isGone)
      return answers.map((answer) => answer ?? refused)
    },
  }),
}))

const tokenInvalidation = builder.objectRef<InvalidationMessage>('TokenInvalidation').implement({
  description:
    "One message of the stream that keeps verifiers' caches true. A stream begins with `everything`, which comes again after\nany interruption behind the server. At least once a second a message comes, with no token in it if need be; it vouches\nfor the whole way from the database, not for the connection alone.",
  fields: (t) => ({
    tokenIds: t.exposeIDList('tokenIds', { description: 'Cached answers about these no longer hold.' }),
    everything: t.exposeBoolean('everything', { description: 'No cached answer holds.' }),
    sequence: t.exposeInt('sequence', {
      description: 'Counts up by one from 0 within a stream; a verifier that sees a gap drops all that it has cached.',
    }),
  }),
})

builder.subscriptionField('tokenInvalidations', (t) =>
  t.field({
    type: tokenInvalidation,
    description:
      'Pushed to internal services the moment a token changes in a way that cached answers must not outlive.',
    directives: { hasPermission: { permission: 'tokens:verify' } },
    subscribe: (_root, _args, context) => whileAccepted(context.invalidations.subscribe(), context),
    resolve: (message) => message,
  }),
)

const acceptedForMilliseconds = 1_000

/**
 * A stream lasts for days. It ends within two seconds of the credential that opened it, since a message comes each second;
 * and where that cannot be told, since whoever listens will take it up again.
 */
function whileAccepted(
  stream: ReturnType<Invalidations['subscribe']>,
  { isStillAccepted }: Context,
): AsyncIterableIterator<InvalidationMessage> {
  const end = async (): Promise<IteratorResult<InvalidationMessage>> =>
    (await stream.return?.()) ?? { done: true, value: undefined }
  let knownAt = performance.now()
  return {
    async next() {
      const message = await stream.next()
      if (message.done || performance.now() - knownAt < acceptedForMilliseconds) return message
      knownAt = performance.now()
      return (await isStillAccepted().catch(() => false)) ? message : end()
    },
    return: end,
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
