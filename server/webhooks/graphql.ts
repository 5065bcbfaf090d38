import type { Page } from '../database/keyset.ts'
import { admins, builder } from '../graphql/builder.ts'
import { acting } from '../graphql/context.ts'
import { node, pageInfo } from '../graphql/node.ts'
import { InvalidInput } from '../refusal.ts'
import type { deliveryStatuses } from './event-types.ts'
import { DeliveryNotFound, TooManyWebhooks, WebhookNotFound } from './refusals.ts'
import type { IssuedWebhook, LoggedDelivery, Webhook, WebhookAttempt } from './service.ts'
import * as service from './service.ts'

const eventType = builder.enumType('WebhookEventType', {
  description:
    'What a webhook can be told of. On its way, each is called as in the audit log: `TOKEN_CREATED` is `token.created`.',
  values: {
    TOKEN_CREATED: { value: 'token.created' },
    TOKEN_UPDATED: { value: 'token.updated', description: 'Its label, description or expiry is another.' },
    TOKEN_ENABLED: { value: 'token.enabled' },
    TOKEN_DISABLED: { value: 'token.disabled' },
    TOKEN_REGENERATED: { value: 'token.regenerated' },
    TOKEN_DELETED: { value: 'token.deleted' },
    TOKEN_EXPIRING: {
      value: 'token.expiring',
      description: 'The token expires in 14 days, in 3, or in 1, within a minute of that.',
    },
    TOKEN_EXPIRED: { value: 'token.expired', description: 'Within a minute of its expiry.' },
    TOKEN_RETIRED_SECRET_USED: {
      value: 'token.retired_secret_used',
      description: 'A secret that a regeneration had retired was presented, and refused; told once an hour at most.',
    },
    WEBHOOK_TEST: {
      value: 'webhook.test',
      description: 'Nothing happened: `testWebhook` asked for it. It comes whatever `eventTypes` says.',
    },
  } as const,
})

const webhookType = builder.objectRef<Webhook>('Webhook').implement({
  description:
    "An address of the organization's to which what happens to its tokens is sent, signed after the Standard Webhooks\nspecification: see https://www.standardwebhooks.com. Whatever is committed while a webhook is enabled arrives at least once,\nand for each token in the order in which it happened, unless it cannot be delivered within three days.",
  interfaces: [node],
  fields: (t) => ({
    url: t.exposeString('url'),
    description: t.exposeString('description', { nullable: true }),
    eventTypes: t.expose('eventTypes', { type: [eventType] }),
    enabled: t.exposeBoolean('enabled', {
      description:
        'A disabled webhook is told nothing of what happens meanwhile. What was waiting waits until it is enabled again.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    failingSince: t.expose('failingSince', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when no delivery has succeeded; null while the last one did, and before the first.',
    }),
    lastDeliveredAt: t.expose('lastDeliveredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When a delivery last succeeded.',
    }),
    formerSecretUntil: t.expose('formerSecretUntil', {
      type: 'DateTime',
      nullable: true,
      description:
        'Until when messages are also signed with the secret before the current one; null where they are not.',
    }),
  }),
})

const deliveryStatus = builder.enumType('WebhookDeliveryStatus', {
  values: {
    PENDING: { description: 'Waits to be sent, or to be sent again.' },
    DELIVERED: { description: 'The address answered with a 2xx.' },
    FAILED: { description: 'Given up after three days.' },
  } satisfies Record<(typeof deliveryStatuses)[number], object>,
})

const attemptType = builder.objectRef<WebhookAttempt>('WebhookAttempt').implement({
  description: 'One sending of a message.',
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime' }),
    statusCode: t.exposeInt('statusCode', {
      nullable: true,
      description: 'What the address answered; null where it did not.',
    }),
    problem: t.exposeString('problem', {
      nullable: true,
      description: 'Why it counts as failed, in words; null for one that succeeded.',
    }),
    durationMilliseconds: t.exposeInt('durationMilliseconds'),
  }),
})

