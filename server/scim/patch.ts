import { type AttributePath, isJson, type NameScope, scopeOfValue } from './attribute-path.ts'
import { parsePath, type TargetPath } from './filter.ts'
import { coerce, coerceOne, requireSchema } from './input.ts'
import type { Attribute, Json } from './schemas.ts'
import { invalid } from './scim-error.ts'

const patchUrn = 'urn:ietf:params:scim:api:messages:2.0:PatchOp'
const mostOperations = 1_000

type Selection = NonNullable<TargetPath['selection']>
type OperationName = 'add' | 'replace' | 'remove'

interface Operation {
  name: OperationName
  path: string | null
  value: unknown
}

/**
 * The resource as it is after all of the operations, in their order (RFC 7644, section 3.5.2); what was given stays as it
 * was. Throws `ScimError`, and then none of them counts.
 */
export function applyPatch(resource: Json, body: Json, scope: NameScope): Json {
  const patched = structuredClone(resource)
  for (const operation of readOperations(body)) apply(patched, operation, scope)
  return patched
}

function readOperations(body: Json): Operation[] {
  requireSchema(body, patchUrn)
  const { operations } = inLowerCase(body)
  if (!Array.isArray(operations) || operations.length === 0) {
    throw invalid('invalidSyntax', 'Send “Operations”, with at least one operation in it.')
  }
  if (operations.length > mostOperations) {
    throw invalid('invalidSyntax', `Send at most ${mostOperations} operations at once.`)
  }
  return operations.map((operation: unknown) => {
    const { op, path = null, value } = isJson(operation) ? inLowerCase(operation) : {}
    // Capitalized, as Microsoft Entra sends it.
    const name = typeof op === 'string' ? op.toLowerCase() : ''
    if (name !== 'add' && name !== 'replace' && name !== 'remove') {
      throw invalid('invalidSyntax', 'The “op” of an operation is “add”, “replace” or “remove”.')
    }
    if (path !== null && typeof path !== 'string') throw invalid('invalidPath', 'A “path” is a text.')
    if (name !== 'remove' && value === undefined)
      throw invalid('invalidValue', `The operation “${name}” needs a “value”.`)
    return { name, path: path === '' ? null : path, value }
  })
}

const inLowerCase = (json: Json): Json =>
  Object.fromEntries(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value]))

function apply(resource: Json, { name, path, value }: Operation, scope: NameScope): void {
  if (path !== null) {
    applyAt(resource, name, parsePath(path, scope), value)
    return
  }
  if (name === 'remove') throw invalid('noTarget', 'The operation “remove” needs a “path”.')
  if (!isJson(value)) throw invalid('invalidValue', 'Without a “path”, the “value” is an object of attributes.')
  for (const [key, part] of Object.entries(value)) {
    const target = parsePath(key, scope)
    // Such as the group's own id, which Okta sends along; and what no schema has, as in a resource that is sent whole.
    if (isReadOnly(target) || isUnknown(target)) continue
    applyAt(resource, name, target, part)
  }
}

const isReadOnly = ({ keys, attribute }: TargetPath) =>
  attribute?.readOnly === true || keys[0] === 'meta' || keys[0] === 'groups'

const isUnknown = ({ keys, attribute }: TargetPath) => !attribute && !keys[0].includes(':')

function applyAt(resource: Json, name: OperationName, target: TargetPath, value: unknown): void {
  const { keys, attribute, selection } = target
  const where = keys.join('.')
  if (isReadOnly(target)) throw invalid('mutability', `“${where}” cannot be changed.`)
  if (isUnknown(target)) throw invalid('invalidPath', `There is no attribute “${where}”.`)
  const holders = holdersOf(resource, keys, name !== 'remove')
  const key = keys.at(-1) ?? ''
  for (const holder of holders) {
    if (selection) applyToSelected(holder, key, { name, where, attribute, selection }, value)
    else if (name === 'remove') remove(holder, key, attribute, value)
    else set(holder, key, attribute, value, { where, adding: name === 'add' })
  }
}

/** What the last name of a path is in; it is made where it is missing and `making` is said. */
function holdersOf(resource: Json, keys: readonly string[], making: boolean): Json[] {
  let holders = [resource]
  for (const key of keys.slice(0, -1)) {
    holders = holders.flatMap((holder) => {
      if (holder[key] === undefined && making) holder[key] = {}
      return [holder[key]].flat().filter(isJson)
    })
  }
  return holders
}

