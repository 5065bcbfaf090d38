import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { Logger } from 'pino'
import { recordEvent } from '../audit/record-event.ts'
import type { Database } from '../database/pool.ts'
import { withOrganization } from '../database/with-organization.ts'
import type { Clock, RandomBytes } from '../dependencies.ts'
import { createRetried } from '../log.ts'
import type { Metrics } from '../observability/metrics.ts'
import { markRetiredUse, moveSecret } from '../tokens/repository.ts'
import { type Digest, type Digester, digestBytes } from '../tokens/secret.ts'
import type { Credential, IntegrationTokenCredential } from './credential.ts'

/** With the 45 seconds within which a stored use counts as recent, last used stays true to within a minute. */
const writeEveryMilliseconds = 1_000
/**
 * So many at a time, the oldest first: a burst of ever other secrets is written over the next minutes, and takes no more
 * than a tenth of the database's time from the verifications themselves.
 */
const writtenAtOnce = 1_000
/** Beyond this many distinct secrets that wait, further ones are left out until their next use: it is a mark, not a ledger. */
const mostRemembered = 200_000

/** Of secrets that are stored under a former server key; the others are at their next use. */
const mostTakenUpAtOnce = 100

interface Use {
  credential: Credential
  /** By the process's own clock; only the time that has passed since is told to the database. */
  at: number
  from: string | null
}

/** Remembers in memory when secrets were used, and writes it behind, so that verifying costs no write. */
export interface LastUse {
  /** For an accepted credential, and for a retired secret, whose use an admin should hear of. Costs no I/O. */
  record(credential: Credential, from: string | null): void
  /** Writes all that is remembered now, unless the database cannot be reached. */
  flush(): Promise<void>
  /** Writes what is remembered, and stops. */
  close(): Promise<void>
}

