import { and, eq, sql } from 'drizzle-orm'
import { z } from 'zod'
import { recordAction } from '../audit/record-event.ts'
import { integrationTokens, tokenRoles } from '../database/tables.ts'
import { constraintOf, sqlState } from '../database/unavailable.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import { createId, type OrganizationId, type RoleId } from '../identifiers.ts'
import { lockOrganization } from '../organizations/groups.ts'
import { ConfirmationNeeded, LabelTaken, TokenRoleInUse, TokenRoleNotFound, TooManyTokenRoles } from './refusals.ts'
import { listRoles, roleColumns, roleOf, type TokenRole } from './roles.ts'
import { description, label, labelKey, readInput } from './token-input.ts'

const mostRoles = 100
const mostPermissions = 50
const mostCounted = 10_000

/** What Latchkey itself goes by. With one of these a token could verify tokens, or manage them. */
const reserved = /^(tokens|members|scim):/
const permissions = z
  .array(
    z
      .string()
      .regex(
        /^[a-z][a-z0-9_-]{0,49}:[a-z][a-z0-9_-]{0,49}$/,
        'A permission is written as resource:action, in small letters, such as findings:read.',
      )
      .refine(
        (text) => !reserved.test(text),
        'Permissions for tokens, members and SCIM are Latchkey’s own, and cannot be given to a role.',
      ),
  )
  .transform((list) => [...new Set(list)])
  .refine(
    (list) => list.length >= 1 && list.length <= mostPermissions,
    `A role has 1 to ${mostPermissions} permissions.`,
  )

const newRole = z.object({ label, description: description.transform((text) => text ?? ''), permissions })

/** Absent fields stay as they are. */
const roleChange = z.object({
  label: label.optional(),
  description: description.transform((text) => (text === undefined ? undefined : (text ?? ''))),
  permissions: permissions.optional(),
})

/** Throws `InvalidInput`, `LabelTaken`, `TooManyTokenRoles`. */
export async function createRole(acting: Acting, input: unknown): Promise<TokenRole> {
  const role = readInput(newRole, input)
  const { organizationId } = acting.principal
  return changing(acting, async (transaction) => {
    const roles = await listRoles(transaction, { organizationId })
    if (roles.filter(({ kind }) => kind === 'CUSTOM').length >= mostRoles) throw new TooManyTokenRoles(mostRoles)
    requireFree(roles, role.label, null)
    const id = createId('role', acting)
    const [made] = await transaction
      .insert(tokenRoles)
      .values({ ...role, id, organizationId, labelKey: labelKey(role.label) })
      .returning(roleColumns)
    if (!made) throw new Error('A role that was just added is gone.')
    await recordAction(transaction, acting, 'token_role.created', { name: made.label, id })
    return roleOf(made)
  })
}

/** Throws `InvalidInput`, `LabelTaken`, `TokenRoleNotFound`, `ConfirmationNeeded`. */
export async function updateRole(acting: Acting, roleId: string, input: unknown, force = false): Promise<TokenRole> {
  const change = readInput(roleChange, input)
  const { organizationId } = acting.principal
  return changing(acting, async (transaction) => {
    const roles = await listRoles(transaction, { organizationId })
    const before = requireCustom(roles, roleId)
    const after = {
      label: change.label ?? before.label,
      description: change.description ?? before.description,
      permissions: change.permissions ?? before.permissions,
    }
    requireFree(roles, after.label, before.id)
    const permits = after.permissions.toSorted().join() !== before.permissions.toSorted().join()
    if (permits && !force) {
      const tokenCount = await countTokens(transaction, { organizationId, roleId: before.id })
      if (tokenCount > 0) throw new ConfirmationNeeded(changeOf(before, after, tokenCount))
    }
    if (permits || after.label !== before.label || after.description !== before.description) {
      await transaction
        .update(tokenRoles)
        .set({
          label: after.label,
          labelKey: labelKey(after.label),
          description: after.description,
          ...(permits && { permissions: after.permissions }),
        })
        .where(own(organizationId, before.id))
      await recordAction(transaction, acting, 'token_role.updated', { name: after.label, id: before.id })
    }
    return { ...before, ...after }
  })
}

/** What becomes of the tokens that have the role. */
function changeOf(before: TokenRole, after: Pick<TokenRole, 'permissions'>, tokenCount: number): string {
  const added = after.permissions.filter((permission) => !before.permissions.includes(permission))
  const taken = before.permissions.filter((permission) => !after.permissions.includes(permission))
  const changes = [
    added.length > 0 && `may also ${added.join(', ')}`,
    taken.length > 0 && `may no longer ${taken.join(', ')}`,
  ]
  return `${countOf(tokenCount)} ${tokenCount === 1 ? 'has' : 'have'} this role, and at once ${changes.filter(Boolean).join(', and ')}. Send force: true to do it.`
}

/** Throws `TokenRoleNotFound`, `TokenRoleInUse`. */
export async function deleteRole(acting: Acting, roleId: string): Promise<RoleId> {
  const { organizationId } = acting.principal
  return changing(acting, async (transaction) => {
    const { id, label: name } = requireCustom(await listRoles(transaction, { organizationId }), roleId)
    const tokenCount = await countTokens(transaction, { organizationId, roleId: id })
    if (tokenCount > 0) throw inUse(tokenCount)
    try {
      await transaction.delete(tokenRoles).where(own(organizationId, id))
    } catch (error) {
      // A token was just made with it.
      if (sqlState(error) === '23503' && constraintOf(error) === 'integration_tokens_role_id_token_roles_id_fk')
        throw inUse(1)
      throw error
    }
    await recordAction(transaction, acting, 'token_role.deleted', { name, id })
    return id
  })
}

const inUse = (tokenCount: number) => new TokenRoleInUse(countOf(tokenCount), tokenCount)

function countOf(tokenCount: number): string {
  if (tokenCount >= mostCounted) return `${mostCounted} tokens or more`
  return tokenCount === 1 ? 'One token' : `${tokenCount} tokens`
}

const own = (organizationId: OrganizationId, roleId: RoleId) =>
  and(eq(tokenRoles.organizationId, organizationId), eq(tokenRoles.id, roleId))

function requireCustom(roles: TokenRole[], roleId: string): TokenRole {
  const role = roles.find(({ id, kind }) => id === roleId && kind === 'CUSTOM')
  if (!role) throw new TokenRoleNotFound()
  return role
}

/** Also of a managed role, which a token would otherwise be taken to have. */
function requireFree(roles: TokenRole[], wanted: string, except: RoleId | null): void {
  if (roles.some((role) => role.id !== except && labelKey(role.label) === labelKey(wanted)))
    throw new LabelTaken(wanted, 'role')
}

async function countTokens(
  transaction: Transaction,
  { organizationId, roleId }: { organizationId: OrganizationId; roleId: RoleId },
): Promise<number> {
  const found = transaction
    .select({ id: integrationTokens.id })
    .from(integrationTokens)
    .where(and(eq(integrationTokens.organizationId, organizationId), eq(integrationTokens.roleId, sql`${roleId}`)))
    .limit(mostCounted)
    .as('found')
  return transaction.$count(found)
}

/** Whoever changes roles of the organization takes turns. */
function changing<T>({ database, principal }: Acting, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  return withOrganization(database, principal, async (transaction) => {
    await lockOrganization(transaction, principal.organizationId)
    return work(transaction)
  })
}
