import { CommanderError } from 'commander'
import { createProgram } from './program.ts'
import type { Terminal } from './work.ts'

const exitCodes = { success: 0, failure: 1, usage: 2, interrupted: 130, terminated: 143 } as const

/** Runs one command to its end. Gives the exit code; what went wrong is on the terminal's `errors`, in a plain sentence. */
export async function runCommandLine(commandArguments: readonly string[], terminal: Terminal): Promise<number> {
  const program = createProgram({
    terminal,
    async run(command, { serverKey } = {}) {
      const [{ readConfig }, { createWork }] = await Promise.all([import('../config.ts'), import('./work.ts')])
      const { environment } = terminal
      // Who may create tables and roles need not know the key.
      const spare = serverKey === 'unused' ? { LATCHKEY_SECRET: 'unused '.repeat(5) } : {}
      const work = createWork(readConfig({ ...spare, ...environment }), terminal)
      const release = closeOnSignals(() => work.close())
      try {
        await command(work)
      } finally {
        release()
        await work.close()
      }
    },
    async serve() {
      const [{ readConfig }, { serve }] = await Promise.all([import('../config.ts'), import('../serve.ts')])
      await serve(readConfig(terminal.environment), (text) => terminal.output.write(`${text}\n`))
    },
  })
  try {
    await program.parseAsync(commandArguments, { from: 'user' })
    return exitCodes.success
  } catch (error) {
    // The program itself has said what it did not understand.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage
    const [{ explain }, { Interrupted }, { UsageError }] = await Promise.all([
      import('../explain.ts'),
      import('./questions.ts'),
      import('./work.ts'),
    ])
    if (error instanceof Interrupted) return exitCodes.interrupted
    terminal.errors.write(`${error instanceof UsageError ? error.message : explain(error)}\n`)
    return error instanceof UsageError ? exitCodes.usage : exitCodes.failure
  }
}

/** A command that is interrupted leaves no PostgreSQL running that it has started. A second signal ends it at once. */
function closeOnSignals(close: () => Promise<void>): () => void {
  const onSignal = (signal: 'SIGINT' | 'SIGTERM') => {
    const code = signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated
    process.once(signal, () => process.exit(code))
    void close().finally(() => process.exit(code))
  }
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  return () => {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}
