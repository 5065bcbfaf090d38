import bcrypt from 'bcrypt'
import { describe, expect, it } from 'vitest'
import { createMetrics } from '../observability/metrics.ts'
import { commonPasswords, createPasswords, passwordProblem } from './passwords.ts'

const serverKey = 'the server key of the tests, which is long enough'
const metrics = createMetrics()
const cheap = createPasswords({ serverKey, cost: 4, metrics })

describe('a password', () => {
  it('is verified against its own hash, and no other is', async () => {
    const hash = await cheap.hash('a lantern under the stairs')
    expect(await cheap.verify('a lantern under the stairs', hash)).toBe(true)
    for (const other of [
      'a lantern under the stair',
      'a lantern under the stairs ',
      'A lantern under the stairs',
      '',
    ]) {
      expect(await cheap.verify(other, hash)).toBe(false)
    }
    expect(await cheap.hash('a lantern under the stairs')).not.toBe(hash)
  })

  it('counts to its last character, however long: bcrypt alone would look at 72 bytes', async () => {
    const [one, other] = [`${'x'.repeat(72)}one`, `${'x'.repeat(72)}two`]
    expect(await bcrypt.compare(other, await bcrypt.hash(one, 4))).toBe(true)
    const hash = await cheap.hash(one)
    expect(await cheap.verify(one, hash)).toBe(true)
    expect(await cheap.verify(other, hash)).toBe(false)
    expect(await cheap.verify('x'.repeat(72), hash)).toBe(false)
    const wide = '密'.repeat(24)
    expect(await cheap.verify(`${wide}b`, await cheap.hash(`${wide}a`))).toBe(false)
  })

  it('counts behind the character NUL, where bcrypt alone would stop', async () => {
    expect(await cheap.verify('before\0two', await cheap.hash('before\0one'))).toBe(false)
  })

  it('is the same however the keyboard composes its characters', async () => {
    expect(await cheap.verify('cafe\u0301 au lait', await cheap.hash('caf\u00e9 au lait'))).toBe(true)
  })

  it('cannot be tried against a stolen hash without the server key', async () => {
    const hash = await cheap.hash('a lantern under the stairs')
    const stranger = createPasswords({ serverKey: 'another server key, of another server', cost: 4, metrics })
    expect(await stranger.verify('a lantern under the stairs', hash)).toBe(false)
    expect(await bcrypt.compare('a lantern under the stairs', hash)).toBe(false)
  })

  it('takes as long to refuse where there is no account as where there is one', async () => {
    const passwords = createPasswords({ serverKey, cost: 8, metrics })
    const hash = await passwords.hash('a lantern under the stairs')
    const took: Record<'known' | 'unknown', number[]> = { known: [], unknown: [] }
    for (let run = 0; run < 15; run++) {
      for (const account of ['known', 'unknown'] as const) {
        const started = performance.now()
        expect(await passwords.verify('wrong', account === 'known' ? hash : null)).toBe(false)
        took[account].push(performance.now() - started)
      }
    }
    const median = (times: number[]) => times.toSorted((a, b) => a - b)[7] ?? 0
    expect(median(took.unknown) / median(took.known)).toBeGreaterThan(0.6)
    expect(median(took.unknown) / median(took.known)).toBeLessThan(1.6)
  })

  it('of the one that stands in for an account that is not there lets nobody in', async () => {
    expect(await cheap.verify('nobody has this password', null)).toBe(false)
  })
})

describe('a new password', () => {
  it('is good with 12 to 128 characters, whatever they are', () => {
    for (const password of [
      'correct hors',
      'x7'.repeat(64),
      'пароль на двери',
      '密密麻麻的雨落在屋顶上呢',
      '💥🔑🚪🪟🧱🪜🔦🧯🪣🧹🪤🧲',
    ]) {
      expect(passwordProblem(password, 'ada@example.com')).toBeNull()
    }
  })

  it('is refused with fewer or more, counted as a person counts', () => {
    expect(passwordProblem('', 'a@b')).toMatch(/^A password has at least 12 characters/)
    expect(passwordProblem('elevenchars', 'a@b')).toMatch(/^A password has at least 12 characters/)
    expect(passwordProblem('💥'.repeat(11), 'a@b')).toMatch(/^A password has at least 12 characters/)
    expect(passwordProblem('x7'.repeat(65), 'a@b')).toBe('A password has at most 128 characters.')
  })

  it('is refused where it is among those that are tried first, in any case', () => {
    for (const password of [
      'passwordpassword',
      'PasswordPassword',
      'qwertyuiop123',
      'fyfcnfcbz555',
      'MAILCREATED5240',
    ]) {
      expect(passwordProblem(password, 'ada@example.com')).toMatch(/^This password is among those tried first/)
    }
  })

  it('is compared with tens of thousands that the policy would allow, and that are tried first', () => {
    const common = commonPasswords()
    expect(common.size).toBeGreaterThan(40_000)
    for (const password of common) expect(password.length).toBeGreaterThanOrEqual(12)
  })

  it('is refused where little is left of it without what everybody knows', () => {
    const problem = /^This password is little more than the email address, or “latchkey”/
    const email = 'Ada.Lovelace@engines.example.com'
    for (const password of [
      'ada.lovelace@engines.example.com',
      'Lovelace-Engines-1',
      'LatchkeyLatchkey!',
      'latchkey-password-2026',
      'ADA.LOVELACE',
    ]) {
      expect(passwordProblem(password, email), password).toMatch(problem)
    }
    expect(passwordProblem('a lantern for lovelace', email)).toBeNull()
    expect(passwordProblem('lovelace-engines-1', 'someone@else.org')).toBeNull()
  })
})

describe('the checking of passwords', () => {
  it('has a bounded queue, and tells those who come after to come back', async () => {
    const passwords = createPasswords({ serverKey, cost: 4, metrics })
    const hash = await passwords.hash('a lantern under the stairs')
    const answers = await Promise.allSettled(
      Array.from({ length: 200 }, () => passwords.verify('a lantern under the stairs', hash)),
    )
    const checked = answers.filter(({ status }) => status === 'fulfilled')
    const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []))
    expect(checked.length).toBeGreaterThanOrEqual(40)
    expect(refused.length).toBeGreaterThanOrEqual(100)
    for (const reason of refused) expect(reason).toMatchObject({ code: 'UNAVAILABLE' })
    expect(await passwords.verify('a lantern under the stairs', hash)).toBe(true)
  })
})
