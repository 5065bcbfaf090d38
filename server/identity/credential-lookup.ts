import { DatabaseUnavailable, isUnavailable } from '../database/unavailable.ts'
import { isOfKind } from '../identifiers.ts'
import { isOrganizationRole } from '../organizations/roles.ts'
import { currentDigest, digestAt, digestsIn, type PresentedDigest, type SecretKind } from '../tokens/secret.ts'
import type { Credential } from './credential.ts'
import { sessionIdleHours } from './session-lifetime.ts'

/** One statement asks about this many secrets at most; more only make every answer in it wait. */
const largestBatch = 512
/**
 * While a statement is under way, questions gather for the next: until that one is answered, until so many wait that the
 * cost of another is spread thin, or until one has waited for as long as a statement should never take.
 */
const worthwhileBatch = 40
const mostStatements = 4
/** Beyond this, waiting would outlast the caller's patience: they are told to come back instead. */
const longestQueue = 10_000
/** A caller hears within two seconds that the database is away, however long the queue before it is by then. */
const patienceMilliseconds = 1_900
const checkMilliseconds = 50

/** Integration tokens and access tokens are asked for together where a digest does not tell which it is. */
export type LookupKind = SecretKind | 'bearer'

export interface CredentialLookup {
  /**
   * What is stored under the digest, read by a statement that starts after the question was asked: nothing is cached.
   * A question whose caller `isGone` by then is not asked, and answers null. Throws `DatabaseUnavailable`: where the
   * answer is not there within two seconds, and where too many questions wait already.
   */
  find(kind: LookupKind, digest: PresentedDigest, isGone?: () => boolean): Promise<Credential | null>
  /** The same for many, in the order asked, where null is no digest and has none. The first failure is that of all. */
  findAll(
    kind: LookupKind,
    digests: readonly (PresentedDigest | null)[],
    isGone?: () => boolean,
  ): Promise<(Credential | null)[]>
}

/**
 * Someone who waits for one answer or for many. One for all, instead of a promise for each digest: of a hundred thousand
 * small objects a second, most would outlive the garbage collector's first rounds while the database answers.
 */
interface Asker {
  readonly answers: (Credential | null)[]
  missing: number
  readonly resolve: (answers: (Credential | null)[]) => void
  readonly reject: (reason: unknown) => void
  readonly isGone: (() => boolean) | undefined
}

/** One digest, and everyone who waits for it, each with its place among their answers. */
interface Question {
  readonly kind: LookupKind
  readonly digest: PresentedDigest
  readonly askedAt: number
  readonly asker: Asker
  readonly place: number
  others: { asker: Asker; place: number }[] | null
  row: Row | null
}

interface Statement {
  name: string
  text: string
  rowMode: 'array'
  types: typeof asText
  /** The digests of each table that is asked, 32 bytes each; of every secret as many as there are server keys. */
  values: Buffer[]
}

/** The pool of the role that finds credentials in every organization. */
export interface LookupPool {
  query(statement: Statement): Promise<{ rows: Row[] }>
}

