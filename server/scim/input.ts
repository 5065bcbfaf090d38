import { isJson, type NameScope } from './attribute-path.ts'
import type { Attribute, Json, ResourceSchema } from './schemas.ts'
import { invalid } from './scim-error.ts'

const deepest = 20

/** The body as an object. Throws `ScimError` invalidSyntax, and invalidValue for what no database could keep. */
export function parseBody(text: string): Json {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    throw invalid('invalidSyntax', 'The body is not JSON.')
  }
  if (!isJson(body)) throw invalid('invalidSyntax', 'The body is not a JSON object.')
  refuseUnkeepable(body, 0)
  return body
}

function refuseUnkeepable(value: unknown, depth: number): void {
  if (depth > deepest) throw invalid('invalidSyntax', `The body is nested more than ${deepest} deep.`)
  if (typeof value === 'string') {
    if (!value.isWellFormed() || value.includes('\0')) {
      throw invalid('invalidValue', 'A text in the body holds a character that is none.')
    }
  } else if (Array.isArray(value)) for (const item of value) refuseUnkeepable(item, depth + 1)
  else if (isJson(value)) {
    for (const [key, item] of Object.entries(value)) {
      if (key === '__proto__') throw invalid('invalidSyntax', 'An attribute has a name that is none.')
      refuseUnkeepable(key, depth + 1)
      refuseUnkeepable(item, depth + 1)
    }
  }
}

export function requireSchema({ schemas }: Json, urn: string): void {
  const known = Array.isArray(schemas) ? schemas.map((one) => String(one).toLowerCase()) : []
  if (!known.includes(urn.toLowerCase())) {
    throw invalid('invalidSyntax', `Send “schemas” with ${urn} in it.`)
  }
}

/**
 * The resource that a body tells of, with every name as the schemas spell it and every value of its attribute's type. What
 * is read-only, and what no schema has, is left out; an extension of the identity provider's own is kept whole.
 */
export function readResource(body: Json, schema: ResourceSchema, scope: NameScope): Json {
  const resource: Json = {}
  for (const [key, value] of Object.entries(body)) {
    const path = scope(key)
    if (!path || path.keys.length > 1) continue
    const [name] = path.keys
    const { attribute } = path
    if (!attribute && !name.includes(':')) continue
    if (attribute?.readOnly || isEmpty(value)) continue
    resource[name] = attribute ? coerce(value, attribute, name) : value
  }
  const extensions = Object.keys(resource).filter((key) => key.includes(':'))
  return { schemas: [schema.urn, ...extensions], ...resource }
}

/** No value, as RFC 7643, section 2.5, has it. */
const isEmpty = (value: unknown) =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0)

/**
 * A value as its attribute takes it. Identity providers send `"True"` for true, one value where there may be several, and
 * the bare value for `{"value": …}`. Throws `ScimError` invalidValue.
 */
export function coerce(value: unknown, attribute: Attribute, where: string): unknown {
  if (!attribute.multiValued) return coerceOne(value, attribute, where)
  return (Array.isArray(value) ? value : [value]).map((one) => coerceOne(one, attribute, where))
}

export function coerceOne(value: unknown, { type, subAttributes }: Attribute, where: string): unknown {
  if (type === 'complex') {
    if (isJson(value)) return coerceParts(value, subAttributes, where)
    const whole = subAttributes.get('value')
    if (whole && typeof value === 'string') return { value }
    throw invalid('invalidValue', `“${where}” has parts: send it as an object.`)
  }
  if (type === 'boolean') {
    if (typeof value === 'boolean') return value
    if (typeof value === 'string' && /^(true|false)$/i.test(value)) return value.toLowerCase() === 'true'
    throw invalid('invalidValue', `“${where}” is true or false.`)
  }
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  throw invalid('invalidValue', `“${where}” is a text.`)
}

function coerceParts(value: Json, subAttributes: Attribute['subAttributes'], where: string): Json {
  const parts: Json = {}
  for (const [key, part] of Object.entries(value)) {
    const attribute = subAttributes.get(key.toLowerCase())
    if (isEmpty(part)) continue
    parts[attribute?.name ?? key] = attribute ? coerce(part, attribute, `${where}.${attribute.name}`) : part
  }
  return parts
}
