import type { VerifiedToken } from './verdict.ts'

/** Of which token each accepted secret is, and until when that is known without asking. */
export interface AcceptedSecrets {
  /** Undefined also where it is due to be asked about. */
  find(secret: string, now: number): VerifiedToken | undefined
  /** Puts off when it is due. Undefined where it has come to its end. */
  postpone(secret: string, now: number, dueAt: number): VerifiedToken | undefined
  /** One that is not kept yet. It counts as idle until it is found. */
  keep(secret: string, token: VerifiedToken, until: { dueAt: number; endsAt: number }): void
  forget(secret: string): VerifiedToken | undefined
  forgetAll(): void
  /** One that was not found since it was last looked at here, where all are in turn. */
  findIdle(): string | undefined
  size(): number
}

/**
 * A hash table with open addressing. Each secret has a slot, `mask` being one less than their number, a power of two.
 */
interface Slots {
  mask: number
  /** Two for each slot: the secret’s head, 0 where it is empty, and when it is due, negative while it counts as idle. */
  numbers: Float64Array
  /** Two for each slot: the secret and its token. */
  entries: (string | VerifiedToken | undefined)[]
  ends: Float64Array
}

const fewestSlots = 256

/**
 * Made for the one question that is asked millions of times, which takes as long as memory does that is not at hand, and
 * not as long as its instructions: a `Map` of objects needs twice as many places of it as this does. What decides is in
 * two numbers that lie together, and a secret is compared only with one whose head is the same: seven characters that
 * are as random as the rest, so that the time a search takes tells whoever presents a secret of their own making nothing.
 */
export function createAcceptedSecrets(): AcceptedSecrets {
  let slots = emptySlots(fewestSlots)
  let size = 0
  let hand = 0

  /** Where the secret is, or else the empty slot at which the search for it ends. */
  function slotOf(secret: string): number {
    const { mask, numbers, entries } = slots
    const head = headOf(secret)
    for (let slot = homeOf(head, mask); ; slot = (slot + 1) & mask) {
      const found = numbers[2 * slot]
      if (found === 0 || (found === head && entries[2 * slot] === secret)) return slot
    }
  }
  function tokenAt(slot: number): VerifiedToken | undefined {
    const token = slots.entries[2 * slot + 1]
    return typeof token === 'object' ? token : undefined
  }
  function secretAt(slot: number): string | undefined {
    const secret = slots.entries[2 * slot]
    return typeof secret === 'string' ? secret : undefined
  }
  function put(slot: number, { numbers, entries, ends }: Slots, from: Slots, fromSlot: number): void {
    numbers[2 * slot] = from.numbers[2 * fromSlot] ?? 0
    numbers[2 * slot + 1] = from.numbers[2 * fromSlot + 1] ?? 0
    entries[2 * slot] = from.entries[2 * fromSlot]
    entries[2 * slot + 1] = from.entries[2 * fromSlot + 1]
    ends[slot] = from.ends[fromSlot] ?? 0
  }
  function grow(): void {
    const former = slots
    slots = emptySlots(2 * (former.mask + 1))
    for (let slot = 0; slot <= former.mask; slot++) {
      const secret = former.entries[2 * slot]
      if (typeof secret === 'string') put(slotOf(secret), slots, former, slot)
    }
  }

  return {
    find(secret, now) {
      const slot = slotOf(secret)
      const token = tokenAt(slot)
      if (!token) return undefined
      const dueAt = slots.numbers[2 * slot + 1] ?? 0
      if (now < dueAt) return token
      if (now >= -dueAt) return undefined
      slots.numbers[2 * slot + 1] = -dueAt
      return token
    },
    postpone(secret, now, dueAt) {
      const slot = slotOf(secret)
      const endsAt = slots.ends[slot] ?? 0
      const token = tokenAt(slot)
      if (!token || now >= endsAt) return undefined
      slots.numbers[2 * slot + 1] = Math.min(dueAt, endsAt)
      return token
    },
    keep(secret, token, { dueAt, endsAt }) {
      size++
      if (2 * size > slots.mask) grow()
      const slot = slotOf(secret)
      slots.numbers[2 * slot] = headOf(secret)
      slots.numbers[2 * slot + 1] = -Math.min(dueAt, endsAt)
      slots.entries[2 * slot] = secret
      slots.entries[2 * slot + 1] = token
      slots.ends[slot] = endsAt
    },
    forget(secret) {
      const slot = slotOf(secret)
      const token = tokenAt(slot)
      if (!token) return undefined
      size--
      // What a search would have to pass the gap for is moved into it.
      let gap = slot
      const { mask, numbers, entries } = slots
      for (let next = (gap + 1) & mask; numbers[2 * next] !== 0; next = (next + 1) & mask) {
        const home = homeOf(numbers[2 * next] ?? 0, mask)
        if (((next - home) & mask) < ((next - gap) & mask)) continue
        put(gap, slots, slots, next)
        gap = next
      }
      numbers[2 * gap] = 0
      entries[2 * gap] = undefined
      entries[2 * gap + 1] = undefined
      return token
    },
    forgetAll() {
      slots = emptySlots(fewestSlots)
      size = 0
    },
    findIdle() {
      if (size === 0) return undefined
      for (; ; hand++) {
        const slot = hand & slots.mask
        const secret = secretAt(slot)
        if (secret === undefined) continue
        const dueAt = slots.numbers[2 * slot + 1] ?? 0
        if (dueAt < 0) return secret
        slots.numbers[2 * slot + 1] = -dueAt
      }
    },
    size: () => size,
  }
}

function emptySlots(count: number): Slots {
  return {
    mask: count - 1,
    numbers: new Float64Array(2 * count),
    entries: new Array<undefined>(2 * count).fill(undefined),
    ends: new Float64Array(count),
  }
}

/** Seven characters from before the checksum, as one number: never 0. */
function headOf(secret: string): number {
  const end = secret.length - 7
  const low = secret.charCodeAt(end) | (secret.charCodeAt(end - 1) << 7) | (secret.charCodeAt(end - 2) << 14)
  const high =
    secret.charCodeAt(end - 3) |
    (secret.charCodeAt(end - 4) << 7) |
    (secret.charCodeAt(end - 5) << 14) |
    (secret.charCodeAt(end - 6) << 21)
  return high * 2 ** 21 + low
}

function homeOf(head: number, mask: number): number {
  const high = Math.floor(head / 2 ** 21)
  const mixed = Math.imul(high, 0x9e3779b1) ^ Math.imul(head - high * 2 ** 21, 0x85ebca6b)
  return (mixed ^ (mixed >>> 15)) & mask
}
