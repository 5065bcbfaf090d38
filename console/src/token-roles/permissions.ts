import type { TokenRole } from '@latchkey/sdk'

/** Latchkey's own, which the API gives to no role of an organization's. */
const reserved = /^(tokens|members|scim):/

/** Those that roles have already, in the order of the alphabet. */
export function knownPermissions(roles: readonly TokenRole[]): string[] {
  const all = roles.flatMap(({ permissions }) => permissions)
  return [...new Set(all)].filter((permission) => !reserved.test(permission)).toSorted()
}

/** What becomes of whoever has the role; null where that is nothing. */
export interface PermissionChange {
  added: string[]
  taken: string[]
}

export function changeOf(before: readonly string[], after: readonly string[]): PermissionChange | null {
  const added = after.filter((permission) => !before.includes(permission))
  const taken = before.filter((permission) => !after.includes(permission))
  return added.length + taken.length > 0 ? { added, taken } : null
}

/** Of the field as a whole; the API names the permission by its place. */
export function permissionMistake(
  mistakes: Record<string, string>,
  permissions: readonly string[],
): string | undefined {
  for (const [path, message] of Object.entries(mistakes)) {
    const [field, place] = path.split('.')
    if (field !== 'permissions') continue
    const permission = place === undefined ? undefined : permissions[Number(place)]
    return permission === undefined ? message : `“${permission}”: ${message}`
  }
  return undefined
}
