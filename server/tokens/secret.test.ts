import { createHash, createHmac, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { createDigester, formatSecret, parseSecret, type SecretKind } from './secret.ts'

const kinds: [kind: SecretKind, letter: string][] = [
  ['integrationToken', 'i'],
  ['accessToken', 'p'],
  ['session', 's'],
  ['service', 'v'],
]
const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const bitsOf = (secret: string) =>
  [...secret.slice(4, -6)].reduce((value, character) => value * 62n + BigInt(alphabet.indexOf(character)), 0n)
const digesterOf = (serverKey: string, prefix = 'lk') => createDigester({ serverKey, prefix, randomBytes })

describe('a secret', () => {
  it('is a prefix, the letter of its kind, and 49 characters that one double-click selects', () => {
    for (const [kind, letter] of kinds) {
      const secret = formatSecret('lk', kind, randomBytes(32))
      expect(secret).toMatch(new RegExp(`^lk${letter}_[0-9A-Za-z]{49}$`))
      expect(parseSecret('lk', secret)).toBe(kind)
    }
  })

  it('has the form that secret scanners and the SDK know, for known bits', () => {
    const least = formatSecret('lk', 'integrationToken', Buffer.alloc(32))
    expect(least).toMatch(/^lki_0{43}[0-9A-Za-z]{6}$/)
    const most = formatSecret('lk', 'integrationToken', Buffer.alloc(32, 0xff))
    expect(bitsOf(most)).toBe(2n ** 256n - 1n)
    expect([least, most]).toMatchInlineSnapshot(`
      [
        "lki_00000000000000000000000000000000000000000000CdyXC",
        "lki_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp12wQaHq",
      ]
    `)
  })

  it('carries the operator’s prefix, and is none under another', () => {
    for (const prefix of ['ab', 'acmetokens']) {
      const secret = formatSecret(prefix, 'session', randomBytes(32))
      expect(secret.startsWith(`${prefix}s_`)).toBe(true)
      expect(parseSecret(prefix, secret)).toBe('session')
      expect(parseSecret('lk', secret)).toBeNull()
    }
  })

  it('keeps all 256 bits: each bit of 20,000 secrets is set in half of them, and no two secrets are alike', () => {
    const digester = digesterOf('k'.repeat(32))
    const secrets = Array.from({ length: 20_000 }, () => digester.issue('integrationToken').secret)
    expect(new Set(secrets).size).toBe(20_000)
    const counts = new Array<number>(256).fill(0)
    for (const secret of secrets) {
      const bits = bitsOf(secret)
      expect(bits < 2n ** 256n).toBe(true)
      for (const [place, digit] of [...bits.toString(2).padStart(256, '0')].entries()) {
        if (digit === '1') counts[place] = (counts[place] ?? 0) + 1
      }
    }
    // Six standard deviations: once in two million runs of this test, by chance.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(6 * Math.sqrt(5_000))
  })

  it('is none with any one character changed, left out, added or exchanged with its neighbour', () => {
    const secret = formatSecret('lk', 'integrationToken', randomBytes(32))
    const characters = [...secret]
    for (const [place, character] of characters.entries()) {
      for (const other of `${alphabet}_- é０`) {
        if (other === character) continue
        expect(parseSecret('lk', characters.with(place, other).join(''))).toBeNull()
      }
      expect(parseSecret('lk', characters.toSpliced(place, 1).join(''))).toBeNull()
      expect(parseSecret('lk', characters.toSpliced(place, 0, '0').join(''))).toBeNull()
      const next = characters[place + 1]
      if (next === undefined || next === character) continue
      expect(parseSecret('lk', characters.toSpliced(place, 2, next, character).join(''))).toBeNull()
    }
  })

  it('is none of other characters, though the checksum be right', () => {
    const withChecksum = (body: string) => {
      let text = ''
      for (let rest = crc32(body); text.length < 6; rest = Math.floor(rest / 62)) text = alphabet[rest % 62] + text
      return body + text
    }
    expect(parseSecret('lk', withChecksum(`lki_${'0'.repeat(43)}`))).toBe('integrationToken')
    for (const other of ['_', '-', ' ', '\0', '\u007f', 'é', '０', '\u{1d7d8}'.slice(0, 1)]) {
      expect(parseSecret('lk', withChecksum(`lki_${'0'.repeat(42)}${other}`))).toBeNull()
    }
  })

  it('is none with white space, a line end or anything else around it', () => {
    const secret = formatSecret('lk', 'accessToken', randomBytes(32))
    for (const text of [` ${secret}`, `${secret} `, `${secret}\n`, `${secret}\0`, `"${secret}"`, secret + secret, '']) {
      expect(parseSecret('lk', text)).toBeNull()
    }
  })
})

describe('a digester', () => {
  const key = 'k'.repeat(32)
  const sha256 = (text: string) => createHash('sha256').update(text).digest()

  it('keeps HMAC-SHA-256 of the secret’s SHA-256 under the server key, so that a service can send the hash alone', () => {
    const digester = digesterOf(key)
    const { secret, record } = digester.issue('integrationToken')
    expect(record.digest).toEqual(createHmac('sha256', key).update(sha256(secret)).digest())
    expect(record.hint).toBe(secret.slice(-4))
    expect(digester.read(secret)).toEqual({ kind: 'integrationToken', digest: record.digest.toString('latin1') })
    expect(digester.readHash(sha256(secret).toString('hex'))).toEqual({
      kind: 'bearer',
      digest: record.digest.toString('latin1'),
    })
  })

  it('computes what Node’s own HMAC does, for server keys of every length and kind of character', () => {
    for (const key of ['', ...[1, 32, 63, 64, 65, 128, 200].map((length) => 'k'.repeat(length)), 'clé 🔑'.repeat(20)]) {
      const bytes = randomBytes(32)
      const read = digesterOf(key).readHash(bytes.toString('hex'))
      expect(read?.digest).toBe(createHmac('sha256', key).update(bytes).digest('binary'))
    }
  })

  it('knows a secret under no other server key, and names the key without telling it', () => {
    const [one, other] = [digesterOf(key), digesterOf('l'.repeat(32))]
    const { secret, record } = one.issue('session')
    expect(other.read(secret)?.digest).not.toEqual(record.digest)
    expect(other.issue('session').record.keyId).not.toBe(record.keyId)
    expect(one.issue('service').record.keyId).toBe(record.keyId)
    expect(record.keyId).toMatch(/^[0-9a-f]{8}$/)
  })

  it('derives the same secret for the same salt and context, and another for any other', () => {
    const digester = digesterOf(key)
    const salt = randomBytes(32)
    const first = digester.derive('integrationToken', salt, 'context')
    expect(digester.derive('integrationToken', salt, 'context')).toEqual(first)
    expect(digester.read(first.secret)).toEqual({
      kind: 'integrationToken',
      digest: first.record.digest.toString('latin1'),
    })
    const others = [
      digester.derive('integrationToken', randomBytes(32), 'context'),
      digester.derive('integrationToken', salt, 'contexts'),
      digesterOf('l'.repeat(32)).derive('integrationToken', salt, 'context'),
    ]
    expect(new Set([first, ...others].map(({ secret }) => secret)).size).toBe(4)
  })

  it('gives a digest of other text that is never a secret’s, and apart for each purpose', () => {
    const digester = digesterOf(key)
    const { secret, record } = digester.issue('accessToken')
    const digests = [digester.digestOf('a', secret), digester.digestOf('b', secret), record.digest]
    expect(new Set(digests.map((digest) => digest.toString('hex'))).size).toBe(3)
  })

  it('keeps the text of no more than a thousand services', () => {
    const digester = digesterOf(key)
    const { secret } = digester.issue('service')
    const read = digester.read(secret)
    expect(digester.read(secret)).toBe(read)
    for (let others = 0; others < 1_000; others++) digester.read(digester.issue('service').secret)
    expect(digester.read(secret)).not.toBe(read)
    expect(digester.read(secret)).toEqual(read)
  })

  it('reads a hash in lower-case hexadecimal only', () => {
    const hex = 'ab'.repeat(32)
    const digester = digesterOf(key)
    expect(digester.readHash(hex)?.digest).toHaveLength(32)
    for (const text of [
      '',
      hex.toUpperCase(),
      hex.slice(1),
      `${hex}0`,
      `${hex}\n`,
      ` ${hex}`,
      'g'.repeat(64),
      '０'.repeat(64),
    ]) {
      expect(digester.readHash(text)).toBeNull()
    }
  })
})
