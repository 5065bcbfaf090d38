/** From the most to the least powerful. */
export const organizationRoles = ['OWNER', 'SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST'] as const
export type OrganizationRole = (typeof organizationRoles)[number]

/** What a group can make of its members: the one owner is made by no group. */
export const groupRoles = ['SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST'] as const
export type GroupRole = (typeof groupRoles)[number]

const guest = ['apps:read']
const member = [...guest, 'findings:read', 'findings:comment']
const powerUser = [...member, 'scans:write']
const superAdmin = [...powerUser, 'tokens:manage', 'members:manage', 'scim:provision']

/** What a member's access token may do with the services that verify it. It follows the role, at once. */
export const permissionsOf: Readonly<Record<OrganizationRole, readonly string[]>> = {
  OWNER: superAdmin,
  SUPER_ADMIN: superAdmin,
  POWER_USER: powerUser,
  MEMBER: member,
  GUEST: guest,
}

export function isOrganizationRole(text: string): text is OrganizationRole {
  return organizationRoles.some((role) => role === text)
}
