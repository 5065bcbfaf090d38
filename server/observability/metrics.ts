import { collectDefaultMetrics, Registry } from 'prom-client'
import manifest from '../../package.json' with { type: 'json' }
import { auditActions } from '../audit/record-event.ts'
import type { RateLimitSettings } from '../rate-limit-settings.ts'
import { type Count, type Counts, openCounter, openGauge, openHistogram, type Spread } from './instruments.ts'

/** How a token, or a caller’s own credential, comes to be verified. */
export type Way = 'introspect' | 'verifyToken' | 'verifyTokenDigests' | 'credential'

export type InvalidationKind = 'token' | 'everything' | 'heartbeat'

/** How a request ended. Both are words of the code’s own: whatever callers write would make series without end. */
export interface RequestEnd {
  operation: string
  outcome: string
  seconds: number
}

const fromMilliseconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const upToSeconds = [...fromMilliseconds, 5, 10]
const batches = [1, 2, 5, 10, 20, 40, 80, 160, 320, 512]

/**
 * Everything that an instance counts of itself, in a registry of its own. No label holds anything that a caller wrote, so that
 * nothing secret is shown and the series stay as few as the code’s own words. Counting is a few additions; whatever takes
 * longer is done when somebody asks.
 */
export function createMetrics(): Metrics {
  const registry = new Registry()
  const count = (name: string, help: string) => openCounter(registry, { name, help, labelNames: [] })({})
  const counts = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    openCounter(registry, { name, help, labelNames })
  const spread = (name: string, help: string, buckets: readonly number[]) =>
    openHistogram(registry, { name, help, buckets, labelNames: [] })({})
  const reading = (name: string, help: string) => {
    const add = openGauge(registry, { name, help, labelNames: [] })
    return (read: () => number) => add({}, read)
  }
  const poolReading = (name: string, help: string) => openGauge(registry, { name, help, labelNames: ['pool'] })

  openGauge(registry, {
    name: 'latchkey_build_info',
    help: 'Always 1; its label says which version runs.',
    labelNames: ['version'],
  })({ version: manifest.version }, () => 1)
  const requests = openRequests(registry)
  const verified = counts('latchkey_verifications_total', 'Tokens and credentials that were judged.', [
    'way',
    'outcome',
  ])
  const verifiedBy = (way: Way) => ({
    accepted: verified({ way, outcome: 'accepted' }),
    refused: verified({ way, outcome: 'refused' }),
  })
  const auditEvents = counts('latchkey_audit_events_total', 'Audit events that were committed.', ['action'])
  for (const action of auditActions) auditEvents({ action })
  const messages = counts('latchkey_invalidation_messages_total', 'Invalidations heard from the database.', ['kind'])
  const hits = counts('latchkey_rate_limit_hits_total', 'What a rate limit has refused.', ['limit'])
  const deliveries = counts('latchkey_webhook_deliveries_total', 'Sendings of webhook messages.', ['outcome'])
  const connections = openGauge(registry, {
    name: 'latchkey_database_connections',
    help: 'Connections to the database, by what they do.',
    labelNames: ['pool', 'state'],
  })
  const connectionsLimit = poolReading(
    'latchkey_database_connections_limit',
    'How many connections the pool may have at most.',
  )
  const connectionWaiters = poolReading(
    'latchkey_database_connection_waiters',
    'Statements and transactions that wait for a connection.',
  )

  return {
    registry,
    requests,
    verifications: {
      introspect: verifiedBy('introspect'),
      verifyToken: verifiedBy('verifyToken'),
      verifyTokenDigests: verifiedBy('verifyTokenDigests'),
      credential: verifiedBy('credential'),
    },
    lookups: {
      seconds: spread(
        'latchkey_credential_lookup_duration_seconds',
        'From the question about secrets to its answer, with the wait for a statement to take it along.',
        fromMilliseconds,
      ),
      failures: count(
        'latchkey_credential_lookup_failures_total',
        'Questions about secrets that the database did not answer in time.',
      ),
      batchSize: spread(
        'latchkey_credential_lookup_batch_size',
        'How many secrets one gathered statement asked about.',
        batches,
      ),
      statementSeconds: spread(
        'latchkey_credential_lookup_statement_duration_seconds',
        'How long a gathered statement took.',
        fromMilliseconds,
      ),
      readWaiting: reading(
        'latchkey_credential_lookup_waiting',
        'Secrets that wait for a statement to ask about them.',
      ),
    },
    database: {
      readPool(pool, { totalCount, idleCount, waitingCount, limit }) {
        connections({ pool, state: 'active' }, () => totalCount() - idleCount())
        connections({ pool, state: 'idle' }, idleCount)
        connectionsLimit({ pool }, () => limit)
        connectionWaiters({ pool }, waitingCount)
      },
    },
    invalidations: {
      messages: {
        token: messages({ kind: 'token' }),
        everything: messages({ kind: 'everything' }),
        heartbeat: messages({ kind: 'heartbeat' }),
      },
      heartbeatSeconds: spread(
        'latchkey_invalidation_heartbeat_duration_seconds',
        'How long a heartbeat took to come round through the database.',
        fromMilliseconds,
      ),
      reconnections: count(
        'latchkey_invalidation_reconnections_total',
        'How often listening for invalidations was taken up again.',
      ),
      readHeartbeatAge: reading(
        'latchkey_invalidation_heartbeat_age_seconds',
        'How long ago the last heartbeat came round through the database.',
      ),
      readSubscribers: reading('latchkey_invalidation_subscribers', 'Streams of invalidations that are open.'),
    },
    auditEvents,
    rateLimitHits: {
      signInsByAccount: hits({ limit: 'signInsByAccount' }),
      signInsByAddress: hits({ limit: 'signInsByAddress' }),
      secrets: hits({ limit: 'secrets' }),
      verifications: hits({ limit: 'verifications' }),
    },
    passwords: {
      seconds: spread(
        'latchkey_password_hash_duration_seconds',
        'How long hashing or comparing a password took, once it had its turn.',
        upToSeconds,
      ),
      refusals: count(
        'latchkey_password_hash_refusals_total',
        'Passwords that were not looked at, since too many waited already.',
      ),
      readWaiting: reading('latchkey_password_hash_waiting', 'Passwords that wait for their turn to be hashed.'),
    },
    webhooks: {
      delivered: deliveries({ outcome: 'delivered' }),
      failed: deliveries({ outcome: 'failed' }),
      seconds: spread(
        'latchkey_webhook_delivery_duration_seconds',
        'How long a receiver took to answer, or to be given up.',
        [...upToSeconds, 15],
      ),
      readOldestDueAge: reading(
        'latchkey_webhook_oldest_due_age_seconds',
        'For how long the message has been due that has waited longest, as of the last look, a second ago.',
      ),
    },
    lastUse: {
      readWaiting: reading('latchkey_last_uses_waiting', 'Last uses of secrets that are yet to be written.'),
    },
    collectProcess: () => collectDefaultMetrics({ register: registry }),
  }
}

