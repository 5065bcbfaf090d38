import { GraphQLSchema } from 'graphql'
import '../identity/graphql.ts'
import '../organizations/graphql.ts'
import '../organizations/invitations-graphql.ts'
import '../tokens/graphql.ts'
import '../tokens/rules-graphql.ts'
import './refusals.ts'
import '../audit/graphql.ts'
import '../webhooks/graphql.ts'
import { findEvent } from '../audit/list-events.ts'
import { withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { isId } from '../identifiers.ts'
import { findMember, readOrganization } from '../organizations/members.ts'
import { findToken, listGrantableRoles } from '../tokens/service.ts'
import { findDelivery, findWebhook } from '../webhooks/service.ts'
import { accessDirectives, enforceAccess, mayQuery } from './access.ts'
import { builder } from './builder.ts'
import { acting } from './context.ts'
import { node } from './node.ts'

/**
 * How `node` finds each type, always within the caller's organization, and the field of Query whose directive decides who
 * may: what `node` opens is what that field opens, so that the access of a type is said once.
 */
const loaders: {
  owns(id: string): boolean
  field: string
  find(acting: Acting, id: string): Promise<{ id: string } | null>
}[] = [
  { owns: (id) => isId('token', id), field: 'integrationToken', find: findToken },
  { owns: (id) => isId('event', id), field: 'auditEvents', find: findEvent },
  { owns: (id) => isId('webhook', id), field: 'webhook', find: findWebhook },
  { owns: (id) => isId('webhookDelivery', id), field: 'webhookDeliveries', find: findDelivery },
  {
    owns: (id) => isId('role', id),
    field: 'tokenRoles',

    find: async (acting, id) => (await listGrantableRoles(acting)).find((role) => role.id === id) ?? null,
  },
  {
    owns: (id) => isId('member', id),
    field: 'member',

    find: ({ database, principal }, memberId) =>
      withOrganization(database, principal, (transaction) =>
        findMember(transaction, { organizationId: principal.organizationId, memberId }),
      ),
  },
  {
    owns: (id) => isId('organization', id),
    field: 'organization',

    find: async ({ database, principal }, id) =>
      id === principal.organizationId
        ? withOrganization(database, principal, (transaction) => readOrganization(transaction, principal))
        : null,
  },
]

builder.queryField('node', (t) =>
  t.field({
    type: node,
    nullable: true,
    description: "Whatever the caller could also read by the type's own field; null for all else.",
    directives: { authenticated: {} },
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context, { schema }) => {
      const loader = loaders.find(({ owns }) => owns(id))
      const { principal } = context
      if (!loader || !principal || principal.kind === 'service' || !mayQuery(schema, loader.field, principal))
        return null
      return loader.find(acting(context), id)
    },
  }),
)

/** The running schema. Throws where a root field does not say who may use it. */
export function buildSchema(): GraphQLSchema {
  const schema = builder.toSchema({ sortSchema: false })
  const directives = [...schema.getDirectives(), ...accessDirectives(schema)]
  return enforceAccess(new GraphQLSchema({ ...schema.toConfig(), directives }))
}
