import type { MemberFilter, OrganizationRole } from '@latchkey/sdk'
import { organizationRoleNames } from '../session/roles.ts'

export const memberStatuses = { ACTIVE: 'Active', DEACTIVATED: 'Deactivated' } as const

/** What part of the members is shown, as the address has it, so that it can be shared. */
export interface MemberView {
  search?: string
  /** Roles, parted by commas. */
  role?: string
  /** Statuses, parted by commas; both where none is named. */
  status?: string
  after?: string
  before?: string
}

const pageSize = 20

/** Leaves out what the API would not take. */
export function readMemberView(given: Record<string, unknown>): MemberView {
  const text = (key: string) => {
    const value = given[key]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }
  const search = text('search').trim()
  const role = text('role').split(',').filter(isRole).join(',')
  const status = text('status').split(',').filter(isStatus).join(',')
  const [after, before] = [text('after'), text('before')]
  return {
    ...(search && { search }),
    ...(role && { role }),
    ...(status && { status }),
    ...(after ? { after } : before ? { before } : {}),
  }
}

function isRole(text: string): text is OrganizationRole {
  return Object.hasOwn(organizationRoleNames, text)
}

function isStatus(text: string): boolean {
  return Object.hasOwn(memberStatuses, text)
}

/** As the API wants it. */
export function memberRequestOf({ search, role, status, after, before }: MemberView) {
  const filter: MemberFilter = {
    ...(search && { search }),
    ...(role && { roles: role.split(',').filter(isRole) }),
    ...(status === 'ACTIVE' && { active: true }),
    ...(status === 'DEACTIVATED' && { active: false }),
  }
  return {
    ...(before ? { last: pageSize, before } : { first: pageSize, ...(after && { after }) }),
    filter,
    withTotalCount: true,
  }
}

const mostCounted = 10_000

/** The API counts no further. */
export function describeMemberCount(count: number): string {
  if (count >= mostCounted) return `${mostCounted.toLocaleString()} members or more`
  return count === 1 ? '1 member' : `${count.toLocaleString()} members`
}
