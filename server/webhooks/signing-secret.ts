import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'
import type { RandomBytes } from '../dependencies.ts'
import type { WebhookId } from '../identifiers.ts'
import { keyIdOf } from '../tokens/secret.ts'

/**
 * The secrets with which messages are signed. A signature takes the secret itself, so that unlike all others it cannot be
 * kept as a digest: it is kept sealed, by AES-256-GCM under a key made of the server key, which the database never sees.
 * The webhook's id is sealed with it, so that a row copied to another webhook opens nothing.
 */
export interface SigningSecrets {
  /** As the Standard Webhooks specification has it: `whsec_` and 32 random bytes in base64. */
  issue(): string
  /** Under the current server key. */
  seal(webhookId: WebhookId, secret: string): Buffer
  /** Null for what was sealed under a server key that is not named any more, and for what was tampered with. */
  open(webhookId: WebhookId, sealed: Buffer): string | null
  /** Names the current server key. */
  keyId: string
}

const prefix = 'whsec_'
const nonceBytes = 12
const tagBytes = 16
const algorithm = 'aes-256-gcm'

export function createSigningSecrets({
  serverKey,
  formerServerKeys = [],
  randomBytes,
}: {
  serverKey: string
  formerServerKeys?: readonly string[]
  randomBytes: RandomBytes
}): SigningSecrets {
  const sealingKey = (key: string) => createHmac('sha256', key).update('latchkey webhook signing secrets').digest()
  const current = sealingKey(serverKey)
  const keys = [current, ...formerServerKeys.map(sealingKey)]
  return {
    keyId: keyIdOf(serverKey),
    issue: () => prefix + randomBytes(32).toString('base64'),
    seal(webhookId, secret) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, current, nonce).setAAD(Buffer.from(webhookId))
      const text = Buffer.concat([cipher.update(secret.slice(prefix.length), 'base64'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), text])
    },
    open(webhookId, sealed) {
      const [nonce, rest] = [sealed.subarray(0, nonceBytes), sealed.subarray(nonceBytes)]
      for (const key of keys) {
        try {
          const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes })
            .setAAD(Buffer.from(webhookId))
            .setAuthTag(rest.subarray(0, tagBytes))
          const bits = Buffer.concat([decipher.update(rest.subarray(tagBytes)), decipher.final()])
          return prefix + bits.toString('base64')
        } catch {
          // Sealed under another key, or not here.
        }
      }
      return null
    },
  }
}
