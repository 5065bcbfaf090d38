import { CallerGone } from '../caller-gone.ts'
import { DatabaseUnavailable, isUnavailable } from '../database/unavailable.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Asking, Tracing } from '../observability/tracing.ts'
import { digestsIn } from '../tokens/secret.ts'
import type { Credential } from './credential.ts'
import { asText, type Presented, type Row, readRow, statementOf, tables, tablesOf } from './credential-rows.ts'

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

export interface CredentialLookup {
  /**
   * What is stored of each, in the order asked, where null asks nothing and has none. It is read by a statement that starts
   * after the question was asked: nothing is cached. Throws `CallerGone` where the caller `isGone` by then, which costs no
   * look-up, and `DatabaseUnavailable` where the answers are not there within two seconds, or too many questions wait
   * already. The first failure is that of all.
   */
  find(asked: readonly (Presented | null)[], isGone?: () => boolean): Promise<(Credential | null)[]>
}

/**
 * Someone who waits for one answer or for many. One for all, instead of a promise for each digest: of a hundred thousand
 * small objects a second, most would outlive the garbage collector's first rounds while the database answers.
 */
interface Asker {
  readonly answers: (Credential | null)[]
  missing: number
  failed: boolean
  readonly askedAt: number
  readonly resolve: (answers: (Credential | null)[]) => void
  readonly reject: (reason: unknown) => void
  readonly isGone: (() => boolean) | undefined
  /** Null unless requests are traced. */
  readonly trace: Asking | null
}

