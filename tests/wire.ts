import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** In each direction. */
export const slowMilliseconds = 700

/** What stands between a program and the server at `address`, and can fail. Gives the same address with the wire before it. */
export async function openWire(address: string) {
  const { hostname, port } = new URL(address)
  /** Each end of a connection, with the other. */
  const sockets = new Map<Socket, Socket>()
  let state: 'whole' | 'slow' | 'frozen' | 'cut' = 'whole'
  let kept: string | null = null
  /** Ends whose answers are kept back. */
  const silent = new Set<Socket>()
  const pass = (onward: () => void) => {
    if (state === 'whole') onward()
    else if (state === 'slow') setTimeout(onward, slowMilliseconds)
  }
  // Frozen, the wire takes everything and passes on nothing, not even an end, as a dead host behind a firewall does.
  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (state === 'cut') {
      near.resetAndDestroy()
      return
    }
    const far = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.set(from, to)
      from
        .on('data', (chunk) => {
          if (from === near && kept !== null && chunk.includes(kept)) silent.add(far)
          if (!silent.has(from)) pass(() => to.write(chunk))
        })
        .on('end', () => pass(() => to.end()))
        .on('error', () => undefined)
        .on('close', () => state !== 'frozen' && to.destroy())
        .on('close', () => sockets.delete(from))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  const url = new URL(address)
  url.hostname = '127.0.0.1'
  url.port = String(typeof bound === 'object' && bound ? bound.port : 0)
  return {
    url: url.href,
    set(next: typeof state) {
      state = next
      for (const [from, to] of sockets) {
        if (next === 'cut') from.resetAndDestroy()
        // What was under way when the wire froze is lost, but for the end of a connection.
        else if (next === 'whole' && to.destroyed) from.destroy()
        else if (next === 'whole' && from.readableEnded) to.end()
      }
    },
    /** From now on, the server hears on each connection what holds this text, and its answers from there on are lost. */
    keepAnswersTo(text: string) {
      kept = text
    },
    async close() {
      server.close()
      for (const socket of sockets.keys()) socket.destroy()
      await once(server, 'close')
    },
  }
}
