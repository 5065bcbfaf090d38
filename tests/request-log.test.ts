import { once } from 'node:events'
import { connect } from 'node:net'
import { unwrap } from '@latchkey/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openWorld, password, serve, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld({ rateLimits: { signInsByAccount: 2, signInsByAddress: 0, secrets: 2, verifications: 0 } })
})
afterAll(() => world[Symbol.asyncDispose]())
beforeEach(() => {
  world.logged.length = 0
})

const levels = { debug: 20, info: 30, warn: 40 }
const lines = () => world.logged.map((line): Record<string, unknown> => JSON.parse(line))
/** The one line that says how a request ended. */
const ends = () => lines().filter(({ msg }) => msg === 'answered' || msg === 'the caller hung up')

async function ask(query: string, { credential, variables }: { credential?: string; variables?: object } = {}) {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(credential !== undefined && { authorization: `Bearer ${credential}` }),
    },
    body: JSON.stringify({ query, variables }),
  })
  await response.text()
  return response
}

describe('the log', () => {
  it('tells of each request who asked for what, from where, what came of it, and how long it took', async () => {
    const { owner } = world.alpha
    const { createToken } = await owner.createToken({ input: { label: 'Logged', roleId: 'role_ci' } })
    unwrap(createToken)
    const [member] = await world.sql<{ id: string }>(
      'select m.id from members m join people p on p.id = m.person_id where p.email = $1',
      [owner.email],
    )
    expect(ends()).toEqual([
      {
        level: levels.info,
        time: expect.any(Number),
        pid: expect.any(Number),
        hostname: expect.any(String),
        request: expect.stringMatching(/^[0-9a-f]{24}$/),
        method: 'POST',
        route: '/graphql',
        status: 200,
        milliseconds: expect.any(Number),
        ipAddress: '127.0.0.1',
        principal: member?.id,
        operations: ['createToken'],
        msg: 'answered',
      },
    ])
  })

  it('names each request as its answer does, and no two alike', async () => {
    const paths = ['/healthz', '/oauth/introspect', '/graphql', '/nothing']
    const answered = await Promise.all(
      Array.from({ length: 200 }, async (_, nth) => {
        const response = await fetch(`${world.url}${paths[nth % paths.length]}`)
        await response.text()
        return response.headers.get('x-request-id')
      }),
    )
    expect(new Set(answered).size).toBe(200)
    expect(new Set(ends().map(({ request }) => request))).toEqual(new Set(answered))
  })

  it('warns of everything that was not done as asked, and says why by its name', async () => {
    const { alpha } = world
    const signIn = 'mutation($input: SignInInput!) { signIn(input: $input) { __typename } }'
    const as = (given: string) => ({ variables: { input: { email: alpha.guest.email, password: given } } })
    const create = 'mutation { createToken(input: { label: "", roleId: "role_ci" }) { __typename } }'
    const cases: [() => Promise<Response>, object][] = [
      [() => ask(signIn, as('not it')), { operations: ['signIn'], refusals: ['SignInRefused'], status: 200 }],
      [() => ask(signIn, as('nor this')), { operations: ['signIn'], refusals: ['SignInRefused'] }],
      [() => ask(signIn, as(password)), { operations: ['signIn'], refusals: ['TooManyAttempts'] }],
      [() => ask('{ organization { id } }'), { status: 401, refusals: ['UNAUTHENTICATED'], principal: null }],
      [() => ask(create, { credential: alpha.guest.sessionToken }), { status: 403, refusals: ['FORBIDDEN'] }],
      [() => ask(create, { credential: alpha.owner.sessionToken }), { refusals: ['InvalidInput'] }],
      [() => ask('{ nope }'), { refusals: ['BAD_REQUEST'] }],
      [() => fetch(`${world.url}/oauth/introspect`, { method: 'POST' }), { status: 415, route: '/oauth/introspect' }],
      [
        () => fetch(`${world.url}/oauth/introspect`, { method: 'POST', body: new URLSearchParams({ token: 'x' }) }),
        { status: 401 },
      ],
      [() => fetch(`${world.url}/lki_pasted_by_mistake?token=lki_too`), { status: 404, route: null }],
    ]
    for (const [request, expected] of cases) {
      world.logged.length = 0
      const response = await request()
      const id = response.headers.get('x-request-id')
      expect(ends()).toMatchObject([{ level: levels.warn, request: id, ...expected }])
      for (const line of lines()) expect(line).toMatchObject({ request: id })
      expect(world.logged.join('')).not.toMatch(/not it|nor this|lki_|guest@/)
    }
  })

  it('tells what is asked all day at level debug alone', async () => {
    const { service } = world
    await service.verifyToken({ token: 'lki_nothing' })
    await service.verifyTokenDigests({ digests: ['0'.repeat(64)] })
    await world.introspect('lki_nothing')
    for (const path of ['/healthz', '/readyz']) await fetch(`${world.url}${path}`)
    expect(ends().map(({ level }) => level)).toEqual(Array.from({ length: 5 }, () => levels.debug))
    expect(new Set(ends().map(({ msg }) => msg))).toEqual(new Set(['answered']))
    await service.viewer()
    expect(ends().at(-1)).toMatchObject({ level: levels.info, operations: ['viewer'] })

    const warnings: string[] = []
    const log = pino({ level: 'info' }, { write: (line: string) => warnings.push(line) })
    const quiet = await serve({ ...world.dependencies, log })
    for (const path of ['/healthz', '/readyz', '/nothing']) await fetch(`${quiet.url}${path}`)
    await quiet.close()
    expect(warnings.map((line) => JSON.parse(line).status)).toEqual([404])
  })

  it('tells of a stream that the server ended as answered', async () => {
    const instance = await world.startInstance()
    const stream = await fetch(`${instance.url}/graphql`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        authorization: `Bearer ${world.service.secret}`,
        connection: 'close',
      },
      body: JSON.stringify({ query: 'subscription { tokenInvalidations { sequence } }' }),
    })
    await instance.dependencies.invalidations.close()
    await stream.text()
    await expect
      .poll(ends)
      .toMatchObject([{ level: levels.info, status: 200, operations: ['tokenInvalidations'], msg: 'answered' }])
    await instance.close()
  })

  it('tells of a caller who hung up', async () => {
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: latchkey\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    )
    await once(socket, 'connect')
    setTimeout(() => socket.destroy(), 50)
    await expect.poll(ends).toMatchObject([{ status: null, msg: 'the caller hung up' }])
  })
})
