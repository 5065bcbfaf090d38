import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { serverKey } from './world.ts'

const checkout = fileURLToPath(new URL('..', import.meta.url))
const longestStartMilliseconds = 20_000

/** What `npm start` runs, on a world’s database, until it is killed: at the latest with the stack. */
export async function startServerProcess(
  stack: AsyncDisposableStack,
  {
    databaseUrl,
    port = '0',
    environment = {},
    program = 'dist/main.js',
  }: { databaseUrl: string; port?: string; environment?: Record<string, string>; program?: string },
): Promise<{ child: ChildProcess; address: string }> {
  const child = spawn(process.execPath, [program], {
    cwd: checkout,
    env: {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: databaseUrl,
      LATCHKEY_SECRET: serverKey,
      PORT: port,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  stack.defer(() => void child.kill('SIGKILL'))
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const deadline = performance.now() + longestStartMilliseconds
  while (!text.includes('Ctrl-C stops it')) {
    if (performance.now() > deadline) throw new Error(`It does not serve: ${text}`)
    await delay(5)
  }
  return { child, address: /Latchkey serves at (\S+)/.exec(text)?.[1] ?? '' }
}
