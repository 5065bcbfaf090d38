import { isId } from '../identifiers.ts'
import { builder } from './builder.ts'

/** The object's type, as the prefix of its id tells it. */
const typeNames = [
  ['organization', 'Organization'],
  ['member', 'Member'],
  ['token', 'IntegrationToken'],
  ['role', 'TokenRole'],
  ['event', 'AuditEvent'],
  ['webhook', 'Webhook'],
  ['webhookDelivery', 'WebhookDelivery'],
] as const

/** Every object that `node` can find has one of these typed ids. */
export const node = builder.interfaceRef<{ id: string }>('Node').implement({
  description: 'An object with a globally unique, typed id such as `tok_01jd…`.',
  resolveType: ({ id }) => typeNames.find(([kind]) => isId(kind, id))?.[1],
  fields: (t) => ({ id: t.exposeID('id') }),
})

export const pageInfo = builder
  .objectRef<{ startCursor: string | null; endCursor: string | null; hasNextPage: boolean; hasPreviousPage: boolean }>(
    'PageInfo',
  )
  .implement({
    description: 'Relay cursor pagination; see https://relay.dev/graphql/connections.htm.',
    fields: (t) => ({
      startCursor: t.exposeString('startCursor', { nullable: true }),
      endCursor: t.exposeString('endCursor', { nullable: true }),
      hasNextPage: t.exposeBoolean('hasNextPage'),
      hasPreviousPage: t.exposeBoolean('hasPreviousPage'),
    }),
  })