export interface Metrics {
  registry: Registry
  requests: { begin(): void; end(end: RequestEnd): void }
  verifications: Record<Way, { accepted: Count; refused: Count }>
  lookups: {
    seconds: Spread
    failures: Count
    batchSize: Spread
    statementSeconds: Spread
    readWaiting: Reading
  }
  database: { readPool(pool: string, reading: PoolReading): void }
  invalidations: {
    messages: Record<InvalidationKind, Count>
    heartbeatSeconds: Spread
    reconnections: Count
    readHeartbeatAge: Reading
    readSubscribers: Reading
  }
  auditEvents: Counts<'action'>
  rateLimitHits: Record<keyof RateLimitSettings, Count>
  passwords: { seconds: Spread; refusals: Count; readWaiting: Reading }
  webhooks: { delivered: Count; failed: Count; seconds: Spread; readOldestDueAge: Reading }
  lastUse: { readWaiting: Reading }
  /** What Node.js and the system tell of the process as well, which costs something: for when somebody asks. */
  collectProcess(): void
}

/** Says how a gauge is read. */
type Reading = (read: () => number) => void

interface PoolReading {
  totalCount(): number
  idleCount(): number
  waitingCount(): number
  limit: number
}

function openRequests(registry: Registry): Metrics['requests'] {
  const ended = openCounter(registry, {
    name: 'latchkey_http_requests_total',
    help: 'Requests that were answered, or whose caller hung up.',
    labelNames: ['operation', 'outcome'],
  })
  const lasted = openHistogram(registry, {
    name: 'latchkey_http_request_duration_seconds',
    help: 'From the head of a request to the end of its answer, or to the beginning of a stream.',
    labelNames: ['operation'],
    buckets: upToSeconds,
  })
  const readInProgress = openGauge(registry, {
    name: 'latchkey_http_requests_in_progress',
    help: 'Requests that are being answered. A stream is answered as soon as it has begun.',
    labelNames: [],
  })
  let inProgress = 0
  readInProgress({}, () => inProgress)
  const known = new Map<string, { spread: Spread; outcomes: Map<string, Count> }>()
  const openOperation = (operation: string) => {
    const made = { spread: lasted({ operation }), outcomes: new Map<string, Count>() }
    known.set(operation, made)
    return made
  }
  return {
    begin() {
      inProgress++
    },
    end({ operation, outcome, seconds }) {
      inProgress--
      const { spread, outcomes } = known.get(operation) ?? openOperation(operation)
      spread.observe(seconds)
      const count = outcomes.get(outcome) ?? ended({ operation, outcome })
      outcomes.set(outcome, count)
      count.value++
    },
  }
}
