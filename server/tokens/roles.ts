import { asc, eq, isNull, or, sql } from 'drizzle-orm'
import { tokenRoles } from '../database/tables.ts'
import type { Transaction } from '../database/with-organization.ts'
import type { OrganizationId, RoleId } from '../identifiers.ts'

export interface TokenRole {
  id: RoleId
  kind: 'MANAGED' | 'CUSTOM'
  label: string
  description: string
  permissions: string[]
}

export const roleColumns = {
  id: tokenRoles.id,
  organizationId: tokenRoles.organizationId,
  label: tokenRoles.label,
  description: tokenRoles.description,
  permissions: tokenRoles.permissions,
}

export function roleOf({
  organizationId,
  ...role
}: Omit<TokenRole, 'kind'> & { organizationId: OrganizationId | null }): TokenRole {
  return { ...role, kind: organizationId === null ? 'MANAGED' : 'CUSTOM' }
}

/** The roles that a token of the organization can have: the managed ones, then its own. */
export async function listRoles(
  transaction: Transaction,
  { organizationId }: { organizationId: OrganizationId },
): Promise<TokenRole[]> {
  const rows = await transaction
    .select(roleColumns)
    .from(tokenRoles)
    .where(or(isNull(tokenRoles.organizationId), eq(tokenRoles.organizationId, organizationId)))
    .orderBy(sql`${tokenRoles.organizationId} is not null`, asc(tokenRoles.createdAt), asc(tokenRoles.id))
  return rows.map(roleOf)
}
