import { withOrganization } from '../database/with-organization.ts'
import { admins, builder } from '../graphql/builder.ts'
import { acting } from '../graphql/context.ts'
import { node, pageInfo } from '../graphql/node.ts'
import { InvalidInput } from '../refusal.ts'
import { type Group, listGroups, setGroupRole } from './groups.ts'
import { listMembers, type MemberListing, setMemberActive, setMemberRole } from './manage-members.ts'
import { findMember, type Member, type Organization, readOrganization } from './members.ts'
import { GroupNotFound, MemberNotFound, OwnerProtected } from './refusals.ts'
import { groupRoles, type organizationRoles } from './roles.ts'

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

const memberEdge = builder.objectRef<MemberListing['edges'][number]>('MemberEdge').implement({
  fields: (t) => ({ cursor: t.exposeString('cursor'), node: t.expose('node', { type: memberType }) }),
})

const memberConnection = builder.objectRef<MemberListing>('MemberConnection').implement({
  fields: (t) => ({
    edges: t.expose('edges', { type: [memberEdge] }),
    nodes: t.field({ type: [memberType], resolve: ({ edges }) => edges.map(({ node }) => node) }),
    pageInfo: t.expose('pageInfo', { type: pageInfo }),
    totalCount: t.int({
      description: 'How many members match in all. Counted up to 10,000: that number means as many or more.',
      resolve: (listing) => listing.totalCount(),
    }),
  }),
})

const memberFilter = builder.inputType('MemberFilter', {
  fields: (t) => ({
    search: t.string({ description: 'Matches any part of the email address or the name, in any case.' }),
    roles: t.field({ type: [organizationRole] }),
    active: t.boolean(),
  }),
})

builder.queryField('members', (t) =>
  t.field({
    type: memberConnection,
    description:
      "The organization's members in the order of their addresses, a page at a time (20 unless told otherwise, 100 at most).",
    directives: { hasRole: { anyOf: ['OWNER', 'SUPER_ADMIN', 'POWER_USER', 'MEMBER'] } },
    args: {
      first: t.arg.int(),
      after: t.arg.string(),
      last: t.arg.int(),
      before: t.arg.string(),
      filter: t.arg({ type: memberFilter }),
    },
    resolve: (_root, { filter, ...page }, context) =>
      listMembers(acting(context), {
        page,
        filter: {
          search: filter?.search?.trim() || null,
          roles: filter?.roles ?? null,
          active: filter?.active ?? null,
        },
      }),
  }),
)

const setMemberRoleInput = builder.inputType('SetMemberRoleInput', {
  fields: (t) => ({
    id: t.id({ required: true }),
    role: t.field({
      type: organizationRole,
      required: true,
      description: 'Any but `OWNER`, of whom an organization has one.',
    }),
  }),
})

const setMemberRolePayload = builder.objectRef<{ member: Member }>('SetMemberRolePayload').implement({
  fields: (t) => ({ member: t.expose('member', { type: memberType }) }),
})

const setMemberActiveInput = builder.inputType('SetMemberActiveInput', {
  fields: (t) => ({ id: t.id({ required: true }), active: t.boolean({ required: true }) }),
})

const setMemberActivePayload = builder.objectRef<{ member: Member }>('SetMemberActivePayload').implement({
  fields: (t) => ({ member: t.expose('member', { type: memberType }) }),
})

builder.mutationFields((t) => ({
  setMemberRole: t.field({
    type: setMemberRolePayload,
    description:
      'Gives a member another role, which counts at once, also for their access token. No group changes it from then on, but to\nraise a `MEMBER`.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [InvalidInput, MemberNotFound, OwnerProtected], union: { name: 'SetMemberRoleResult' } },
    args: { input: t.arg({ type: setMemberRoleInput, required: true }) },
    resolve: async (_root, { input: { id: memberId, role } }, context) => ({
      member: await setMemberRole(acting(context), { memberId, role }),
    }),
  }),
  setMemberActive: t.field({
    type: setMemberActivePayload,
    description:
      'Deactivates a member, whose sessions end and whose access token is refused at once, or makes them active again. The\ntokens that they created stay.',
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [MemberNotFound, OwnerProtected], union: { name: 'SetMemberActiveResult' } },
    args: { input: t.arg({ type: setMemberActiveInput, required: true }) },
    resolve: async (_root, { input: { id: memberId, active } }, context) => ({
      member: await setMemberActive(acting(context), { memberId, active }),
    }),
  }),
}))

const groupRole = builder.enumType('GroupRole', {
  description: 'What a group can make of its members: the one owner is made by no group.',
  values: groupRoles,
})

const groupType = builder.objectRef<Group>('Group').implement({
  description: "A group of members, as the organization's identity provider keeps it over SCIM.",
  fields: (t) => ({
    id: t.exposeID('id'),
    displayName: t.exposeString('displayName'),
    role: t.expose('role', {
      type: groupRole,
      nullable: true,
      description: 'The role that its members have by it; null for a group that says nothing of their role.',
    }),
    memberCount: t.exposeInt('memberCount'),
  }),
})

const setGroupRoleInput = builder.inputType('SetGroupRoleInput', {
  fields: (t) => ({
    groupId: t.id({ required: true }),
    role: t.field({
      type: groupRole,
      description: "Null, or left out, for a group that is to say nothing of its members' role.",
    }),
  }),
})

const setGroupRolePayload = builder.objectRef<{ group: Group }>('SetGroupRolePayload').implement({
  fields: (t) => ({ group: t.field({ type: groupType, resolve: ({ group }) => group }) }),
})

builder.queryField('groups', (t) =>
  t.field({
    type: [groupType],
    description: "The groups that the organization's identity provider keeps, in the order of their names.",
    directives: { hasRole: { anyOf: admins } },
    resolve: (_root, _args, context) => listGroups(acting(context)),
  }),
)

builder.mutationField('setGroupRole', (t) =>
  t.field({
    type: setGroupRolePayload,
    description:
      "Says which role the members of a group have by it, which they have once this has answered. The highest of a member's\ngroups counts, and MEMBER where none says anything. A role that was given otherwise stays, but for MEMBER, which a group\nmay raise; the owner's always stays.",
    directives: { hasRole: { anyOf: admins } },
    errors: { types: [GroupNotFound], union: { name: 'SetGroupRoleResult' } },
    args: { input: t.arg({ type: setGroupRoleInput, required: true }) },
    resolve: async (_root, { input: { groupId, role } }, context) => ({
      group: await setGroupRole(acting(context), { groupId, role: role ?? null }),
    }),
  }),
)
