import { withOrganization } from '../database/with-organization.ts'
import { builder } from '../graphql/builder.ts'
import { acting } from '../graphql/context.ts'
import { node } from '../graphql/node.ts'
import { findMember, type Member, type Organization, readOrganization } from './members.ts'
import type { organizationRoles } from './roles.ts'

export const organizationRole = builder.enumType('OrganizationRole', {
  description: 'What a member may do in an organization. The roles stand from the most to the least powerful.',
  values: {
    OWNER: {
      description: 'The one owner: everything a super admin may do, and handing the organization over or deleting it.',
    },
    SUPER_ADMIN: { description: 'Manages members, settings and integration tokens.' },
    POWER_USER: { description: 'Reads everything but tokens and the audit log.' },
    MEMBER: { description: 'Reads the organization and its members.' },
    GUEST: { description: "Reads the organization's name." },
  } satisfies Record<(typeof organizationRoles)[number], object>,
})

export const organizationType = builder.objectRef<Organization>('Organization').implement({
  description: 'A customer of the platform. Integration tokens belong to it, not to whoever created them.',
  interfaces: [node],
  fields: (t) => ({
    name: t.exposeString('name'),
    slug: t.exposeString('slug', { description: 'The name in addresses: lower-case letters, digits and hyphens.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
})

export const memberType = builder.objectRef<Member>('Member').implement({
  interfaces: [node],
  fields: (t) => ({
    email: t.exposeString('email'),
    displayName: t.exposeString('displayName'),
    role: t.expose('role', { type: organizationRole }),
    active: t.exposeBoolean('active', {
      description:
        'False once an identity provider, or an admin, has deactivated the member; such a member cannot sign in, their sessions have ended, and their access token is refused.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
})

builder.queryFields((t) => ({
  organization: t.field({
    type: organizationType,
    directives: { authenticated: {} },
    resolve: (_root, _args, context) => {
      const { database, principal } = acting(context)
      return withOrganization(database, principal, (transaction) => readOrganization(transaction, principal))
    },
  }),
  member: t.field({
    type: memberType,
    nullable: true,
    directives: { hasRole: { anyOf: ['OWNER', 'SUPER_ADMIN', 'POWER_USER', 'MEMBER'] } },
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) => {
      const { database, principal } = acting(context)
      return withOrganization(database, principal, (transaction) =>
        findMember(transaction, { organizationId: principal.organizationId, memberId: id }),
      )
    },
  }),
}))
