import type { Readable, Writable } from 'node:stream'
import type { Config } from '../config.ts'
import type { Dependencies } from '../dependencies.ts'
import { createLog } from '../log.ts'
import { type Opened, openConfigured } from '../open-configured.ts'
import { openQuestions, type Problem, type Questions } from './questions.ts'

/** The command line was called in a way that it does not understand. Says what to write instead. */
export class UsageError extends Error {}

/** Where a command runs. */
export interface Terminal {
  input: Readable & { isTTY?: boolean }
  output: Writable & { isTTY?: boolean }
  errors: Writable
  environment: Record<string, string | undefined>
}

/** What a command works with. Whatever it opens is closed when it has ended, however it ends. */
export interface Work {
  config: Config
  /** For the person, or the script, that called. */
  print(text: string): void
  /** For a script. */
  printJson(value: unknown): void
  /** For the person who waits: not part of what a script reads. */
  announce(text: string): void
  /** Null without a person at a terminal. */
  questions(): Questions | null
  input: Terminal['input']
  environment: Terminal['environment']
  /** The rules, on the configured database, beside whoever serves from it. */
  open(): Promise<Dependencies>
  close(): Promise<void>
}

export function createWork(config: Config, { input, output, errors, environment }: Terminal): Work {
  // That a service was registered is printed here; only what goes wrong is for the log.
  const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel)
  const print = (text: string) => void output.write(`${text}\n`)
  const announce = (text: string) => void errors.write(`${text}\n`)
  let questions: Questions | null = null
  let opened: Promise<Opened> | null = null
  return {
    config,
    print,
    printJson: (value) => print(JSON.stringify(value, null, 2)),
    announce,
    input,
    environment,
    questions() {
      if (input.isTTY && output.isTTY) questions ??= openQuestions({ input, output })
      return questions
    },
    async open() {
      opened ??= openConfigured(config, { log, announce, beside: true })
      return (await opened).dependencies
    },
    async close() {
      questions?.close()
      const open = await opened?.catch(() => null)
      await open?.close()
    },
  }
}

/** What is given, or else asked for. Throws `UsageError`, naming the option, where nobody can be asked. */
export async function requireValue(
  { questions }: Work,
  given: string | undefined,
  {
    option,
    question,
    fallback,
    problem = () => null,
  }: { option: string; question: string; fallback?: string | undefined; problem?: Problem | undefined },
): Promise<string> {
  if (given !== undefined) {
    const complaint = problem(given)
    if (complaint) throw new UsageError(`${option} cannot be used. ${complaint}`)
    return given
  }
  const asking = questions()
  if (asking) return asking.ask(question, { fallback, problem })
  if (fallback !== undefined) return fallback
  throw new UsageError(`${option} is missing, and without a terminal nobody can be asked for it.`)
}