/** Gathers the questions of concurrent requests into one statement: exact like a look-up of one's own, at a fraction of its cost. */
export function createCredentialLookup({ lookup }: { lookup: LookupPool }): CredentialLookup {
  /** Only of questions that no statement carries yet: one that is under way may have read already what changed since. */
  const waiting = new Map<string, Question>()
  /** What the statements carry that are under way. */
  const sent = new Set<Question[]>()
  let scheduled = false
  let sending = false
  let checking = false

  function ask(kind: LookupKind, digest: PresentedDigest, asker: Asker, place: number, askedAt: number): void {
    const key = kind + digest
    const known = waiting.get(key)
    if (known) {
      known.others ??= []
      known.others.push({ asker, place })
      return
    }
    if (waiting.size >= longestQueue) asker.reject(new DatabaseUnavailable('too many questions wait'))
    else waiting.set(key, { kind, digest, askedAt, asker, place, others: null, row: null })
  }

  function checkForDelay(): void {
    const now = performance.now()
    for (const [key, question] of waiting) {
      if (!isLate(question, now)) break
      waiting.delete(key)
    }
    for (const batch of sent) for (const question of batch) if (!isLate(question, now)) break
    const [oldest] = waiting.values()
    if (oldest && now - oldest.askedAt >= checkMilliseconds && sent.size < mostStatements) send()
    checking = false
    if (waiting.size + sent.size > 0) checkLater()
  }

  /** Whoever asked too long ago is told so, whether or not the answer comes yet. */
  function isLate(question: Question, now: number): boolean {
    if (now - question.askedAt < patienceMilliseconds) return false
    fail(question, new DatabaseUnavailable('no answer in time'))
    return true
  }

  function checkLater(): void {
    checking = true
    setTimeout(checkForDelay, checkMilliseconds)
  }

  /** Once a turn of the event loop has brought no more: under load each brings a few, and a statement costs as much as ten. */
  function schedule(): void {
    if (scheduled) return
    scheduled = true
    const before = waiting.size
    setImmediate(() => {
      scheduled = false
      if (!maySend()) return
      if (waiting.size > before && waiting.size < worthwhileBatch) schedule()
      else send()
    })
  }

  function maySend(): boolean {
    if (sent.size === 0) return waiting.size > 0
    return waiting.size >= worthwhileBatch && sent.size < mostStatements
  }

  /** Not at once: a request about many secrets asks for all of them in one go. */
  function sendSoon(): void {
    if (sending || !maySend()) return
    sending = true
    queueMicrotask(() => {
      sending = false
      if (maySend()) send()
    })
  }

  function send(): void {
    const batch = nextBatch()
    if (batch.length === 0) return
    sent.add(batch)
    void answer(batch).finally(() => {
      sent.delete(batch)
      schedule()
    })
  }

  function nextBatch(): Question[] {
    const batch: Question[] = []
    for (const [key, question] of waiting) {
      if (batch.length === largestBatch) break
      waiting.delete(key)
      if (isGone(question)) tell(question, null)
      else batch.push(question)
    }
    return batch
  }

  async function answer(batch: Question[]): Promise<void> {
    try {
      const asked = tables.map((): Question[] => [])
      for (const question of batch) for (const table of tablesOf[question.kind]) asked[table]?.push(question)
      const concerned = asked.flatMap((questions, table) => (questions.length > 0 ? [table] : []))
      const { rows } = await lookup.query({
        name: `credentials of ${concerned.join()}`,
        text: statementOf(concerned),
        rowMode: 'array',
        types: asText,
        values: concerned.map((table) => joinDigests(asked[table] ?? [])),
      })
      const keys = digestsIn(batch[0]?.digest ?? '')
      for (const row of rows) {
        const question = asked[Number(row[0])]?.[Math.floor(Number(row[1]) / keys)]
        if (question) question.row = row
      }
      for (const question of batch) settle(question)
    } catch (error) {
      const reason = isUnavailable(error) ? new DatabaseUnavailable(error) : error
      for (const question of batch) fail(question, reason)
    }
  }

  function findAll(
    kind: LookupKind,
    digests: readonly (PresentedDigest | null)[],
    isGone?: () => boolean,
  ): Promise<(Credential | null)[]> {
    return new Promise((resolve, reject) => {
      const answers = digests.map(() => null)
      const asker: Asker = { answers, missing: 0, resolve, reject, isGone }
      const askedAt = performance.now()
      digests.forEach((digest, place) => {
        if (digest === null) return
        asker.missing++
        ask(kind, digest, asker, place, askedAt)
      })
      if (asker.missing === 0) return resolve(answers)
      if (!checking) checkLater()
      if (waiting.size >= worthwhileBatch) sendSoon()
      else if (maySend()) schedule()
    })
  }

  return {
    findAll,
    find: (kind, digest, isGone) => findAll(kind, [digest], isGone).then(([credential = null]) => credential),
  }
}