export function createLastUse(dependencies: {
  database: Database
  log: Logger
  now: Clock
  randomBytes: RandomBytes
  digester: Digester
  metrics: Metrics
}): LastUse {
  const { database, log, now } = dependencies
  const retried = createRetried(log, {
    failed: 'last uses are not written; tried again every second',
    succeeded: 'last uses are written again',
  })
  const uses = new Map<Digest, Use>()
  let writing = Promise.resolve()
  dependencies.metrics.lastUse.readWaiting(() => uses.size)

  async function write(): Promise<void> {
    const batch = uses.entries().take(writtenAtOnce).toArray()
    if (batch.length === 0) return
    for (const [key] of batch) uses.delete(key)
    try {
      const written = batch.map(([, use]) => use)
      await writeAccepted(
        database,
        written.filter(({ credential }) => credential.accepted),
        now(),
      )
      await takeUpCurrentKey(written.map(({ credential }) => credential))
      for (const { credential, from } of written) {
        if (credential.kind === 'integrationToken' && credential.retired) await writeRetired(credential, from)
      }
      retried.succeeded()
    } catch (error) {
      retried.failed(error)
      for (const [key, use] of batch) if (!uses.has(key)) uses.set(key, use)
      throw error
    }
  }

  async function writeRetired(credential: IntegrationTokenCredential, from: string | null): Promise<void> {
    await withOrganization(database, credential, async (transaction) => {
      const noticed = await markRetiredUse(transaction, {
        ...credential,
        digest: digestBytes(credential.digest),
      })
      if (!noticed) return
      await recordEvent(transaction, dependencies, {
        organizationId: credential.organizationId,
        actor: { name: `a retired secret (…${noticed.hint})`, id: null },
        origin: { ipAddress: from, userAgent: null },
        action: 'token.retired_secret_used',
        target: { name: credential.label, id: credential.tokenId },
      })
    })
  }

  /** What was used under a former server key is stored under the current one from now on, so that the former can go. */
  async function takeUpCurrentKey(used: Credential[]): Promise<void> {
    const former = used
      .filter(({ accepted, digest, currentDigest }) => accepted && digest !== currentDigest)
      .slice(0, mostTakenUpAtOnce)
      .sort((a, b) => (a.digest < b.digest ? -1 : 1))
    const { keyId } = dependencies.digester
    const take = (credential: Exclude<Credential, IntegrationTokenCredential>) => {
      const [digest, current] = [digestBytes(credential.digest), digestBytes(credential.currentDigest)]
      return sql`update ${sql.identifier(tableOf[credential.kind])} set digest = ${current}, key_id = ${keyId} where digest = ${digest}`
    }
    for (const credential of former) {
      if (credential.kind === 'service') await drizzle(database.server).execute(take(credential))
    }
    const ofOrganizations = former.filter((credential) => credential.kind !== 'service')
    for (const [organizationId, credentials] of Map.groupBy(ofOrganizations, (one) => one.organizationId)) {
      await withOrganization(database, { organizationId }, async (transaction) => {
        for (const credential of credentials) {
          if (credential.kind === 'integrationToken') {
            const to = { digest: digestBytes(credential.currentDigest), keyId }
            await moveSecret(transaction, { ...credential, digest: digestBytes(credential.digest) }, to)
          } else {
            await transaction.execute(sql`${take(credential)} and organization_id = ${organizationId}`)
          }
        }
      })
    }
  }

  const inTurn = (work: () => Promise<void>) => {
    writing = writing.then(work).catch(() => undefined)
    return writing
  }
  const flush = () =>
    inTurn(async () => {
      while (uses.size > 0) await write()
    })
  let pending = false
  const timer = setInterval(() => {
    if (pending) return
    pending = true
    void inTurn(write).finally(() => {
      pending = false
    })
  }, writeEveryMilliseconds)
  timer.unref()

  return {
    record(credential, from) {
      if (credential.usedRecently) return
      if (!credential.accepted && !(credential.kind === 'integrationToken' && credential.retired)) return
      const { digest } = credential
      const waiting = uses.get(digest)
      if (waiting && waiting.credential.accepted === credential.accepted) {
        // In its place another would outlive the garbage collector's first rounds, with all that is known of the credential.
        waiting.at = now().getTime()
        waiting.from = from ?? waiting.from
      } else if (waiting || uses.size < mostRemembered) {
        uses.set(digest, { credential, at: now().getTime(), from })
      }
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}

const tableOf = {
  integrationToken: 'token_secrets',
  accessToken: 'access_tokens',
  session: 'sessions',
  service: 'services',
} as const

/** In the order of the digests, so that two instances that write at once do not wait for each other in a circle. */
async function writeAccepted({ lookup }: Database, uses: Use[], now: Date): Promise<void> {
  uses.sort((a, b) => (a.credential.digest < b.credential.digest ? -1 : 1))
  const ageOf = (at: number) => Math.max(0, now.getTime() - at)
  const byKind = Map.groupBy(uses, ({ credential }) => credential.kind)
  for (const [kind, used] of byKind) {
    const table = tableOf[kind]
    await lookup.query(
      `update ${table} set last_used_at = now() - used.age * interval '1 millisecond'
       from unnest($1::bytea[], $2::float8[]) used(digest, age) where ${table}.digest = used.digest`,
      [used.map(({ credential }) => digestBytes(credential.digest)), used.map(({ at }) => ageOf(at))],
    )
  }
  const tokens = uses.flatMap(({ credential, at, from }) =>
    credential.kind === 'integrationToken' ? [{ ...credential, age: ageOf(at), from }] : [],
  )
  if (tokens.length === 0) return
  await lookup.query(
    `update token_uses set last_used_at = now() - used.age * interval '1 millisecond', last_used_from = coalesce(used.address, last_used_from)
     from (
       select distinct on (token_id) * from unnest($1::text[], $2::text[], $3::float8[], $4::text[])
         given(organization_id, token_id, age, address) order by token_id, age
     ) used
     where token_uses.organization_id = used.organization_id and token_uses.token_id = used.token_id`,
    [
      tokens.map(({ organizationId }) => organizationId),
      tokens.map(({ tokenId }) => tokenId),
      tokens.map(({ age }) => age),
      tokens.map(({ from }) => from),
    ],
  )
}
