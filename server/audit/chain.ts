/**
 * How the events of an organization are chained, so that none can be changed, removed or slipped in unnoticed, not even by
 * whoever may write anything into the database.
 *
 * An event's hash is of all that it says, of its position, and of the link to the event before it. It is made with the
 * server key (HMAC), which the database never sees: a chain of plain hashes could be computed anew from the changed event
 * on. The link is not the hash before but is made from it, with the key as well, and is in `audit_heads` alone: so whoever
 * removes the newest events finds no link left to end the chain with.
 *
 * What this cannot tell: that the end of a chain was replaced, head and all, by what it was at an earlier time, as when an
 * old backup is restored; and what was written by someone who has the key. After the key was rotated, what came before is
 * safe from the old one too, since it is held by links under the new one.
 */
import { sql } from 'drizzle-orm'
import type { auditEvents } from '../database/tables.ts'
import type { Digester } from '../tokens/secret.ts'

type Row = typeof auditEvents.$inferSelect

/** Everything that an event says. */
export interface ChainedEvent extends Omit<Row, 'position' | 'keyId' | 'hash'> {
  position: number
}

/** Under a key that this server has. */
export function hashOf({ digestUnder }: Digester, keyId: string, link: Buffer, event: ChainedEvent): Buffer {
  const { organizationId, position, id, at, action, actor, actorId, target, targetId, ipAddress, userAgent } = event
  const said = [organizationId, position, id, at.getTime(), action, actor, actorId, target, targetId]
  // JSON tells null from empty, and where one text ends and the next begins.
  return digestUnder(keyId, 'audit event', JSON.stringify([link.toString('hex'), ...said, ipAddress, userAgent]))
}

/** What the event after this one is chained to. */
export function linkAfter(
  { digestUnder }: Digester,
  {
    organizationId,
    position,
    keyId,
    hash,
  }: Pick<Row, 'organizationId'> & { position: number; keyId: string; hash: Buffer },
): Buffer {
  return digestUnder(keyId, 'audit link', JSON.stringify([organizationId, position, hash.toString('hex')]))
}

/**
 * The SHA-256 of an event from before the chain. The beginning of a chain is the SHA-256 of all of these, oldest first:
 * the migration that brought the chains made it so, by the same expression.
 */
export const unchainedDigest = sql<Buffer>`sha256(convert_to(jsonb_build_array(id, organization_id, (extract(epoch from at) * 1000)::text,
  action, actor, actor_id, target, target_id, ip_address, user_agent)::text, 'UTF8'))`
