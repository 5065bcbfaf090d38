import type { AuditAction } from '../../server/audit/record-event.ts'

/** What happened in a run, as its clients saw it. Every instant is in milliseconds of one clock, that of the run's process. */
export interface History {
  operations: Operation[]
  verifications: Verification[]
  /** The audit log, in the order of its chain, which is the order of the commits. */
  events: LoggedEvent[]
  /** What was to be read when all had ended, by instance. */
  end: { began: number; instances: FinalState[] }
}

/** What a client set out to do, and each time that it asked for it: more than once only where an idempotency key makes that safe. */
export interface Operation {
  /** Sent as the user agent, so that the audit log names the operation behind each event. */
  id: string
  intent: Intent
  caller: 'administrator' | 'guest' | 'service account'
  attempts: Attempt[]
  /** What the acknowledgement held. */
  gave: { tokenId?: string }
}

export type Intent =
  | { does: 'createToken'; label: string; roleId: string }
  | { does: 'renameToken'; tokenId: string; label: string }
  | { does: 'setTokenEnabled'; tokenId: string; enabled: boolean }
  | { does: 'regenerateToken'; tokenId: string; overlapSeconds: number }
  | { does: 'deleteToken'; tokenId: string }
  | { does: 'resetAccessToken' | 'signIn' | 'signOut'; member: string }

export interface Attempt {
  instance: number
  began: number
  ended: number
  /** The operation that gave what was presented as the credential; null where none was. */
  credential: string | null
  outcome: Outcome
}

export type Outcome =
  | { is: 'acknowledged' }
  /** Told that nothing was done; `unsent` where the connection was refused. */
  | { is: 'refused'; code: string }
  /** It may have happened, or may yet: answered with 503, or not at all. `why` is for whoever reads the report. */
  | { is: 'unknown'; answered: boolean; why?: string }

/** A question about a secret, which is named by the operation that gave it. */
export interface Verification {
  secret: string
  by: 'introspection' | 'verifyToken' | 'verifier'
  instance: number
  began: number
  ended: number
  answer: Verdict | { is: 'unavailable'; answered: boolean; why?: string }
}

/** What an accepted secret is accepted as: an integration token's label, or `accessToken`. Null where it is refused. */
type As = string | null
export interface Verdict {
  is: 'verdict'
  as: As
}

export interface LoggedEvent {
  action: AuditAction
  operation: string | null
  targetId: string | null
}

export interface FinalState {
  tokens: { id: string; label: string; roleId: string; enabled: boolean; acceptedSecrets: number }[]
  /** By the operation that gave the secret. */
  verdicts: Map<string, As>
}

export interface Violation {
  rule:
    | 'acknowledged, but not recorded'
    | 'refused, but recorded'
    | 'recorded otherwise than done'
    | 'recorded without an operation'
    | 'recorded out of order'
    | 'refused without a reason'
    | 'accepted without a right to it'
    | 'answered wrongly'
    | 'trusted for too long'
    | 'not in the final state'
  about: string
}

export interface Checked {
  violations: Violation[]
  /** For how long after what made it wrong was acknowledged a verifier of the SDK went on with an answer, at most. */
  longestStaleAnswerMilliseconds: number
}

export interface Bounds {
  /** Of the verifier on each instance: for how long it may go on. */
  stalenessMilliseconds: readonly number[]
  /** For how long a verifier may keep a refusal. */
  refusalMilliseconds: number
}

/**
 * Whether all of it can have happened in one order, that of the audit log, in which whatever was acknowledged comes before
 * what began after. An operation of which nobody knows whether it happened is settled by the log, and must then have
 * happened wholly or not at all. Knows nothing of how the service works.
 */
export function checkHistory(history: History, bounds: Bounds): Checked {
  const violations: Violation[] = []
  const violate: Violate = (rule, about) => violations.push({ rule, about })
  const replayed = replay(history, violate)
  checkOperations(history, replayed, violate)
  const longestStaleAnswerMilliseconds = checkVerifications(history, replayed, bounds, violate)
  checkEnd(history, replayed, violate)
  return { violations, longestStaleAnswerMilliseconds }
}

type Violate = (rule: Violation['rule'], about: string) => void

/** From when on something held, as closely as the answers around it tell. */
interface Change {
  earliest: number
  latest: number
  as: As
}

