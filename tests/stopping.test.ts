import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { readConfig } from '../server/config.ts'
import { start } from '../server/start.ts'
import { startServerProcess } from './server-process.ts'
import { openWorld, serverKey } from './world.ts'

async function ask(address: string, agent: Agent | false = false): Promise<IncomingMessage> {
  const [response] = await once(get(address, { agent }), 'response')
  return response.resume()
}

it('answers as usual for the delay after the signal to stop, while /readyz sends the load balancer elsewhere', async () => {
  await using world = await openWorld()
  await using stack = new AsyncDisposableStack()
  const environment = { SHUTDOWN_DELAY_SECONDS: '2' }
  const { child, address } = await startServerProcess(stack, { databaseUrl: world.databaseUrl, environment })
  const ended = once(child, 'close')
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  stack.defer(() => agent.destroy())
  const before = await ask(`${address}/readyz`, agent)
  expect([before.statusCode, before.headers.connection]).toEqual([200, 'keep-alive'])

  const signalledAt = performance.now()
  child.kill('SIGTERM')
  await expect.poll(async () => (await ask(`${address}/readyz`)).statusCode, { interval: 10 }).toBe(503)
  const { secret } = world.service
  const introspection = await fetch(`${address}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}` },
    body: new URLSearchParams({ token: 'of nobody' }),
  })
  expect([introspection.status, await introspection.json()]).toEqual([200, { active: false }])
  // A client that keeps its connection learns with an answer that this was the last one on it, and never by its end.
  const last = await ask(`${address}/healthz`, agent)
  expect([last.statusCode, last.headers.connection]).toEqual([200, 'close'])
  await delay(1_000)
  expect((await ask(`${address}/healthz`)).statusCode).toBe(200)

  const [code] = await ended
  expect(code).toBe(0)
  expect(performance.now() - signalledAt).toBeGreaterThan(2_000)
})

it('answers a request that had arrived before its connection could be taken for idle', async () => {
  await using world = await openWorld()
  const config = readConfig({ DATABASE_URL: world.databaseUrl, LATCHKEY_SECRET: serverKey, PORT: '0' })
  const running = await start(config, { log: pino({ level: 'silent' }), announce: () => undefined })
  const { hostname, port } = new URL(running.address)
  const socket = connect(Number(port), hostname)
  const request = `GET /healthz HTTP/1.1\r\nhost: ${hostname}\r\n\r\n`
  socket.write(request)
  const [first] = await once(socket, 'data')
  expect(String(first)).toContain('HTTP/1.1 200')

  const answer = once(socket, 'data')
  socket.write(request)
  const closed = running.close()
  // As a server is that has much to do: its timers are due before it has read anything.
  const busyUntil = performance.now() + 20
  while (performance.now() < busyUntil);
  const [second] = await answer
  expect(String(second)).toMatch(/^HTTP\/1\.1 200 .*\r\nConnection: close\r\n/s)
  await closed
})
