import type { Provisioning } from './acting.ts'
import { isJson } from './attribute-path.ts'
import { mostBulkOperations } from './discovery.ts'
import { requireSchema } from './input.ts'
import { resourceKinds } from './resource-kinds.ts'
import type { Json } from './schemas.ts'
import { errorBody, invalid, ScimError } from './scim-error.ts'
import { versionIn } from './users.ts'

const requestUrn = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest'
const responseUrn = 'urn:ietf:params:scim:api:messages:2.0:BulkResponse'
const methods = ['POST', 'PUT', 'PATCH', 'DELETE'] as const

interface BulkOperation {
  method: (typeof methods)[number]
  path: string
  bulkId: string | null
  version: string | null
  data: unknown
}

/**
 * Each operation by itself, as if it were a request of its own (RFC 7644, section 3.7), in the order sent but for those that
 * refer to what a later one makes. `asScimError` says what any failure is to the caller. Throws `ScimError`.
 */
export async function runBulk(
  acting: Provisioning,
  body: Json,
  asScimError: (error: unknown) => ScimError,
): Promise<Json> {
  requireSchema(body, requestUrn)
  const { failOnErrors = null } = body
  if (failOnErrors !== null && !(typeof failOnErrors === 'number' && failOnErrors >= 1)) {
    throw invalid('invalidValue', '“failOnErrors” is a number from 1 on.')
  }
  const operations = readOperations(body)
  const made = new Map<string, Made>()
  for (const { bulkId } of operations) if (bulkId !== null) made.set(bulkId, 'awaited')
  const references = new Map(operations.map((operation) => [operation, referencesOf(operation)]))
  const isReady = (operation: BulkOperation) => !references.get(operation)?.some((id) => made.get(id) === 'awaited')
  const answers = new Map<BulkOperation, Json>()
  let failures = 0
  let waiting = operations
  while (waiting.length > 0) {
    const next = waiting.find(isReady)
    const operation = next ?? waiting[0]
    if (!operation) break
    waiting = waiting.filter((one) => one !== operation)
    const answer = await runOne(acting, operation, made, next === undefined, asScimError)
    answers.set(operation, answer.body)
    if (operation.bulkId !== null) made.set(operation.bulkId, answer.id === null ? 'failed' : { id: answer.id })
    if (answer.failed) failures++
    if (failOnErrors !== null && failures >= failOnErrors) break
  }
  return { schemas: [responseUrn], Operations: operations.flatMap((operation) => answers.get(operation) ?? []) }
}

/** What came of the operation that has a `bulkId`. */
type Made = 'awaited' | 'failed' | { id: string }

function readOperations({ Operations: operations }: Json): BulkOperation[] {
  if (!Array.isArray(operations)) throw invalid('invalidSyntax', 'Send “Operations”, as a list.')
  if (operations.length > mostBulkOperations) {
    throw new ScimError(413, `A bulk request has at most ${mostBulkOperations} operations. Send the rest in another.`)
  }
  const read = operations.map((operation: unknown): BulkOperation => {
    const { method, path, bulkId = null, version = null, data } = isJson(operation) ? operation : {}
    const name = typeof method === 'string' ? methods.find((one) => one === method.toUpperCase()) : undefined
    if (!name) throw invalid('invalidSyntax', 'The “method” of an operation is POST, PUT, PATCH or DELETE.')
    if (typeof path !== 'string') throw invalid('invalidSyntax', 'Every operation has a “path”.')
    if (bulkId !== null && typeof bulkId !== 'string') throw invalid('invalidSyntax', 'A “bulkId” is a text.')
    if (version !== null && typeof version !== 'string') throw invalid('invalidSyntax', 'A “version” is a text.')
    if (name === 'POST' && bulkId === null) throw invalid('invalidSyntax', 'A POST in a bulk request has a “bulkId”.')
    return { method: name, path, bulkId, version, data }
  })
  const bulkIds = read.flatMap(({ bulkId }) => bulkId ?? [])
  if (new Set(bulkIds).size < bulkIds.length) throw invalid('invalidSyntax', 'Every “bulkId” is there once.')
  return read
}

const reference = /^bulkId:(.+)$/

/** The `bulkId` of each other operation that this one refers to. */
function referencesOf({ path, data }: BulkOperation): string[] {
  const ids: string[] = []
  const visit = (value: unknown): void => {
    if (typeof value === 'string') {
      const id = reference.exec(value)?.[1]
      if (id !== undefined) ids.push(id)
    } else if (Array.isArray(value)) value.forEach(visit)
    else if (isJson(value)) Object.values(value).forEach(visit)
  }
  visit([path.split('/')[2], data])
  return ids
}

/** The same value with the ids of what has been made. Throws `ScimError` where it has not. */
function resolve(value: unknown, made: ReadonlyMap<string, Made>): unknown {
  if (typeof value === 'string') {
    const bulkId = reference.exec(value)?.[1]
    if (bulkId === undefined) return value
    const one = made.get(bulkId)
    if (typeof one === 'object') return one.id
    throw one === 'awaited'
      ? new ScimError(
          409,
          'Operations refer to each other in a circle. Create the resources first, and then what refers to them.',
        )
      : invalid('invalidValue', 'The operation refers to the “bulkId” of another that is not there or failed.')
  }
  if (Array.isArray(value)) return value.map((one) => resolve(one, made))
  if (isJson(value)) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, resolve(one, made)]))
  return value
}

async function runOne(
  acting: Provisioning,
  operation: BulkOperation,
  made: ReadonlyMap<string, Made>,
  isCircular: boolean,
  asScimError: (error: unknown) => ScimError,
): Promise<{ body: Json; id: string | null; failed: boolean }> {
  const { method, bulkId } = operation
  const common = { method, ...(bulkId !== null && { bulkId }) }
  try {
    const { status, resource, id } = await perform(acting, operation, made)
    const version = resource && versionIn(resource)
    const body = { ...common, location: id.location, ...(version && { version }), status: String(status) }
    return { body, id: id.value, failed: false }
  } catch (error) {
    const refusal = asScimError(error)
    const location = isCircular || method === 'POST' ? null : `${acting.base}${operation.path}`
    const body = {
      ...common,
      ...(location !== null && { location }),
      status: String(refusal.status),
      response: errorBody(refusal),
    }
    return { body, id: null, failed: true }
  }
}

async function perform(
  acting: Provisioning,
  { method, path, version, data }: BulkOperation,
  made: ReadonlyMap<string, Made>,
): Promise<{ status: number; resource: Json | null; id: { value: string; location: string } }> {
  const [, kindName, idText, ...others] = path.split('/')
  const kind = kindName === 'Users' || kindName === 'Groups' ? resourceKinds[kindName] : null
  if (!kind || others.length > 0 || (method === 'POST') === (idText !== undefined)) {
    throw invalid('invalidPath', 'The “path” of a POST is /Users or /Groups, and of all else that with an id.')
  }
  const locationOf = (value: string) => ({ value, location: `${acting.base}/${kindName}/${value}` })
  const body = resolve(data, made)
  const id = String(resolve(idText ?? '', made))
  if (method === 'DELETE') {
    await kind.remove(acting, id, version)
    return { status: 204, resource: null, id: locationOf(id) }
  }
  if (!isJson(body)) throw invalid('invalidSyntax', 'The operation needs “data”, as an object.')
  if (method === 'POST') {
    const resource = await kind.create(acting, body)
    return { status: 201, resource, id: locationOf(String(resource.id)) }
  }
  const resource = await kind[method === 'PUT' ? 'replace' : 'patch'](acting, id, body, version)
  return { status: 200, resource, id: locationOf(id) }
}
