import pg from 'pg'
import type { Logger } from 'pino'
import { type AccessTokenId, isId, type TokenId } from '../identifiers.ts'
import type { Metrics } from '../observability/metrics.ts'

/** Where the triggers of migration 0004 tell of tokens that have changed: each by its id, or all of them at once. */
const channel = 'latchkey_invalidations'
const heartbeatPayload = 'heartbeat'
/** Half of what the contract promises, so that one that is late keeps it. */
const heartbeatMilliseconds = 500
/** A heartbeat that took longer to come round is not passed on: it says how things stood, not how they stand. */
const proofMilliseconds = 1_000
/** With the time to connect, within the two seconds in which service is whole again once the database is back. */
const longestReconnectMilliseconds = 500

type Credential = TokenId | AccessTokenId

export interface InvalidationMessage {
  tokenIds: Credential[]
  everything: boolean
  sequence: number
}

/** What commits on any instance, passed on to this instance's subscribers. */
export interface Invalidations {
  /**
   * A stream that begins with `everything`, which comes again after each time that something may have been missed. A
   * message without tokens is a heartbeat: it is sent on when a notification of this kind has come round through the
   * database, and so vouches for the whole way. Ends with `close`, and when the reader stops reading.
   */
  subscribe(): AsyncIterableIterator<InvalidationMessage>
  /** Begins to listen, as the first stream would: an instance that nobody follows yet shows by its heartbeat that it could be. */
  listen(): void
  /** How many streams there are that have not ended. */
  subscriberCount(): number
  /** Also while the database does not answer. */
  close(): Promise<void>
}

type Message = Omit<InvalidationMessage, 'sequence'>

const everything: Message = { tokenIds: [], everything: true }
const heartbeat: Message = { tokenIds: [], everything: false }

/** Listens on a connection of its own once anyone is to hear of it, and takes it up again when it breaks. */
export function createInvalidations({
  url,
  log,
  metrics: { invalidations: metrics },
}: {
  url: string
  log: Logger
  metrics: Pick<Metrics, 'invalidations'>
}): Invalidations {
  const subscribers = new Set<Stream>()
  let begun = false
  let closed = false
  let listener: Listener | null = null
  let reconnectTimer: NodeJS.Timeout | undefined
  let failures = 0
  let heardAt = performance.now()
  metrics.readHeartbeatAge(() => (performance.now() - heardAt) / 1_000)
  metrics.readSubscribers(() => subscribers.size)

  function listen(): void {
    listener = openListener(url, {
      onHeartbeat(sentAt) {
        heardAt = performance.now()
        metrics.heartbeatSeconds.observe((heardAt - sentAt) / 1_000)
        metrics.messages.heartbeat.value++
        if (failures > 0) {
          metrics.reconnections.value++
          log.info('listening for invalidations again')
        }
        failures = 0
        publish(heartbeat)
      },
      onInvalidation(message) {
        metrics.messages[message.everything ? 'everything' : 'token'].value++
        publish(message)
      },
      onLost(error) {
        listener = null
        if (failures === 0) log.warn({ error: error.message }, 'cannot listen for invalidations; trying again')
        for (const subscriber of subscribers) subscriber.fallBehind()
        reconnectTimer = setTimeout(listen, Math.min(longestReconnectMilliseconds, 50 * 2 ** failures++))
      },
    })
  }

  function publish(message: Message): void {
    for (const subscriber of subscribers) subscriber.push(message)
  }

  function begin(): void {
    if (begun || closed) return
    begun = true
    listen()
  }

  return {
    listen: begin,
    subscribe() {
      begin()
      const stream = new Stream(() => subscribers.delete(stream))
      subscribers.add(stream)
      if (closed) void stream.return()
      // Without a proof the stream stays silent until there is one: silence is what a verifier distrusts.
      else if (listener?.isProven()) stream.push(everything)
      return stream
    },
    subscriberCount: () => subscribers.size,
    async close() {
      closed = true
      clearTimeout(reconnectTimer)
      listener?.close()
      for (const subscriber of [...subscribers]) await subscriber.return()
    },
  }
}

interface Listener {
  /** Whether a heartbeat that was sent within the last second has come round. */
  isProven(): boolean
  close(): void
}

/** One connection, until it is lost, which is told once, or is closed. */
function openListener(
  url: string,
  handle: { onHeartbeat(sentAt: number): void; onInvalidation(message: Message): void; onLost(error: Error): void },
): Listener {
  const client = new pg.Client({
    connectionString: url,
    options: '-c role=latchkey_server',
    application_name: `latchkey listener ${process.pid}`,
    connectionTimeoutMillis: 1_000,
    query_timeout: 1_900,
    keepAlive: true,
  })
  let open = true
  let backend: number | null = null
  let beatTimer: NodeJS.Timeout | undefined
  let sentAt = Number.NEGATIVE_INFINITY
  let provenAt = Number.NEGATIVE_INFINITY

  const isProven = () => performance.now() - provenAt < proofMilliseconds
  function close(): void {
    open = false
    clearTimeout(beatTimer)
    // Not `end`, which would wait for a database that may never answer.
    client.connection.stream.destroy()
  }
  function lose(error: Error): void {
    if (!open) return
    close()
    handle.onLost(error)
  }
  async function beat(): Promise<void> {
    sentAt = performance.now()
    await client.query(`select pg_notify('${channel}', '${heartbeatPayload}')`)
    if (open) beatTimer = setTimeout(() => beat().catch(lose), heartbeatMilliseconds)
  }
  async function listen(): Promise<void> {
    await client.connect()
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    backend = rows[0]?.pid ?? null
    await client.query(`listen ${channel}`)
    await beat()
  }

  client.on('error', lose)
  client.on('end', () => lose(new Error('The connection has ended.')))
  client.on('notification', ({ processId, payload = '' }) => {
    if (!open) return
    if (payload !== heartbeatPayload) return handle.onInvalidation(readPayload(payload))
    // Of other instances’ heartbeats nobody here knows when they were sent.
    if (processId !== backend) return
    provenAt = sentAt
    if (isProven()) handle.onHeartbeat(provenAt)
  })
  listen().catch(lose)
  return { isProven, close }
}

/** What this version does not know, a later version’s trigger has sent: it may mean any token. */
function readPayload(payload: string): Message {
  return isId('token', payload) || isId('accessToken', payload)
    ? { tokenIds: [payload], everything: false }
    : everything
}

/** A reader so slow that this many messages wait is told to drop everything instead. */
const mostWaiting = 1_000

class Stream implements AsyncIterableIterator<InvalidationMessage> {
  #waiting: Message[] = []
  /** Whether something may have happened that the reader will never hear of. */
  #behind = true
  #wake: (() => void) | null = null
  #done = false
  #sequence = 0
  readonly #onReturn: () => void

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn
  }

  push(message: Message) {
    if (this.#behind || message.everything || this.#waiting.length >= mostWaiting) this.#waiting = [everything]
    else this.#waiting.push(message)
    this.#behind = false
    this.#wake?.()
  }

  /** The next message, whatever it is, becomes `everything`. */
  fallBehind() {
    this.#behind = true
  }

  async next(): Promise<IteratorResult<InvalidationMessage>> {
    while (!this.#done) {
      const message = this.#waiting.shift()
      if (message) return { done: false, value: { ...message, sequence: this.#sequence++ } }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return { done: true, value: undefined }
  }

  return(): Promise<IteratorResult<InvalidationMessage>> {
    this.#done = true
    this.#wake?.()
    this.#onReturn()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator]() {
    return this
  }
}
