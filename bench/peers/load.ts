/** The load generator, in a process of its own: takes a `Load` from the one that started it, and gives back what came of it. */
import autocannon from 'autocannon'
import type { Load, Measured } from '../contender.ts'

process.once('message', async (load: Load) => {
  await run(load, load.warmUpSeconds)
  process.send?.(await run(load, load.seconds))
  process.disconnect?.()
})

/** Each connection asks about secrets of its own, over and over, so that none is asked about twice at the same moment. */
async function run({ url, path, headers, bodies, connections, expected }: Load, seconds: number): Promise<Measured> {
  let opened = 0
  const result = await autocannon({
    url: url + path,
    connections,
    duration: seconds,
    setupClient(client) {
      const own = bodies.filter((_, index) => index % connections === opened)
      opened = (opened + 1) % Math.min(connections, bodies.length)
      client.setRequests(own.map((body) => ({ method: 'POST', path, headers, body })))
    },
    verifyBody: (body) => String(body).includes(expected),
  })
  const { errors, timeouts, non2xx, mismatches } = result
  return {
    perSecond: result.requests.average,
    medianMilliseconds: result.latency.p50,
    slowestMilliseconds: result.latency.p99,
    refused: errors + timeouts + non2xx + mismatches,
  }
}
