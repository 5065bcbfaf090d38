import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** What is sent to a server, by how many at once, and for how long. */
export interface Load {
  url: string
  path: string
  headers: Record<string, string>
  /** Sent in turn; each connection has its share of them. */
  bodies: string[]
  /** What every answer has to contain. */
  expected: string
  connections: number
  warmUpSeconds: number
  seconds: number
}

export interface Measured {
  perSecond: number
  medianMilliseconds: number
  /** Of a hundred requests, the slowest but one. */
  slowestMilliseconds: number
  /** Answers other than the expected one, and requests without any. */
  refused: number
}

/** A server in a process of its own. */
export interface Contender extends AsyncDisposable {
  url: string
}

const peers = fileURLToPath(new URL('peers/', import.meta.url))
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url))

/** The peers are no dependency of Latchkey: they are installed when the benchmark first needs them. */
export async function installPeers(announce: (text: string) => void): Promise<void> {
  if (existsSync(`${peers}node_modules`)) return
  announce('Installing what Latchkey is compared with, and the load generator, in bench/peers …')
  const installing = spawn('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: peers,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [code] = await once(installing, 'exit')
  if (code !== 0) throw new Error('The peers cannot be installed: “npm ci” in bench/peers tells why.')
}

/** Latchkey as `npm start` runs it, or another build of it, on a database that is migrated. What it logs of each deletion would bury the figures. */
export async function startLatchkey(databaseUrl: string, serverKey: string, file = main): Promise<Contender> {
  const settings = { DATABASE_URL: databaseUrl, LATCHKEY_SECRET: serverKey, PORT: '0', LOG_LEVEL: 'warn' }
  return startServer(file, settings, (line) => /serves at (http:\/\/\S+)/.exec(line)?.[1])
}

/** One of the servers in `peers`. */
export async function startPeer(file: string, settings: Record<string, string> = {}): Promise<Contender> {
  return startServer(`${peers}${file}`, settings, (line) => readLine(line, 'url'))
}

/** What a peer prints that does something else than serve. */
export async function runPeer(file: string, words: string[], settings: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, [`${peers}${file}`, ...words], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const output = await text(child.stdout)
  const [code] = await exited
  if (code !== 0) throw new Error(`bench/peers/${file} failed.`)
  return output
}

async function startServer(
  file: string,
  settings: Record<string, string>,
  addressIn: (line: string) => string | undefined,
): Promise<Contender> {
  const child = spawn(process.execPath, [file], {
    env: { ...process.env, NODE_ENV: 'production', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  const url = await new Promise<string>((resolve, reject) => {
    void exited.then(() => reject(new Error(`${file} ended before it listened.`)))
    createInterface(child.stdout).on('line', (line) => {
      const address = addressIn(line)
      if (address) resolve(address)
    })
  })
  return {
    url,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await exited
    },
  }
}

/** Warms the server up and measures it, by a generator in a process of its own. */
export async function measure(load: Load): Promise<Measured> {
  const generator = fork(`${peers}load.ts`)
  generator.send(load)
  const [result] = await Promise.race([once(generator, 'message'), once(generator, 'exit')])
  if (!isMeasured(result)) throw new Error('The load generator ended without a result.')
  if (result.refused > 0) throw new Error(`${result.refused} requests to ${load.url}${load.path} failed.`)
  return result
}

function isMeasured(result: unknown): result is Measured {
  return typeof result === 'object' && result !== null && 'perSecond' in result
}

function readLine(line: string, key: string): string | undefined {
  const value: unknown = line.startsWith('{') ? JSON.parse(line) : null
  if (typeof value !== 'object' || value === null) return undefined
  const entry = Object.entries(value).find(([name]) => name === key)?.[1]
  return typeof entry === 'string' ? entry : undefined
}
