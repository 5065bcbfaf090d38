import { renderGraphiQL } from '@graphql-yoga/render-graphiql'
import { createYoga, type Plugin, type YogaServerInstance } from 'graphql-yoga'
import type { Dependencies } from '../dependencies.ts'
import { Fault } from '../fault.ts'
import { readCredential, type SessionCookies } from '../http/credential.ts'
import { authenticate, type Origin } from '../identity/principal.ts'
import type { Context, SessionCookie } from './context.ts'
import { documentLimits, oneSignInRule } from './limits.ts'
import { presentError } from './present-error.ts'
import { buildSchema } from './schema.ts'

/** What the HTTP layer hands over with each request. */
export interface Incoming {
  origin: Origin
  /** `Set-Cookie` headers that the answer should carry. */
  setCookies: string[]
}

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
  const { log, randomBytes } = dependencies
  const presentation = { schema, log, createReference: () => randomBytes(6).toString('hex') }

  const presentErrors: Plugin = {
    onResultProcess({ result, setResult }) {
      if (Array.isArray(result) || !('errors' in result) || !result.errors) return
      setResult({ ...result, errors: result.errors.map((error) => presentError(error, presentation)) })
    },
  }
  const cookieSetter: Plugin<object, Incoming> = {
    onResponse({ response, serverContext }) {
      for (const cookie of serverContext.setCookies) response.headers.append('set-cookie', cookie)
    },
  }
  const oneSignIn: Plugin = { onValidate: ({ addValidationRule }) => addValidationRule(oneSignInRule) }

  async function createContext({ request, origin, setCookies }: { request: Request } & Incoming): Promise<Context> {
    const credential = readCredential(request, cookies)
    const principal = credential ? await authenticate(dependencies, credential, origin) : null
    if (principal?.kind === 'integrationToken' && principal.permissions.includes('scim:provision')) {
      throw new Fault('FORBIDDEN', 'A token of the role SCIM is good at /scim/v2 and nowhere else.')
    }
    const session: SessionCookie = {
      set: (secret, expiresAt) => setCookies.push(cookies.set(secret, expiresAt)),
      clear: () => setCookies.push(cookies.clear()),
    }
    return { ...dependencies, principal, credentialRefused: credential !== null && principal === null, origin, session }
  }

  return createYoga<Incoming, Context>({
    schema,
    context: createContext,
    plugins: [presentErrors, cookieSetter, oneSignIn, documentLimits()],
    cors: corsOrigins.length > 0 ? { origin: corsOrigins, credentials: true } : false,
    renderGraphiQL,
    graphiql: { title: 'Latchkey', defaultQuery: welcome, credentials: 'same-origin', shouldPersistHeaders: false },
    landingPage: false,
    maskedErrors: false,
    logging: false,
    multipart: false,
    healthCheckEndpoint: '/graphql/health',
  })
}
