import type { Page } from '../database/keyset.ts'
import { admins, builder } from '../graphql/builder.ts'
import { acting } from '../graphql/context.ts'
import { node, pageInfo } from '../graphql/node.ts'
import { type AuditEvent, listEvents } from './list-events.ts'

export const auditEventType = builder.objectRef<AuditEvent>('AuditEvent').implement({
  description: 'Something that was done in the organization. Events are only ever added.',
  interfaces: [node],
  fields: (t) => ({
    at: t.expose('at', { type: 'DateTime' }),
    action: t.exposeString('action', {
      description: 'Such as `token.created`, `token.deleted`, `access_token.reset`, `session.sign_in_failed`.',
    }),
    actor: t.exposeString('actor', {
      description: "Who did it, as they were called then: an email address, a token's label, a service's name.",
    }),
    target: t.exposeString('target', { nullable: true, description: 'What it was done to, as it was called then.' }),
    targetId: t.exposeID('targetId', { nullable: true }),
    ipAddress: t.exposeString('ipAddress', { nullable: true }),
    userAgent: t.exposeString('userAgent', { nullable: true }),
  }),
})

const edge = builder.objectRef<{ cursor: string; node: AuditEvent }>('AuditEventEdge').implement({
  fields: (t) => ({ cursor: t.exposeString('cursor'), node: t.expose('node', { type: auditEventType }) }),
})

const connection = builder.objectRef<Page<AuditEvent>>('AuditEventConnection').implement({
  fields: (t) => ({
    edges: t.expose('edges', { type: [edge] }),
    nodes: t.field({ type: [auditEventType], resolve: ({ edges }) => edges.map(({ node }) => node) }),
    pageInfo: t.expose('pageInfo', { type: pageInfo }),
  }),
})

const auditEventFilter = builder.inputType('AuditEventFilter', {
  fields: (t) => ({
    actions: t.stringList(),
    targetId: t.id(),
    after: t.field({ type: 'DateTime' }),
    before: t.field({ type: 'DateTime' }),
  }),
})

builder.queryField('auditEvents', (t) =>
  t.field({
    type: connection,
    directives: { hasRole: { anyOf: admins } },
    args: {
      first: t.arg.int(),
      after: t.arg.string(),
      last: t.arg.int(),
      before: t.arg.string(),
      filter: t.arg({ type: auditEventFilter }),
    },
    resolve: (_root, { filter, ...page }, context) =>
      listEvents(acting(context), {
        page,
        filter: {
          actions: filter?.actions ?? null,
          targetId: filter?.targetId ?? null,
          after: filter?.after ?? null,
          before: filter?.before ?? null,
        },
      }),
  }),
)