function set(
  holder: Json,
  key: string,
  attribute: Attribute | null,
  value: unknown,
  { where, adding }: { where: string; adding: boolean },
): void {
  if (value === null) {
    delete holder[key]
    return
  }
  const given = attribute ? coerce(value, attribute, where) : value
  const before = holder[key]
  if (attribute?.multiValued && Array.isArray(given)) {
    holder[key] = adding && Array.isArray(before) ? withOnePrimary(union(before, given), given) : union([], given)
  } else if (isJson(given) && isJson(before)) Object.assign(before, given)
  else holder[key] = given
}

/** What is there already is not added again; of two that share a `value` and a `type`, the new one holds. */
function union(before: unknown[], added: unknown[]): unknown[] {
  const byIdentity = new Map(before.map((one) => [identityOf(one), one]))
  for (const one of added) byIdentity.set(identityOf(one), one)
  return [...byIdentity.values()]
}

function identityOf(value: unknown): string {
  if (!isJson(value) || value.value === undefined) return JSON.stringify(value)
  return JSON.stringify([value.value, value.type ?? null])
}

/** Of the values of one attribute at most one is the primary: the one that was made it last. */
function withOnePrimary(values: unknown[], newest: unknown[]): unknown[] {
  const primary = newest.findLast((one) => isJson(one) && one.primary === true)
  if (primary === undefined) return values
  return values.map((one) =>
    isJson(one) && one !== primary && one.primary === true ? { ...one, primary: false } : one,
  )
}

function remove(holder: Json, key: string, attribute: Attribute | null, value: unknown): void {
  const before = holder[key]
  if (value === undefined || value === null || !attribute?.multiValued || !Array.isArray(before)) {
    delete holder[key]
    return
  }
  // As Entra removes members of a group: the values to be removed are in the operation's own.
  const removed = new Set([value].flat().map(wholeOf))
  keep(
    holder,
    key,
    before.filter((one) => !removed.has(wholeOf(one))),
  )
}

const wholeOf = (value: unknown) => JSON.stringify(isJson(value) && value.value !== undefined ? value.value : value)

function keep(holder: Json, key: string, values: unknown[]): void {
  if (values.length > 0) holder[key] = values
  else delete holder[key]
}

function applyToSelected(
  holder: Json,
  key: string,
  {
    name,
    where,
    attribute,
    selection: { filter, subAttribute },
  }: { name: OperationName; where: string; attribute: Attribute | null; selection: Selection },
  value: unknown,
): void {
  if (!attribute?.multiValued) {
    throw invalid('invalidPath', `“${where}” has one value, from which nothing is to be selected.`)
  }
  const before: unknown[] = Array.isArray(holder[key]) ? holder[key] : []
  const isSelected = before.map((one) => filter.matches(one))
  if (name === 'remove') {
    const rest = subAttribute
      ? before.map((one, at) => (isSelected[at] && isJson(one) ? lacking(one, subAttribute.keys[0]) : one))
      : before.filter((_, at) => !isSelected[at])
    keep(holder, key, rest)
    return
  }
  const change = changeOf(attribute, subAttribute, value, where)
  const changed = (one: unknown) => (subAttribute || name === 'add' ? { ...(isJson(one) && one), ...change } : change)
  if (isSelected.includes(true)) {
    const after = before.map((one, at) => (isSelected[at] ? changed(one) : one))
    holder[key] = withOnePrimary(after, change.primary === true ? after.filter((_, at) => isSelected[at]) : [])
    return
  }
  if (name === 'replace') {
    throw invalid('noTarget', `None of the values of “${where}” is among those that the path selects.`)
  }
  // As Entra adds the first of its kind: the new value has what the filter says of it.
  const added = { ...Object.fromEntries(filter.demands), ...change }
  holder[key] = withOnePrimary([...before, added], [added])
}

const lacking = (value: Json, name: string): Json =>
  Object.fromEntries(Object.entries(value).filter(([key]) => key !== name))

function changeOf(attribute: Attribute, subAttribute: AttributePath | null, value: unknown, where: string): Json {
  if (!subAttribute) {
    const [one] = Array.isArray(value) ? value : [value]
    const whole = coerceOne(one, attribute, where)
    return isJson(whole) ? whole : { value: whole }
  }
  const [key] = subAttribute.keys
  const known = scopeOfValue(attribute)(key)?.attribute
  return { [key]: known ? coerce(value, known, `${where}.${key}`) : value }
}
