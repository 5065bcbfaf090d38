import { randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CallerGone } from '../caller-gone.ts'
import { DatabaseUnavailable } from '../database/unavailable.ts'
import { createId } from '../identifiers.ts'
import { createMetrics } from '../observability/metrics.ts'
import type { PresentedDigest } from '../tokens/secret.ts'
import { createCredentialLookup, type LookupPool } from './credential-lookup.ts'
import type { Row } from './credential-rows.ts'

afterEach(() => {
  vi.useRealTimers()
})

interface Asked {
  digests: string[]
  answer(rows?: Row[]): void
  fail(error: Error): void
}

/** A database that answers when it is told to. */
function openDatabase() {
  const asked: Asked[] = []
  const lookup: LookupPool = {
    query: ({ values }) =>
      new Promise((resolve, reject) => {
        const bytes = Buffer.concat(values)
        const digests = Array.from({ length: bytes.length / 32 }, (_, nth) =>
          bytes.toString('latin1', nth * 32, nth * 32 + 32),
        )
        asked.push({
          digests,
          answer: (rows = digests.map((_, nth) => rowOf(nth))) => resolve({ rows }),
          fail: reject,
        })
      }),
  }
  const metrics = createMetrics()
  const { find } = createCredentialLookup({ lookup, metrics, tracing: null })
  return {
    asked,
    failures: () => metrics.lookups.failures.value,
    find: async (digest: PresentedDigest, isGone?: () => boolean) => {
      const [credential = null] = await find([{ kind: 'service', digest }], isGone)
      return credential
    },
    findHashes: (digests: PresentedDigest[]) => find(digests.map((digest) => ({ kind: 'bearer', digest }))),
  }
}

const source = { now: () => new Date(), randomBytes }
const ids = {
  service: createId('service', source),
  token: createId('token', source),
  organization: createId('organization', source),
  role: createId('role', source),
}
const tokenRow = (question: number): Row => [
  '0',
  String(question),
  ids.token,
  ids.organization,
  'a token',
  ids.role,
  'builds:read',
  null,
  null,
  '0',
  null,
  null,
  't',
  'f',
  'f',
]
function rowOf(question: number, id: string = ids.service): Row {
  return [
    '3',
    String(question),
    id,
    null,
    `service ${question}`,
    null,
    'tokens:verify',
    null,
    null,
    '0',
    null,
    null,
    't',
    'f',
    'f',
  ]
}
const digest = () => randomBytes(32).toString('latin1')
const digests = (count: number) => Array.from({ length: count }, digest)
const sizes = (asked: Asked[]) => asked.map((statement) => statement.digests.length)
/** The turns of the event loop that gathering may take. */
async function settle() {
  for (let turns = 0; turns < 4; turns++) await turn()
}

describe('gathering', () => {
  it('asks in one statement what came together, equal questions once, and gives each asker its own answer', async () => {
    const { asked, find } = openDatabase()
    const [one = '', other = ''] = digests(2)
    const answers = Promise.all([one, other, one].map((known) => find(known)))
    await settle()
    expect(asked.map((statement) => statement.digests)).toEqual([[one, other]])
    asked[0]?.answer([rowOf(1)])
    expect((await answers).map((credential) => credential?.digest)).toEqual([undefined, other, undefined])
  })

  it('never answers with a statement that began before the question came', async () => {
    const { asked, find } = openDatabase()
    const known = digest()
    const early = find(known)
    await settle()
    const late = find(known)
    asked[0]?.answer()
    expect(await early).toMatchObject({ kind: 'service' })
    await settle()
    expect(asked).toHaveLength(2)
    asked[1]?.answer([])
    expect(await late).toBeNull()
  })

  it('waits, while a statement is under way, until it is answered or another one is worth its cost', async () => {
    const { asked, find } = openDatabase()
    const ask = (count: number) => {
      for (const known of digests(count)) find(known).catch(() => undefined)
    }
    ask(1)
    await settle()
    ask(39)
    await settle()
    expect(sizes(asked)).toEqual([1])
    ask(1)
    await settle()
    expect(sizes(asked)).toEqual([1, 40])
    ask(5)
    asked[0]?.answer()
    asked[1]?.answer()
    await settle()
    expect(sizes(asked)).toEqual([1, 40, 5])
  })

  it('asks about 512 at once at most, in four statements at most', async () => {
    const { asked, find } = openDatabase()
    const answers = Promise.all(digests(5 * 512 + 3).map((known) => find(known)))
    await settle()
    for (let step = 0; step < 12; step++) {
      for (const statement of asked.slice()) statement.answer()
      await settle()
      expect(Math.max(...sizes(asked))).toBeLessThanOrEqual(512)
    }
    expect(await answers).toHaveLength(5 * 512 + 3)
    expect(sizes(asked).reduce((sum, size) => sum + size, 0)).toBe(5 * 512 + 3)

    const busy = openDatabase()
    for (let step = 0; step < 10; step++) {
      for (const known of digests(40)) busy.find(known).catch(() => undefined)
      await settle()
    }
    expect(sizes(busy.asked)).toEqual([40, 40, 40, 40])
  })
})