function isGone({ asker, others }: Question): boolean {
  return asker.isGone?.() === true && (others?.every((other) => other.asker.isGone?.() === true) ?? true)
}

function tell(question: Question, credential: Credential | null): void {
  give(question.asker, question.place, credential)
  for (const { asker, place } of question.others ?? []) give(asker, place, credential)
}

function give(asker: Asker, place: number, credential: Credential | null): void {
  asker.answers[place] = credential
  asker.missing--
  if (asker.missing === 0) asker.resolve(asker.answers)
}

function fail({ asker, others }: Question, reason: unknown): void {
  asker.reject(reason)
  for (const other of others ?? []) other.asker.reject(reason)
}

function joinDigests(questions: Question[]): Buffer {
  return Buffer.from(questions.map(({ digest }) => digest).join(''), 'latin1')
}

/** A row that cannot be read fails those who asked for it, and none of its neighbours. */
function settle(question: Question): void {
  try {
    tell(question, question.row && readRow(question.digest, question.row))
  } catch (error) {
    fail(question, error)
  }
}

/** Most of what a row costs is the driver's making values of it; what is needed is made here. */
const asText = { getTypeParser: () => (text: string) => text }

/** `extract` would compute in numeric, which takes several times as long. */
const milliseconds = (expression: string) => `date_part('epoch', ${expression}) * 1000`
const usedRecently = (column: string) => `coalesce(${column} > now() - interval '45 seconds', false)`
/**
 * What each kind of credential is found in, and its part of the statement, in rows of one shape: the table, the question,
 * and what is known. Expiry is decided here, by the database's clock.
 */
const tables: { select: (asked: (table: string) => string) => string }[] = [
  {
    select: (asked) => `
      select 0, asked.n, s.token_id, s.organization_id, s.token_label, s.token_role_id,
        array_to_string(r.permissions, ' '), null, null,
        ${milliseconds('s.token_created_at')}, ${milliseconds('least(s.token_expires_at, s.accepted_until)')},
        ${milliseconds('least(s.token_expires_at, s.accepted_until) - now()')},
        s.token_enabled and coalesce(least(s.token_expires_at, s.accepted_until) > now(), true),
        coalesce(s.accepted_until <= now(), false), ${usedRecently('s.last_used_at')}
      from ${asked('token_secrets')}
      join token_roles r on r.id = s.token_role_id`,
  },
  {
    select: (asked) => `
      select 1, asked.n, s.id, s.organization_id, p.email, m.role, null, m.id, m.person_id,
        ${milliseconds('s.created_at')}, null, null, m.active, false, ${usedRecently('s.last_used_at')}
      from ${asked('access_tokens')}
      join members m on m.id = s.member_id
      join people p on p.id = m.person_id`,
  },
  {
    select: (asked) => `
      select 2, asked.n, s.id, s.organization_id, p.email, m.role, null, m.id, m.person_id,
        ${milliseconds('s.created_at')}, ${milliseconds('s.expires_at')}, ${milliseconds('s.expires_at - now()')},
        m.active and s.expires_at > now() and s.last_used_at > now() - interval '${sessionIdleHours} hours',
        false, ${usedRecently('s.last_used_at')}
      from ${asked('sessions')}
      join members m on m.person_id = s.person_id and m.organization_id = s.organization_id
      join people p on p.id = m.person_id`,
  },
  {
    select: (asked) => `
      select 3, asked.n, s.id, null, s.name, null, array_to_string(s.permissions, ' '), null, null,
        ${milliseconds('s.created_at')}, null, null, true, false, ${usedRecently('s.last_used_at')}
      from ${asked('services')}`,
  },
]

/** In which of them each kind is looked for. */
const tablesOf: Record<LookupKind, readonly number[]> = {
  integrationToken: [0],
  accessToken: [1],
  session: [2],
  service: [3],
  bearer: [0, 1],
}

