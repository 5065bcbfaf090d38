import { VerifierUnavailableError } from './errors.ts'
import type { Verdict } from './verdict.ts'

/** What the contract allows in one call. */
const mostInOneCall = 1_000
/** While so many are under way, further questions wait, and so gather: the slower Latchkey is, the larger the calls. */
const mostCalls = 4
/** So many are spread over several calls, so that one is answered while another is made; fewer would not be worth it. */
const worthOneCall = 32

/** Whether a secret is to be accepted. */
export interface Question {
  readonly secret: string
  /** The address that presented it. */
  usedFrom: string | null
}

interface PendingQuestion extends Question {
  readonly askedAt: number
  readonly answer: Promise<Verdict>
  readonly resolve: (verdict: Verdict) => void
  readonly reject: (error: unknown) => void
}

interface Call {
  readonly questions: readonly PendingQuestion[]
  readonly answered: Promise<void>
}

/** Questions on their way to Latchkey, gathered into calls. */
export interface Questions {
  /**
   * Equal questions that wait are asked once. One that was sent is closed to others: its answer may be older than they.
   * Rejects with what the call throws, with `VerifierUnavailableError` when the time is over, and with the signal's reason.
   */
  ask(secret: string, usedFrom: string | null): Promise<Verdict>
  /** Resolves when no call is under way. */
  settled(): Promise<unknown>
}

export function createQuestions({
  call,
  timeoutMilliseconds,
  signal,
}: {
  /** Answers in the order asked, one for each. */
  call: (questions: readonly Question[]) => Promise<readonly Verdict[]>
  timeoutMilliseconds: number
  signal: AbortSignal
}): Questions {
  /**
   * Of these no call has been made yet. It is replaced rather than emptied: each time that a map which is filled and emptied
   * for ever is laid out anew, it leaves its former entries behind, and the garbage collector's quick rounds take them for
   * alive, with all that hangs on them.
   */
  let waiting = new Map<string, PendingQuestion>()
  /** Those that are under way, in the order in which they were made. */
  const calls: Call[] = []
  let deadline: ReturnType<typeof setTimeout> | undefined

  function add(secret: string, usedFrom: string | null): PendingQuestion {
    let resolve: PendingQuestion['resolve'] = () => undefined
    let reject: PendingQuestion['reject'] = () => undefined
    const answer = new Promise<Verdict>((...settle) => {
      ;[resolve, reject] = settle
    })
    const question = { secret, usedFrom, askedAt: performance.now(), answer, resolve, reject }
    waiting.set(secret, question)
    deadline ??= setTimeout(rejectLate, timeoutMilliseconds)
    return question
  }

  /** One timer for all, that of the oldest. */
  function rejectLate(): void {
    deadline = undefined
    for (const question of [...calls.flatMap(({ questions }) => questions), ...waiting.values()]) {
      const left = question.askedAt + timeoutMilliseconds - performance.now()
      if (left > 0) {
        deadline = setTimeout(rejectLate, left)
        return
      }
      if (waiting.get(question.secret) === question) waiting.delete(question.secret)
      question.reject(new VerifierUnavailableError(`there was no answer within ${timeoutMilliseconds} ms`))
    }
  }

  function send(): void {
    const free = mostCalls - calls.length
    if (waiting.size === 0 || free === 0) return
    const questions = [...waiting.values()]
    const size = Math.min(mostInOneCall, Math.max(worthOneCall, Math.ceil(questions.length / free)))
    const now = questions.splice(0, size * free)
    waiting = new Map(questions.map((question) => [question.secret, question]))
    for (let start = 0; start < now.length; start += size) begin(now.slice(start, start + size))
  }

  function begin(questions: PendingQuestion[]): void {
    const call: Call = { questions, answered: answer(questions).finally(() => end(call)) }
    calls.push(call)
  }

  function end(call: Call): void {
    calls.splice(calls.indexOf(call), 1)
    send()
    if (calls.length > 0) return
    clearTimeout(deadline)
    deadline = undefined
  }

  async function answer(batch: PendingQuestion[]): Promise<void> {
    try {
      const verdicts = await call(batch)
      for (const [index, verdict] of verdicts.entries()) batch[index]?.resolve(verdict)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
  }

  signal.addEventListener('abort', () => {
    for (const question of waiting.values()) question.reject(signal.reason)
    waiting = new Map()
  })

  return {
    ask(secret, usedFrom) {
      if (signal.aborted) return Promise.reject(signal.reason)
      // At the end of the tick, so that all that one tick brings goes together.
      if (waiting.size === 0) queueMicrotask(send)
      const question = waiting.get(secret) ?? add(secret, usedFrom)
      question.usedFrom ??= usedFrom
      return question.answer
    },
    settled: () => Promise.all(calls.map(({ answered }) => answered)),
  }
}