interface ReplayedToken {
  label: string
  roleId: string
  enabled: boolean
  deleted: boolean
  /** The operations that gave its accepted secrets, the current one last. */
  accepted: string[]
  /** Every secret that it ever had. */
  secrets: string[]
}

interface Replayed {
  tokens: Map<string, ReplayedToken>
  /** Of every secret, by the operation that gave it. */
  secrets: Map<string, Change[]>
  /** Whether a token is there. */
  presence: Map<string, Change[]>
  /** What each operation that took effect must have left in the log, in order. */
  due: Map<string, string[]>
  recorded: Map<string, string[]>
}

const primaryActions: Record<Intent['does'], AuditAction> = {
  createToken: 'token.created',
  renameToken: 'token.updated',
  setTokenEnabled: 'token.updated',
  regenerateToken: 'token.regenerated',
  deleteToken: 'token.deleted',
  resetAccessToken: 'access_token.reset',
  signIn: 'session.signed_in',
  signOut: 'session.signed_out',
}

/** What the operator does before a run. */
const settingUp: AuditAction[] = ['organization.created', 'member.added']

function replay({ operations, events, end }: History, violate: Violate): Replayed {
  const byId = new Map(operations.map((operation) => [operation.id, operation]))
  const windows = commitWindows(events, byId, end.began)
  const replayed: Replayed = {
    tokens: new Map(),
    secrets: new Map(),
    presence: new Map(),
    due: new Map(),
    recorded: new Map(),
  }
  const people = new Map<string, { accessToken: string | null; sessions: Set<string> }>()

  for (const [index, event] of events.entries()) {
    const { earliest, latest } = windows[index] ?? { earliest: 0, latest: end.began }
    const { action, targetId } = event
    if (settingUp.includes(action)) continue
    if (action === 'token.retired_secret_used') {
      const token = replayed.tokens.get(targetId ?? '')
      if (!token || token.secrets.length === token.accepted.length) {
        violate('recorded without an operation', `${action} of ${targetId}, which has no retired secret`)
      }
      continue
    }
    const operation = byId.get(event.operation ?? '')
    if (!operation) {
      violate('recorded without an operation', `${action} of ${targetId} by ${event.operation}`)
      continue
    }
    const { id, intent } = operation
    if (earliest > latest) violate('recorded out of order', `${describe(operation)}: before what it should follow`)
    append(replayed.recorded, id, action)
    if (action !== primaryActions[intent.does] || replayed.due.has(id)) continue
    replayed.due.set(id, [action])

    const mark = (timelines: Map<string, Change[]>, key: string, as: As) => {
      const timeline = timelines.get(key) ?? []
      if ((timeline.at(-1)?.as ?? null) !== as) timelines.set(key, [...timeline, { earliest, latest, as }])
    }
    if ('member' in intent) {
      const person = people.get(intent.member) ?? { accessToken: null, sessions: new Set() }
      people.set(intent.member, person)
      if (intent.does === 'signIn') {
        person.sessions.add(id)
        mark(replayed.secrets, id, 'session')
      } else if (intent.does === 'signOut') {
        const session = operation.attempts.at(-1)?.credential ?? ''
        person.sessions.delete(session)
        mark(replayed.secrets, session, null)
      } else {
        for (const session of person.sessions) mark(replayed.secrets, session, null)
        person.sessions.clear()
        if (person.accessToken !== null) mark(replayed.secrets, person.accessToken, null)
        person.accessToken = id
        mark(replayed.secrets, id, 'accessToken')
      }
      continue
    }

    const tokenId = intent.does === 'createToken' ? (targetId ?? '') : intent.tokenId
    if (targetId !== tokenId || (operation.gave.tokenId ?? tokenId) !== tokenId) {
      violate('recorded otherwise than done', `${describe(operation)}: the log names ${targetId}`)
    }
    if (intent.does === 'createToken') {
      const { label, roleId } = intent
      const token = { label, roleId, enabled: true, deleted: false, accepted: [id], secrets: [id] }
      replayed.tokens.set(tokenId, token)
    }
    const token = replayed.tokens.get(tokenId)
    if (!token || token.deleted) {
      violate('recorded otherwise than done', `${describe(operation)}: there was no such token any more`)
      continue
    }
    if (intent.does === 'renameToken') token.label = intent.label
    if (intent.does === 'setTokenEnabled') {
      if (token.enabled !== intent.enabled) {
        append(replayed.due, id, intent.enabled ? 'token.enabled' : 'token.disabled')
      }
      token.enabled = intent.enabled
    }
    if (intent.does === 'regenerateToken') {
      token.accepted = [...(intent.overlapSeconds > 0 ? token.accepted.slice(-1) : []), id]
      token.secrets.push(id)
    }
    if (intent.does === 'deleteToken') {
      token.deleted = true
      token.accepted = []
    }
    mark(replayed.presence, tokenId, token.deleted ? null : 'there')
    for (const secret of token.secrets) {
      mark(replayed.secrets, secret, token.enabled && token.accepted.includes(secret) ? token.label : null)
    }
  }
  return replayed
}

