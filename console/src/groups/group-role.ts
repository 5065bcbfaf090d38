import type { Group, GroupRole } from '@latchkey/sdk'
import { givenRoles, organizationRoleNames } from '../session/roles.ts'

/** What a group is to make of its members. */
export interface RoleChange {
  group: Group
  role: GroupRole | null
}

export const groupRoleOptions = [
  { value: '', label: 'Says nothing of the role' },
  ...givenRoles.map((role) => ({ value: role, label: organizationRoleNames[role] })),
]

/** The id of the field in which a group’s role is chosen. */
export const roleFieldOf = ({ id }: Group) => `role-of-${id}`

export function describeMembers(count: number): string {
  return count === 1 ? '1 member' : `${count.toLocaleString()} members`
}