describe('a hash, which does not tell of which kind its secret is', () => {
  it('is looked for among access tokens once it is no integration token’s, and keeps nobody waiting who is answered', async () => {
    const { asked, findHashes } = openDatabase()
    const [known = '', other = ''] = digests(2)
    const [found, missing] = [findHashes([known]), findHashes([other])]
    await settle()
    expect(asked.map((statement) => statement.digests)).toEqual([[known, other]])
    asked[0]?.answer([tokenRow(0)])
    expect(await found).toMatchObject([{ kind: 'integrationToken', digest: known }])
    expect(asked.slice(1).map((statement) => statement.digests)).toEqual([[other]])
    asked[1]?.answer([])
    expect(await missing).toEqual([null])
    expect(asked).toHaveLength(2)
  })

  it('fails with its second statement, and nobody fails whom the first has answered', async () => {
    const { asked, findHashes, failures } = openDatabase()
    const [found, missing] = digests(2).map((known) => findHashes([known]))
    const failure = missing?.catch((error: Error) => error)
    await settle()
    asked[0]?.answer([tokenRow(0)])
    expect(await found).toMatchObject([{ kind: 'integrationToken' }])
    asked[1]?.fail(new Error('Connection terminated unexpectedly'))
    expect(await failure).toBeInstanceOf(DatabaseUnavailable)
    expect(failures()).toBe(1)
  })
})

describe('a look-up that cannot be answered', () => {
  it('is turned away at once where 10,000 wait already, which a merged question does not count for', async () => {
    const { asked, find } = openDatabase()
    const [first = '', ...others] = digests(4 * 512 + 10_000)
    for (let at = 0; at < 4; at++) {
      for (const known of others.splice(0, 512)) find(known).catch(() => undefined)
      await settle()
    }
    expect(asked).toHaveLength(4)
    for (const known of [first, ...others]) find(known).catch(() => undefined)
    expect(await find(digest()).catch(({ cause }: Error) => cause)).toBe('too many questions wait')
    const merged = vi.fn()
    find(first).catch(merged)
    await settle()
    expect(merged).not.toHaveBeenCalled()
  })

  it('is told so within two seconds, whether it waits or its statement is under way', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const { asked, find } = openDatabase()
    const lost: string[] = []
    find(digest()).catch((error: Error) => lost.push(`first: ${error.constructor.name}`))
    await settle()
    find(digest()).catch((error: Error) => lost.push(`second: ${error.constructor.name}`))
    await settle()
    expect(asked).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1_800)
    expect(lost).toEqual([])
    await vi.advanceTimersByTimeAsync(150)
    expect(lost.sort()).toEqual(['first: DatabaseUnavailable', 'second: DatabaseUnavailable'])
  })

  it('is asked about no more where that is told while all four statements are under way', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const { asked, find } = openDatabase()
    const lost: unknown[] = []
    for (let nth = 0; nth < 5; nth++) {
      find(digest()).catch((error: unknown) => lost.push(error))
      await settle()
      await vi.advanceTimersByTimeAsync(100)
    }
    expect(sizes(asked)).toEqual([1, 1, 1, 1])
    await vi.advanceTimersByTimeAsync(2_000)
    expect(lost).toHaveLength(5)
    for (const { answer } of asked) answer()
    await settle()
    expect(asked).toHaveLength(4)
    const next = find(digest())
    await settle()
    asked[4]?.answer()
    expect(await next).toMatchObject({ kind: 'service' })
  })

  it('does not hold up another for long: one that has waited goes in a statement of its own', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const { asked, find } = openDatabase()
    find(digest()).catch(() => undefined)
    await settle()
    const second = find(digest())
    await vi.advanceTimersByTimeAsync(150)
    expect(sizes(asked)).toEqual([1, 1])
    asked[1]?.answer()
    expect(await second).toMatchObject({ kind: 'service' })
  })

  it('fails those who asked for it, and none of its neighbours', async () => {
    const { asked, find } = openDatabase()
    const [damaged, good] = [find(digest()), find(digest())]
    const failure = damaged.catch((error: Error) => error.message)
    await settle()
    asked[0]?.answer([rowOf(0, 'no id'), rowOf(1)])
    expect(await failure).toContain('does not have the form')
    expect(await good).toMatchObject({ kind: 'service', name: 'service 1' })
  })

  it('fails with its statement for everyone who asked it, and the next one is asked anew', async () => {
    const { asked, find } = openDatabase()
    const shared = digest()
    const failures: Error[] = []
    for (const one of [shared, shared, digest()]) find(one).catch((error: Error) => failures.push(error))
    await settle()
    expect(asked.map(({ digests }) => digests.length)).toEqual([2])
    asked[0]?.fail(new Error('Connection terminated unexpectedly'))
    await settle()
    expect(failures).toHaveLength(3)
    for (const failure of failures) expect(failure).toBeInstanceOf(DatabaseUnavailable)
    const second = find(digest())
    await settle()
    asked[1]?.answer()
    expect(await second).toMatchObject({ kind: 'service' })
  })
})

describe('a caller that has gone away', () => {
  it('costs nothing: the database is not asked, and nothing has failed', async () => {
    const { asked, find, failures } = openDatabase()
    await expect(find(digest(), () => true)).rejects.toThrow(CallerGone)
    expect(asked).toEqual([])
    const kept = digest()
    const answers = Promise.allSettled([find(digest(), () => true), find(kept, () => false)])
    await settle()
    expect(asked.map((statement) => statement.digests)).toEqual([[kept]])
    asked[0]?.answer()
    expect(await answers).toMatchObject([{ reason: expect.any(CallerGone) }, { value: { kind: 'service' } }])
    expect(failures()).toBe(0)
  })

  it('takes nothing from another who asked the same, whichever came first', async () => {
    for (const callers of [
      [() => true, () => false],
      [() => false, () => true],
      [() => true, undefined],
      [undefined, () => true],
    ]) {
      const { asked, find } = openDatabase()
      const known = digest()
      const answers = Promise.all(callers.map((isGone) => find(known, isGone)))
      await settle()
      asked[0]?.answer()
      expect(await answers).toMatchObject([{ kind: 'service' }, { kind: 'service' }])
    }
  })
})