/**
 * Between which instants each event was committed: after whatever is before it in the log had begun, and before whatever
 * is after it had been acknowledged.
 */
function commitWindows(
  events: readonly LoggedEvent[],
  operations: ReadonlyMap<string, Operation>,
  readAt: number,
): { earliest: number; latest: number }[] {
  const own = events.map(({ operation }) => operations.get(operation ?? ''))
  let earliest = Number.NEGATIVE_INFINITY
  const begins = own.map((operation) => {
    earliest = Math.max(earliest, operation?.attempts[0]?.began ?? Number.NEGATIVE_INFINITY)
    return earliest
  })
  let latest = readAt
  const ends = own.toReversed().map((operation) => {
    const last = operation?.attempts.at(-1)
    if (last?.outcome.is === 'acknowledged') latest = Math.min(latest, last.ended)
    return latest
  })
  return begins.map((begin, index) => ({ earliest: begin, latest: ends.at(-1 - index) ?? readAt }))
}

function checkOperations({ operations }: History, replayed: Replayed, violate: Violate): void {
  for (const operation of operations) {
    const { id, intent, attempts, caller } = operation
    const recorded = (replayed.recorded.get(id) ?? []).join(', ')
    const due = (replayed.due.get(id) ?? [primaryActions[intent.does]]).join(', ')
    const outcome = outcomeOf(operation)
    const about = `${describe(operation)}: recorded as “${recorded}”`
    if (outcome.is === 'acknowledged') {
      if (recorded === '') violate('acknowledged, but not recorded', describe(operation))
      else if (recorded !== due) violate('recorded otherwise than done', `${about}, and not as “${due}”`)
      if (caller === 'guest') violate('accepted without a right to it', describe(operation))
    } else if (outcome.is === 'refused') {
      const denied = outcome.code === 'FORBIDDEN'
      if (denied && recorded === '') violate('acknowledged, but not recorded', describe(operation))
      else if (recorded !== (denied ? 'access.denied' : '')) violate('refused, but recorded', about)
    } else if (!['', 'access.denied', due].includes(recorded)) violate('recorded otherwise than done', about)
    for (const attempt of attempts) checkAttempt(operation, attempt, replayed, violate)
  }
}

/** Of all attempts together: acknowledged by the last one, or else unknown where any of them is. */
export function outcomeOf({ attempts }: Operation): Outcome {
  const last = attempts.at(-1)?.outcome ?? { is: 'refused', code: 'unsent' }
  if (last.is === 'acknowledged') return last
  return attempts.find(({ outcome }) => outcome.is === 'unknown')?.outcome ?? last
}

/** Whether what was answered could be, given what was presented and what there was. */
function checkAttempt(operation: Operation, attempt: Attempt, replayed: Replayed, violate: Violate): void {
  const { intent, caller } = operation
  const { credential, outcome, began, ended } = attempt
  if (outcome.is === 'unknown' || (outcome.is === 'refused' && outcome.code === 'unsent')) return
  const code = outcome.is === 'refused' ? outcome.code : null
  if (credential !== null) {
    const timeline = replayed.secrets.get(credential) ?? []
    const wasGood = stretchesOf(timeline).some(
      ({ as, earliest, latest }) => as !== null && earliest <= ended && latest >= began,
    )
    if (code !== 'UNAUTHENTICATED' && !wasGood) {
      violate('accepted without a right to it', `${describe(operation)}, by the credential of ${credential}`)
    }
    if (code === 'UNAUTHENTICATED' && !couldBe(timeline, null, began, ended)) {
      violate('refused without a reason', `${describe(operation)}, by the credential of ${credential}`)
    }
  }
  if (code === null || code === 'UNAUTHENTICATED') return
  const isReasonable =
    (code === 'FORBIDDEN' && caller === 'guest') ||
    (code === 'no session' && intent.does === 'signOut') ||
    (code === 'TokenNotFound' &&
      'tokenId' in intent &&
      couldBe(replayed.presence.get(intent.tokenId) ?? [], null, began, ended))
  if (!isReasonable) violate('refused without a reason', `${describe(operation)}: ${code}`)
}

