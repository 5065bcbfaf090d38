import { sql } from 'drizzle-orm'
import pg from 'pg'
import type { Logger } from 'pino'
import type { Transaction } from '../database/with-organization.ts'
import { type AccessTokenId, isId, type TokenId } from '../identifiers.ts'

const channel = 'latchkey_invalidations'
const heartbeatPayload = 'heartbeat'
/** Half of what the contract promises, so that one that is late keeps it. */
const heartbeatMilliseconds = 500
const longestReconnectMilliseconds = 2_000

type Credential = TokenId | AccessTokenId

export interface InvalidationMessage {
  tokenIds: Credential[]
  everything: boolean
  sequence: number
}

/** Tells every instance, if and when the transaction commits, that cached answers about the token no longer hold. */
export async function announceInvalidation(transaction: Transaction, tokenId: Credential): Promise<void> {
  await transaction.execute(sql`select pg_notify(${channel}, ${tokenId})`)
}

/** What commits on any instance, passed on to this instance's subscribers. */
export interface Invalidations {
  /**
   * A stream that begins with `everything`, which comes again after each time that something may have been missed. A
   * message without tokens is a heartbeat: it is sent on when a notification of this kind has come round through the
   * database, and so vouches for the whole way. Ends with `close`, and when the reader stops reading.
   */
  subscribe(): AsyncIterableIterator<InvalidationMessage>
  close(): Promise<void>
}

/** Listens on a connection of its own, and takes it up again when it breaks. */
export function createInvalidations({ url, log }: { url: string; log: Logger }): Invalidations {
  const subscribers = new Set<Stream>()
  let closed = false
  let client: pg.Client | null = null
  let reconnectTimer: NodeJS.Timeout | undefined
  let heartbeatTimer: NodeJS.Timeout | undefined
  let failures = 0

  async function connect(): Promise<void> {
    const connecting = new pg.Client({
      connectionString: url,
      options: '-c role=latchkey_server',
      application_name: `latchkey listener ${process.pid}`,
      connectionTimeoutMillis: 1_000,
      query_timeout: 1_900,
      keepAlive: true,
    })
    let lost = false
    const onLost = () => {
      if (lost) return
      lost = true
      clearTimeout(heartbeatTimer)
      connecting.end().catch(() => undefined)
      if (client === connecting) client = null
      if (!closed)
        reconnectTimer = setTimeout(() => void connect(), Math.min(longestReconnectMilliseconds, 50 * 2 ** failures++))
    }
    connecting.on('error', onLost)
    connecting.on('end', onLost)
    connecting.on('notification', ({ payload = '' }) => {
      if (payload === heartbeatPayload) publish([])
      else if (isId('token', payload) || isId('accessToken', payload)) publish([payload])
    })
    const beat = async () => {
      try {
        await connecting.query(`select pg_notify('${channel}', '${heartbeatPayload}')`)
        if (!lost && !closed) heartbeatTimer = setTimeout(() => void beat(), heartbeatMilliseconds)
      } catch {
        onLost()
      }
    }
    try {
      await connecting.connect()
      await connecting.query(`listen ${channel}`)
      client = connecting
      if (failures > 0) log.info('listening for invalidations again')
      failures = 0
      for (const subscriber of subscribers) subscriber.push([], true)
      await beat()
    } catch (error) {
      if (failures === 0)
        log.warn(
          { error: error instanceof Error ? error.message : 'unknown' },
          'cannot listen for invalidations; trying again',
        )
      onLost()
    }
  }

  function publish(tokenIds: Credential[]) {
    for (const subscriber of subscribers) subscriber.push(tokenIds, false)
  }

  void connect()

  return {
    subscribe() {
      const stream = new Stream(() => subscribers.delete(stream))
      // Without a connection the stream stays silent until there is one: silence is what a verifier distrusts.
      if (client) stream.push([], true)
      subscribers.add(stream)
      return stream
    },
    async close() {
      closed = true
      clearTimeout(reconnectTimer)
      clearTimeout(heartbeatTimer)
      for (const subscriber of [...subscribers]) await subscriber.return()
      await client?.end().catch(() => undefined)
    },
  }
}

/** A reader so slow that this many messages wait is told to drop everything instead. */
const mostWaiting = 1_000

class Stream implements AsyncIterableIterator<InvalidationMessage> {
  #waiting: { tokenIds: Credential[]; everything: boolean }[] = []
  #wake: (() => void) | null = null
  #done = false
  #sequence = 0
  readonly #onReturn: () => void

  constructor(onReturn: () => void) {
    this.#onReturn = onReturn
  }

  push(tokenIds: Credential[], everything: boolean) {
    if (everything || this.#waiting.length >= mostWaiting) this.#waiting = [{ tokenIds: [], everything: true }]
    else this.#waiting.push({ tokenIds, everything })
    this.#wake?.()
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
