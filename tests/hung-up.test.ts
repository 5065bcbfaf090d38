import { once } from 'node:events'
import { connect } from 'node:net'
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

function post(path: string, contentType: string, body: string, length = Buffer.byteLength(body)): string {
  return `POST ${path} HTTP/1.1\r\nhost: latchkey\r\nauthorization: Bearer ${world.service.secret}\r\ncontent-type: ${contentType}\r\ncontent-length: ${length}\r\n\r\n${body}`
}

const form = 'application/x-www-form-urlencoded'

describe('a caller that hangs up', () => {
  it.each([
    ['introspection', '/oauth/introspect', form, 2],
    ['GraphQL', '/graphql', 'application/json', 1],
  ])('is known to be gone by what still waits on its behalf, by %s', async (_name, path, contentType, questions) => {
    const { asked, instance } = await openWaitingInstance()
    const { secret } = world.dependencies.digester.issue('integrationToken')
    const body = path === '/graphql' ? '{"query":"{ viewer { __typename } }"}' : `token=${secret}`
    const { hostname, port } = new URL(instance.url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    socket.write(post(path, contentType, body))
    await until(() => asked.length === questions)
    expect(asked.map((isGone) => isGone())).toEqual(asked.map(() => false))
    socket.destroy()
    await until(() => asked.every((isGone) => isGone()))
    await instance.close()
  })

  it.each([
    ['introspection', '/oauth/introspect', form, 'token=none'],
    ['GraphQL', '/graphql', 'application/json', '{"query":"{ viewer { __typename } }"}'],
  ])('is not told of as one whose credential is bad, by %s', async (_name, path, contentType, body) => {
    let began = false
    const credentials: CredentialLookup = {
      // As for every caller who is gone by the time the statement is sent.
      async find(questions, isGone) {
        began = true
        await until(() => isGone?.() === true)
        return questions.map(() => null)
      },
    }
    const instance = await serve({ ...world.dependencies, credentials })
    const before = world.logged.length
    const { hostname, port } = new URL(instance.url)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    socket.write(post(path, contentType, body))
    await until(() => began)
    socket.destroy()
    const ends = () => world.logged.slice(before).filter((line) => line.includes('the caller hung up'))
    await until(() => ends().length > 0)
    expect(ends().filter((line) => line.includes('refusals'))).toEqual([])
    await instance.close()
  })

  it.each([
    ['/oauth/introspect', form],
    ['/graphql', 'application/json'],
  ])('in the middle of its body is not acted for, at %s, and is no failure of ours', async (path, contentType) => {
    const { asked, instance } = await openWaitingInstance()
    const { hostname, port } = new URL(instance.url)
    const before = world.logged.length
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    socket.write(post(path, contentType, '{', 100))
    await delay(50)
    socket.destroy()
    await delay(100)
    expect(asked).toEqual([])
    expect(world.logged.slice(before).filter((line) => line.includes('a request failed'))).toEqual([])
    await instance.close()
  })
})
