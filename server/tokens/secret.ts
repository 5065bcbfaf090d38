import { createHash, createHmac, hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { RandomBytes } from '../dependencies.ts'

/** What a secret is for, with the letter that follows the prefix. */
const letters = { integrationToken: 'i', accessToken: 'p', session: 's', service: 'v', invitation: 'n' } as const
export type SecretKind = keyof typeof letters
const kinds = new Map<string, SecretKind>([
  ['i', 'integrationToken'],
  ['p', 'accessToken'],
  ['s', 'session'],
  ['v', 'service'],
  ['n', 'invitation'],
])

/** What lets its bearer in. */
export type CredentialKind = Exclude<SecretKind, 'invitation'>

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const randomCharacters = 43
const checksumCharacters = 6

/** A secret's text, as it is shown once: `lki_`, 43 base62 characters of 256 random bits, 6 of a CRC-32 over all before them. */
export function formatSecret(prefix: string, kind: SecretKind, bits: Buffer): string {
  const body = `${prefix}${letters[kind]}_${base62(BigInt(`0x${bits.toString('hex')}`), randomCharacters)}`
  return body + base62(BigInt(crc32(body)), checksumCharacters)
}

/** The kind of a well-formed secret. Null for anything that was not issued here; the caller cannot tell why. Costs no I/O. */
export function parseSecret(prefix: string, text: string): SecretKind | null {
  const start = prefix.length + 2
  const end = start + randomCharacters
  if (text.length !== end + checksumCharacters || !text.startsWith(prefix) || text[start - 1] !== '_') return null
  const kind = kinds.get(text[prefix.length] ?? '')
  if (!kind || Number.isNaN(readBase62(text, start, end))) return null
  return readBase62(text, end, text.length) === crc32(text.slice(0, end)) ? kind : null
}

/**
 * The 32 bytes of a digest, a character each. Every presented secret makes one, and a text is made in a third of a
 * buffer's time and is a key as it is.
 */
export type Digest = string

const digestLength = 32

/** The bytes, as the database keeps them. */
export const digestBytes = (digest: Digest): Buffer => Buffer.from(digest, 'latin1')

/**
 * The digests of one secret under each of the server's keys, the current one first, in one text: it is stored under one of
 * them. With a single key it is a digest as it is, so that nothing costs more where no key is being rotated.
 */
export type PresentedDigest = string

export const currentDigest = (presented: PresentedDigest): Digest =>
  presented.length === digestLength ? presented : presented.slice(0, digestLength)

/** The one at a place among those of many secrets, each with as many. */
export function digestAt(presented: PresentedDigest, place: number): Digest {
  if (presented.length === digestLength) return presented
  const start = (place * digestLength) % presented.length
  return presented.slice(start, start + digestLength)
}

export function splitDigests(presented: PresentedDigest): Digest[] {
  return Array.from({ length: digestsIn(presented) }, (_, place) => digestAt(presented, place))
}

export const digestsIn = (presented: PresentedDigest): number => presented.length / digestLength

/** What is kept of an issued secret. */
export interface SecretRecord {
  digest: Buffer
  /** Names the server key that the digest was made with. */
  keyId: string
  /** The last four characters. */
  hint: string
}

/** Told apart by its kind. */
export type PresentedSecret = { [Kind in CredentialKind]: { kind: Kind; digest: PresentedDigest } }[CredentialKind]

/** A hash does not tell whether it is an integration token's or an access token's. */
export interface PresentedHash {
  kind: 'bearer'
  digest: PresentedDigest
}

/** Makes secrets, and the digests under which they are known. Holds the server's keys; gives them to nobody. */
export interface Digester {
  issue(kind: SecretKind): { secret: string; record: SecretRecord }
  /**
   * The same secret for the same salt, context and key, which is the current one where none is named: what a retried
   * creation answers with, since no secret is stored.
   */
  derive(kind: SecretKind, salt: Buffer, context: string, keyId?: string): { secret: string; record: SecretRecord }
  /** Null for what is not a credential of this server's form. */
  read(secret: string): PresentedSecret | null
  /** Null for what is not an invitation's secret. */
  readInvitation(secret: string): PresentedDigest | null
  /**
   * `HMAC-SHA-256(server key, SHA-256(secret))`, of a SHA-256 in lower-case hexadecimal, which a service made so as not to
   * send the secret. Null for any other text.
   */
  readHash(text: string): PresentedHash | null
  /** A digest of any text, under the server key, that is no secret's. */
  digestOf(purpose: string, text: string): Buffer
  /** The same under the key of that id, which has to be among this server's: see `hasKey`. */
  digestUnder(keyId: string, purpose: string, text: string): Buffer
  hasKey(keyId: string): boolean
  /** Names the key under which digests are made now. */
  keyId: string
  /** Names those that are accepted besides. */
  formerKeyIds: readonly string[]
}

const mostServicesKept = 1_000

interface ServerKey {
  id: string
  hmac(data: Buffer | string): Buffer
  digestOfHash(sha256: Sha256): Digest
}

/** In lower-case hexadecimal. */
type Sha256 = string
const sha256Form = /^[0-9a-f]{64}$/

function openKey(key: string): ServerKey {
  const hmac = (data: Buffer | string) => createHmac('sha256', key).update(data).digest()
  return { id: keyIdOf(key), hmac, digestOfHash: createDigestHmac(key) }
}

/** Names a server key and tells nothing else of it. */
export function keyIdOf(key: string): string {
  return createHmac('sha256', key).update('latchkey key id').digest('hex').slice(0, 8)
}

/** Secrets are made under the server key, and those made under a former one are found as well. */
export function createDigester({
  serverKey,
  formerServerKeys = [],
  prefix,
  randomBytes,
}: {
  serverKey: string
  formerServerKeys?: readonly string[]
  prefix: string
  randomBytes: RandomBytes
}): Digester {
  const current = openKey(serverKey)
  const former = formerServerKeys.map(openKey)
  const keys = new Map([...former, current].map((key) => [key.id, key]))
  const keyOf = (keyId: string) => {
    const key = keys.get(keyId)
    if (!key) throw new Error('There is no server key of this id.')
    return key
  }
  const digestOfHash =
    former.length === 0
      ? current.digestOfHash
      : (sha256: Sha256) => [current, ...former].map((key) => key.digestOfHash(sha256)).join('')
  const digestOfSecret = (secret: string) => digestOfHash(hash('sha256', secret))
  /**
   * Few services ask millions of times, and present the same text each time: reading it again, to the checksum and the
   * digest, would take a tenth of an introspection. Only what it says is kept, never whether it is good.
   */
  const servicesRead = new Map<string, PresentedSecret>()
  const fromBits = (kind: SecretKind, bits: Buffer) => {
    const secret = formatSecret(prefix, kind, bits)
    const digest = digestBytes(current.digestOfHash(hash('sha256', secret)))
    return { secret, record: { digest, keyId: current.id, hint: secret.slice(-4) } }
  }
  // 64 bytes go in where a secret's digest takes 32, so that neither can stand for the other.
  const digestUnder = (key: ServerKey, purpose: string, text: string) =>
    key.hmac(createHash('sha512').update(`${purpose}\0${text}`).digest())
  return {
    keyId: current.id,
    formerKeyIds: former.map(({ id }) => id),
    issue: (kind) => fromBits(kind, randomBytes(32)),
    derive: (kind, salt, context, keyId = current.id) =>
      fromBits(
        kind,
        keyOf(keyId).hmac(createHash('sha512').update('latchkey derived secret').update(salt).update(context).digest()),
      ),
    read(secret) {
      const known = servicesRead.get(secret)
      if (known) return known
      const kind = parseSecret(prefix, secret)
      if (!kind || kind === 'invitation') return null
      const presented = { kind, digest: digestOfSecret(secret) }
      if (kind === 'service') {
        if (servicesRead.size >= mostServicesKept) servicesRead.clear()
        servicesRead.set(secret, presented)
      }
      return presented
    },
    readInvitation: (secret) => (parseSecret(prefix, secret) === 'invitation' ? digestOfSecret(secret) : null),
    readHash: (text) => (sha256Form.test(text) ? { kind: 'bearer', digest: digestOfHash(text) } : null),
    digestOf: (purpose, text) => digestUnder(current, purpose, text),
    digestUnder: (keyId, purpose, text) => digestUnder(keyOf(keyId), purpose, text),
    hasKey: (keyId) => keys.has(keyId),
  }
}

/**
 * HMAC-SHA-256 (RFC 2104) of a SHA-256, written out over Node's one-shot hash: a quarter of what `createHmac` takes, on a
 * path where it is most of the work.
 */
function createDigestHmac(key: string): (sha256: Sha256) => Digest {
  const blockBytes = 64
  const keyBytes = Buffer.byteLength(key) > blockBytes ? hash('sha256', key, 'buffer') : Buffer.from(key)
  const padded = (byte: number) => {
    const message = Buffer.alloc(blockBytes + 32)
    for (let at = 0; at < blockBytes; at++) message[at] = (keyBytes[at] ?? 0) ^ byte
    return message
  }
  const inner = padded(0x36)
  const outer = padded(0x5c)
  return (sha256) => {
    inner.write(sha256, blockBytes, 'hex')
    outer.write(hash('sha256', inner, 'binary'), blockBytes, 'latin1')
    return hash('sha256', outer, 'binary')
  }
}

function base62(value: bigint, length: number): string {
  let text = ''
  for (let rest = value; text.length < length; rest /= 62n) text = alphabet[Number(rest % 62n)] + text
  return text
}

const digitOf = Float64Array.from({ length: 128 }, (_, code) => {
  const digit = alphabet.indexOf(String.fromCharCode(code))
  return digit < 0 ? Number.NaN : digit
})

/** NaN where a character is no digit. Every presented secret is read by this, so it makes no text on the way. */
function readBase62(text: string, start: number, end: number): number {
  let value = 0
  for (let at = start; at < end; at++) value = value * 62 + (digitOf[text.charCodeAt(at)] ?? Number.NaN)
  return value
}
