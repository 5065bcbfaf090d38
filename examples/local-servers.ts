import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const main = join(import.meta.dirname, '..', 'dist', 'main.js')

/** As `npm start` does it. What the first start prints, and shows once, is what an example goes on with. */
export async function startLatchkey(opened: AsyncDisposableStack, dataDirectory: string) {
  const child = spawn(process.execPath, [main], {
    env: { PATH: process.env.PATH, PORT: '0', DATA_DIRECTORY: dataDirectory, LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  opened.defer(async () => {
    child.kill('SIGTERM')
    await ended
  })
  let said = ''
  for await (const line of createInterface(child.stdout)) {
    said += `${line}\n`
    if (line.startsWith('Latchkey serves at')) break
  }
  child.stdout.resume()
  const find = (form: RegExp) => form.exec(said)?.[1] ?? ''
  return {
    address: find(/serves at (http:\S+)/),
    password: find(/Password +(\S+)/),
    serviceSecret: find(/\b(lkv_\w+)/),
  }
}

/** Serves at a free port of this machine until the stack is disposed of; gives the address. */
export async function serve(opened: AsyncDisposableStack, app: RequestListener): Promise<string> {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.defer(async () => {
    server.close().closeAllConnections()
    await once(server, 'close')
  })
  const bound = server.address()
  return `http://127.0.0.1:${typeof bound === 'object' && bound ? bound.port : 0}`
}
