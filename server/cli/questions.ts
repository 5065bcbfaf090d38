import { createInterface } from 'node:readline'
import { type Readable, Writable } from 'node:stream'

/** Whoever was asked gave up, by Ctrl-C or by closing the input. */
export class Interrupted extends Error {}

/** Questions to the person at the terminal. Each is asked again until its answer will do. */
export interface Questions {
  /** An empty answer gives the fallback, which the question shows; without one it is asked again. */
  ask(question: string, options?: { fallback?: string | undefined; problem?: Problem | undefined }): Promise<string>
  /** What is typed or pasted appears nowhere. */
  askHidden(question: string, options?: { problem?: Problem | undefined }): Promise<string>
  say(text: string): void
  close(): void
}

/** What is wrong with an answer, in words for who gave it; null if nothing. */
export type Problem = (answer: string) => string | null

export function openQuestions({ input, output }: { input: Readable; output: Writable }): Questions {
  // From one answer to the next question nothing is shown, so that lines pasted ahead cannot show a password.
  let shown = false
  const screen = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (shown) output.write(chunk)
      done()
    },
  })
  const early: string[] = []
  let waiting: { resolve(line: string): void; reject(error: Error): void } | null = null
  let ended = false

  const editor = createInterface({ input, output: screen, terminal: true, historySize: 0 })
  editor.on('line', (line) => {
    shown = false
    if (waiting) waiting.resolve(line)
    else early.push(line)
    waiting = null
  })
  editor.on('close', () => {
    ended = true
    if (!waiting) return
    output.write('\n')
    waiting.reject(new Interrupted())
  })

  function readLine(): Promise<string> {
    const line = early.shift()
    if (line !== undefined) return Promise.resolve(line)
    if (ended) return Promise.reject(new Interrupted())
    return new Promise((resolve, reject) => {
      waiting = { resolve, reject }
    })
  }

  async function readShown(question: string): Promise<string> {
    if (early.length > 0) {
      output.write(`${question}${early[0]}\n`)
    } else {
      shown = true
      editor.setPrompt(question)
      editor.prompt(true)
    }
    return readLine()
  }

  async function readHidden(question: string): Promise<string> {
    output.write(question)
    const line = await readLine()
    output.write('\n')
    return line
  }

  async function untilGood(read: () => Promise<string>, problem: Problem): Promise<string> {
    for (;;) {
      const answer = await read()
      const complaint = problem(answer)
      if (!complaint) return answer
      output.write(`${complaint}\n`)
    }
  }

  return {
    ask(question, { fallback, problem = () => null } = {}) {
      const wording = fallback === undefined ? `${question}: ` : `${question} [${fallback}]: `
      const complaint = (answer: string) => (answer === '' ? 'An answer is needed here.' : problem(answer))
      return untilGood(async () => (await readShown(wording)).trim() || (fallback ?? ''), complaint)
    },
    askHidden: (question, { problem = () => null } = {}) => untilGood(() => readHidden(`${question}: `), problem),
    say: (text) => void output.write(`${text}\n`),
    close: () => editor.close(),
  }
}