const deliveryType = builder.objectRef<LoggedDelivery>('WebhookDelivery').implement({
  description: 'One event on its way to one webhook. Those that have ended are kept for 30 days.',
  interfaces: [node],
  fields: (t) => ({
    webhookId: t.exposeID('webhookId'),
    eventId: t.exposeID('eventId', {
      description:
        "The message's `webhook-id`, by which a receiver knows what it has had already. Where the event is in the audit log, its id there.",
    }),
    eventType: t.expose('eventType', { type: eventType }),
    tokenId: t.exposeID('tokenId', { nullable: true }),
    payload: t.exposeString('payload', { description: 'What is sent, to the letter.' }),
    status: t.expose('status', { type: deliveryStatus }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    nextAttemptAt: t.field({
      type: 'DateTime',
      nullable: true,
      description:
        'When it is sent next; null for one that has ended, that is being sent at this moment, or whose webhook is disabled.',
      // While it is being sent, it is due once whoever sends it can be taken to be gone.
      resolve: ({ dueAt, attempts, log }) => (attempts === (log.at(-1)?.number ?? 0) ? dueAt : null),
    }),
    attempts: t.expose('log', { type: [attemptType], description: 'Oldest first.' }),
  }),
})

const edge = builder.objectRef<Page<LoggedDelivery>['edges'][number]>('WebhookDeliveryEdge').implement({
  fields: (t) => ({ cursor: t.exposeString('cursor'), node: t.expose('node', { type: deliveryType }) }),
})

const connection = builder.objectRef<Page<LoggedDelivery>>('WebhookDeliveryConnection').implement({
  fields: (t) => ({
    edges: t.expose('edges', { type: [edge] }),
    nodes: t.field({ type: [deliveryType], resolve: ({ edges }) => edges.map(({ node }) => node) }),
    pageInfo: t.expose('pageInfo', { type: pageInfo }),
  }),
})

const deliveryFilter = builder.inputType('WebhookDeliveryFilter', {
  fields: (t) => ({ statuses: t.field({ type: [deliveryStatus] }), tokenId: t.id() }),
})

builder.queryFields((t) => ({
  webhooks: t.field({
    type: [webhookType],
    description: 'Oldest first.',
    directives: { hasRole: { anyOf: admins } },
    resolve: (_root, _args, context) => service.listWebhooks(acting(context)),
  }),
  webhook: t.field({
    type: webhookType,
    nullable: true,
    directives: { hasRole: { anyOf: admins } },
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) => service.findWebhook(acting(context), id),
  }),
  webhookDeliveries: t.field({
    type: connection,
    description:
      'What is sent to a webhook, or was within 30 days, the latest first; of a webhook that there is not, nothing.',
    directives: { hasRole: { anyOf: admins } },
    args: {
      webhookId: t.arg.id({ required: true }),
      first: t.arg.int(),
      after: t.arg.string(),
      last: t.arg.int(),
      before: t.arg.string(),
      filter: t.arg({ type: deliveryFilter }),
    },
    resolve: (_root, { webhookId, filter, ...page }, context) =>
      service.listDeliveries(acting(context), {
        webhookId,
        page,
        filter: { statuses: filter?.statuses ?? null, tokenId: filter?.tokenId ?? null },
      }),
  }),
}))

// ── Changing webhooks ──

const createWebhookInput = builder.inputType('CreateWebhookInput', {
  fields: (t) => ({
    url: t.string({
      required: true,
      description: "An https:// address outside the operator's own network, at most 2,000 characters long.",
    }),
    description: t.string({ description: 'At most 500 characters.' }),
    eventTypes: t.field({
      type: [eventType],
      required: true,
      description: 'At least one; `WEBHOOK_TEST` need not be named.',
    }),
  }),
})

const createWebhookPayload = builder.objectRef<IssuedWebhook>('CreateWebhookPayload').implement({
  fields: (t) => ({
    webhook: t.expose('webhook', { type: webhookType }),
    secret: t.exposeString('secret', {
      description: 'With it a receiver checks signatures. It is shown this once: it cannot be read again.',
    }),
  }),
})

const updateWebhookInput = builder.inputType('UpdateWebhookInput', {
  description: 'Only the fields that are given change; `description` given as null is cleared.',
  fields: (t) => ({
    id: t.id({ required: true }),
    url: t.string(),
    description: t.string(),
    eventTypes: t.field({ type: [eventType] }),
    enabled: t.boolean(),
  }),
})

const updateWebhookPayload = builder.objectRef<{ webhook: Webhook }>('UpdateWebhookPayload').implement({
  fields: (t) => ({ webhook: t.expose('webhook', { type: webhookType }) }),
})

const regenerateWebhookSecretInput = builder.inputType('RegenerateWebhookSecretInput', {
  fields: (t) => ({
    id: t.id({ required: true }),
    overlapSeconds: t.int({
      required: true,
      defaultValue: 86_400,
      description: 'For how long messages are signed with the old secret as well: 0 to 604800 seconds.',
    }),
  }),
})

