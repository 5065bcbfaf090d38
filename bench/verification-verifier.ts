import { setImmediate as turn } from 'node:timers/promises'
import { unwrap } from '@latchkey/sdk'
import { createVerifier, type Verifier } from '@latchkey/sdk/verifier'
import { startLatchkey } from './contender.ts'
import { serverKey, type TokenDatabase } from './verification-tokens.ts'

const callers = 64
const deletions = 300
const passes = 5
const warmTimes = 10
/** How many verifications are made between two looks at the network, as a busy service would come to it. */
const betweenTurns = 1_000

/** Verifications a second by the SDK's verifier: those that it knows the answer of, and those that it has to ask about. */
export async function measureVerifier(database: TokenDatabase): Promise<{ warm: number[]; cold: number[] }> {
  await using latchkey = await startLatchkey(database.url, serverKey)
  const warm: number[] = []
  const cold: number[] = []
  // The first pass warms Latchkey up, and this process.
  for (let pass = 0; pass <= passes; pass++) {
    await using verifier = await openVerifier(latchkey.url, database)
    const coldRate = await verifyCold(verifier, database.secrets)
    const warmRate = await verifyWarm(verifier, database.secrets)
    if (pass > 0) {
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
    const started = performance.now()
    for (const [index, secret] of presented.entries()) {
      expectActive(await verifier.verify(secret))
      if (index % betweenTurns === 0) await turn()
    }
    milliseconds += performance.now() - started
  }
  if (verifier.metrics().misses !== misses) throw new Error('The verifier was not warm.')
  return ((warmTimes * secrets.length) / milliseconds) * 1_000
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

async function openVerifier(url: string, { serviceSecret }: TokenDatabase): Promise<Verifier & AsyncDisposable> {
  const opened = Promise.withResolvers<void>()
  const verifier = createVerifier({ url, credential: serviceSecret, onStateChange: () => opened.resolve() })
  await opened.promise
  return { ...verifier, [Symbol.asyncDispose]: () => verifier.close() }
}

function expectActive({ active }: { active: boolean }): void {
  if (!active) throw new Error('A token was refused that is to be accepted.')
}
