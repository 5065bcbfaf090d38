import { type DocumentNode, type ExecutionResult, GraphQLError } from 'graphql'
import {
  _createLRUCache,
  createYoga,
  type GraphQLParams,
  isAsyncIterable,
  type Plugin,
  processRegularResult,
} from 'graphql-yoga'
import { recordDenial } from '../audit/record-denial.ts'
import { CallerGone } from '../caller-gone.ts'
import type { Dependencies } from '../dependencies.ts'
import { Fault } from '../fault.ts'
import type { Answer } from '../http/answer.ts'
import { type IncomingRequest, readBody } from '../http/body.ts'
import { readCredential, type SessionCookies } from '../http/credential.ts'
import { authenticate, type RequestOrigin } from '../identity/principal.ts'
import { traceOperations } from '../observability/trace-operations.ts'
import type { Context, SessionCookie } from './context.ts'
import { explainRequests } from './explain-requests.ts'
import { guardIntrospection } from './exploring.ts'
import { documentLimits, noNulRule, oneSignInRule } from './limits.ts'
import { createLookAhead } from './look-ahead.ts'
import { compileVerifications, readPersistedDocuments } from './persisted-documents.ts'
import { presentError, rootOf } from './present-error.ts'
import { readBodyText, readRequests } from './request-parameters.ts'
import { RequestProblem } from './request-problem.ts'
import { buildSchema } from './schema.ts'

/** What goes with each request. */
interface Incoming {
  origin: RequestOrigin
  /** `Set-Cookie` headers that the answer should carry. */
  setCookies: string[]
}

/** Of no consequence: which address was asked for is decided before. */
const endpoint = 'http://latchkey/graphql'

/** Longer documents are parsed anew each time, so that nobody can fill the memory with a thousand large ones. */
const longestKeptDocument = 10_000

/** Answers a request for `/graphql`. Rejects with what `readBody` throws. */
export type GraphQLServer = (request: IncomingRequest, response: Answer, origin: RequestOrigin) => Promise<void>

/** What programs send as “Accept”, and what they are answered with. Whatever else is asked for, Yoga negotiates. */
const plainAnswers = new Map([
  ['*/*', 'application/json'],
  ['application/json', 'application/json'],
  ['application/graphql-response+json', 'application/graphql-response+json'],
  ['application/graphql-response+json, application/json', 'application/graphql-response+json'],
  [
    'application/graphql-response+json; charset=utf-8, application/json; charset=utf-8',
    'application/graphql-response+json',
  ],
])

