import type { GraphQLParams, Plugin } from 'graphql-yoga'
import { RequestProblem, UnknownDocument } from './request-problem.ts'

const parameterNames = ['query', 'variables', 'operationName', 'extensions']

/** As many as `verifyTokenDigests` takes, which takes the most. */
const mostEntries = 1_000

/** Documents that a request may name by their hash, in its field `extensions.persistedQuery.sha256Hash`. */
export type PersistedDocuments = ReadonlyMap<string, string>

/** The form of a request itself, so that nothing is parsed, let alone executed, that could not be answered. */
export function readRequests(persisted: PersistedDocuments): Plugin {
  return {
    onRequestParse({ request, setRequestParser }) {
      if (!accepts(request.headers.get('accept'))) {
        throw malformed(
          'The answer can be application/json or application/graphql-response+json: name one of them in “Accept”.',
          406,
        )
      }
      if (request.method === 'GET')
        setRequestParser(() => readQueryString(request.url.replace(/^[^?]*\??/, ''), persisted))
      else if (request.method === 'POST')
        setRequestParser(async () => readBodyText(textOf(await request.json()), persisted))
      else throw malformed('GraphQL takes POST, and GET for queries.', 405, { allow: 'GET, POST' })
    },
  }
}

const answerTypes = ['application/json', 'application/graphql-response+json', 'text/event-stream', 'multipart/mixed']

function accepts(header: string | null): boolean {
  return (header || '*/*')
    .toLowerCase()
    .split(',')
    .some((range) => {
      const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
      const charset = parameters.find((parameter) => parameter.startsWith('charset='))
      if (charset !== undefined && charset !== 'charset=utf-8') return false
      return type === '*/*' || answerTypes.some((answer) => answer === type || type === answer.replace(/\/.*/, '/*'))
    })
}

/** The HTTP layer has read the body already, and hands it to Yoga within an object. */
function textOf(read: unknown): string {
  return isObject(read) && typeof read.text === 'string' ? read.text : ''
}

/** Throws `RequestProblem` for a body that is no GraphQL request. */
export function readBodyText(text: string, persisted: PersistedDocuments): GraphQLParams {
  const body = parseJson(text)
  if (body === undefined) throw malformed('The body is not valid JSON. Send an object with the document in “query”.')
  if (Array.isArray(body)) throw malformed('Batches are not taken. Send the requests one by one.')
  return readParameters(body, persisted)
}

function readQueryString(text: string, persisted: PersistedDocuments): GraphQLParams {
  const search = new URLSearchParams(text)
  const given: Record<string, unknown> = {}
  for (const name of parameterNames) {
    const [value, ...others] = search.getAll(name)
    if (others.length > 0) throw malformed(`Give “${name}” once in the address.`)
    if (!value) continue
    const isJson = name === 'variables' || name === 'extensions'
    given[name] = isJson ? parseJson(value) : value
    if (given[name] === undefined) throw malformed(`“${name}” in the address is not valid JSON.`)
  }
  return readParameters(given, persisted)
}

/** Throws `RequestProblem` for anything but the parameters of GraphQL over HTTP. */
function readParameters(given: unknown, persisted: PersistedDocuments): GraphQLParams {
  if (!isObject(given)) throw malformed('The body has to be a JSON object with the document in “query”.')
  if (Object.keys(given).some((name) => !parameterNames.includes(name))) {
    throw malformed(`A request has the fields ${parameterNames.join(', ')}, and no others.`)
  }
  const { variables, operationName, extensions } = given
  const query = given.query ?? persistedDocument(extensions, persisted)
  if (query === undefined || query === null) throw malformed('Send the GraphQL document in “query”.')
  if (typeof query !== 'string') throw malformed('“query” has to be a text: the GraphQL document.')
  if (query.trim() === '') throw malformed('“query” is empty. Send the GraphQL document in it.')
  if (!isObject(variables ?? {})) throw malformed('“variables” has to be an object, or be left out.')
  if (!isObject(extensions ?? {})) throw malformed('“extensions” has to be an object, or be left out.')
  if (operationName !== undefined && operationName !== null && typeof operationName !== 'string') {
    throw malformed('“operationName” has to be a text, or be left out.')
  }
  checkVariables(variables)
  return {
    query,
    ...(isObject(variables) && { variables }),
    ...(isObject(extensions) && { extensions }),
    ...(operationName && { operationName }),
  }
}

function persistedDocument(extensions: unknown, persisted: PersistedDocuments): string | undefined {
  const named =
    isObject(extensions) && isObject(extensions.persistedQuery) ? extensions.persistedQuery.sha256Hash : null
  if (typeof named !== 'string') return undefined
  const document = persisted.get(named)
  if (document === undefined) throw new UnknownDocument()
  return document
}

/**
 * PostgreSQL stores every character but NUL, and takes a bounded number of parameters. The walk keeps its own stack: a body
 * can nest deeper than calls can.
 */
function checkVariables(variables: unknown): void {
  const pending = [variables]
  while (pending.length > 0) {
    const next = pending.pop()
    if (typeof next === 'string' && next.includes('\0')) {
      throw malformed('The variables hold the character NUL. Leave it out.')
    }
    if (typeof next !== 'object' || next === null) continue
    if (Array.isArray(next) && next.length > mostEntries) {
      throw malformed(`A list in the variables has more than ${mostEntries} entries. Ask in several requests.`)
    }
    for (const inner of Object.values(next)) pending.push(inner)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The engine's message quotes what it could not read.
    return undefined
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Not a GraphQL request at all: the status is HTTP's, whatever the client accepts. */
function malformed(message: string, status = 400, headers: Record<string, string> = {}): RequestProblem {
  return new RequestProblem(message, {}, { status, headers })
}