const statements = new Map<string, string>()

/** The digests of a table's questions come as one value, 32 bytes each, in the order in which the rows count them. */
function statementOf(concerned: number[]): string {
  const key = concerned.join()
  const known = statements.get(key)
  if (known) return known
  const parts = concerned.map((table, index) => {
    const digests = `$${index + 1}::bytea`
    return tables[table]?.select(
      (name) => `generate_series(0, length(${digests}) / 32 - 1) asked(n)
        join ${name} s on s.digest = substring(${digests} from asked.n * 32 + 1 for 32)`,
    )
  })
  const text = parts.join('\nunion all')
  statements.set(key, text)
  return text
}

/** As PostgreSQL writes them. */
export type Row = [
  table: string,
  question: string,
  id: string,
  organizationId: string | null,
  name: string,
  role: string | null,
  permissions: string | null,
  memberId: string | null,
  personId: string | null,
  createdAt: string,
  expiresAt: string | null,
  expiresIn: string | null,
  accepted: string,
  retired: string,
  usedRecently: string,
]

/** Each in one literal: of a hundred thousand rows a second, what is put together from parts costs as much as the rest. */
function readRow(presented: PresentedDigest, row: Row): Credential {
  const [
    table,
    place,
    id,
    organizationId,
    name,
    role,
    permissions,
    memberId,
    personId,
    createdAt,
    expiresAt,
    expiresIn,
  ] = row
  const digest = digestAt(presented, Number(place))
  const current = currentDigest(presented)
  const accepted = row[12] === 't'
  const usedRecently = row[14] === 't'
  const created = new Date(Number(createdAt))
  const expires = expiresAt === null ? null : new Date(Number(expiresAt))
  const expiresInMilliseconds = expiresIn === null ? null : Number(expiresIn)
  if (table === '3' && isOfKind('service', id)) {
    return {
      kind: 'service',
      digest,
      currentDigest: current,
      accepted,
      usedRecently,
      createdAt: created,
      expiresAt: expires,
      expiresInMilliseconds,
      serviceId: id,
      name,
      permissions: splitPermissions(permissions),
    }
  }
  if (organizationId && isOfKind('organization', organizationId) && role) {
    if (table === '0' && isOfKind('token', id) && isOfKind('role', role)) {
      return {
        kind: 'integrationToken',
        digest,
        currentDigest: current,
        accepted,
        usedRecently,
        createdAt: created,
        expiresAt: expires,
        expiresInMilliseconds,
        tokenId: id,
        organizationId,
        label: name,
        roleId: role,
        permissions: splitPermissions(permissions),
        retired: row[13] === 't',
      }
    }
    if (
      memberId &&
      isOfKind('member', memberId) &&
      personId &&
      isOfKind('person', personId) &&
      isOrganizationRole(role)
    ) {
      const known = {
        digest,
        currentDigest: current,
        accepted,
        usedRecently,
        createdAt: created,
        expiresAt: expires,
        expiresInMilliseconds,
      }
      const member = { organizationId, memberId, personId, email: name, organizationRole: role }
      if (table === '1' && isOfKind('accessToken', id))
        return { ...known, ...member, kind: 'accessToken', accessTokenId: id }
      if (table === '2' && isOfKind('session', id)) return { ...known, ...member, kind: 'session', sessionId: id }
    }
  }
  throw new Error('A row does not have the form that its table promises.')
}

const mostPermissionTexts = 1_000
const permissionTexts = new Map<string, readonly string[]>()

/** Few roles give most tokens theirs. */
function splitPermissions(text: string | null): readonly string[] {
  if (!text) return []
  const known = permissionTexts.get(text)
  if (known) return known
  if (permissionTexts.size >= mostPermissionTexts) permissionTexts.clear()
  const permissions = Object.freeze(text.split(' '))
  permissionTexts.set(text, permissions)
  return permissions
}
