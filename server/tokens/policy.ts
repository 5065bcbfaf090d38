import { and, eq, gt, isNull, or, type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import { recordAction } from '../audit/record-event.ts'
import { organizations, tokenSecrets } from '../database/tables.ts'
import { type Transaction, withOrganization } from '../database/with-organization.ts'
import type { Acting } from '../dependencies.ts'
import type { OrganizationId } from '../identifiers.ts'
import { lockOrganization } from '../organizations/groups.ts'
import { InvalidInput } from '../refusal.ts'
import { readInput } from './token-input.ts'

/** What an organization asks of its tokens' expiry. */
export interface TokenPolicy {
  longestLifetimeDays: number | null
  expiryRequired: boolean
  defaultLifetimeDays: number | null
}

const longestDays = 3_650
const mostCounted = 10_000
const dayMilliseconds = 24 * 60 * 60 * 1_000

const policyColumns = {
  longestLifetimeDays: organizations.longestTokenLifetimeDays,
  expiryRequired: organizations.tokenExpiryRequired,
  defaultLifetimeDays: organizations.defaultTokenLifetimeDays,
}

/** With the instant at which what is made now is made, rounded as a column rounds it. */
export async function readPolicy(
  transaction: Transaction,
  { organizationId }: { organizationId: OrganizationId },
): Promise<TokenPolicy & { now: Date }> {
  const [policy] = await transaction
    .select({ ...policyColumns, now: sql<Date>`now()::timestamptz(3)`.mapWith(organizations.createdAt) })
    .from(organizations)
    .where(eq(organizations.id, organizationId))
  if (!policy) throw new Error('The organization of a credential that was just accepted is gone.')
  return policy
}

export async function findPolicy({ database, principal }: Acting): Promise<TokenPolicy> {
  return withOrganization(database, principal, (transaction) => readPolicy(transaction, principal))
}

const days = z
  .number()
  .refine((number) => number >= 1 && number <= longestDays, `A lifetime is 1 to ${longestDays} days, or null for none.`)
  .nullable()
const policyChange = z.object({
  longestLifetimeDays: days.optional(),
  expiryRequired: z
    .boolean('An expiry is either required or not: give true or false, or leave the field out.')
    .optional(),
  defaultLifetimeDays: days.optional(),
})

/** Tokens that there are stay as they are. Throws `InvalidInput`. */
export async function updatePolicy(acting: Acting, input: unknown): Promise<TokenPolicy> {
  const change = readInput(policyChange, input)
  const { database, principal } = acting
  const { organizationId } = principal
  return withOrganization(database, principal, async (transaction) => {
    await lockOrganization(transaction, organizationId)
    const before = await readPolicy(transaction, principal)
    const { longestLifetimeDays = before.longestLifetimeDays, defaultLifetimeDays = before.defaultLifetimeDays } =
      change
    const after = {
      longestLifetimeDays,
      expiryRequired: change.expiryRequired ?? before.expiryRequired,
      defaultLifetimeDays,
    }
    if (longestLifetimeDays !== null && defaultLifetimeDays !== null && defaultLifetimeDays > longestLifetimeDays) {
      const message = `The default cannot be longer than the longest lifetime, which is ${inDays(longestLifetimeDays)}.`
      throw new InvalidInput([{ path: 'defaultLifetimeDays', message }])
    }
    if (isSame(before, after)) return before
    const [organization] = await transaction
      .update(organizations)
      .set({
        longestTokenLifetimeDays: longestLifetimeDays,
        tokenExpiryRequired: after.expiryRequired,
        defaultTokenLifetimeDays: defaultLifetimeDays,
      })
      .where(eq(organizations.id, organizationId))
      .returning({ id: organizations.id, name: organizations.name })
    if (organization) await recordAction(transaction, acting, 'token_policy.updated', organization)
    return after
  })
}

const isSame = (one: TokenPolicy, other: TokenPolicy) =>
  one.longestLifetimeDays === other.longestLifetimeDays &&
  one.expiryRequired === other.expiryRequired &&
  one.defaultLifetimeDays === other.defaultLifetimeDays

/** When a token expires that is created at that instant without a word about it. */
export function defaultExpiry({ defaultLifetimeDays }: TokenPolicy, now: Date): Date | null {
  return defaultLifetimeDays === null ? null : new Date(now.getTime() + defaultLifetimeDays * dayMilliseconds)
}

/** Throws `InvalidInput` for an expiry that does not meet the policy, of a token whose value was made at that instant. */
export function requireAllowed(
  policy: TokenPolicy,
  { expiresAt, madeAt }: { expiresAt: Date | null; madeAt: Date },
): void {
  const { longestLifetimeDays, expiryRequired } = policy
  const refuse = (message: string) => {
    throw new InvalidInput([{ path: 'expiresAt', message }])
  }
  if (expiresAt === null && longestLifetimeDays !== null)
    refuse(
      `Every token of the organization expires, ${inDays(longestLifetimeDays)} after its value was made at the latest: give an expiry date.`,
    )
  if (expiresAt === null && expiryRequired) refuse('Every token of the organization expires: give an expiry date.')
  if (expiresAt === null || longestLifetimeDays === null) return
  const latest = new Date(madeAt.getTime() + longestLifetimeDays * dayMilliseconds)
  if (expiresAt > latest)
    refuse(
      `A token of the organization expires ${inDays(longestLifetimeDays)} after its value was made at the latest, here on ${latest.toISOString()}.`,
    )
}

const inDays = (number: number) => (number === 1 ? 'a day' : `${number} days`)

/** How many tokens that are or can be accepted do not meet the policy. */
export async function countOutside({ database, principal }: Acting, policy: TokenPolicy): Promise<number> {
  const { longestLifetimeDays, expiryRequired } = policy
  const { organizationId } = principal
  const { tokenExpiresAt, createdAt, acceptedUntil } = tokenSecrets
  const outside: (SQL | undefined)[] = []
  if (expiryRequired || longestLifetimeDays !== null) outside.push(isNull(tokenExpiresAt))
  if (longestLifetimeDays !== null) {
    const latest = sql`${createdAt} + ${longestLifetimeDays} * interval '1 day'`
    outside.push(and(gt(tokenExpiresAt, sql`now()`), gt(tokenExpiresAt, latest)))
  }
  if (outside.length === 0) return 0
  return withOrganization(database, principal, async (transaction) => {
    const found = transaction
      .select({ tokenId: tokenSecrets.tokenId })
      .from(tokenSecrets)
      .where(and(eq(tokenSecrets.organizationId, organizationId), isNull(acceptedUntil), or(...outside)))
      .limit(mostCounted)
      .as('found')
    return transaction.$count(found)
  })
}
