import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { unwrap } from '@latchkey/sdk'
import { sql } from 'drizzle-orm'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DatabaseUnavailable } from '../server/database/unavailable.ts'
import { withOrganization } from '../server/database/with-organization.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { TokenNotFound } from '../server/tokens/refusals.ts'
import { startServerProcess } from './server-process.ts'
import { openWire } from './wire.ts'
import { openWorld, serve, serverKey, type World } from './world.ts'

/** What is promised, and half a second for a machine that runs other tests meanwhile. */
const inTimeMilliseconds = 2_000 + 500

let world: World
let secret: string
beforeAll(async () => {
  world = await openWorld()
  const { createToken } = await world.alpha.owner.createToken({ input: { label: 'Faults', roleId: 'role_ci' } })
  secret = unwrap(createToken).secret
})
afterAll(() => world[Symbol.asyncDispose]())

interface Answer {
  status: number
  retryAfter: string | null
  text: string
  milliseconds: number
}

async function timed(request: Promise<Response>): Promise<Answer> {
  const started = performance.now()
  const response = await request
  const text = await response.text()
  const milliseconds = performance.now() - started
  return { status: response.status, retryAfter: response.headers.get('retry-after'), text, milliseconds }
}

const introspect = (url: string, token: string) =>
  timed(
    fetch(`${url}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.service.secret}` },
      body: new URLSearchParams({ token }),
    }),
  )
