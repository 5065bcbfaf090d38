/**
 * One service in each framework, by the published package alone. Compiled, with its types checked, and run by
 * sdk-package.test.ts, as an ES module and as CommonJS; prints what each answered, as JSON.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { requireToken as requireTokenInExpress } from '@latchkey/sdk/express'
import { requireToken as requireTokenInFastify } from '@latchkey/sdk/fastify'
import { requireToken as requireTokenInHono } from '@latchkey/sdk/hono'
import { type AuthorizedRequest, requireToken as requireTokenInNode } from '@latchkey/sdk/node'
import { createVerifier, type VerifiedToken } from '@latchkey/sdk/verifier'
import { requireToken as requireTokenInYoga } from '@latchkey/sdk/yoga'
import express, { type RequestHandler, Router } from 'express'
import createFastify from 'fastify'
import { createSchema, createYoga, type YogaInitialContext } from 'graphql-yoga'
import { Hono } from 'hono'

const [url = '', credential = '', ...secrets] = process.argv.slice(2)
const verifier = createVerifier({ url, credential })
const permission = 'scans:write'

type Same<One, Other> =
  (<Type>() => Type extends One ? 1 : 2) extends <Type>() => Type extends Other ? 1 : 2 ? true : false
/** Compiles only where both are one type: `any` is no `VerifiedToken`. */
const expectSame = <One, Other>(_same: Same<One, Other>) => undefined

const inExpress = express()
const handler: RequestHandler = requireTokenInExpress(verifier, { permission: ['apps:read', permission] })
inExpress.use('/route/:id', Router().get('/', [handler]))
inExpress.get('/route/:id', requireTokenInExpress(verifier, { permission }), (request, response) => {
  expectSame<typeof request.token, VerifiedToken>(true)
  expectSame<typeof request.params, { id: string }>(true)
  response.json(request.token.organizationId)
})

const inFastify = createFastify()
inFastify.addHook('preHandler', requireTokenInFastify(verifier))
inFastify.get<{ Params: { id: string } }>(
  '/route/:id',
  { onRequest: [requireTokenInFastify(verifier, { permission })] },
  async (request) => {
    expectSame<typeof request.token, VerifiedToken>(true)
    expectSame<typeof request.params, { id: string }>(true)
    return JSON.stringify(request.token.organizationId)
  },
)
createFastify({ http2: true }).get('/', { onRequest: requireTokenInFastify(verifier) }, async (request) => {
  expectSame<typeof request.token, VerifiedToken>(true)
})

const inHono = new Hono()
inHono.get('/route/:id', requireTokenInHono(verifier, { permission }), (context) => {
  const token = context.get('token')
  expectSame<typeof token, VerifiedToken>(true)
  expectSame<typeof context.var.token, VerifiedToken>(true)
  const id: string = context.req.param('id')
  return context.json(token.organizationId, { headers: { id } })
})
inHono.get('/open', (context) => {
  // @ts-expect-error there is no token without requireToken
  return context.json(context.get('token'))
})
interface Environment {
  Variables: { token: VerifiedToken; trace: string }
}
new Hono<Environment>().use(requireTokenInHono(verifier)).get('/', (context) => {
  expectSame<typeof context.var.token, VerifiedToken>(true)
  expectSame<typeof context.var.trace, string>(true)
  return context.text('')
})

const inNode = createServer(
  requireTokenInNode(verifier, { permission, usedFrom: (request) => request.socket.remoteAddress })(
    (request, response) => {
      expectSame<typeof request, AuthorizedRequest>(true)
      expectSame<typeof request.token, VerifiedToken>(true)
      response.end(JSON.stringify(request.token.organizationId))
    },
  ),
)

const inYoga = createYoga({
  graphqlEndpoint: '/route/:id',
  landingPage: false,
  schema: createSchema<YogaInitialContext & { token: VerifiedToken }>({
    typeDefs: 'type Query { organizationId: String }',
    resolvers: {
      Query: {
        organizationId(_parent, _arguments, context) {
          expectSame<typeof context.token, VerifiedToken>(true)
          return context.token.organizationId
        },
      },
    },
  }),
  plugins: [requireTokenInYoga(verifier, { permission })],
})
interface NodeContext {
  req: IncomingMessage
  res: ServerResponse
}
createYoga<NodeContext, { token: VerifiedToken }>({ plugins: [requireTokenInYoga(verifier)] })

export function refuseWhatIsUnusable(): void {
  // @ts-expect-error a permission is a text
  requireTokenInExpress(verifier, { permission: 7 })
  // @ts-expect-error no such option
  requireTokenInFastify(verifier, { permissions: 'scans:write' })
  // @ts-expect-error the address is Express’s to find
  requireTokenInExpress(verifier, { usedFrom: () => '::1' })
  // @ts-expect-error there must be a verifier
  requireTokenInHono({ permission })
  // @ts-expect-error a verifier’s answer comes later
  requireTokenInNode({ verify: () => ({ active: false }) })
}

async function main(): Promise<void> {
  await inFastify.ready()
  const servers: Record<string, Server> = {
    Express: createServer(inExpress),
    Fastify: createServer(inFastify.routing),
    Hono: createServer(getRequestListener(inHono.fetch)),
    Node: inNode,
    Yoga: createServer(inYoga),
  }
  const seen: Record<string, unknown[]> = {}
  for (const [name, server] of Object.entries(servers)) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const route = `http://127.0.0.1:${port}/route/7?query=%7BorganizationId%7D`
    seen[name] = []
    for (const secret of ['', ...secrets]) {
      const headers: Record<string, string> = secret ? { authorization: `Bearer ${secret}` } : {}
      const response = await fetch(route, { headers })
      seen[name].push(response.ok ? await response.json() : response.status)
    }
    server.closeAllConnections()
    server.close()
  }
  await verifier.close()
  process.stdout.write(JSON.stringify(seen))
}
void main()
