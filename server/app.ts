import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { BlockList } from 'node:net'
import { CallerGone } from './caller-gone.ts'
import type { Dependencies } from './dependencies.ts'
import { faultStatus } from './fault.ts'
import { asksForPage, createGraphiQL } from './graphql/graphiql.ts'
import { createGraphQLServer } from './graphql/server.ts'
import { Answer, answerAndClose, answerFault, answerJson, commonHeadersFor, faultOf } from './http/answer.ts'
import { BodyRefused, IncomingRequest } from './http/body.ts'
import { clientAddress } from './http/client-address.ts'
import { openConsoleFiles } from './http/console.ts'
import { createSessionCookies, isAmbiguous } from './http/credential.ts'
import { createReadiness } from './http/readiness.ts'
import { reportFailure } from './http/report-failure.ts'
import { createRequestLog, type RequestRecord } from './http/request-log.ts'
import type { RequestOrigin } from './identity/principal.ts'
import { introspect } from './oauth/introspection.ts'
import { labelsOf } from './observability/request-labels.ts'
import { traceRequest, traceRequestEnd } from './observability/trace-request.ts'
import { createScim } from './scim/endpoint.ts'

export type HttpServer = Server<typeof IncomingRequest, typeof Answer>

export interface HttpSettings {
  /** Where browsers reach the server; over HTTPS, sessions get a `__Host-` cookie. */
  publicUrl: URL
  corsOrigins: string[]
  trustedProxies: BlockList
  /** Whether owners and super admins may explore the schema, in GraphiQL and by introspection. Nobody may unless it is said. */
  graphiql?: boolean
  /** Where the built console is, or would be. */
  consoleDirectory?: string
  /** Whether it is about to stop, and wants no more requests. Never, unless it is said. */
  isStopping?: () => boolean
}

/**
 * The server with every address of it, which does not listen yet. A path is compared to the letter: no decoding, no doubled
 * slash and no other case leads to the same place, so that nothing in front of it can be talked around.
 */
export function createHttpServer(
  dependencies: Dependencies,
  {
    publicUrl,
    corsOrigins,
    trustedProxies,
    graphiql = false,
    consoleDirectory,
    isStopping = () => false,
  }: HttpSettings,
): HttpServer {
  const { metrics, tracing } = dependencies
  const requests = createRequestLog(dependencies)
  const readiness = createReadiness(dependencies, { isStopping })
  const commonHeaders = commonHeadersFor(publicUrl)
  const cookies = createSessionCookies({ publicUrl, corsOrigins })
  const graphql = createGraphQLServer(dependencies, { publicUrl, corsOrigins, cookies, graphiql })
  const answerGraphiQL = createGraphiQL(dependencies, { isOn: graphiql, cookies })
  const consoleFiles = openConsoleFiles(consoleDirectory)
  const scim = createScim(dependencies, { publicUrl })

  const routes: Record<
    string,
    (request: IncomingRequest, response: Answer, origin: RequestOrigin) => Promise<void> | void
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
    '/healthz': (request, response) => {
      if (!isRead(request)) return answerFault(response, 405, 'This takes GET.', { allow: 'GET, HEAD' })
      answerJson(response, 200, { status: 'alive' })
    },
    '/readyz': async (request, response) => {
      if (!isRead(request)) return answerFault(response, 405, 'This takes GET.', { allow: 'GET, HEAD' })
      const reasons = await readiness()
      if (reasons.length === 0) return answerJson(response, 200, { status: 'ready' })
      answerJson(response, 503, { status: 'not ready', reasons }, { 'retry-after': '1' })
    },
  }

  async function serve(request: IncomingRequest, response: Answer, record: RequestRecord): Promise<void> {
    const { socket, headers } = request
    const [path = ''] = (request.url ?? '').split('?', 1)
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    const isScim = scim.owns(path)
    const isConsole = !route && !isScim && consoleFiles.owns(path)
    const ipAddress = clientAddress(request, trustedProxies)
    const userAgent = headers['user-agent'] ?? null
    const origin = { ipAddress, userAgent, isGone: () => socket.destroyed, request: record }
    try {
      if (isScim) await scim.answer(request, response, origin)
      else if (isConsole) consoleFiles.answer(request, response, path)
      else if (!route) answerFault(response, 404, 'There is nothing at this address.')
      else {
        const answering = route(request, response, origin)
        // Once what was answered at once has been sent, Node.js calls it destroyed, as if the caller had not waited.
        if (answering) await answering
      }
    } catch (error) {
      if (response.headersSent || error instanceof CallerGone) response.destroy()
      else if (error instanceof BodyRefused) answerBodyRefused(request, response, error)
      else answerFault(response, faultStatus.INTERNAL, reportFailure(dependencies, record, error))
    }
    const ended = {
      method: request.method,
      route: isScim ? scim.routeOf(path) : route ? path : isConsole ? 'console' : null,
      status: response.destroyed || socket.destroyed ? null : response.statusCode,
      milliseconds: performance.now() - record.begunAt,
      ipAddress,
    }
    const labels = labelsOf(record, ended)
    metrics.requests.end({ ...labels, seconds: ended.milliseconds / 1_000 })
    if (tracing) traceRequestEnd(tracing, ended, labels)
    requests.end(record, ended)
  }

  return createServer(
    { IncomingMessage: IncomingRequest, ServerResponse: Answer, ...timeouts },
    (request, response) => {
      const record = requests.begin()
      metrics.requests.begin()
      response.commonHeaders = [...commonHeaders, 'x-request-id', record.id]
      // Said with the answer (`Connection: close`), so that the next request is not already on its way when the connection ends.
      if (isStopping()) response.shouldKeepAlive = false
      if (tracing) void traceRequest(tracing, request, record, () => serve(request, response, record))
      else void serve(request, response, record)
    },
  )
}

/**
 * In milliseconds. What is slower than the first two is answered 408, and its connection closed. An idle connection is kept
 * for longer than load balancers keep it, so that it is they who close it.
 */
const timeouts = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 75_000,
}

const isRead = ({ method }: IncomingMessage) => method === 'GET' || method === 'HEAD'

function isJson(request: IncomingMessage): boolean {
  return /^application\/json *(;|$)/i.test(request.headers['content-type'] ?? '')
}

function answerBodyRefused(request: IncomingMessage, response: Answer, { status, message }: BodyRefused): void {
  if (status === 413) answerAndClose(request, response, status, faultOf(status, message))
  else answerFault(response, status, message)
}
