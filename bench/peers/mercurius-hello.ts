/** mercurius as its README starts it. */
import Fastify from 'fastify'
import mercurius from 'mercurius'
import { announce } from './announce.ts'

const app = Fastify()

const schema = `
  type Query {
    add(x: Int, y: Int): Int
  }
`

const resolvers = {
  Query: {
    add: async (_: unknown, { x, y }: { x: number; y: number }) => x + y,
  },
}

app.register(mercurius, { schema, resolvers })

await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server)
