import type { Logger } from 'pino'
import type { RandomBytes } from '../dependencies.ts'

/**
 * What the log tells of a request once it has been answered. Ids and names are Latchkey’s own and the contract’s: nothing that
 * the caller wrote is in it, which could hold a secret.
 */
export interface RequestRecord {
  /** In the answer’s header `X-Request-Id`, and in every line of the log that the request leaves. */
  readonly id: string
  /** By the clock of `performance.now`. */
  readonly begunAt: number
  /** The id of its trace, where it is traced. */
  trace: string | null
  /** The id of whom it comes from, once that is known. */
  principal: string | null
  /** The operations of GraphQL that were asked for. */
  operations: string[]
  /** Why something was not done as asked: the codes of errors, and the names of refusals. */
  refusals: string[]
}

/** What came of it. */
export interface Outcome {
  method: string | undefined
  /** Null for an address that there is nothing at: whoever mistyped it may have pasted anything. */
  route: string | null
  /** Null where the caller did not wait for the answer. */
  status: number | null
  milliseconds: number
  ipAddress: string | null
}

export interface RequestLog {
  begin(): RequestRecord
  /** A warning where something was not done as asked. What services and probes ask all day is told at level debug. */
  end(record: RequestRecord, outcome: Outcome): void
}

/** Of a million of these, each tells nothing by itself. */
const routineOperations = new Set(['verifyToken', 'verifyTokenDigests'])
const routineRoutes = new Set<string | null>(['/oauth/introspect', '/healthz', '/readyz', 'console'])

const idBytes = 12
const idsAtOnce = 256

export function createRequestLog({ log, randomBytes }: { log: Logger; randomBytes: RandomBytes }): RequestLog {
  let ids: string[] = []
  const nextId = () => {
    // By the block: for each request by itself, randomness would take longer than all else here.
    if (ids.length === 0)
      ids =
        randomBytes(idBytes * idsAtOnce)
          .toString('hex')
          .match(idForm) ?? []
    return ids.pop() ?? ''
  }
  return {
    begin: () => ({
      id: nextId(),
      begunAt: performance.now(),
      trace: null,
      principal: null,
      operations: [],
      refusals: [],
    }),
    end(record, { method, route, status, milliseconds, ipAddress }) {
      const level = levelOf(record, route, status)
      if (!log.isLevelEnabled(level)) return
      const { id, trace, principal, operations, refusals } = record
      log[level](
        {
          request: id,
          ...(trace !== null && { trace }),
          method,
          route,
          status,
          milliseconds: Math.round(milliseconds),
          ipAddress,
          principal,
          ...(operations.length > 0 && { operations }),
          ...(refusals.length > 0 && { refusals }),
        },
        status === null ? 'the caller hung up' : 'answered',
      )
    },
  }
}

const idForm = new RegExp(`.{${idBytes * 2}}`, 'g')

function levelOf({ operations, refusals }: RequestRecord, route: string | null, status: number | null) {
  if (refusals.length > 0 || (status !== null && status >= 400)) return 'warn'
  const isRoutine =
    routineRoutes.has(route) || (operations.length > 0 && operations.every((name) => routineOperations.has(name)))
  return isRoutine ? 'debug' : 'info'
}
