import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CredentialLookup } from '../server/identity/credential-lookup.ts'
import { openWorld, serve, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('Not within five seconds.')
    await delay(2)
  }
}

/** An instance whose database never answers, and how each question to it can tell whether its caller is still there. */
async function openWaitingInstance() {
  const asked: (() => boolean)[] = []
  const credentials: CredentialLookup = {
    find(questions, isGone) {
      if (isGone) asked.push(...questions.map(() => isGone))
      return new Promise(() => undefined)
    },
  }
  return { asked, instance: await serve({ ...world.dependencies, credentials }) }
}

function post(
  path: string,
  contentType: string,
  body: string,
  { secret = world.service.secret, length = Buffer.byteLength(body), headers = '' } = {},
): string {
  return `POST ${path} HTTP/1.1\r\nhost: latchkey\r\nauthorization: Bearer ${secret}\r\ncontent-type: ${contentType}\r\ncontent-length: ${length}\r\n${headers}\r\n${body}`
}

function get(path: string, headers: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: latchkey\r\n${headers}\r\n\r\n`
}

/** Sends this to an instance whose look-ups are these, hangs up once one has begun, and gives what the log tells of it. */
async function hangUpAfter(request: string, { find }: CredentialLookup): Promise<unknown[]> {
  let began = false
  const instance = await serve({
    ...world.dependencies,
    credentials: {
      find(questions, isGone) {
        began = true
        return find(questions, isGone)
      },
    },
  })
  const before = world.logged.length
  const socket = await openSocket(instance)
  socket.write(request)
  await until(() => began)
  socket.destroy()
  const lines = () => world.logged.slice(before)
  await until(() => lines().some((line) => line.includes('the caller hung up')))
  await instance.close()
  return lines().map((line): unknown => JSON.parse(line))
}

async function openSocket({ url }: { url: string }): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  return socket
}

const form = 'application/x-www-form-urlencoded'
const json = 'application/json'

describe('a caller that hangs up', () => {
  it.each([
    ['introspection', '/oauth/introspect', form, 2],
    ['GraphQL', '/graphql', json, 1],
  ])('is known to be gone by what still waits on its behalf, by %s', async (_name, path, contentType, questions) => {
    const { asked, instance } = await openWaitingInstance()
    const { secret } = world.dependencies.digester.issue('integrationToken')
    const body = path === '/graphql' ? '{"query":"{ viewer { __typename } }"}' : `token=${secret}`
    const socket = await openSocket(instance)
    socket.write(post(path, contentType, body))
    await until(() => asked.length === questions)
    expect(asked.map((isGone) => isGone())).toEqual(asked.map(() => false))
    socket.destroy()
    await until(() => asked.every((isGone) => isGone()))
    await instance.close()
  })

  const viewer = '{"query":"{ viewer { __typename } }"}'
  const stream = '{"query":"subscription { tokenInvalidations { sequence } }"}'
  const requests: [name: string, request: () => string][] = [
    ['introspection', () => post('/oauth/introspect', form, 'token=none')],
    ['GraphQL', () => post('/graphql', json, viewer)],
    ['GraphQL from a page', () => post('/graphql', json, viewer, { headers: 'origin: https://console.example\r\n' })],
    ['a stream of GraphQL', () => post('/graphql', json, stream, { headers: 'accept: text/event-stream\r\n' })],
    ['SCIM', () => get('/scim/v2/Users', `authorization: Bearer ${world.service.secret}`)],
    ['GraphiQL', () => get('/graphql', `accept: text/html\r\ncookie: latchkey_session=${world.service.secret}`)],
  ]

  it.each(requests)(
    'before being looked up is neither a failure nor one whose credential is bad, by %s',
    async (_, request) => {
      const { credentials, metrics } = world.dependencies
      const counts = () => [metrics.verifications.credential.refused.value, metrics.lookups.failures.value]
      const before = counts()
      const ends = await hangUpAfter(request(), {
        async find(questions, isGone) {
          await until(() => isGone?.() === true)
          return credentials.find(questions, isGone)
        },
      })
      expect(ends).toEqual([expect.objectContaining({ msg: 'the caller hung up' })])
      expect(ends).toEqual([expect.not.objectContaining({ refusals: expect.anything() })])
      expect(counts()).toEqual(before)
    },
  )

  it('after being looked up is told of as one whose credential is bad, where it is', async () => {
    const { credentials, metrics, digester } = world.dependencies
    const before = metrics.verifications.credential.refused.value
    const { secret } = digester.issue('service')
    const ends = await hangUpAfter(post('/graphql', json, viewer, { secret }), {
      async find(questions, isGone) {
        const found = await credentials.find(questions)
        await until(() => isGone?.() === true)
        return found
      },
    })
    expect(ends).toMatchObject([{ msg: 'the caller hung up', refusals: ['UNAUTHENTICATED'] }])
    expect(metrics.verifications.credential.refused.value).toBe(before + 1)
  })

  it.each([
    ['/oauth/introspect', form],
    ['/graphql', json],
  ])('in the middle of its body is not acted for, at %s, and is no failure of ours', async (path, contentType) => {
    const { asked, instance } = await openWaitingInstance()
    const before = world.logged.length
    const socket = await openSocket(instance)
    socket.write(post(path, contentType, '{', { length: 100 }))
    await delay(50)
    socket.destroy()
    await delay(100)
    expect(asked).toEqual([])
    expect(world.logged.slice(before).filter((line) => line.includes('a request failed'))).toEqual([])
    await instance.close()
  })
})
