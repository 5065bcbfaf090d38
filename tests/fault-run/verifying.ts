import { setTimeout as delay } from 'node:timers/promises'
import { createClient, RequestError } from '@latchkey/sdk'
import { createVerifier, type Verifier, VerifierUnavailableError } from '@latchkey/sdk/verifier'
import { type KnownSecret, type Notebook, timeoutMilliseconds } from './client.ts'
import type { Verification } from './history.ts'

export interface VerifyingSettings {
  notebook: Notebook
  verifications: Verification[]
  url: string
  instance: number
  serviceSecret: string
  signal: AbortSignal
}

/** Those whose answers change, and that a cache may hold. */
const recent = 60
/** One of so many questions is about any secret that ever was. */
const anyEvery = 5
const pauseMilliseconds = 30
/** From a cache, so many answers cost what one does otherwise. */
const fromCacheAtOnce = 10

/** Asks the instance about one secret after the other, in both ways that there are, until the signal. */
export async function askInstance(settings: VerifyingSettings): Promise<void> {
  const { url, serviceSecret } = settings
  const service = createClient({ url, credential: serviceSecret, timeoutMilliseconds })
  for (let round = 0; !settings.signal.aborted; round += 1) {
    const secret = secretAt(settings.notebook, round)
    if (secret) {
      const by = round % 2 === 0 ? 'introspection' : 'verifyToken'
      await record(settings, secret, by, async () => {
        if (by === 'introspection') return introspect(url, serviceSecret, secret.value)
        try {
          const { verifyToken } = await service.verifyToken({ token: secret.value })
          return verdict(verifyToken)
        } catch (error) {
          if (!(error instanceof RequestError) || error.code !== 'UNAVAILABLE') throw error
          return { is: 'unavailable', answered: error.status !== null, why: error.message }
        }
      })
    }
    await delay(pauseMilliseconds)
  }
}

/** Asks the verifier, as a service does in front of its routes, until the signal. */
export async function askVerifier(settings: VerifyingSettings, verifier: Verifier): Promise<void> {
  for (let round = 0; !settings.signal.aborted; round += 1) {
    const secret = secretAt(settings.notebook, round)
    if (secret) {
      await record(settings, secret, 'verifier', async () => {
        try {
          return verdict(await verifier.verify(secret.value))
        } catch (error) {
          if (!(error instanceof VerifierUnavailableError)) throw error
          return { is: 'unavailable', answered: false }
        }
      })
    }
    if (round % fromCacheAtOnce === 0) await delay(pauseMilliseconds)
  }
}

export function openVerifier(url: string, credential: string, stalenessBoundMilliseconds: number): Verifier {
  return createVerifier({ url, credential, stalenessBoundMilliseconds })
}

/** RFC 7662, as any gateway asks. */
export async function introspect(url: string, serviceSecret: string, token: string): Promise<Verification['answer']> {
  try {
    const response = await fetch(`${url}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${serviceSecret}` },
      body: new URLSearchParams({ token }),
      signal: AbortSignal.timeout(timeoutMilliseconds),
    })
    const answer: { active?: boolean; label?: string } = await response.json()
    if (response.status === 503) return { is: 'unavailable', answered: true }
    if (response.status !== 200 || answer.active === undefined) throw new TypeError(`Introspection: ${response.status}`)
    return verdict({ active: answer.active, label: answer.label })
  } catch (error) {
    // Where the connection breaks, or the answer ends in its middle. Anything that was answered in full is not that.
    if (error instanceof TypeError && error.message.startsWith('Introspection')) throw error
    return { is: 'unavailable', answered: false, why: String(error) }
  }
}

function verdict({ active, label }: { active: boolean; label?: string | null | undefined }): Verification['answer'] {
  return { is: 'verdict', as: active ? (label ?? 'accessToken') : null }
}

async function record(
  { verifications, instance }: VerifyingSettings,
  { operation: secret }: KnownSecret,
  by: Verification['by'],
  ask: () => Promise<Verification['answer']>,
): Promise<void> {
  const began = performance.now()
  const answer = await ask()
  verifications.push({ secret, by, instance, began, ended: performance.now(), answer })
}

function secretAt({ secrets }: Notebook, round: number): KnownSecret | undefined {
  const any = round % anyEvery === 0
  const secret = any ? secrets[(round * 7_919) % Math.max(1, secrets.length)] : secrets.at(-1 - ((round * 7) % recent))
  return secret?.kind === 'session' ? undefined : secret
}
