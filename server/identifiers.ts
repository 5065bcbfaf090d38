/** Typed ids after the TypeID specification 0.3: a prefix and a UUIDv7 in lower-case Crockford base32. Sorted, they are in order of creation. */
import type { Clock, RandomBytes } from './dependencies.ts'

const prefixes = {
  organization: 'org',
  person: 'per',
  member: 'mem',
  token: 'tok',
  role: 'role',
  accessToken: 'acc',
  session: 'ses',
  service: 'srv',
  event: 'evt',
  group: 'grp',
  invitation: 'inv',
  webhook: 'whk',
  webhookDelivery: 'dlv',
} as const

type Kind = keyof typeof prefixes
export type Id<K extends Kind> = `${(typeof prefixes)[K]}_${string}`

export type OrganizationId = Id<'organization'>
export type PersonId = Id<'person'>
export type MemberId = Id<'member'>
export type TokenId = Id<'token'>
export type RoleId = Id<'role'>
export type AccessTokenId = Id<'accessToken'>
export type SessionId = Id<'session'>
export type ServiceId = Id<'service'>
export type EventId = Id<'event'>
export type GroupId = Id<'group'>
export type InvitationId = Id<'invitation'>
export type WebhookId = Id<'webhook'>
export type WebhookDeliveryId = Id<'webhookDelivery'>

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const suffix = '[0-7][0-9a-hjkmnp-tv-z]{25}'
const patternOf = (prefix: string, also = '') => new RegExp(`^${prefix}_(?:${suffix}${also})$`)
const patterns: Record<Kind, RegExp> = {
  organization: patternOf(prefixes.organization),
  person: patternOf(prefixes.person),
  member: patternOf(prefixes.member),
  token: patternOf(prefixes.token),
  role: patternOf(prefixes.role, '|[a-z][a-z_]{0,30}'),
  accessToken: patternOf(prefixes.accessToken),
  session: patternOf(prefixes.session),
  service: patternOf(prefixes.service),
  event: patternOf(prefixes.event),
  group: patternOf(prefixes.group),
  invitation: patternOf(prefixes.invitation),
  webhook: patternOf(prefixes.webhook),
  webhookDelivery: patternOf(prefixes.webhookDelivery),
}

export function createId<K extends Kind>(
  kind: K,
  { now, randomBytes }: { now: Clock; randomBytes: RandomBytes },
): Id<K> {
  const milliseconds = BigInt(now().getTime())
  const random = BigInt(`0x${randomBytes(10).toString('hex')}`)
  const version = 0x7n << 76n
  const variant = 0b10n << 62n
  const uuid =
    (milliseconds << 80n) | version | (((random >> 62n) & 0xfffn) << 64n) | variant | (random & ((1n << 62n) - 1n))
  let suffix = ''
  for (let shift = 125n; shift >= 0n; shift -= 5n) suffix += alphabet[Number((uuid >> shift) & 31n)]
  return `${prefixes[kind]}_${suffix}`
}

/** Whether an id that was made here is of that kind: for what the database holds, of which nothing else is to be proven. */
export function isOfKind<K extends Kind>(kind: K, id: string): id is Id<K> {
  const prefix = prefixes[kind]
  return id.startsWith(prefix) && id[prefix.length] === '_'
}

/** Whether the text has the form of an id of that kind; managed roles have ids of their own, such as `role_ci`. */
export function isId<K extends Kind>(kind: K, text: string): text is Id<K> {
  return patterns[kind].test(text)
}
