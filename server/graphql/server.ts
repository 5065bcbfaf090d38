import { renderGraphiQL } from '@graphql-yoga/render-graphiql'
import type { DocumentNode } from 'graphql'
import {
  _createLRUCache,
  createYoga,
  isAsyncIterable,
  type Plugin,
  processRegularResult,
  type YogaServerInstance,
} from 'graphql-yoga'
import { recordAction } from '../audit/record-event.ts'
import { withOrganization } from '../database/with-organization.ts'
import type { Dependencies } from '../dependencies.ts'
import { Fault } from '../fault.ts'
import { readCredential, type SessionCookies } from '../http/credential.ts'
import { inTime } from '../http/in-time.ts'
import { authenticate, type Origin } from '../identity/principal.ts'
import type { Context, SessionCookie } from './context.ts'
import { explainRequests } from './explain-requests.ts'
import { documentLimits, noNulRule, oneSignInRule } from './limits.ts'
import { presentError } from './present-error.ts'
import { readRequests } from './request-parameters.ts'
import { RequestProblem } from './request-problem.ts'
import { buildSchema } from './schema.ts'

/** What the HTTP layer hands over with each request. */
export interface Incoming {
  origin: Origin
  /** `Set-Cookie` headers that the answer should carry. */
  setCookies: string[]
}

/** Longer documents are parsed anew each time, so that nobody can fill the memory with a thousand large ones. */
const longestKeptDocument = 10_000

export type GraphQLServer = YogaServerInstance<Incoming, Context>

const welcome = `# Sign in first, with what “npm start” printed; then run createToken.
mutation SignIn($email: String!, $password: String!) {
  signIn(input: { email: $email, password: $password }) {
    ... on SignInPayload { viewer { member { email role } organization { name } } }
    ... on Refusal { message }
  }
}

mutation CreateToken {
  createToken(input: { label: "Jenkins", roleId: "role_ci" }) {
    ... on CreateTokenPayload { secret token { id label role { label permissions } } }
    ... on Refusal { message }
  }
}

query Tokens {
  integrationTokens(first: 20) {
    nodes { id label status role { label } createdAt lastUsedAt }
  }
}
`

export function createGraphQLServer(
  dependencies: Dependencies,
  { corsOrigins, cookies }: { corsOrigins: string[]; cookies: SessionCookies },
): GraphQLServer {
  const schema = buildSchema()

  const presentErrors: Plugin = {
    onResultProcess({ result, setResult, resultProcessor, setResultProcessor }) {
      let answer = result
      if (!resultProcessor) {
        // A stream for a client that takes none. It is ended, since nobody will ever read it.
        if (isAsyncIterable(answer)) {
          void answer[Symbol.asyncIterator]().return?.()
          const message = 'A subscription is answered as a stream: name text/event-stream in “Accept”.'
          answer = { errors: [new RequestProblem(message, {}, { status: 406 })] }
        }
        setResultProcessor(processRegularResult, 'application/json')
      }
      if (!Array.isArray(answer) && 'errors' in answer && answer.errors) {
        answer = { ...answer, errors: answer.errors.map((error) => presentError(error, dependencies)) }
      }
      if (answer !== result) setResult(answer)
    },
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

  async function createContext({ request, origin, setCookies }: { request: Request } & Incoming): Promise<Context> {
    const credential = readCredential(request, cookies)
    const principal = credential ? await inTime(authenticate(dependencies, credential, origin)) : null
    if (principal?.kind === 'integrationToken' && principal.permissions.includes('scim:provision')) {
      await withOrganization(dependencies.database, principal, (transaction) =>
        recordAction(transaction, { ...dependencies, principal, origin }, 'access.denied', {
          name: 'GraphQL',
          id: null,
        }),
      )
      throw new Fault('FORBIDDEN', 'A token of the role SCIM is good at /scim/v2 and nowhere else.')
    }
    const session: SessionCookie = {
      set: (secret, expiresAt) => setCookies.push(cookies.set(secret, expiresAt)),
      clear: () => setCookies.push(cookies.clear()),
    }
    return { ...dependencies, principal, credentialRefused: credential !== null && principal === null, origin, session }
  }

  /** Nothing for other origins: Yoga's own list would answer them “null”, which is what sandboxed pages call themselves. */
  function corsOf({ headers }: Request) {
    const origin = headers.get('origin')
    return origin !== null && corsOrigins.includes(origin) ? { origin, credentials: true } : false
  }

  const documents = _createLRUCache<DocumentNode>()
  return createYoga<Incoming, Context>({
    schema,
    context: createContext,
    plugins: [readRequests(), explainRequests(schema), presentErrors, headerSetter, ownRules, documentLimits()],
    cors: corsOrigins.length > 0 && corsOf,
    renderGraphiQL,
    graphiql: { title: 'Latchkey', defaultQuery: welcome, credentials: 'same-origin', shouldPersistHeaders: false },
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
}
