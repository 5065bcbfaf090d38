import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { findFreePort } from './own-postgres.ts'

const checkout = fileURLToPath(new URL('../..', import.meta.url))
const startingMilliseconds = 60_000

/** A server as `npm start` runs it, in a process of its own, always at the same address. */
export interface Instance {
  url: string
  /** Until it serves. */
  start(): Promise<void>
  /** With -9. */
  kill(): Promise<void>
  /** Lets it finish what is under way. */
  stop(): Promise<void>
  /** Everything that it logged as an error, in all of its lives. */
  errors(): string[]
}

/** Of this version, unless the directory of another one is given. */
export async function openInstance(environment: Record<string, string>, directory = checkout): Promise<Instance> {
  const port = await findFreePort()
  let child: ChildProcess | null = null
  let ended: Promise<unknown> = Promise.resolve()
  const errors: string[] = []

  async function end(signal: NodeJS.Signals): Promise<void> {
    child?.kill(signal)
    await ended
    child = null
  }
  return {
    url: `http://127.0.0.1:${port}`,
    async start() {
      let output = ''
      const starting = spawn(process.execPath, [programOf('main', directory)], {
        cwd: directory,
        env: { PATH: process.env.PATH ?? '', PORT: String(port), LOG_LEVEL: 'error', ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      child = starting
      ended = once(starting, 'close')
      await new Promise<void>((resolve, reject) => {
        const fail = () => reject(new Error(`The server did not start:\n${output}`))
        const timer = setTimeout(fail, startingMilliseconds)
        starting.once('close', fail)
        const hear = (line: string) => {
          output += `${line}\n`
          if (!line.includes('Ctrl-C stops it')) return
          clearTimeout(timer)
          resolve()
        }
        createInterface(starting.stdout).on('line', hear)
        createInterface(starting.stderr).on('line', (line) => {
          errors.push(line)
          hear(line)
        })
      })
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
    errors: () => errors,
  }
}

/** What the command line says, and how it ends. Of this version, unless the directory of another one is given. */
export async function runLatchkey(
  words: readonly string[],
  environment: Record<string, string>,
  directory = checkout,
): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [programOf('cli', directory), ...words], {
    cwd: directory,
    env: { PATH: process.env.PATH ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const hear = (text: string) => {
    output += text
  }
  child.stdout.setEncoding('utf8').on('data', hear)
  child.stderr.setEncoding('utf8').on('data', hear)
  const [code] = await once(child, 'close')
  return { code: typeof code === 'number' ? code : null, output }
}

/** Built, but for the versions from before there was anything to build. */
function programOf(name: 'main' | 'cli', directory: string): string {
  return existsSync(join(directory, 'build.ts')) ? `dist/${name}.js` : `server/${name}.ts`
}
