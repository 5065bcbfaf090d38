import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { Webhook } from 'standardwebhooks'
import { AddressRefused, type ReceiverAddress, type ReceiverAddresses } from './receiver-address.ts'

export interface Message {
  /** The same each time that it is sent. */
  id: string
  payload: string
}

/** What became of one sending. */
export interface Outcome {
  statusCode: number | null
  /** Why it counts as failed, in words; null for a 2xx. */
  problem: string | null
  durationMilliseconds: number
}

const timeoutMilliseconds = 15_000

/**
 * Sends a message once, signed with each of the secrets, after the Standard Webhooks specification 1.0. A redirection is
 * not followed and an answer not read. Never throws, but for the reason of `signal` once that is aborted, when it is not
 * known whether the message has arrived.
 */
export async function sendMessage(
  addresses: ReceiverAddresses,
  {
    url,
    secrets,
    message,
    at,
    signal,
  }: { url: URL; secrets: string[]; message: Message; at: Date; signal: AbortSignal },
): Promise<Outcome> {
  const began = performance.now()
  const ended = (statusCode: number | null, problem: string | null): Outcome => ({
    statusCode,
    problem,
    durationMilliseconds: Math.round(performance.now() - began),
  })
  const limit = AbortSignal.timeout(timeoutMilliseconds)
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(message.payload),
    'user-agent': 'Latchkey',
    'webhook-id': message.id,
    'webhook-timestamp': Math.floor(at.getTime() / 1_000),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(message.id, at, message.payload)).join(' '),
  }
  try {
    const either = AbortSignal.any([signal, limit])
    const places = await Promise.race([addresses.resolve(url), rejectionBy(either)])
    const statusCode = await post(url, { places, headers, body: message.payload, signal: either })
    return ended(statusCode, problemOf(statusCode))
  } catch (error) {
    signal.throwIfAborted()
    if (limit.aborted) return ended(null, `It did not answer within ${timeoutMilliseconds / 1_000} seconds.`)
    return ended(null, explain(error))
  }
}

function post(
  url: URL,
  {
    places,
    headers,
    body,
    signal,
  }: { places: ReceiverAddress[]; headers: Record<string, string | number>; body: string; signal: AbortSignal },
): Promise<number> {
  const request = url.protocol === 'https:' ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    request(url, {
      method: 'POST',
      headers,
      signal,
      // A connection for each message, to an address that was checked.
      agent: false,
      lookup: (_host, options, answer) => {
        const [first] = places
        if (options.all) answer(null, places)
        else answer(null, first?.address ?? '', first?.family)
      },
    })
      .on('response', (response) => {
        response.destroy()
        resolve(response.statusCode ?? 0)
      })
      .on('error', reject)
      .end(body)
  })
}

/** A look-up of a name cannot be ended: it is left behind. */
function rejectionBy(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}

function problemOf(statusCode: number): string | null {
  if (statusCode >= 200 && statusCode < 300) return null
  if (statusCode >= 300 && statusCode < 400) return `It answered ${statusCode}, and redirections are not followed.`
  return `It answered ${statusCode}.`
}

const problems: Record<string, string> = {
  ECONNREFUSED: 'It refused the connection.',
  ECONNRESET: 'It ended the connection without an answer.',
  EHOSTUNREACH: 'Its network cannot be reached.',
  ENETUNREACH: 'Its network cannot be reached.',
  ETIMEDOUT: 'It could not be connected to in time.',
  CERT_HAS_EXPIRED: 'Its certificate has expired.',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'Its certificate is not signed by an authority that is trusted here.',
  SELF_SIGNED_CERT_IN_CHAIN: 'Its certificate is not signed by an authority that is trusted here.',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'Its certificate is not signed by an authority that is trusted here.',
  ERR_TLS_CERT_ALTNAME_INVALID: 'Its certificate is for another host.',
}

function explain(error: unknown): string {
  if (error instanceof AddressRefused) return error.message
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  return problems[code] ?? 'It could not be sent to: the connection failed.'
}
