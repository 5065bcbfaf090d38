import { setImmediate as turn } from 'node:timers/promises'
import type { Verifier } from '@latchkey/sdk/verifier'
import { startLatchkey } from './contender.ts'
import { serverKey, type TokenDatabase } from './verification-tokens.ts'
import { expectActive, openVerifier, type VerifierRates } from './verification-verifier.ts'

// A process of its own, as a service that uses the verifier is.

const callers = 64
const warmUpPasses = 5
const passes = 5
const warmTimes = 10
/** How many verifications are made between two looks at the network, as a busy service would come to it. */
const betweenTurns = 1_000

type Database = Pick<TokenDatabase, 'url' | 'secrets' | 'serviceSecret'>

process.once('message', (database: Database) => {
  void measureRates(database).then((rates) => process.send?.(rates, () => process.disconnect()))
})

async function measureRates(database: Database): Promise<VerifierRates> {
  await using latchkey = await startLatchkey(database.url, serverKey)
  const warm: number[] = []
  const cold: number[] = []
  // The first warm Latchkey up, and this process: both are some ten seconds old before all of their code is compiled.
  for (let pass = 1; pass <= warmUpPasses + passes; pass++) {
    await using verifier = await openVerifier(latchkey.url, database)
    const coldRate = await verifyCold(verifier, database.secrets)
    const warmRate = await verifyWarm(verifier, database.secrets)
    if (pass > warmUpPasses) {
      cold.push(coldRate)
      warm.push(warmRate)
    }
  }
  return { warm, cold }
}

async function verifyCold(verifier: Verifier, secrets: string[]): Promise<number> {
  const presented = secrets.values()
  const started = performance.now()
  const call = async () => {
    for (const secret of presented) expectActive(await verifier.verify(secret))
  }
  await Promise.all(Array.from({ length: callers }, call))
  return (secrets.length / (performance.now() - started)) * 1_000
}

/**
 * Every secret is a string that was never seen before, as it is when it comes with a request. Each is verified several
 * times: once takes so short a time that it would be measured how a cold cache is cleaned up after.
 */
async function verifyWarm(verifier: Verifier, secrets: string[]): Promise<number> {
  const { misses } = verifier.metrics()
  let milliseconds = 0
  for (let time = 0; time < warmTimes; time++) {
    const presented = secrets.map((secret) => Buffer.from(secret).toString())
    let verified = 0
    const started = performance.now()
    for (const secret of presented) {
      expectActive(await verifier.verify(secret))
      if (++verified % betweenTurns === 0) await turn()
    }
    milliseconds += performance.now() - started
  }
  if (verifier.metrics().misses !== misses) throw new Error('The verifier was not warm.')
  return ((warmTimes * secrets.length) / milliseconds) * 1_000
}
