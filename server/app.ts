import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { BlockList } from 'node:net'
import { isMigrated } from './database/migrate.ts'
import type { Dependencies } from './dependencies.ts'
import { faultStatus } from './fault.ts'
import { asksForPage, createGraphiQL } from './graphql/graphiql.ts'
import { createGraphQLServer } from './graphql/server.ts'
import { answerAndClose, answerFault, answerJson, faultOf } from './http/answer.ts'
import { BodyRefused, CallerGone } from './http/body.ts'
import { clientAddress } from './http/client-address.ts'
import { openConsoleFiles } from './http/console.ts'
import { createSessionCookies, isAmbiguous } from './http/credential.ts'
import { failureMessage, reportFailure } from './http/report-failure.ts'
import type { Origin } from './identity/principal.ts'
import { introspect } from './oauth/introspection.ts'

export interface AppSettings {
  /** Where browsers reach the server; over HTTPS, sessions get a `__Host-` cookie. */
  publicUrl: URL
  corsOrigins: string[]
  trustedProxies: BlockList
  /** Whether owners and super admins may explore the schema, in GraphiQL and by introspection. Nobody may unless it is said. */
  graphiql?: boolean
  /** Where the built console is, or would be. */
  consoleDirectory?: string
}

/**
 * Every address of the server. A path is compared to the letter: no decoding, no doubled slash and no other case leads to
 * the same place, so that nothing in front of it can be talked around.
 */
export function createApp(
  dependencies: Dependencies,
  { publicUrl, corsOrigins, trustedProxies, graphiql = false, consoleDirectory }: AppSettings,
): RequestListener {
  const cookies = createSessionCookies({ publicUrl, corsOrigins })
  const graphql = createGraphQLServer(dependencies, { corsOrigins, cookies, graphiql })
  const answerGraphiQL = createGraphiQL(dependencies, { isOn: graphiql, cookies, publicUrl })
  const consoleFiles = openConsoleFiles(consoleDirectory, { publicUrl })

  const routes: Record<
    string,
    (request: IncomingMessage, response: ServerResponse, origin: Origin) => Promise<void> | void
  > = {
    '/graphql': async (request, response, origin) => {
      // Yoga makes an address of it, and would answer one that is none with a stack.
      if (!URL.canParse(`http://${request.headers.host}`))
        return answerFault(response, 400, 'The “Host” header is no host.')
      if (isAmbiguous(request)) {
        return answerFault(response, 400, 'Send one “Authorization” header.')
      }
      if (asksForPage(request)) return answerGraphiQL(request, response, origin)
      if (request.method === 'POST' && !isJson(request)) {
        return answerFault(response, 415, 'Send the GraphQL request as application/json.')
      }
      await graphql(request, response, origin)
    },
    '/oauth/introspect': (request, response, origin) => introspect(dependencies, request, response, origin),
    '/healthz': (_request, response) => answerJson(response, 200, { status: 'alive' }),
    '/readyz': async (_request, response) => {
      const ready = await isMigrated(dependencies.database.server).catch(() => null)
      if (ready) return answerJson(response, 200, { status: 'ready' })
      const reason = ready === null ? 'The database does not answer.' : 'The database lacks migrations of this version.'
      answerJson(response, 503, { status: 'not ready', reason }, { 'retry-after': '1' })
    },
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = ''] = (request.url ?? '').split('?', 1)
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (!route && consoleFiles.owns(path)) return consoleFiles.answer(request, response, path)
    if (!route) return answerFault(response, 404, 'There is nothing at this address.')
    const { socket, headers } = request
    await route(request, response, {
      ipAddress: clientAddress(request, trustedProxies),
      userAgent: headers['user-agent'] ?? null,
      isGone: () => socket.destroyed,
    })
  }

  return (request, response) => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent || error instanceof CallerGone) return response.destroy()
      if (error instanceof BodyRefused) return answerBodyRefused(request, response, error)
      const message = failureMessage(reportFailure(dependencies, error))
      answerFault(response, faultStatus.INTERNAL, message)
    })
  }
}

function isJson(request: IncomingMessage): boolean {
  return /^application\/json *(;|$)/i.test(request.headers['content-type'] ?? '')
}

function answerBodyRefused(request: IncomingMessage, response: ServerResponse, { status, message }: BodyRefused): void {
  if (status === 413) answerAndClose(request, response, status, faultOf(status, message))
  else answerFault(response, status, message)
}
