import type { IntegrationTokenFilter, IntegrationTokenSort, TokenStatus } from '@latchkey/sdk'

export const sorts = {
  CREATED_AT_DESC: 'Newest first',
  CREATED_AT_ASC: 'Oldest first',
  LABEL_ASC: 'By label',
  LAST_USED_AT_DESC: 'Last used first',
  EXPIRES_AT_ASC: 'Expiring first',
} as const satisfies Record<IntegrationTokenSort, string>

export const statuses = {
  ACTIVE: 'Active',
  DISABLED: 'Disabled',
  EXPIRED: 'Expired',
} as const satisfies Record<TokenStatus, string>

/** What part of the tokens is shown, as the address has it, so that it can be shared. */
export interface ListView {
  search?: string
  /** Ids, parted by commas. */
  role?: string
  /** Statuses, parted by commas; all but the expired where none is named. */
  status?: string
  sort?: IntegrationTokenSort
  after?: string
  before?: string
}

const defaultSort: IntegrationTokenSort = 'CREATED_AT_DESC'
const pageSize = 20

/** Leaves out what the API would not take. */
export function readListView(given: Record<string, unknown>): ListView {
  const text = (key: string) => {
    const value = given[key]
    return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
  }
  const search = text('search').trim()
  const role = text('role')
  const status = text('status').split(',').filter(isStatus).join(',')
  const sort = text('sort')
  const [after, before] = [text('after'), text('before')]
  return {
    ...(search && { search }),
    ...(role && { role }),
    ...(status && { status }),
    ...(isSort(sort) && sort !== defaultSort && { sort }),
    ...(after ? { after } : before ? { before } : {}),
  }
}

export function isSort(text: string | null): text is IntegrationTokenSort {
  return text !== null && Object.hasOwn(sorts, text)
}

export function isStatus(text: string): text is TokenStatus {
  return Object.hasOwn(statuses, text)
}

/** As the API wants it. */
export function requestOf({ search, role, status, sort = defaultSort, after, before }: ListView) {
  const filter: IntegrationTokenFilter = {
    ...(search && { search }),
    ...(role && { roleIds: role.split(',') }),
    ...(status && { statuses: status.split(',').filter(isStatus) }),
  }
  return {
    ...(before ? { last: pageSize, before } : { first: pageSize, ...(after && { after }) }),
    filter,
    sort,
    withTotalCount: true,
  }
}

export function isFiltered({ search, role, status }: ListView): boolean {
  return Boolean(search || role || status)
}

/** Every token that has the role. */
export function viewOfRole(roleId: string): ListView {
  return { role: roleId, status: Object.keys(statuses).join(',') }
}

const mostCounted = 10_000

/** The API counts no further. */
export function describeCount(count: number): string {
  if (count >= mostCounted) return `${mostCounted.toLocaleString()} tokens or more`
  return count === 1 ? '1 token' : `${count.toLocaleString()} tokens`
}
