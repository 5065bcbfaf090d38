import { createHmac } from 'node:crypto'
import bcrypt from 'bcrypt'
import commonPasswords from 'fxa-common-password-list'

export const shortestPassword = 12
const longestPassword = 128

/** Each is hashed in a thread of its own; more at once would take the threads that everything else needs. */
const hashedAtOnce = 2

export interface Passwords {
  hash(password: string): Promise<string>
  /** Takes as long where there is no hash as where there is one, so that timing does not tell who has an account. */
  verify(password: string, hash: string | null): Promise<boolean>
}

/** bcrypt over `base64(HMAC-SHA-384(password, server key))`: 64 characters, so that bcrypt's cut at 72 bytes falls inside no password. */
export function createPasswords({ serverKey, cost }: { serverKey: string; cost: number }): Passwords {
  const inTurn = limitConcurrency(hashedAtOnce)
  const prepare = (password: string) =>
    createHmac('sha384', serverKey).update(password.normalize('NFKC')).digest('base64')
  const dummy = inTurn(() => bcrypt.hash(prepare('nobody has this password'), cost))
  return {
    hash: (password) => inTurn(() => bcrypt.hash(prepare(password), cost)),
    async verify(password, hash) {
      const compared = hash ?? (await dummy)
      const equal = await inTurn(() => bcrypt.compare(prepare(password), compared))
      return equal && hash !== null
    },
  }
}

/** What is wrong with a new password, in words for the person who chose it; null if nothing. */
export function passwordProblem(password: string): string | null {
  const length = [...password].length
  if (length < shortestPassword)
    return `A password has at least ${shortestPassword} characters; a few words together make a good one.`
  if (length > longestPassword) return `A password has at most ${longestPassword} characters.`
  if (commonPasswords.test(password) || commonPasswords.test(password.toLowerCase())) {
    return 'This password is among those tried first by whoever guesses. Choose one that is yours alone.'
  }
  return null
}

function limitConcurrency(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
