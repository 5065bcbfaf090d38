import { setTimeout as delay } from 'node:timers/promises'
import { createClient, type Latchkey, paginate, unwrap } from '@latchkey/sdk'
import { createVerifier } from '@latchkey/sdk/verifier'
import { type Connections, openConnections } from './connections.ts'

/** A token, and what this client has been told of it. */
interface KnownToken {
  id: string
  secret: string
  /** Whether its deletion has been asked for. */
  leaving: boolean
  /** When its deletion was acknowledged. */
  deletedAt: number | null
}

export interface LoadSettings {
  url: string
  serviceSecret: string
  /** Of whoever creates and deletes tokens. */
  person: { email: string; password: string }
  requestsPerSecond: number
}

export interface Load {
  /** How many requests have failed so far. */
  failureCount(): number
  stop(): Promise<LoadOutcome>
}

type Kind = 'introspection' | 'verifyToken' | 'list' | 'creation' | 'deletion'

export interface LoadOutcome {
  sent: Record<Kind, number>
  /** Why requests failed: everything but the answer that was due. */
  failures: string[]
  /** Verifications that began after the token's deletion had been acknowledged, and accepted it. */
  deletedAccepted: number
  /** How many began after it, and so could have. */
  deletedAsked: number
  /** From when a request was due until its answer had come, in ascending order. */
  milliseconds: number[]
  /** What the SDK's verifier, which answers from its cache, did meanwhile. */
  verifier: { verifications: number; reconnections: number; longestStaleMilliseconds: number }
}

/** Of a hundred requests: what a platform's services and its admins do. */
const shares: Record<Kind, number> = { introspection: 62, verifyToken: 24, list: 8, creation: 3, deletion: 3 }
const kinds = Object.keys(shares).filter((name): name is Kind => Object.hasOwn(shares, name))
const order = kinds.flatMap((kind) => Array.from({ length: shares[kind] }, () => kind))
/** Steps through the hundred so that each kind comes evenly. */
const stride = 37
const tokensAtFirst = 30
const mostUnderWay = 1_000
const timeoutMilliseconds = 10_000
const tickMilliseconds = 4
const verifierPauseMilliseconds = 20
/** As the verifier has it, unless it is told otherwise. */
export const stalenessBoundMilliseconds = 5_000

/**
 * Requests at a rate that does not wait for answers, as users do not, over connections that are kept. `stop` gives what came
 * of them, once each has been answered.
 */
