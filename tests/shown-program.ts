import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
let written = 0

/** A program that a page shows. It stands beside the tests, to find the packages that they find. */
export interface ShownProgram extends AsyncDisposable {
  /** What the compiler has to say to it; nothing, where all is well. */
  faults(): Promise<string>
  /** Runs it to its end; gives what it printed. Throws where it fails. */
  output(environment: Record<string, string>): Promise<string>
  /** Runs it until it is told to end, by `stop`, which gives what it complained of. */
  start(environment: Record<string, string>): { stop(signal?: NodeJS.Signals): Promise<string> }
}

export async function writeProgram(source: string): Promise<ShownProgram> {
  const file = join(import.meta.dirname, `shown-program-${process.pid}-${++written}.ts`)
  await writeFile(file, source)
  const running = new Set<ChildProcess>()
  const given = ['--conditions=latchkey-source', file]
  return {
    async faults() {
      const folder = await mkdtemp(join(tmpdir(), 'latchkey-shown-'))
      const project = join(folder, 'tsconfig.json')
      const compilerOptions = { typeRoots: [join(root, 'node_modules', '@types')] }
      const settings = { extends: join(root, 'tsconfig.json'), compilerOptions, include: [file], exclude: [] }
      await writeFile(project, JSON.stringify(settings))
      try {
        await run(join(root, 'node_modules', '.bin', 'tsc'), ['--project', project])
        return ''
      } catch (error) {
        return error instanceof Error && 'stdout' in error && error.stdout ? String(error.stdout) : String(error)
      } finally {
        await rm(folder, { recursive: true })
      }
    },
    async output(environment) {
      const { stdout } = await run(process.execPath, given, { env: { ...process.env, ...environment } })
      return stdout
    },
    start(environment) {
      const child = spawn(process.execPath, given, {
        env: { ...process.env, ...environment },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      running.add(child)
      const complaints = text(child.stderr)
      return {
        async stop(signal = 'SIGTERM') {
          child.kill(signal)
          if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
          running.delete(child)
          return await complaints
        },
      }
    },
    async [Symbol.asyncDispose]() {
      for (const child of running) child.kill('SIGKILL')
      await rm(file)
    },
  }
}

/** A port at which nothing listens at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address ? address.port : 0
}

/** The first answer of a program that may not have begun to listen. Throws after ten seconds. */
export async function firstAnswer(request: () => Promise<Response>): Promise<Response> {
  for (const deadline = Date.now() + 10_000; ; ) {
    try {
      return await request()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
