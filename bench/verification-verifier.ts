import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { unwrap } from '@latchkey/sdk'
import { createVerifier, type Verifier } from '@latchkey/sdk/verifier'
import { startLatchkey } from './contender.ts'
import { serverKey, type TokenDatabase } from './verification-tokens.ts'

const deletions = 300

/** Verifications a second by the SDK's verifier: those that it knows the answer of, and those that it has to ask about. */
export interface VerifierRates {
  warm: number[]
  cold: number[]
}

export async function measureVerifier({ url, secrets, serviceSecret }: TokenDatabase): Promise<VerifierRates> {
  const child = fork(fileURLToPath(new URL('verifier-rates.ts', import.meta.url)))
  child.send({ url, secrets, serviceSecret })
  const [rates] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (!areRates(rates)) throw new Error('The verifier’s process ended without a result.')
  return rates
}

function areRates(result: unknown): result is VerifierRates {
  return typeof result === 'object' && result !== null && 'warm' in result && 'cold' in result
}

/**
 * In milliseconds, one for each deletion: from the answer to `deleteToken`, on one instance, to the refusal by a verifier
 * that is attached to another, and that had accepted the token from its cache before.
 */
export async function measureInvalidation(database: TokenDatabase): Promise<number[]> {
  await using one = await startLatchkey(database.url, serverKey)
  await using other = await startLatchkey(database.url, serverKey)
  await using verifier = await openVerifier(other.url, database)
  const owner = database.ownerAt(one.url)
  const delays: number[] = []
  while (delays.length < deletions) {
    const input = { label: `Deleted ${delays.length}`, roleId: 'role_ci' }
    const { token, secret } = unwrap((await owner.createToken({ input })).createToken)
    expectActive(await verifier.verify(secret))
    const { hits } = verifier.metrics()
    expectActive(await verifier.verify(secret))
    if (verifier.metrics().hits === hits) throw new Error('The verifier was not warm.')
    unwrap((await owner.deleteToken({ input: { id: token.id } })).deleteToken)
    const answered = performance.now()
    while ((await verifier.verify(secret)).active) await turn()
    delays.push(performance.now() - answered)
  }
  return delays
}

/** Once it hears the stream of invalidations. */
export async function openVerifier(
  url: string,
  { serviceSecret }: Pick<TokenDatabase, 'serviceSecret'>,
): Promise<Verifier & AsyncDisposable> {
  const opened = Promise.withResolvers<void>()
  const verifier = createVerifier({ url, credential: serviceSecret, onStateChange: () => opened.resolve() })
  await opened.promise
  return { ...verifier, [Symbol.asyncDispose]: () => verifier.close() }
}

export function expectActive({ active }: { active: boolean }): void {
  if (!active) throw new Error('A token was refused that is to be accepted.')
}