export function createGraphQLServer(
  dependencies: Dependencies,
  {
    publicUrl,
    corsOrigins,
    cookies,
    graphiql,
  }: { publicUrl: URL; corsOrigins: string[]; cookies: SessionCookies; graphiql: boolean },
): GraphQLServer {
  const schema = buildSchema()
  const persisted = readPersistedDocuments()
  const verifications = compileVerifications(schema, persisted)
  const lookAhead = createLookAhead(dependencies, verifications)

  const presentErrors: Plugin<object, Incoming> = {
    onResultProcess({ result, setResult, resultProcessor, setResultProcessor, serverContext: { origin } }) {
      if (!resultProcessor) setResultProcessor(processRegularResult, 'application/json')
      if (Array.isArray(result)) return
      if (!isAsyncIterable(result)) setResult(present(result, origin))
      else if (!resultProcessor) setResult(present(endStream(result), origin))
    },
  }

  /** Throws `CallerGone` where that is why it failed. */
  function present(result: ExecutionResult, { request }: RequestOrigin): ExecutionResult {
    const { errors, ...rest } = result
    if (!errors) return result
    if (errors.some((error) => rootOf(error) instanceof CallerGone)) throw new CallerGone()
    const presented = errors.map((error) => presentError(error, dependencies, request))
    for (const { extensions } of presented) request.refusals.push(String(extensions.code))
    return { errors: presented, ...rest }
  }
  const headerSetter: Plugin<object, Incoming> = {
    onResponse({ response, serverContext }) {
      if (corsOrigins.length > 0) response.headers.append('vary', 'Origin')
      for (const cookie of serverContext.setCookies) response.headers.append('set-cookie', cookie)
    },
  }
  const ownRules: Plugin = {
    onValidate({ addValidationRule }) {
      addValidationRule(oneSignInRule)
      addValidationRule(noNulRule)
    },
  }

  async function createContext({
    request,
    params,
    origin,
    setCookies,
  }: { request: Request; params: GraphQLParams } & Incoming): Promise<Context> {
    const credential = readCredential(request, cookies)
    const identify = async () => (credential ? authenticate(dependencies, credential, origin) : null)
    const presented = credential === null ? null : dependencies.digester.read(credential)
    const service = presented?.kind === 'service' ? presented.digest : null
    const identified = identify()
    const begunLookup = lookAhead.begin(params, service, origin)
    const principal = await identified
    if (service !== null) lookAhead.learn(service, principal)
    if (principal?.kind === 'integrationToken' && principal.permissions.includes('scim:provision')) {
      await recordDenial({ ...dependencies, principal, origin }, 'GraphQL')
      throw new Fault('FORBIDDEN', 'A token of the role SCIM is good at /scim/v2 and nowhere else.')
    }
    const session: SessionCookie = {
      isCallers: credential !== null && !request.headers.has('authorization'),
      set: (secret, expiresAt) => setCookies.push(cookies.set(secret, expiresAt)),
      clear: () => setCookies.push(cookies.clear()),
    }
    return {
      ...dependencies,
      principal,
      credentialRefused: credential !== null && principal === null,
      origin,
      publicUrl,
      begunLookup,
      session,
      isStillAccepted: async () => (await identify()) !== null,
    }
  }

  /** Nothing for other origins: Yoga's own list would answer them “null”, which is what sandboxed pages call themselves. */
  function corsOf({ headers }: Request) {
    const origin = headers.get('origin')
    return origin !== null && corsOrigins.includes(origin) ? { origin, credentials: true } : false
  }

  const documents = _createLRUCache<DocumentNode>()
  const yoga = createYoga<Incoming, Context>({
    schema,
    context: createContext,
    plugins: [
      readRequests(persisted),
      verifications.plugin,
      guardIntrospection({ isOn: graphiql }),
      explainRequests(schema),
      presentErrors,
      headerSetter,
      ownRules,
      documentLimits(),
      ...(dependencies.tracing ? [traceOperations(dependencies.tracing)] : []),
    ],
    cors: corsOrigins.length > 0 && corsOf,
    graphiql: false,
    parserAndValidationCache: {
      documentCache: {
        get: (text) => documents.get(text),
        set: (text, document) => {
          if (text.length <= longestKeptDocument) documents.set(text, document)
        },
      },
    },
    landingPage: false,
    maskedErrors: false,
    logging: false,
    multipart: false,
    healthCheckEndpoint: '/graphql/health',
  })

  return async (request, response, origin) => {
    if (request.method !== 'POST') return answerByYoga(request, response, origin)
    const text = await readBody(request)
    const mediaType = plainAnswers.get(request.headers.accept ?? '*/*')
    // What comes from a page may need the headers of CORS.
    if (mediaType === undefined || request.headers.origin !== undefined) {
      // Yoga takes a body that was read already, and would otherwise wrap it in streams. Within an object: it lists the keys
      // of what it is handed, and a text has a key for every character.
      Object.assign(request, { body: { text } })
      return answerByYoga(request, response, origin)
    }
    await answerProgram(request, response, { text, mediaType, origin })
  }

  async function answerByYoga(request: IncomingRequest, response: Answer, origin: RequestOrigin): Promise<void> {
    response.setCommonHeaders()
    await yoga(request, response, { origin, setCookies: [] })
  }

  /**
   * A program's request, executed by Yoga and answered in its form. Yoga's own way over HTTP, with a stream for the body, a
   * dozen hooks and objects of the Web's kind on both sides, would take two thirds of such a request's time.
   */
  async function answerProgram(
    request: IncomingRequest,
    response: Answer,
    { text, mediaType, origin }: { text: string; mediaType: string; origin: RequestOrigin },
  ): Promise<void> {
    const incoming: Incoming = { origin, setCookies: [] }
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(request.headers)) if (typeof value === 'string') headers[name] = value
    const result = await execute(text, new yoga.fetchAPI.Request(endpoint, { method: 'POST', headers }), incoming)
    const answer = processRegularResult(present(result, origin), yoga.fetchAPI, mediaType)
    const body = await answer.text()
    response.writeHead(answer.status, [
      ...response.commonHeaders,
      ...Object.entries({
        ...Object.fromEntries(answer.headers),
        'content-length': String(Buffer.byteLength(body)),
      }).flat(),
      ...incoming.setCookies.flatMap((cookie) => ['set-cookie', cookie]),
    ])
    response.end(body)
  }

  async function execute(text: string, request: Request, incoming: Incoming): Promise<ExecutionResult> {
    try {
      const params = readBodyText(text, persisted)
      const result = await yoga.getResultForParams({ params, request }, incoming)
      if (!result) throw new Error('Yoga gave no result.')
      return isAsyncIterable(result) ? endStream(result) : result
    } catch (error) {
      const originalError = error instanceof Error ? error : new Error('Something that is no error was thrown.')
      return { errors: [error instanceof GraphQLError ? error : new GraphQLError('', { originalError })] }
    }
  }
}

/** For a client that takes no stream. It is ended, since nobody will ever read it. */
function endStream(stream: AsyncIterable<ExecutionResult>): ExecutionResult {
  void stream[Symbol.asyncIterator]().return?.()
  const message = 'A subscription is answered as a stream: name text/event-stream in “Accept”.'
  return { errors: [new RequestProblem(message, {}, { status: 406 })] }
}