const ask = (url: string, query: string, variables: object = {}) =>
  timed(
    fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${world.alpha.owner.sessionToken}` },
      body: JSON.stringify({ query, variables }),
    }),
  )

describe.each([{ fault: 'cut' }, { fault: 'frozen' }] as const)('with the way to PostgreSQL $fault', ({ fault }) => {
  let wire: Awaited<ReturnType<typeof openWire>>
  let dependencies: Awaited<ReturnType<typeof openDependencies>>
  let instance: Awaited<ReturnType<typeof serve>>
  beforeAll(async () => {
    wire = await openWire(world.databaseUrl)
    const log = pino({ level: 'silent' })
    const settings = { databaseConnections: 8, serverKey, tokenPrefix: 'lk', passwordCost: 4, log }
    dependencies = await openDependencies({ databaseUrl: wire.url, ...settings })
    instance = await serve(dependencies)
    // Connections that are open and idle, as they are in an instance that has been running.
    await Promise.all(Array.from({ length: 8 }, () => ask(instance.url, '{ organization { id } }')))
  })
  afterAll(async () => {
    wire.set('whole')
    await instance.close()
    await dependencies.close()
    await wire.close()
  })

  it('answers 503 within two seconds whatever is asked, never with a verdict, and is whole within two seconds of its return', async () => {
    const { url } = instance
    expect((await introspect(url, secret)).text).toContain('"active":true')
    const unknown = world.dependencies.digester.issue('integrationToken').secret
    const creation = 'mutation($input: CreateTokenInput!) { createToken(input: $input) { __typename } }'
    const signIn = 'mutation { signIn(input: { email: "a@b.example", password: "c" }) { __typename } }'

    wire.set(fault)
    const until = performance.now() + 4_000
    const verdicts: Answer[] = []
    const answers: Answer[] = []
    const rounds = [
      async () => verdicts.push(await introspect(url, secret)),
      async () => verdicts.push(await introspect(url, unknown)),
      async () => answers.push(await ask(url, '{ viewer { __typename } }')),
      async () => answers.push(await ask(url, '{ organization { id } }')),
      async () => answers.push(await ask(url, creation, { input: { label: 'Never', roleId: 'role_ci' } })),
      async () => answers.push(await ask(url, signIn)),
    ]
    // From many callers, again and again, so that some come while others wait for the same database.
    await Promise.all(
      [...rounds, ...rounds].map(async (round, index) => {
        await new Promise((resolve) => setTimeout(resolve, index * 70))
        while (performance.now() < until) {
          await round()
          await new Promise((resolve) => setTimeout(resolve, 50))
        }
      }),
    )
    for (const { status, retryAfter, text } of verdicts) {
      expect({ status, retryAfter, ...JSON.parse(text) }).toEqual({
        status: 503,
        retryAfter: '1',
        error: 'temporarily_unavailable',
        error_description: 'Latchkey cannot reach its database. Try again in a moment.',
      })
    }
    for (const { status, retryAfter, text } of answers) {
      expect({ status, retryAfter }).toEqual({ status: 503, retryAfter: '1' })
      expect(JSON.parse(text).errors[0]).toMatchObject({
        message: 'Latchkey cannot reach its database. Nothing is known of the answer; try again in a moment.',
        extensions: { code: 'UNAVAILABLE' },
      })
    }
    expect(verdicts.length).toBeGreaterThan(5)
    expect(Math.max(...[...verdicts, ...answers].map(({ milliseconds }) => milliseconds))).toBeLessThan(
      inTimeMilliseconds,
    )

    const alive = await timed(fetch(`${url}/healthz`))
    expect(alive).toMatchObject({ status: 200 })
    expect(alive.milliseconds).toBeLessThan(600)
    const ready = await timed(fetch(`${url}/readyz`))
    expect(ready).toMatchObject({ status: 503, retryAfter: '1' })
    expect(JSON.parse(ready.text)).toEqual({
      status: 'not ready',
      reasons: [{ code: 'DATABASE_AWAY', message: 'The database does not answer.' }],
    })
    expect(ready.milliseconds).toBeLessThan(inTimeMilliseconds)

    wire.set('whole')
    const back = performance.now() + inTimeMilliseconds
    let whole = false
    while (!whole && performance.now() < back) {
      const each = await Promise.all([
        introspect(url, secret),
        ask(url, '{ organization { id } }'),
        timed(fetch(`${url}/readyz`)),
      ])
      whole = each.every(({ status }) => status === 200)
    }
    expect(whole).toBe(true)
    const after = await Promise.all(Array.from({ length: 20 }, () => ask(url, '{ organization { id } }')))
    expect(after.filter(({ status }) => status !== 200)).toEqual([])
    expect(await world.alpha.tokenLabels()).toEqual(['Faults'])
  })
})

describe('a connection that drops while a transaction has it', () => {
  it.each(['between two statements', 'during a statement'])(
    '%s ends that transaction and not the process',
    async (when) => {
      await using stack = new AsyncDisposableStack()
      const wire = await openWire(world.databaseUrl)
      stack.defer(() => wire.close())
      const log = pino({ level: 'silent' })
      const settings = { databaseConnections: 4, serverKey, tokenPrefix: 'lk', passwordCost: 4, log }
      const dependencies = await openDependencies({ databaseUrl: wire.url, ...settings })
      stack.defer(() => dependencies.close())
      const organizationId = world.alpha.id
      const working = withOrganization(dependencies.database, { organizationId }, async (transaction) => {
        if (when === 'during a statement') setTimeout(() => wire.set('cut'), 100)
        else wire.set('cut')
        await (when === 'during a statement' ? transaction.execute(sql`select pg_sleep(1)`) : delay(100))
        await transaction.execute(sql`select`)
      })
      await expect(working).rejects.toThrow(DatabaseUnavailable)
      wire.set('whole')
      const again = await withOrganization(dependencies.database, { organizationId }, (transaction) =>
        transaction.execute<{ whole: boolean }>(sql`select true as whole`),
      )
      expect(again.rows).toEqual([{ whole: true }])
    },
  )
})

describe('an instance whose connections to PostgreSQL are taken', () => {
  let dependencies: Awaited<ReturnType<typeof openDependencies>>
  let instance: Awaited<ReturnType<typeof serve>>
  beforeAll(async () => {
    const log = pino({ level: 'silent' })
    const settings = { databaseConnections: 8, serverKey, tokenPrefix: 'lk', passwordCost: 4, log }
    dependencies = await openDependencies({ databaseUrl: world.databaseUrl, ...settings })
    instance = await serve(dependencies)
  })
  afterAll(async () => {
    await instance.close()
    await dependencies.close()
  })

  it.each([
    { which: 'all of them', pools: ['server', 'lookup'], verdict: /^503 .*"temporarily_unavailable"/ },
    { which: 'all but those of verifications', pools: ['server'], verdict: /^200 .*"active":true/ },
  ] as const)(
    '$which, answers 503 within two seconds, says within 100 ms that it is alive, and is whole once they are free',
    async ({ pools, verdict }) => {
      const { url } = instance
      const signIn = 'mutation { signIn(input: { email: "a@b.example", password: "c" }) { __typename } }'
      const taken = await Promise.all(
        pools
          .map((name) => dependencies.database[name])
          .flatMap((pool) => Array.from({ length: pool.options.max }, () => pool.connect())),
      )
      const verdicts: Answer[] = []
      const answers: Answer[] = []
      const alive: Answer[] = []
      const until = performance.now() + 4_000
      const keepAsking = async (round: () => Promise<unknown>) => {
        while (performance.now() < until) {
          await round()
          await delay(30)
        }
      }
      const callers = Array.from({ length: 8 }, () => [
        async () => verdicts.push(await introspect(url, secret)),
        async () => answers.push(await ask(url, '{ organization { id } }')),
        async () => answers.push(await ask(url, signIn)),
      ]).flat()
      await Promise.all([
        ...callers.map(async (round, index) => {
          await delay(index * 40)
          await keepAsking(round)
        }),
        keepAsking(async () => alive.push(await timed(fetch(`${url}/healthz`)))),
      ])
      for (const client of taken) client.release()
      for (const { status, text } of verdicts) expect(`${status} ${text}`).toMatch(verdict)
      for (const { status, retryAfter } of answers)
        expect({ status, retryAfter }).toEqual({ status: 503, retryAfter: '1' })
      for (const { status } of alive) expect(status).toBe(200)
      const waited = (all: Answer[]) => all.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b)
      expect(Math.min(answers.length, verdicts.length, alive.length)).toBeGreaterThan(10)
      expect(Math.max(...waited(answers), ...waited(verdicts))).toBeLessThan(inTimeMilliseconds)
      // Of ten, one may have met another test that had the processor.
      expect(waited(alive)[Math.floor(0.9 * alive.length)]).toBeLessThan(100)
      expect(waited(alive).at(-1)).toBeLessThan(600)

      const after = await Promise.all([introspect(url, secret), ask(url, '{ organization { id } }')])
      expect(after.map(({ status }) => status)).toEqual([200, 200])
    },
  )
})

describe('statements that wait for a lock, more than there are connections', () => {
  it('are given up within two seconds, the wait for a connection included, while verifications go on', async () => {
    const log = pino({ level: 'silent' })
    const settings = { databaseConnections: 8, serverKey, tokenPrefix: 'lk', passwordCost: 4, log }
    await using stack = new AsyncDisposableStack()
    const dependencies = await openDependencies({ databaseUrl: world.databaseUrl, ...settings })
    stack.defer(() => dependencies.close())
    const { url, close } = await serve(dependencies)
    stack.defer(close)
    const holder = new pg.Client({ connectionString: world.databaseUrl })
    stack.defer(() => holder.end())
    await holder.connect()
    await holder.query('begin; lock table organizations in access exclusive mode')

    const answers: Answer[] = []
    const verdicts: Answer[] = []
    const until = performance.now() + 4_000
    await Promise.all(
      Array.from({ length: 16 }, async (_, index) => {
        await delay(index * 60)
        while (performance.now() < until) {
          answers.push(await ask(url, '{ organization { id } }'))
          verdicts.push(await introspect(url, secret))
        }
      }),
    )
    for (const { status, retryAfter } of answers)
      expect({ status, retryAfter }).toEqual({ status: 503, retryAfter: '1' })
    for (const { status, text } of verdicts)
      expect([status, text]).toEqual([200, expect.stringContaining('"active":true')])
    const waited = answers.map(({ milliseconds }) => milliseconds)
    // Some got a connection while they waited for one, and some did not.
    expect(waited.filter((milliseconds) => milliseconds > 1_700).length).toBeGreaterThan(5)
    expect(waited.filter((milliseconds) => milliseconds < 1_400).length).toBeGreaterThan(5)
    expect(Math.max(...waited)).toBeLessThan(inTimeMilliseconds)
  })
})

describe('a server that is killed after a creation was committed, and before that was answered', () => {
  it('leaves a token that was never used, and whose secret a retry with the same idempotency key gives', async () => {
    await using stack = new AsyncDisposableStack()
    const wire = await openWire(world.databaseUrl)
    stack.defer(() => wire.close())
    const { child, address } = await startServerProcess(stack, { databaseUrl: wire.url })
    const { alpha } = world
    const input = { label: 'Killed in between', roleId: 'role_ci', idempotencyKey: 'killed-in-between' }
    const query = 'mutation($input: CreateTokenInput!) { createToken(input: $input) { __typename } }'
    const isCommitted = async () => (await alpha.tokenLabels()).includes(input.label)

    wire.keepAnswersTo('commit')
    const answered = ask(address, query, { input }).then(
      () => true,
      () => false,
    )
    const deadline = performance.now() + 1_500
    while (!(await isCommitted()) && performance.now() < deadline) await delay(5)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    expect(await answered).toBe(false)
    expect(await isCommitted()).toBe(true)

    const { nodes } = (await alpha.owner.integrationTokens({ filter: { search: input.label } })).integrationTokens
    expect(nodes).toMatchObject([{ label: input.label, status: 'ACTIVE', lastUsedAt: null, lastUsedFrom: null }])
    const retried = unwrap((await alpha.owner.createToken({ input })).createToken)
    expect(retried.token.id).toBe(nodes[0]?.id)
    expect(await world.introspect(retried.secret)).toMatchObject({ active: true, sub: retried.token.id })
    expect((await alpha.tokenLabels()).filter((label) => label === input.label)).toHaveLength(1)
    await alpha.owner.deleteToken({ input: { id: retried.token.id } })
  })
})

describe('an error that nobody foresaw', () => {
  const signIn = 'mutation { signIn(input: { email: "owner@alpha.example", password: "c" }) { __typename } }'

  async function answerTo(error: Error, request: (url: string) => Promise<Answer>) {
    const logged: string[] = []
    const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(line) })
    const broken = () => Promise.reject(error)
    const passwords = { ...world.dependencies.passwords, verify: broken }
    const instance = await serve({ ...world.dependencies, log, passwords })
    try {
      return {
        ...(await request(instance.url)),
        logged: logged.map((line): Record<string, unknown> => JSON.parse(line)),
      }
    } finally {
      await instance.close()
    }
  }

  it('is answered with a reference and nothing else; the log has the rest under it', async () => {
    const error = new Error('disk 7 of secret-host is on fire\nwith a second line: lki_inside')
    const { status, text, logged } = await answerTo(error, (url) => ask(url, signIn))
    expect(status).toBe(500)
    const { errors } = JSON.parse(text)
    const reference = /reference: ([0-9a-f]{24})\.$/.exec(errors[0].message)?.[1]
    expect(errors).toEqual([
      {
        message: `Something went wrong on our side. Tell the operator this reference: ${reference}.`,
        locations: [{ line: 1, column: 12 }],
        path: ['signIn'],
        extensions: { code: 'INTERNAL' },
      },
    ])
    expect(logged).toMatchObject([
      { level: 50, request: reference, error: `signIn: Error: ${error.message}` },
      { level: 40, request: reference, status: 500, operations: ['signIn'], refusals: ['INTERNAL'] },
    ])
    expect(String(logged[0]?.stack)).toMatch(/^ +at /)
    expect(String(logged[0]?.stack)).not.toContain('second line')
  })

  it('is logged without the values that PostgreSQL, JSON.parse and graphql-js would quote', async () => {
    const quoting = [
      new SyntaxError('Unexpected token in "lki_inside"'),
      Object.assign(new Error('invalid input value for enum: "lki_inside"'), { name: 'GraphQLError' }),
      Object.assign(new Error('value "lki_inside" is out of range'), { code: '22003' }),
    ]
    for (const error of quoting) {
      const { status, text, logged } = await answerTo(error, (url) => ask(url, signIn))
      expect(status).toBe(500)
      expect(logged).toHaveLength(2)
      expect(text + JSON.stringify(logged)).not.toContain('lki_inside')
    }
  })

  it('is masked alike where it is a refusal that its field does not declare', async () => {
    const { status, text, logged } = await answerTo(new TokenNotFound(), (url) => ask(url, signIn))
    expect(status).toBe(500)
    expect(JSON.parse(text)).toMatchObject({ errors: [{ extensions: { code: 'INTERNAL' } }] })
    expect(text).not.toContain(new TokenNotFound().message)
    expect(logged[0]?.error).toMatch(/^signIn: a refusal that its field does not declare: /)
  })

  it('is answered in the form of RFC 6749 where it happens during an introspection', async () => {
    const logged: string[] = []
    const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(line) })
    const find = () => Promise.reject(new Error('the index is upside down'))
    const instance = await serve({
      ...world.dependencies,
      log,
      credentials: { ...world.dependencies.credentials, find },
    })
    const { status, text } = await introspect(instance.url, secret)
    await instance.close()
    expect(status).toBe(500)
    const { error, error_description: description } = JSON.parse(text)
    expect(error).toBe('server_error')
    const reference = /^Something went wrong on our side\. .+ reference: ([0-9a-f]{24})\.$/.exec(description)?.[1]
    expect(JSON.parse(logged[0] ?? '{}')).toMatchObject({
      request: reference,
      error: 'Error: the index is upside down',
    })
  })
})
