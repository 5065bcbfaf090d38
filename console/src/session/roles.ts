import type { MemberViewer, OrganizationRole } from '@latchkey/sdk'

/** Whom the contract lets manage tokens, their roles and policy, webhooks and groups, and read the audit log: a test holds the two together. */
export const managingRoles: readonly OrganizationRole[] = ['OWNER', 'SUPER_ADMIN']

export function mayManageTokens({ member }: Pick<MemberViewer, 'member'>): boolean {
  return managingRoles.includes(member.role)
}

export const organizationRoleNames: Record<OrganizationRole, string> = {
  OWNER: 'Owner',
  SUPER_ADMIN: 'Super Admin',
  POWER_USER: 'Power User',
  MEMBER: 'Member',
  GUEST: 'Guest',
}