export async function startLoad(settings: LoadSettings): Promise<Load> {
  const { url, serviceSecret, person, requestsPerSecond } = settings
  const connections = openConnections(url, timeoutMilliseconds)
  const stranger = createClient({ url, timeoutMilliseconds, fetch: connections.fetch })
  const { sessionToken } = unwrap((await stranger.signIn({ input: person })).signIn)
  const admin = stranger.with({ credential: sessionToken })
  const service = stranger.with({ credential: serviceSecret })

  const live: KnownToken[] = []
  const deleted: KnownToken[] = []
  const sent: Record<Kind, number> = { introspection: 0, verifyToken: 0, list: 0, creation: 0, deletion: 0 }
  const failures: string[] = []
  const milliseconds: number[] = []
  const counts = { deletedAccepted: 0, deletedAsked: 0 }
  let created = 0

  async function create(): Promise<void> {
    const label = `Pipeline ${created++}`
    const { token, secret } = unwrap((await admin.createToken({ input: { label, roleId: 'role_ci' } })).createToken)
    live.push({ id: token.id, secret, leaving: false, deletedAt: null })
  }
  async function deleteOldest(): Promise<void> {
    const token = live.length > tokensAtFirst / 2 ? live.shift() : undefined
    if (!token) return create()
    token.leaving = true
    unwrap((await admin.deleteToken({ input: { id: token.id } })).deleteToken)
    token.deletedAt = performance.now()
    deleted.push(token)
  }
  /** In turn one that is good, the one that was deleted last, a good one, and any that was deleted. */
  function tokenFor(nth: number): KnownToken | undefined {
    if (nth % 2 === 0 || deleted.length === 0) return live[nth % live.length]
    return nth % 4 === 1 ? deleted.at(-1) : deleted[nth % deleted.length]
  }
  async function verify(nth: number, ask: (secret: string) => Promise<boolean>): Promise<void> {
    const token = tokenFor(nth)
    if (!token) return
    const wasDeleted = token.deletedAt !== null
    const active = await ask(token.secret)
    if (wasDeleted) counts.deletedAsked++
    if (wasDeleted && active) counts.deletedAccepted++
    // One whose deletion is under way may be either.
    if (!active && !token.leaving) throw new Error('a good token was refused')
  }
  const does: Record<Kind, (nth: number) => Promise<void>> = {
    introspection: (nth) => verify(nth, (token) => introspect(connections, { serviceSecret, token })),
    verifyToken: (nth) =>
      verify(nth, async (secret) => (await service.verifyToken({ token: secret })).verifyToken.active),
    async list() {
      await admin.integrationTokens({ first: 20 })
    },
    creation: create,
    deletion: deleteOldest,
  }

  for (let made = 0; made < tokensAtFirst; made++) await create()
  const over = new AbortController()
  const underWay = new Set<Promise<void>>()

  function send(nth: number, dueAt: number): void {
    const kind = order[(nth * stride) % order.length] ?? 'introspection'
    sent[kind]++
    if (underWay.size >= mostUnderWay) {
      failures.push(`${kind}: ${mostUnderWay} requests were under way already`)
      return
    }
    const request = does[kind](nth)
      .then(
        () => void milliseconds.push(performance.now() - dueAt),
        (error: unknown) => void failures.push(`${kind}: ${error instanceof Error ? error.message : String(error)}`),
      )
      .finally(() => underWay.delete(request))
    underWay.add(request)
  }
  async function sendAll(): Promise<void> {
    const began = performance.now()
    for (let nth = 0; !over.signal.aborted; await delay(tickMilliseconds)) {
      const now = performance.now()
      for (; began + (nth * 1_000) / requestsPerSecond <= now; nth++)
        send(nth, began + (nth * 1_000) / requestsPerSecond)
    }
    await Promise.all(underWay)
  }

  const verifier = createVerifier({ url, credential: serviceSecret, stalenessBoundMilliseconds })
  const verified = { verifications: 0, reconnections: 0, longestStaleMilliseconds: 0 }
  async function useVerifier(): Promise<void> {
    for (let nth = 0; !over.signal.aborted; nth++) {
      const token = tokenFor(nth)
      const askedAt = performance.now()
      const verdict = await verifier.verify(token?.secret ?? '').catch((error: unknown) => {
        failures.push(`the verifier: ${error instanceof Error ? error.message : String(error)}`)
      })
      verified.verifications++
      if (verdict && token) {
        if (verdict.active && token.deletedAt !== null && token.deletedAt < askedAt) {
          verified.longestStaleMilliseconds = Math.max(verified.longestStaleMilliseconds, askedAt - token.deletedAt)
        }
        if (!verdict.active && !token.leaving) failures.push('the verifier: a good token was refused')
      }
      await delay(verifierPauseMilliseconds)
    }
  }

  const working = Promise.all([sendAll(), useVerifier()])
  return {
    failureCount: () => failures.length,
    async stop() {
      over.abort()
      await working
      verified.reconnections = verifier.metrics().reconnections
      await verifier.close()
      failures.push(...(await differences(admin, live)))
      connections.close()
      return {
        sent,
        failures,
        ...counts,
        milliseconds: milliseconds.sort((one, other) => one - other),
        verifier: verified,
      }
    },
  }
}

/** What was lost, or done twice. */
async function differences(admin: Latchkey, live: readonly KnownToken[]): Promise<string[]> {
  const listed = new Set<string>()
  for await (const { id } of paginate((page) => admin.integrationTokens(page))) listed.add(id)
  const known = new Set(live.map(({ id }) => id))
  return [
    ...[...known].filter((id) => !listed.has(id)).map((id) => `in the end: the token ${id} is gone`),
    ...[...listed]
      .filter((id) => !known.has(id))
      .map((id) => `in the end: nobody was told of the token ${id}, or it was deleted`),
  ]
}

async function introspect(
  connections: Connections,
  { serviceSecret, token }: { serviceSecret: string; token: string },
): Promise<boolean> {
  const { status, text } = await connections.post({
    path: '/oauth/introspect',
    headers: { authorization: `Bearer ${serviceSecret}`, 'content-type': 'application/x-www-form-urlencoded' },
    body: `token=${token}`,
  })
  if (status !== 200) throw new Error(`HTTP ${status}`)
  const answer: unknown = JSON.parse(text)
  if (typeof answer !== 'object' || !answer || !('active' in answer)) throw new Error('no introspection was answered')
  return answer.active === true
}
