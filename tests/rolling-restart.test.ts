import { once } from 'node:events'
import { createServer } from 'node:http'
import { createClient, unwrap } from '@latchkey/sdk'
import { describe, expect, it } from 'vitest'
import { isBalancerHere, openBalancer } from './rolling-run/balancer.ts'
import { problemsOf, report, runRolling } from './rolling-run/rolling-run.ts'
import { createDatabase, openWorld, password } from './world.ts'

/** Slow enough for a machine that runs other tests meanwhile. `npm run test:rolling` is a minute, at the rate that is promised. */
const plan = { requestsPerSecond: 40, seconds: 16, restartEverySeconds: 5, shutdownDelaySeconds: 4 }

describe.runIf(isBalancerHere)('two instances behind the load balancer', () => {
  it('fail no request and accept no deleted token while they are restarted in turn', { timeout: 120_000 }, async () => {
    const { databaseUrl, drop } = await createDatabase()
    const outcome = await runRolling(plan, databaseUrl, () => undefined).finally(drop)
    const counts = report(outcome)
    expect(problemsOf(outcome), counts).toEqual([])
    // That it was not by doing nothing that nothing went wrong.
    expect(outcome.restarts.length, counts).toBeGreaterThanOrEqual(2)
    expect(outcome.load.milliseconds.length, counts).toBeGreaterThan(plan.requestsPerSecond * plan.seconds * 0.9)
    expect(outcome.load.deletedAsked, counts).toBeGreaterThan(100)
    expect(outcome.load.verifier.reconnections, counts).toBeGreaterThan(0)
  })

  it('are told the address that a request came from, whatever the client says of it', async () => {
    await using world = await openWorld({ proxies: ['127.0.0.1'] })
    const other = await world.startInstance()
    await using balancer = await openBalancer([world.url, other.url])
    const input = { email: world.alpha.owner.email, password }
    const forging = createClient({
      url: balancer.url,
      fetch: (url, { headers, ...init } = {}) =>
        fetch(url, {
          ...init,
          headers: { ...Object.fromEntries(new Headers(headers)), 'x-forwarded-for': '203.0.113.9' },
        }),
    })
    unwrap((await forging.signIn({ input })).signIn)
    const [event] = await world.sql<{ address: string }>(
      `select ip_address as address from audit_events order by position desc limit 1`,
    )
    expect(event?.address).toBe('127.0.0.1')
  })
})

describe.runIf(isBalancerHere)('the load balancer', () => {
  it('sends nothing twice but what does no more twice than once, when an instance dies with it', async () => {
    await using stack = new AsyncDisposableStack()
    const instances = [await openStandIn(stack), await openStandIn(stack)] as const
    const { url } = stack.use(await openBalancer([instances[0].url, instances[1].url]))
    const asked = () => instances.flatMap(({ asked }) => asked.splice(0))
    const dieAtNext = () => {
      for (const instance of instances) instance.dies = true
    }
    for (const path of ['/graphql', '/scim/v2/Users']) {
      dieAtNext()
      const status = await fetch(`${url}${path}`, { method: 'POST', body: '{}' }).then(
        (response) => response.status,
        () => null,
      )
      expect([502, null], path).toContain(status)
      expect(asked(), path).toEqual([`POST ${path}`])
    }
    for (const [method, path] of [
      ['POST', '/oauth/introspect'],
      ['GET', '/'],
    ] as const) {
      dieAtNext()
      // Each dies once, so that a third attempt gets through.
      const response = await fetch(`${url}${path}`, { method, ...(method === 'POST' && { body: 'token=x' }) })
      expect([response.status, await response.text()], path).toEqual([200, 'own'])
      expect(new Set(asked()), path).toEqual(new Set([`${method} ${path}`]))
    }
  })

  it('sends what reached no instance to the other one, mutations too, before it has noticed anything', async () => {
    await using stack = new AsyncDisposableStack()
    const [one, other] = [await openStandIn(stack), await openStandIn(stack)]
    const { url } = stack.use(await openBalancer([one.url, other.url]))
    await one.close()
    for (let nth = 0; nth < 6; nth++) {
      expect((await fetch(`${url}/graphql`, { method: 'POST', body: '{}' })).status).toBe(200)
    }
    expect([one.asked.length, other.asked.length]).toEqual([0, 6])
  })

  it('sends nothing to an instance that is not ready, and has it speak for itself where none is', async () => {
    await using stack = new AsyncDisposableStack()
    const [one, other] = [await openStandIn(stack), await openStandIn(stack)]
    const balancer = stack.use(await openBalancer([one.url, other.url]))
    one.ready = false
    await expect.poll(() => balancer.isUp(0), { timeout: 5_000 }).toBe(false)
    for (let nth = 0; nth < 4; nth++) await fetch(balancer.url)
    expect([one.asked.length, other.asked.length]).toEqual([0, 4])
    other.ready = false
    await expect.poll(() => balancer.isUp(1), { timeout: 5_000 }).toBe(false)
    const response = await fetch(balancer.url)
    expect([response.status, await response.text()]).toEqual([200, 'own'])
  })
})

interface StandIn {
  url: string
  /** All but the load balancer's own questions. */
  asked: string[]
  ready: boolean
  /** At the next request, once it has read it: the connection ends without an answer. */
  dies: boolean
  close(): Promise<void>
}

/** What looks like an instance from the load balancer. */
async function openStandIn(stack: AsyncDisposableStack): Promise<StandIn> {
  const server = createServer((request, response) => {
    if (request.url === '/readyz') {
      response.writeHead(standIn.ready ? 200 : 503).end()
      return
    }
    request.resume().once('end', () => {
      standIn.asked.push(`${request.method} ${request.url}`)
      if (standIn.dies) request.socket.destroy()
      else response.end('own')
      standIn.dies = false
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const standIn: StandIn = {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    asked: [],
    ready: true,
    dies: false,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  stack.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return standIn
}
