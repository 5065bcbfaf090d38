import type { Group, GroupRole } from '@latchkey/sdk'
import { organizationRoleNames } from '../session/roles.ts'

/** What a group is to make of its members. */
export interface RoleChange {
  group: Group
  role: GroupRole | null
}

/** From the least powerful to the most. */
const roles: readonly GroupRole[] = ['GUEST', 'MEMBER', 'POWER_USER', 'SUPER_ADMIN']

export function isGroupRole(text: string): text is GroupRole {
  return roles.some((role) => role === text)
}

export const groupRoleOptions = [
  { value: '', label: 'Says nothing of the role' },
  ...roles.map((role) => ({ value: role, label: organizationRoleNames[role] })),
]

/** The id of the field in which a group’s role is chosen. */
export const roleFieldOf = ({ id }: Group) => `role-of-${id}`

export function describeMembers(count: number): string {
  return count === 1 ? '1 member' : `${count.toLocaleString()} members`
}
