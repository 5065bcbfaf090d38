import { type AttributePath, isJson, type NameScope } from './attribute-path.ts'
import type { Json } from './schemas.ts'
import { invalid } from './scim-error.ts'

/** Which attributes an answer has (RFC 7644, section 3.9). */
export interface Projection {
  only: readonly AttributePath[] | null
  without: readonly AttributePath[]
}

/** Names that are none, or that no resource has, select nothing. Throws `ScimError` where both are given. */
export function readProjection(
  {
    attributes,
    excludedAttributes,
  }: { attributes: readonly string[] | null; excludedAttributes: readonly string[] | null },
  scope: NameScope,
): Projection {
  if (attributes && excludedAttributes) {
    throw invalid('invalidValue', 'Send “attributes” or “excludedAttributes”, not both.')
  }
  const paths = (names: readonly string[]) => names.flatMap((name) => scope(name.trim()) ?? [])
  return { only: attributes && paths(attributes), without: paths(excludedAttributes ?? []) }
}

/** Whether anything of the attribute is in the answer. */
export function includes({ only, without }: Projection, attribute: string): boolean {
  if (only) return only.some(({ keys }) => keys[0] === attribute)
  return !without.some(({ keys }) => keys[0] === attribute && keys.length === 1)
}

/** `id` and `schemas` are in every answer. */
export function project(resource: Json, { only, without }: Projection): Json {
  const always = { schemas: resource.schemas, id: resource.id }
  const keysOf = (paths: readonly AttributePath[]) => paths.map(({ keys }) => keys)
  const projected = only ? pick(resource, keysOf(only)) : drop(resource, keysOf(without))
  return { ...always, ...(isJson(projected) && projected), ...always }
}

type Keys = readonly string[]

function pick(value: unknown, paths: readonly Keys[]): unknown {
  if (paths.some((keys) => keys.length === 0)) return value
  if (Array.isArray(value)) return value.map((one) => pick(one, paths)).filter((one) => one !== undefined)
  if (!isJson(value)) return undefined
  const parts = Object.entries(value).flatMap(([key, part]) => {
    const below = paths.filter(([first]) => first === key).map((keys) => keys.slice(1))
    const picked = below.length > 0 ? pick(part, below) : undefined
    return picked === undefined ? [] : [[key, picked]]
  })
  return parts.length > 0 ? Object.fromEntries(parts) : undefined
}

function drop(value: unknown, paths: readonly Keys[]): unknown {
  if (paths.length === 0) return value
  if (Array.isArray(value)) return value.map((one) => drop(one, paths))
  if (!isJson(value)) return value
  const parts = Object.entries(value).flatMap(([key, part]) => {
    const below = paths.filter(([first]) => first === key).map((keys) => keys.slice(1))
    return below.some((keys) => keys.length === 0) ? [] : [[key, drop(part, below)]]
  })
  return Object.fromEntries(parts)
}