function checkVerifications(
  { verifications }: History,
  { secrets }: Replayed,
  { stalenessMilliseconds, refusalMilliseconds }: Bounds,
  violate: Violate,
): number {
  let longest = 0
  for (const { secret, by, instance, began, ended, answer } of verifications) {
    if (answer.is === 'unavailable') continue
    const timeline = secrets.get(secret) ?? []
    const { as } = answer
    const about = `${secret} by ${by} on instance ${instance} at ${began.toFixed(0)}: ${as === null ? 'refused' : `accepted as ${as}`}`
    if (couldBe(timeline, as, began, ended)) continue
    if (by !== 'verifier') violate('answered wrongly', about)
    else if (as === null) {
      if (!couldBe(timeline, as, began - refusalMilliseconds, ended)) violate('answered wrongly', about)
    } else {
      const right = stretchesOf(timeline).filter((stretch) => stretch.as === as && stretch.earliest <= ended)
      const late = began - Math.max(...right.map(({ latest }) => latest))
      if (late > (stalenessMilliseconds[instance] ?? 0)) {
        violate('trusted for too long', `${about}, ${late.toFixed(0)} ms after it was right`)
      }
      longest = Math.max(longest, late)
    }
  }
  return longest
}

function checkEnd({ end }: History, { tokens, secrets }: Replayed, violate: Violate): void {
  const left = [...tokens].filter(([, { deleted }]) => !deleted)
  for (const [instance, state] of end.instances.entries()) {
    const found = new Map(state.tokens.map((token) => [token.id, token]))
    for (const [id, { label, roleId, enabled, accepted }] of left) {
      const is = found.get(id)
      const due = { id, label, roleId, enabled, acceptedSecrets: accepted.length }
      if (JSON.stringify(is) !== JSON.stringify(due)) {
        violate('not in the final state', `instance ${instance}: ${JSON.stringify(due)} is ${JSON.stringify(is)}`)
      }
      found.delete(id)
    }
    for (const id of found.keys()) {
      violate('not in the final state', `instance ${instance}: ${id} is there, and should not be`)
    }
    for (const [secret, as] of state.verdicts) {
      const due = secrets.get(secret)?.at(-1)?.as ?? null
      if (as !== due) {
        violate(
          'not in the final state',
          `instance ${instance}: the secret of ${secret} counts as ${as}, not as ${due}`,
        )
      }
    }
  }
}

/** What held, from the first instant at which it may have begun to the last at which it may have ended. */
function stretchesOf(timeline: readonly Change[]): Change[] {
  const start: Change = { earliest: Number.NEGATIVE_INFINITY, latest: 0, as: null }
  return [start, ...timeline].map(({ earliest, as }, index) => ({
    earliest,
    as,
    latest: timeline[index]?.latest ?? Number.POSITIVE_INFINITY,
  }))
}

/** Whether it was so at some instant between the two. */
function couldBe(timeline: readonly Change[], as: As, from: number, until: number): boolean {
  return stretchesOf(timeline).some(
    (stretch) => stretch.as === as && stretch.earliest <= until && stretch.latest >= from,
  )
}

function append(lists: Map<string, string[]>, key: string, item: string): void {
  lists.set(key, [...(lists.get(key) ?? []), item])
}

function describe(operation: Operation): string {
  const { does, ...about } = operation.intent
  const { is } = outcomeOf(operation)
  const last = operation.attempts.at(-1)
  return `${operation.id}, ${does} ${JSON.stringify(about)}, ${is} by instance ${last?.instance} at ${last?.ended.toFixed(0)}`
}
