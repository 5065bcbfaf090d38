/** graphql-yoga as its README starts it. */
import { createServer } from 'node:http'
import { createSchema, createYoga } from 'graphql-yoga'
import { announce } from './announce.ts'

const yoga = createYoga({
  schema: createSchema({
    typeDefs: /* GraphQL */ `
      type Query {
        hello: String
      }
    `,
    resolvers: {
      Query: {
        hello: () => 'Hello from Yoga!',
      },
    },
  }),
})

const server = createServer(yoga)
server.listen(0, '127.0.0.1', () => announce(server))