const regenerateWebhookSecretPayload = builder.objectRef<IssuedWebhook>('RegenerateWebhookSecretPayload').implement({
  fields: (t) => ({
    webhook: t.expose('webhook', { type: webhookType }),
    secret: t.exposeString('secret', {
      description: 'The new secret. It is shown this once: it cannot be read again.',
    }),
  }),
})

const deleteWebhookInput = builder.inputType('DeleteWebhookInput', {
  fields: (t) => ({ id: t.id({ required: true }) }),
})

const deleteWebhookPayload = builder.objectRef<{ deletedWebhookId: string }>('DeleteWebhookPayload').implement({
  fields: (t) => ({ deletedWebhookId: t.exposeID('deletedWebhookId') }),
})

const testWebhookInput = builder.inputType('TestWebhookInput', {
  fields: (t) => ({ id: t.id({ required: true }) }),
})

const testWebhookPayload = builder.objectRef<{ delivery: LoggedDelivery }>('TestWebhookPayload').implement({
  fields: (t) => ({ delivery: t.expose('delivery', { type: deliveryType }) }),
})

const redeliverWebhookInput = builder.inputType('RedeliverWebhookInput', {
  fields: (t) => ({ deliveryId: t.id({ required: true }) }),
})

const redeliverWebhookPayload = builder.objectRef<{ delivery: LoggedDelivery }>('RedeliverWebhookPayload').implement({
  fields: (t) => ({
    delivery: t.expose('delivery', { type: deliveryType, description: 'The new delivery, of the same event.' }),
  }),
})

builder.mutationFields((t) => ({
  createWebhook: t.field({
    type: createWebhookPayload,
    description: "Registers an address to which what happens to the organization's tokens is sent from now on.",
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput, TooManyWebhooks], union: { name: 'CreateWebhookResult' } },
    args: { input: t.arg({ type: createWebhookInput, required: true }) },
    resolve: (_root, { input }, context) => service.createWebhook(acting(context), input),
  }),
  updateWebhook: t.field({
    type: updateWebhookPayload,
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput, WebhookNotFound], union: { name: 'UpdateWebhookResult' } },
    args: { input: t.arg({ type: updateWebhookInput, required: true }) },
    resolve: async (_root, { input: { id, ...change } }, context) => ({
      webhook: await service.updateWebhook(acting(context), id, change),
    }),
  }),
  regenerateWebhookSecret: t.field({
    type: regenerateWebhookSecretPayload,
    description: 'Gives the webhook another secret. Until the overlap ends, messages are signed with both.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput, WebhookNotFound], union: { name: 'RegenerateWebhookSecretResult' } },
    args: { input: t.arg({ type: regenerateWebhookSecretInput, required: true }) },
    resolve: (_root, { input: { id, ...rest } }, context) => service.regenerateSecret(acting(context), id, rest),
  }),
  deleteWebhook: t.field({
    type: deleteWebhookPayload,
    description: 'Deletes the webhook with the log of its deliveries. What was waiting is not sent any more.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [WebhookNotFound], union: { name: 'DeleteWebhookResult' } },
    args: { input: t.arg({ type: deleteWebhookInput, required: true }) },
    resolve: async (_root, { input: { id } }, context) => ({
      deletedWebhookId: await service.deleteWebhook(acting(context), id),
    }),
  }),
  testWebhook: t.field({
    type: testWebhookPayload,
    description: 'Sends the webhook a message of the type `webhook.test`, in which nothing happened.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [WebhookNotFound], union: { name: 'TestWebhookResult' } },
    args: { input: t.arg({ type: testWebhookInput, required: true }) },
    resolve: async (_root, { input: { id } }, context) => ({
      delivery: await service.testWebhook(acting(context), id),
    }),
  }),
  redeliverWebhook: t.field({
    type: redeliverWebhookPayload,
    description: 'Sends the event of a delivery once more, under the same id, after what is waiting for its token.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [DeliveryNotFound], union: { name: 'RedeliverWebhookResult' } },
    args: { input: t.arg({ type: redeliverWebhookInput, required: true }) },
    resolve: async (_root, { input: { deliveryId } }, context) => ({
      delivery: await service.redeliver(acting(context), deliveryId),
    }),
  }),
}))
