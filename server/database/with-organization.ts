import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { PoolClient } from 'pg'
import type { OrganizationId, PersonId } from '../identifiers.ts'
import { type Database, queryTimeoutMilliseconds } from './pool.ts'
import { DatabaseUnavailable, isUnavailable, sqlState } from './unavailable.ts'

/** A transaction that sees one organization's rows and no other's. Only `withOrganization` makes one. */
export type Transaction = NodePgDatabase

/** The organization acted in and, where a person acts, whose sessions of other organizations are in reach as well. */
export interface Scope {
  organizationId: OrganizationId
  personId?: PersonId | undefined
}

/**
 * Runs `work` in one transaction that row-level security confines to the organization, and commits it. Whatever `work`
 * throws rolls everything back. Throws `DatabaseUnavailable` where the database does not answer; after a commit that got
 * no answer, nobody can know whether it holds.
 */
export async function withOrganization<T>(
  { server }: Pick<Database, 'server'>,
  { organizationId, personId }: Scope,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  let client: PoolClient
  const askedAt = performance.now()
  try {
    client = await server.connect()
  } catch (error) {
    throw isUnavailable(error) ? new DatabaseUnavailable(error) : error
  }
  let broken = false
  try {
    // One message to the server instead of two: the simple protocol takes several statements but no parameters.
    await client.query(
      `begin; ${limitStatements(performance.now() - askedAt)} select set_config('latchkey.organization_id', ${client.escapeLiteral(organizationId)}, true),
        set_config('latchkey.person_id', ${client.escapeLiteral(personId ?? '')}, true)`,
    )
    const transaction = drizzle(client)
    const onCommit: (() => void)[] = []
    doneAfter.set(transaction, onCommit)
    const result = await work(transaction)
    await client.query('commit')
    for (const tell of onCommit) tell()
    return result
  } catch (error) {
    // Where PostgreSQL did not itself refuse a statement, the connection's state is unknown, and a rollback might hang on it.
    broken = isUnavailable(error)
    if (!broken) {
      await client.query('rollback').catch(() => {
        broken = true
      })
    }
    throw broken && sqlState(error) === null ? new DatabaseUnavailable(error) : error
  } finally {
    client.release(broken)
  }
}

const doneAfter = new WeakMap<Transaction, (() => void)[]>()

/** Tells of what the transaction did, once it holds; never, where it is rolled back or nobody knows. `tell` is not to throw. */
export function afterCommit(transaction: Transaction, tell: () => void): void {
  const waiting = doneAfter.get(transaction)
  if (!waiting) throw new Error('Only a transaction of withOrganization tells when it has committed.')
  waiting.push(tell)
}

/** Whoever has waited for a connection waits for an answer only as much longer as both together may take. */
function limitStatements(waitedMilliseconds: number): string {
  if (waitedMilliseconds < 50) return ''
  const left = Math.max(100, Math.floor(queryTimeoutMilliseconds - waitedMilliseconds))
  return `set local statement_timeout = ${left};`
}

/** Confines the rest of the transaction to another organization. What is no longer in reach stays changed as it was. */
export async function moveTo(transaction: Transaction, organizationId: OrganizationId): Promise<void> {
  await transaction.execute(sql`select set_config('latchkey.organization_id', ${organizationId}, true)`)
}

/**
 * The last of a transaction that concerns several organizations: what is recorded in all of their logs, or in none. In the
 * order of their ids, so that no two such transactions wait for each other.
 */
export async function inEachOrganization<T extends { organizationId: OrganizationId }>(
  transaction: Transaction,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  for (const item of items.toSorted(byOrganization)) {
    await moveTo(transaction, item.organizationId)
    await work(item)
  }
}

function byOrganization(one: Scope, other: Scope): number {
  if (one.organizationId === other.organizationId) return 0
  return one.organizationId < other.organizationId ? -1 : 1
}
