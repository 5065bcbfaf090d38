import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { openWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

describe('GraphQL over HTTP, as graphql-http audits it', () => {
  for (const { id, name, fn } of serverAudits({ url: () => `${world.url}/graphql` })) {
    it(`${id} ${name}`, async () => {
      const result = await fn()
      if (result.status !== 'ok') throw new Error(`${result.status}: ${result.reason}`)
    })
  }
})
