import type { Attribute, Json, ResourceSchema } from './schemas.ts'

/** Where in a resource a value is: the names that lead to it, spelled as the schemas spell them. */
export interface AttributePath {
  keys: readonly [string, ...string[]]
  /** What the schemas say of the last one; null where no schema knows it. */
  attribute: Attribute | null
}

/** In what a name is looked up: a resource, or a value of a complex attribute. Null for what is no name. */
export type NameScope = (text: string) => AttributePath | null

const name = '[A-Za-z$][\\w$-]*'
const plain = new RegExp(`^(${name})(?:\\.(${name}))?$`)
const bareUrn = /:\d+(?:\.\d+)*:\w+$/

/** Names are compared without regard to case, and may be led by the URN of their schema (RFC 7644, section 3.10). */
export function scopeOfResource(schema: ResourceSchema): NameScope {
  const core = schema.urn.toLowerCase()
  return (text) => {
    const lower = text.toLowerCase()
    if (!lower.startsWith('urn:')) return lookUp(schema.attributes, text)
    if (lower.startsWith(`${core}:`)) return lookUp(schema.attributes, text.slice(core.length + 1))
    for (const [urn, extension] of schema.extensions) {
      if (lower === urn) return { keys: [extension.name], attribute: extension }
      if (lower.startsWith(`${urn}:`))
        return within(extension.name, lookUp(extension.subAttributes, text.slice(urn.length + 1)))
    }
    // An extension that only the identity provider knows.
    if (lower === core || !/^urn:[\w:.-]+$/.test(lower)) return null
    if (bareUrn.test(text)) return { keys: [text], attribute: null }
    const dotted = /^(.+:\d+(?:\.\d+)*:\w+):([^:]+)$/.exec(text)
    return dotted ? within(dotted[1] ?? '', lookUp(new Map(), dotted[2] ?? '')) : null
  }
}

export function scopeOfValue({ subAttributes }: Attribute): NameScope {
  return (text) => (text.includes('.') ? null : lookUp(subAttributes, text))
}

function lookUp(attributes: ReadonlyMap<string, Attribute>, text: string): AttributePath | null {
  const [, first, second] = plain.exec(text) ?? []
  if (first === undefined) return null
  const attribute = attributes.get(first.toLowerCase()) ?? null
  const key = attribute?.name ?? first
  if (second === undefined) return { keys: [key], attribute }
  const sub = attribute?.subAttributes.get(second.toLowerCase()) ?? null
  return { keys: [key, sub?.name ?? second], attribute: sub }
}

const within = (key: string, path: AttributePath | null): AttributePath | null =>
  path && { keys: [key, ...path.keys], attribute: path.attribute }

/** Every value at the path; each of several where an attribute on the way has several. */
export function valuesAt(resource: unknown, keys: readonly string[]): unknown[] {
  let values = [resource].flat()
  for (const key of keys) {
    values = values.flatMap((value) => (isJson(value) && Object.hasOwn(value, key) ? value[key] : []))
  }
  return values.filter((value) => value !== undefined && value !== null)
}

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
