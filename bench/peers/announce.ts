import type { Server } from 'node:http'

/** Tells the benchmark, by a line of JSON, where the server listens. */
export function announce(server: Server): void {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${address.port}` })}\n`)
}
