import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createQuestions, type Questions } from './questions.ts'
import { refusal, type Verdict } from './verdict.ts'

const timeoutMilliseconds = 500

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** Calls that are answered when they are told to. */
function open() {
  const asked: { secrets: string[]; answer(): void }[] = []
  const closing = new AbortController()
  const questions = createQuestions({
    call: (batch) =>
      new Promise((resolve) => {
        const secrets = batch.map(({ secret }) => secret)
        asked.push({ secrets, answer: () => resolve(secrets.map(() => refusal)) })
      }),
    timeoutMilliseconds,
    signal: closing.signal,
  })
  return { asked, questions, closing }
}

/** Asks about so many, and records what becomes of each. */
function ask(questions: Questions, count: number, name: string) {
  const became: (Verdict | string)[] = []
  for (let nth = 0; nth < count; nth++) {
    void questions.ask(`${name} ${nth}`, null).then(
      (verdict) => became.push(verdict),
      (error: Error) => became.push(error.message),
    )
  }
  return became
}
const settle = () => vi.advanceTimersByTimeAsync(0)
const tooLate = `there was no answer within ${timeoutMilliseconds} ms`

describe('questions while four calls are under way', () => {
  it('wait for the first that ends, all together', async () => {
    const { asked, questions } = open()
    const first = ask(questions, 4 * 32, 'first')
    await settle()
    expect(asked.map(({ secrets }) => secrets.length)).toEqual([32, 32, 32, 32])
    const second = ask(questions, 5, 'second')
    await settle()
    expect(asked).toHaveLength(4)
    asked[2]?.answer()
    await settle()
    expect(asked.map(({ secrets }) => secrets.length)).toEqual([32, 32, 32, 32, 5])
    for (const { answer } of asked) answer()
    await settle()
    expect([first.length, second.length]).toEqual([4 * 32, 5])
  })

  it('are rejected when their time is over, each by its own, and then asked no more', async () => {
    const { asked, questions } = open()
    const sent = ask(questions, 4 * 32, 'sent')
    await vi.advanceTimersByTimeAsync(100)
    const waiting = ask(questions, 2, 'waiting')
    await vi.advanceTimersByTimeAsync(100)
    const newest = ask(questions, 3, 'newest')
    await vi.advanceTimersByTimeAsync(299)
    expect([sent, waiting, newest].flat()).toEqual([])
    await vi.advanceTimersByTimeAsync(2)
    expect(sent).toEqual(Array(4 * 32).fill(expect.stringContaining(tooLate)))
    expect(waiting).toEqual([])
    await vi.advanceTimersByTimeAsync(100)
    expect(waiting).toEqual(Array(2).fill(expect.stringContaining(tooLate)))
    expect(newest).toEqual([])
    for (const { answer } of asked) answer()
    await settle()
    expect(asked.slice(4).map(({ secrets }) => secrets)).toEqual([['newest 0', 'newest 1', 'newest 2']])
    asked.at(-1)?.answer()
    await settle()
    expect(newest).toEqual([refusal, refusal, refusal])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are rejected with the reason where the verifier is closed', async () => {
    const { asked, questions, closing } = open()
    ask(questions, 4 * 32, 'sent')
    await settle()
    const waiting = ask(questions, 2, 'waiting')
    closing.abort(new Error('closed'))
    await settle()
    expect(waiting).toEqual(['closed', 'closed'])
    for (const { answer } of asked) answer()
    await questions.settled()
    expect(asked).toHaveLength(4)
    expect(vi.getTimerCount()).toBe(0)
  })
})