/** One digest, and everyone who waits for it, each with its place among their answers. */
interface Question {
  readonly presented: Presented
  /** The first who asked. */
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
export function createCredentialLookup({
  lookup,
  metrics: { lookups },
  tracing,
}: {
  lookup: LookupPool
  metrics: Pick<Metrics, 'lookups'>
  tracing: Tracing | null
}): CredentialLookup {
  /**
   * What no statement carries yet, the oldest first: one that is under way may have read already what changed since. A map
   * for each statement to come, since one that is filled and emptied for ever leaves behind, each time that it is laid out
   * anew, its former entries, which the garbage collector's quick rounds take for alive.
   */
  const waiting: Map<string, Question>[] = []
  /** What the statements carry that are under way. */
  const sent: Question[][] = []
  let scheduled = false
  let sending = false
  let checking = false
  /** When the last statement was answered: taken once for all who waited for it. */
  let answeredAt = 0
  lookups.readWaiting(countWaiting)

  function add(presented: Presented, asker: Asker, place: number): void {
    asker.missing++
    const key = presented.kind + presented.digest
    // In all of them: a document may ask about the same thousand many times, and pays for them once.
    for (const gathered of waiting) {
      const known = gathered.get(key)
      if (!known) continue
      known.others ??= []
      known.others.push({ asker, place })
      return
    }
    if (countWaiting() >= longestQueue) {
      refuse(asker, new DatabaseUnavailable('too many questions wait'))
      return
    }
    let newest = waiting.at(-1)
    if (!newest || newest.size >= largestBatch) {
      newest = new Map()
      waiting.push(newest)
    }
    newest.set(key, { presented, asker, place, others: null, row: null })
  }

  function countWaiting(): number {
    let count = 0
    for (const { size } of waiting) count += size
    return count
  }

  function checkForDelay(): void {
    const now = performance.now()
    for (const gathered of waiting) {
      for (const [key, question] of gathered) {
        if (!isLate(question, now)) break
        gathered.delete(key)
      }
    }
    for (const batch of sent) for (const question of batch) if (!isLate(question, now)) break
    const [oldest] = waiting[0]?.values() ?? []
    if (oldest && now - oldest.asker.askedAt >= checkMilliseconds && sent.length < mostStatements) send()
    checking = false
    if (countWaiting() + sent.length > 0) checkLater()
  }

  /** Whoever asked too long ago is told so, whether or not the answer comes yet. */
  function isLate(question: Question, now: number): boolean {
    if (now - question.asker.askedAt < patienceMilliseconds) return false
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
    const before = countWaiting()
    setImmediate(() => {
      scheduled = false
      if (!maySend()) return
      if (countWaiting() > before && countWaiting() < worthwhileBatch) schedule()
      else send()
    })
  }

  function maySend(): boolean {
    if (sent.length === 0) return countWaiting() > 0
    return countWaiting() >= worthwhileBatch && sent.length < mostStatements
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
    sent.push(batch)
    void answer(batch).finally(() => {
      sent.splice(sent.indexOf(batch), 1)
      schedule()
    })
  }

  function nextBatch(): Question[] {
    const batch: Question[] = []
    while (batch.length === 0) {
      const gathered = waiting.shift()
      if (!gathered) break
      for (const question of gathered.values()) {
        if (isGone(question)) fail(question, new CallerGone())
        else batch.push(question)
      }
    }
    return batch
  }

  /** Of its questions those leave the batch that are answered. */
  async function answer(batch: Question[]): Promise<void> {
    try {
      for (let nth = 0; batch.length > 0; nth++) {
        await readRows(batch, nth)
        for (const question of batch.splice(0)) {
          if (question.row || nth + 1 === tablesOf[question.presented.kind].length) settle(question)
          else batch.push(question)
        }
      }
    } catch (error) {
      const reason = isUnavailable(error) ? new DatabaseUnavailable(error) : error
      for (const question of batch) fail(question, reason)
    }
  }

  /** Looks for each in the table that is the nth of its kind. */
  async function readRows(batch: Question[], nth: number): Promise<void> {
    const asked = tables.map((): Question[] => [])
    for (const question of batch) asked[tablesOf[question.presented.kind][nth] ?? -1]?.push(question)
    const concerned = asked.flatMap((questions, table) => (questions.length > 0 ? [table] : []))
    const statement: Statement = {
      name: `credentials of ${concerned.join()}`,
      text: statementOf(concerned),
      rowMode: 'array',
      types: asText,
      values: concerned.map((table) => joinDigests(asked[table] ?? [])),
    }
    const sentAt = performance.now()
    lookups.batchSize.observe(batch.length)
    const { rows } = await (tracing
      ? tracing.gather(askingIn(batch), () => lookup.query(statement))
      : lookup.query(statement))
    answeredAt = performance.now()
    lookups.statementSeconds.observe((answeredAt - sentAt) / 1_000)
    const keys = digestsIn(batch[0]?.presented.digest ?? '')
    for (const row of rows) {
      const question = asked[Number(row[0])]?.[Math.floor(Number(row[1]) / keys)]
      if (question) question.row = row
    }
  }

  function ask(
    asked: readonly (Presented | null)[],
    isGone: Asker['isGone'],
    resolve: Asker['resolve'],
    reject: Asker['reject'],
  ): void {
    const answers: Asker['answers'] = []
    const trace = tracing?.ask() ?? null
    const asker = { answers, missing: 0, failed: false, askedAt: performance.now(), resolve, reject, isGone, trace }
    for (const presented of asked) {
      const place = answers.push(null) - 1
      if (presented) add(presented, asker, place)
    }
    if (asker.missing === 0) {
      trace?.end()
      resolve(answers)
      return
    }
    if (!checking) checkLater()
    if (countWaiting() >= worthwhileBatch) sendSoon()
    else if (maySend()) schedule()
  }

  function tell({ asker, place, others }: Question, credential: Credential | null): void {
    give(asker, place, credential)
    if (others) for (const other of others) give(other.asker, other.place, credential)
  }

  function give(asker: Asker, place: number, credential: Credential | null): void {
    asker.answers[place] = credential
    asker.missing--
    if (asker.missing > 0) return
    lookups.seconds.observe((answeredAt - asker.askedAt) / 1_000)
    asker.trace?.end()
    asker.resolve(asker.answers)
  }

  function fail({ asker, others }: Question, reason: unknown): void {
    refuse(asker, reason)
    if (others) for (const other of others) refuse(other.asker, reason)
  }

  function refuse(asker: Asker, reason: unknown): void {
    const isOurs = !(reason instanceof CallerGone)
    // Each of an asker's questions may tell of the same outage.
    if (isOurs && !asker.failed) lookups.failures.value++
    asker.failed = true
    asker.trace?.end(isOurs ? reason : undefined)
    asker.reject(reason)
  }

  /** A row that cannot be read fails those who asked for it, and none of its neighbours. */
  function settle(question: Question): void {
    try {
      tell(question, question.row && readRow(question.presented.digest, question.row))
    } catch (error) {
      fail(question, error)
    }
  }

  return { find: (asked, isGone) => new Promise((resolve, reject) => ask(asked, isGone, resolve, reject)) }
}

function isGone({ asker, others }: Question): boolean {
  return asker.isGone?.() === true && (others?.every((other) => other.asker.isGone?.() === true) ?? true)
}

/** Everyone whom a statement is for, once each. */
function askingIn(batch: Question[]): ReadonlySet<Asking> {
  const asking = new Set<Asking>()
  for (const { asker, others } of batch) {
    if (asker.trace) asking.add(asker.trace)
    for (const other of others ?? []) if (other.asker.trace) asking.add(other.asker.trace)
  }
  return asking
}

function joinDigests(questions: Question[]): Buffer {
  return Buffer.from(questions.map(({ presented }) => presented.digest).join(''), 'latin1')
}
