import { createHash } from 'node:crypto'
import { and, asc, eq, gte, isNull, lte, max, sql } from 'drizzle-orm'
import { auditEvents, auditHeads } from '../database/tables.ts'
import { withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import type { EventId, OrganizationId } from '../identifiers.ts'
import { hashOf, linkAfter, unchainedDigest } from './chain.ts'

/** What is wrong at a position or, where several that follow one another share it, from there on. */
export interface ChainProblem {
  /** Null for what has no position in the chain. */
  position: number | null
  lastPosition: number | null
  /** The event there; null where there is none. */
  id: EventId | null
  at: Date | null
  problem: string
}

export interface ChainReport {
  events: number
  /** Events from before the chain, which it holds together. */
  unchained: number
  /** The newest event. Its position only ever grows: a smaller one than last time is the trace of an older copy. */
  last: { position: number; id: EventId; at: Date | null } | null
  /** The first hundred. */
  problems: ChainProblem[]
  /** How many there are beyond these. */
  furtherProblems: number
}

type Row = typeof auditEvents.$inferSelect
interface Positioned extends Row {
  position: number
}

const rowsAtOnce = 1_000
const mostProblems = 100

const changed = 'It is not as it was recorded, or does not follow what it was recorded after.'
const missing = 'Removed: there was an event here.'
const unfollowed = 'It cannot be checked without what came before it; it may be as it was recorded.'
const unlisted = (keyId: string) =>
  `It cannot be checked without the server key that it was recorded under, whose id is ${keyId}.`
const unhashed = 'It has no hash, so that it was not recorded by Latchkey.'
const displaced = 'A second event at this position, which was added or moved here.'
const behindHead = 'It lies behind the end of the chain, so that it was added, or the end was moved back.'
const endMissing =
  'The end of the chain is not recorded any more, so that nothing tells whether later events were removed.'
const endChanged =
  'The end of the chain is not the one that was recorded: later events were removed, or it was changed.'
const beginningChanged = 'Of the events from before the chain, one was changed, removed or added since.'

/** Walks the organization's whole chain, from its beginning to what was its end when it was asked. */
export async function verifyChain(dependencies: Dependencies, organizationId: OrganizationId): Promise<ChainReport> {
  const { digester } = dependencies
  const { list, note } = collectProblems()
  const end = await readEnd(dependencies, organizationId)
  const { digest, count: unchained } = await readUnchained(dependencies, organizationId)
  if (end.head && !digest.equals(end.head.beginning)) note(null, null, beginningChanged)

  let link = end.head?.beginning ?? null
  let due = 1
  let events = 0
  let last: Positioned | null = null
  const greatest = Math.min(Math.max(end.last, end.head?.position ?? 0), Number.MAX_SAFE_INTEGER)
  for await (const event of eventsUpTo(dependencies, organizationId, greatest)) {
    const { position, keyId, hash } = event
    if (position > due) {
      note({ position: due, lastPosition: position - 1 }, null, missing)
      link = null
    }
    note(event, event, problemOf(event, link))
    events += 1
    if (position < due) continue
    link =
      keyId !== null && hash !== null && digester.hasKey(keyId) ? linkAfter(digester, { ...event, keyId, hash }) : null
    due = position + 1
    last = event
  }
  if (!end.head) note(null, null, endMissing)
  else if (end.head.position >= due) note({ position: due, lastPosition: end.head.position }, null, missing)
  else if (link && end.head.position === due - 1 && !link.equals(end.head.link)) note(null, last, endChanged)
  if (end.last > greatest) note({ position: end.last }, null, behindHead)
  return { events, unchained, last: last && { position: last.position, id: last.id, at: instantOf(last) }, ...list() }

  function problemOf(event: Positioned, follows: Buffer | null): string | null {
    const { position, keyId, hash } = event
    if (position < due) return displaced
    if (end.head && position > end.head.position) return behindHead
    if (keyId === null || hash === null) return unhashed
    if (!digester.hasKey(keyId)) return unlisted(keyId)
    if (!follows) return unfollowed
    return hashOf(digester, keyId, follows, event).equals(hash) ? null : changed
  }
}

/** Null for an instant that is none, such as infinity. */
const instantOf = ({ at }: { at: Date }) => (Number.isNaN(at.getTime()) ? null : at)

/** Problems in the order found. What is missing is one problem from its first to its last position; what was changed, one each. */
function collectProblems() {
  const problems: ChainProblem[] = []
  let furtherProblems = 0
  return {
    note(
      place: { position: number; lastPosition?: number } | null,
      event: { id: EventId; at: Date } | null,
      problem: string | null,
    ): void {
      if (problem === null) return
      const position = place?.position ?? null
      const lastPosition = place?.lastPosition ?? position
      const before = problems.at(-1)
      const goesOn = before?.problem === problem && position !== null && before.lastPosition === position - 1
      if (goesOn && problem !== changed) {
        before.lastPosition = lastPosition
      } else if (problems.length < mostProblems) {
        problems.push({ position, lastPosition, id: event?.id ?? null, at: event && instantOf(event), problem })
      } else furtherProblems += 1
    },
    list: () => ({ problems, furtherProblems }),
  }
}

/** The recorded end and the greatest position, as of one moment: what is recorded meanwhile belongs to neither. */
async function readEnd({ database }: Dependencies, organizationId: OrganizationId) {
  const [end] = await withOrganization(database, { organizationId }, (transaction) => {
    const greatest = transaction
      .select({ last: max(auditEvents.position).as('last') })
      .from(auditEvents)
      .where(eq(auditEvents.organizationId, organizationId))
      .as('greatest')
    return transaction
      .select({ last: greatest.last, head: auditHeads })
      .from(greatest)
      .leftJoin(auditHeads, eq(auditHeads.organizationId, organizationId))
  })
  return { last: end?.last ?? 0, head: end?.head ?? null }
}

/** In the order of their positions. In pages, so that no statement takes long, and no more than a page is in memory. */
async function* eventsUpTo(
  dependencies: Dependencies,
  organizationId: OrganizationId,
  greatest: number,
): AsyncGenerator<Positioned> {
  let after: Positioned | null = null
  do {
    const rows = await readPage(dependencies, organizationId, { after, greatest })
    after = null
    for (const { position, ...row } of rows) {
      if (position === null) continue
      after = { ...row, position }
      yield after
    }
  } while (after)
}

function readPage(
  { database }: Dependencies,
  organizationId: OrganizationId,
  { after, greatest }: { after: Positioned | null; greatest: number },
): Promise<Row[]> {
  return withOrganization(database, { organizationId }, (transaction) =>
    transaction
      .select()
      .from(auditEvents)
      .where(
        and(
          eq(auditEvents.organizationId, organizationId),
          lte(auditEvents.position, greatest),
          // There can be two at a position only where the index was dropped that forbids it.
          after ? gte(auditEvents.position, after.position) : undefined,
          after ? sql`(position, id) > (${after.position}, ${after.id})` : undefined,
        ),
      )
      .orderBy(asc(auditEvents.position), asc(auditEvents.id))
      .limit(rowsAtOnce),
  )
}

interface Unchained {
  /** As the database writes it: not every instant that someone can put there is one of JavaScript's. */
  instant: string
  id: EventId
  digest: Buffer
}

/** The digest of all events from before the chain, as the beginning of the chain has it. */
async function readUnchained(dependencies: Dependencies, organizationId: OrganizationId) {
  const all = createHash('sha256')
  let count = 0
  let after: Unchained | null = null
  do {
    const rows = await readUnchainedPage(dependencies, organizationId, after)
    for (const { digest } of rows) all.update(digest)
    count += rows.length
    after = rows.at(-1) ?? null
  } while (after)
  return { digest: all.digest(), count }
}

function readUnchainedPage(
  { database }: Dependencies,
  organizationId: OrganizationId,
  after: Unchained | null,
): Promise<Unchained[]> {
  return withOrganization(database, { organizationId }, (transaction) =>
    transaction
      .select({ instant: sql<string>`at::text`, id: auditEvents.id, digest: unchainedDigest })
      .from(auditEvents)
      .where(
        and(
          eq(auditEvents.organizationId, organizationId),
          isNull(auditEvents.position),
          after ? sql`(at, id) > (${after.instant}::timestamptz, ${after.id})` : undefined,
        ),
      )
      .orderBy(asc(auditEvents.at), asc(auditEvents.id))
      .limit(rowsAtOnce),
  )
}
