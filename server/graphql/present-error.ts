import {
  GraphQLError,
  type GraphQLSchema,
  type GraphQLType,
  getNamedType,
  isInputObjectType,
  isListType,
  isNonNullType,
  Kind,
  typeFromAST,
} from 'graphql'
import type { Logger } from 'pino'
import { databaseCause, isUnavailable } from '../database/unavailable.ts'
import { Fault, type FaultCode, faultStatus, unavailable } from '../fault.ts'
import { Refusal } from '../refusal.ts'

interface Presentation {
  schema: GraphQLSchema
  log: Logger
  /** A name for an error that only the log explains. */
  createReference(): string
}

/**
 * The one form in which an error leaves the server: a code, the HTTP status of that code, and words that hold nothing the
 * caller sent, since graphql-js would quote a whole variable, secrets included, and nothing internal.
 */
export function presentError(error: GraphQLError, { schema, log, createReference }: Presentation): GraphQLError {
  const root = rootOf(error)
  if (root instanceof Fault) return present(error, root.code, root.message)
  if (isUnavailable(root)) {
    log.warn({ error: describe(root) }, 'the database is unavailable')
    const { code, message } = unavailable()
    return present(error, code, message)
  }
  if (root instanceof GraphQLError) {
    const http = root.extensions.http
    return present(
      error,
      'BAD_REQUEST',
      withoutValues(error, schema),
      isHttp(http) ? http : { status: 400, spec: true },
    )
  }
  const reference = createReference()
  const undeclared = root instanceof Refusal ? 'a refusal that its field does not declare: ' : ''
  log.error({ reference, error: undeclared + describe(root), stack: stackOf(root) }, 'a request failed')
  return present(error, 'INTERNAL', `Something went wrong on our side. Tell the operator this reference: ${reference}.`)
}

interface HttpExtension {
  status?: number
  spec?: boolean
  headers?: Record<string, string>
}

function present(
  error: GraphQLError,
  code: FaultCode,
  message: string,
  http: HttpExtension = { status: faultStatus[code] },
): GraphQLError {
  const headers: Record<string, string> = { ...http.headers }
  if (code === 'UNAUTHENTICATED') headers['www-authenticate'] = 'Bearer realm="latchkey"'
  if (code === 'UNAVAILABLE') headers['retry-after'] = '1'
  return new GraphQLError(message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    path: error.path ?? null,
    extensions: { code, http: { ...http, headers } },
  })
}

function rootOf(error: unknown): unknown {
  return error instanceof GraphQLError && error.originalError ? rootOf(error.originalError) : error
}

function isHttp(value: unknown): value is HttpExtension {
  return typeof value === 'object' && value !== null && 'status' in value && typeof value.status === 'number'
}

/** Without the statement's parameters, which the ORM puts in its messages. */
function describe(error: unknown): string {
  const cause = databaseCause(error)
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : typeof cause
}

function stackOf(error: unknown): string | undefined {
  const cause = databaseCause(error)
  return cause instanceof Error ? cause.stack?.split('\n').slice(1).join('\n') : undefined
}

/** graphql-js's own message, less whatever it quotes of the caller's values. */
function withoutValues(error: GraphQLError, schema: GraphQLSchema): string {
  const message = error.message.replace(/^Syntax Error: (?=Query |Aliases |Directives |Token )/, '')
  const variable = error.nodes?.[0]
  if (/^Variable "\$\w+" (got invalid|of )/.test(message) && variable?.kind === Kind.VARIABLE_DEFINITION) {
    return variableProblem(message, variable.variable.name.value, typeFromAST(schema, variable.type))
  }
  if (message.startsWith('Syntax Error: ')) {
    return `The document is not valid GraphQL. ${message.slice('Syntax Error: '.length).replace(/ "[\s\S]*"/g, '')}`.replace(
      /\.?$/,
      '.',
    )
  }
  return message
    .replace(/(cannot represent [\w -]*?)(: )?(value)?:? [\s\S]*$/, '$1value.')
    .replace(/^(Expected value of type "[^"]+"), found [\s\S]*$/, '$1, found another.')
    .replace(/^Value "[\s\S]*" does not exist in/, 'The value does not exist in')
    .replace(/ Did you mean [\s\S]*$/, '')
}

/** Names the place by walking the schema: only what the contract itself contains is said. */
function variableProblem(message: string, name: string, type: GraphQLType | undefined): string {
  const path = / at "\w+((?:\.\w+|\[\d+\])+)";/.exec(message)?.[1] ?? ''
  let place = `$${name}`
  let current = type
  for (const step of path.match(/\w+/g) ?? []) {
    while (current && isNonNullType(current)) current = current.ofType
    if (current && isListType(current) && /^\d+$/.test(step)) {
      place += `[${step}]`
      current = current.ofType
    } else if (current && isInputObjectType(current) && current.getFields()[step]) {
      place += `.${step}`
      current = current.getFields()[step]?.type
    } else break
  }
  const named = current && getNamedType(current)
  const missing = /Field "(\w+)" of required type "[^"]+" was not provided\.$/.exec(message)?.[1]
  if (missing && isInputObjectType(named) && named.getFields()[missing])
    return `The variable ${place} lacks its field “${missing}”.`
  if (/is not defined by type/.test(message))
    return `The variable ${place} has a field that the type ${String(named)} does not have.`
  if (/of required type/.test(message) && path === '') return `The variable ${place} is required and was not given.`
  return `The variable ${place} does not have a value of the type ${String(current ?? 'asked for')}.`
}
