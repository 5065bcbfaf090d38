import { createClient } from '@latchkey/sdk'
import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

/** What a program sends is executed at once; what comes from a page, or asks for a stream, goes through Yoga's HTTP layer. */
const senders: [sender: string, send: typeof fetch][] = [
  ['a program', (url, init) => fetch(url, asOwner(init))],
  ['a page', (url, init) => fetch(url, asOwner(init, { origin: world.url }))],
]
/** Some of the audits introspect. */
function asOwner(init: RequestInit = {}, headers: Record<string, string> = {}): RequestInit {
  const authorization = `Bearer ${world.alpha.owner.sessionToken}`
  return { ...init, headers: { ...Object.fromEntries(new Headers(init.headers)), authorization, ...headers } }
}

describe.each(senders)('GraphQL over HTTP, as graphql-http audits it, for %s', (_sender, fetchFn) => {
  for (const { id, name, fn } of serverAudits({ url: () => `${world.url}/graphql`, fetchFn })) {
    it(`${id} ${name}`, async () => {
      const result = await fn()
      if (result.status !== 'ok') throw new Error(`${result.status}: ${result.reason}`)
    })
  }
})

describe('a document that is named by its hash', () => {
  const ask = async (body: object, headers: Record<string, string> = {}) => {
    const response = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json', ...headers },
      body: JSON.stringify(body),
    })
    return { status: response.status, body: await response.json() }
  }
  const named = (sha256Hash: unknown) => ({ extensions: { persistedQuery: { version: 1, sha256Hash } } })

  it('is known for every operation of the SDK of this version', async () => {
    const operations = Object.entries(createClient({ url: world.url, fetch: recordingFetch }))
    const sent: { query?: string }[] = []
    async function recordingFetch(...[url, init]: Parameters<typeof fetch>) {
      sent.push(JSON.parse(String(init?.body)))
      return fetch(url, init)
    }
    for (const [name, operation] of operations) {
      if (name !== 'with') await operation({}).catch(() => undefined)
    }
    expect(sent).toHaveLength(operations.length - 1)
    expect(sent.filter(({ query }) => query !== undefined)).toEqual([])
  })

  it('is asked for in full where the hash is not known, from a program and from a page alike', async () => {
    for (const headers of [{}, { origin: world.url }]) {
      const { status, body } = await ask(named('0'.repeat(64)), headers)
      expect(status).toBe(400)
      expect(body.errors).toEqual([
        {
          message: 'No document is known here under this hash. Send it in “query”.',
          extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' },
        },
      ])
    }
  })

  it('is not what is run where the document was sent as well', async () => {
    expect(await ask({ query: '{ __typename }', ...named('0'.repeat(64)) })).toEqual({
      status: 200,
      body: { data: { __typename: 'Query' } },
    })
  })

  it('has to be named by a text', async () => {
    for (const hash of [1, null, {}, ['a']]) expect((await ask(named(hash))).status).toBe(400)
  })
})
