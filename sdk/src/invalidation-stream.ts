import { print } from 'graphql'
import { createClient } from 'graphql-sse'
import { authorizationHeaders, type Credential } from './connection.ts'
import { TokenInvalidationsDocument } from './generated.ts'
import { isRecord } from './is-record.ts'

const shortestPauseMilliseconds = 100
const longestPauseMilliseconds = 5_000

/** What is to be forgotten. A message of neither kind only shows that the way from the database stands. */
export interface Invalidation {
  tokenIds: readonly string[]
  /** Also at the beginning of each connection, and where a message was missed. */
  everything: boolean
}

export interface InvalidationStream {
  endpoint: string
  credential: Credential | undefined
  fetch: typeof fetch | undefined
  /** A connection that is silent for longer is given up. */
  silenceMilliseconds: number
  now: () => number
  onInvalidation: (invalidation: Invalidation) => void
  onReconnect: () => void
  signal: AbortSignal
}

/** Listens to `tokenInvalidations`, over one connection after the other. Resolves once the signal has aborted. */
export async function followInvalidations(stream: InvalidationStream): Promise<void> {
  const { endpoint, credential, fetch: send, signal, onReconnect } = stream
  const client = createClient({
    url: endpoint,
    headers: () => authorizationHeaders(credential),
    // As for every other call: a redirect could carry the credential to an address that nobody chose.
    fetchFn: (url: string, init: RequestInit) => (send ?? fetch)(url, { ...init, redirect: 'manual' }),
    retryAttempts: 0,
  })
  for (let failures = 0; ; failures++) {
    if (await listen(client, stream)) failures = 0
    const longest = Math.min(longestPauseMilliseconds, shortestPauseMilliseconds * 2 ** failures)
    // Left to chance in part, so that a restarted instance does not meet all of its verifiers at once.
    await pause(longest * (0.5 + Math.random() / 2), signal)
    if (signal.aborted) return
    onReconnect()
  }
}

/** One connection, until it ends in whatever way. Whether anything was heard on it. */
function listen(client: ReturnType<typeof createClient>, stream: InvalidationStream): Promise<boolean> {
  const { silenceMilliseconds, now, onInvalidation, signal } = stream
  return new Promise((resolve) => {
    let open = true
    let nextSequence: number | null = null
    let heardAt = now()
    let silence: ReturnType<typeof setTimeout>

    const end = () => {
      open = false
      clearTimeout(silence)
      signal.removeEventListener('abort', end)
      disconnect()
      resolve(nextSequence !== null)
    }
    const next = (result: unknown) => {
      const message = readMessage(result)
      // After a freeze, what had been waiting is read before any timer tells how long that was.
      if (!message || now() - heardAt > silenceMilliseconds) return end()
      heardAt = now()
      clearTimeout(silence)
      silence = setTimeout(end, silenceMilliseconds)
      onInvalidation({
        tokenIds: message.tokenIds,
        everything: message.everything || message.sequence !== nextSequence,
      })
      nextSequence = message.sequence + 1
    }
    silence = setTimeout(end, silenceMilliseconds)
    signal.addEventListener('abort', end)
    const disconnect = client.subscribe(
      { query },
      // What was read together with the message that ended it may come after the end.
      { next: (result) => open && next(result), error: end, complete: end },
    )
  })
}

const query = print(TokenInvalidationsDocument)

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    signal.addEventListener('abort', end)
  })
}

interface Message {
  tokenIds: string[]
  everything: boolean
  sequence: number
}

/** Null for what is no message of this stream, such as an error. */
function readMessage(result: unknown): Message | null {
  const message = isRecord(result) && isRecord(result.data) ? result.data.tokenInvalidations : null
  if (!isRecord(message)) return null
  const { tokenIds, everything, sequence } = message
  if (!isTextList(tokenIds) || typeof everything !== 'boolean' || typeof sequence !== 'number') return null
  return { tokenIds, everything, sequence }
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
