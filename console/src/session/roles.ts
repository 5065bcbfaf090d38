import type { MemberViewer, OrganizationRole } from '@latchkey/sdk'

/** Whom the contract lets manage tokens, their roles and policy, webhooks, members and groups, and read the audit log: a test holds the two together. */
export const managingRoles: readonly OrganizationRole[] = ['OWNER', 'SUPER_ADMIN']

/** Whom the contract lets read the members; held by the same test. */
export const rolesReadingMembers: readonly OrganizationRole[] = [...managingRoles, 'POWER_USER', 'MEMBER']

type Member = Pick<MemberViewer, 'member'>

export function mayManage({ member }: Member): boolean {
  return managingRoles.includes(member.role)
}

export function mayReadMembers({ member }: Member): boolean {
  return rolesReadingMembers.includes(member.role)
}

export const organizationRoleNames: Record<OrganizationRole, string> = {
  OWNER: 'Owner',
  SUPER_ADMIN: 'Super Admin',
  POWER_USER: 'Power User',
  MEMBER: 'Member',
  GUEST: 'Guest',
}

/** What each role may do, for after “may”. */
export const organizationRoleRights: Record<OrganizationRole, string> = {
  OWNER: 'do whatever can be done in the organization, of which there is one owner',
  SUPER_ADMIN:
    'invite members and change their roles, create and delete integration tokens and webhooks, and read the audit log',
  POWER_USER: 'see the members and, with an access token, read findings, comment on them, and send scans',
  MEMBER: 'see the members and, with an access token, read findings and comment on them',
  GUEST: 'see the organization’s name and, with an access token, read its apps',
}

/** A role that an admin, or a group, can give to somebody. */
export type GivenRole = Exclude<OrganizationRole, 'OWNER'>

/** From the least powerful to the most. */
export const givenRoles: readonly GivenRole[] = ['GUEST', 'MEMBER', 'POWER_USER', 'SUPER_ADMIN']

export function isGivenRole(text: string): text is GivenRole {
  return givenRoles.some((role) => role === text)
}
