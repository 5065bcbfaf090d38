import { type AttributePath, isJson, type NameScope, scopeOfValue, valuesAt } from './attribute-path.ts'
import type { Attribute } from './schemas.ts'
import { invalid } from './scim-error.ts'

/** A filter that has been read: whether a resource, or a value of a complex attribute, is among what it asks for. */
export interface Filter {
  matches(resource: unknown): boolean
  /** Where it is no more than `… eq "…"`, of a resource's own attribute: what an index can find. */
  equality: { attribute: string; value: string } | null
  /** The attributes of the resource that it looks at. */
  mentions: ReadonlySet<string>
  /** What it says a value has: of each `… eq …` that holds for whatever matches. */
  demands: ReadonlyMap<string, unknown>
}

const longest = 10_000
const deepest = 50

/** RFC 7644, section 3.4.2.2, all of it. Throws `ScimError` invalidFilter. */
export function parseFilter(text: string, scope: NameScope): Filter {
  const parser = new Parser(text)
  const filter = parser.readFilter(scope)
  parser.expectEnd()
  return filter
}

/** A path of a PATCH operation: an attribute, or its values that a filter selects, or a sub-attribute of these. */
export interface TargetPath extends AttributePath {
  selection: { filter: Filter; subAttribute: AttributePath | null } | null
}

/** RFC 7644, section 3.5.2. Throws `ScimError` invalidPath, and invalidFilter for a bad filter in it. */
export function parsePath(text: string, scope: NameScope): TargetPath {
  const parser = new Parser(text)
  const path = parser.readTarget(scope)
  if (!path) throw invalid('invalidPath', `The path does not name an attribute: ${quoted(text)}.`)
  parser.expectEnd()
  return path
}

const quoted = (text: string) => `“${text.slice(0, 100)}”`

const comparisons = ['eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le'] as const
type Comparison = (typeof comparisons)[number]
type Literal = string | number | boolean | null

const orders: Record<'gt' | 'ge' | 'lt' | 'le', (order: number) => boolean> = {
  gt: (order) => order > 0,
  ge: (order) => order >= 0,
  lt: (order) => order < 0,
  le: (order) => order <= 0,
}

class Parser {
  readonly #text: string
  #at = 0
  #depth = 0
  constructor(text: string) {
    if (text.length > longest) throw invalid('invalidFilter', `A filter has at most ${longest} characters.`)
    this.#text = text
  }

  readFilter(scope: NameScope): Filter {
    return this.#nested(() => this.#readAny(scope))
  }

  readTarget(scope: NameScope): TargetPath | null {
    const path = this.#readName(scope)
    if (!path) return null
    if (!this.#take(/\[/y)) return { ...path, selection: null }
    const filter = this.#readSelection(path)
    const sub = this.#take(/\.([A-Za-z$][\w$-]*)/y)
    const subAttribute = sub ? inValueOf(path)(sub.slice(1)) : null
    return { ...path, selection: { filter, subAttribute } }
  }

  expectEnd(): void {
    this.#take(/\s+/y)
    if (this.#at < this.#text.length) throw this.#unexpected()
  }

  #readAny(scope: NameScope): Filter {
    const parts = [this.#readAll(scope)]
    while (this.#take(/\s+or(?=[\s(])/iy)) parts.push(this.#readAll(scope))
    const [only] = parts
    if (only && parts.length === 1) return only
    return compound(parts, (resource) => parts.some(({ matches }) => matches(resource)))
  }

  #readAll(scope: NameScope): Filter {
    const parts = [this.#readOne(scope)]
    while (this.#take(/\s+and(?=[\s(])/iy)) parts.push(this.#readOne(scope))
    const [only] = parts
    if (only && parts.length === 1) return only
    const demands = new Map(parts.flatMap((part) => [...part.demands]))
    return { ...compound(parts, (resource) => parts.every(({ matches }) => matches(resource))), demands }
  }

  #readOne(scope: NameScope): Filter {
    this.#take(/\s+/y)
    if (this.#take(/not\s*\(/iy)) {
      const inner = this.#readGroup(scope)
      return compound([inner], (resource) => !inner.matches(resource))
    }
    if (this.#take(/\(/y)) return { ...this.#readGroup(scope), equality: null }
    const path = this.#readName(scope)
    if (!path) throw this.#unexpected()
    if (this.#take(/\[/y)) return this.#readValueFilter(path)
    return this.#readExpression(path)
  }

  #readGroup(scope: NameScope): Filter {
    const inner = this.readFilter(scope)
    if (!this.#take(/\s*\)/y)) throw this.#unexpected()
    return inner
  }

  /** `emails[type eq "work"]` and, beyond the grammar but as some ask, `emails[type eq "work"].value eq "…"`. */
  #readValueFilter(path: AttributePath): Filter {
    const inner = this.#readSelection(path)
    const sub = this.#take(/\.([A-Za-z$][\w$-]*)/y)
    const subPath = sub === null ? null : inValueOf(path)(sub.slice(1))
    const then = subPath ? this.#readExpression(subPath) : null
    return {
      matches: (resource) =>
        valuesAt(resource, path.keys).some((value) => inner.matches(value) && (then?.matches(value) ?? true)),
      equality: null,
      mentions: new Set([path.keys[0]]),
      demands: new Map(),
    }
  }

  #readSelection(path: AttributePath): Filter {
    const inner = this.readFilter(inValueOf(path))
    if (!this.#take(/\s*\]/y)) throw this.#unexpected()
    return inner
  }

  #readExpression(path: AttributePath): Filter {
    const mentions = new Set([path.keys[0]])
    const operator = this.#take(/\s+(pr|eq|ne|co|sw|ew|gt|ge|lt|le)(?![\w.])/iy)
      ?.trim()
      .toLowerCase()
    if (operator === 'pr') {
      const matches = (resource: unknown) => valuesAt(resource, path.keys).some(isPresent)
      return { matches, equality: null, mentions, demands: new Map() }
    }
    const comparison = comparisons.find((one) => one === operator)
    if (!comparison || !this.#take(/\s+/y)) throw this.#unexpected()
    const value = this.#readLiteral()
    const isOwn = path.keys.length === 1 && comparison === 'eq'
    const [attribute] = path.keys
    return {
      matches: comparing(path, comparison, value),
      equality: isOwn && typeof value === 'string' ? { attribute, value } : null,
      mentions,
      demands: isOwn && value !== null ? new Map([[attribute, value]]) : new Map(),
    }
  }

  #readLiteral(): Literal {
    const word = this.#take(/(?:true|false|null)(?![\w.])/iy)
    if (word) return word.toLowerCase() === 'null' ? null : word.toLowerCase() === 'true'
    const number = this.#take(/-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.])/iy)
    if (number) return Number(number)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON allows none in a string.
    const string = this.#take(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*"/iy)
    if (string === null) throw this.#unexpected()
    try {
      const value: unknown = JSON.parse(string)
      return typeof value === 'string' ? value : null
    } catch {
      throw this.#unexpected()
    }
  }

  /** Null where there is none; what stands there is then not consumed. */
  #readName(scope: NameScope): AttributePath | null {
    const before = this.#at
    this.#take(/\s+/y)
    const word = this.#take(/[A-Za-z$][\w$.:-]*/y)
    const path = word === null ? null : scope(word)
    if (!path) this.#at = before
    return path
  }

  #take(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (!found) return null
    this.#at = pattern.lastIndex
    return found[0]
  }

  #nested<T>(read: () => T): T {
    this.#depth++
    if (this.#depth > deepest) throw invalid('invalidFilter', `A filter is nested at most ${deepest} deep.`)
    const result = read()
    this.#depth--
    return result
  }

  #unexpected() {
    return invalid(
      'invalidFilter',
      `The filter cannot be read from character ${this.#at + 1} on. It has the form: userName eq "someone@example.com".`,
    )
  }
}

const compound = (parts: Filter[], matches: Filter['matches']): Filter => ({
  matches,
  equality: null,
  mentions: new Set(parts.flatMap(({ mentions }) => [...mentions])),
  demands: new Map(),
})

const unknown: Attribute = {
  name: '',
  type: 'string',
  multiValued: false,
  caseExact: false,
  readOnly: false,
  subAttributes: new Map(),
}

/** A plain value of an attribute that has several is looked at as if it were a complex one's `value`. */
const inValueOf = ({ attribute }: AttributePath): NameScope => scopeOfValue(attribute ?? unknown)

function comparing(path: AttributePath, comparison: Comparison, literal: Literal): (resource: unknown) => boolean {
  const value = path.attribute?.subAttributes.get('value')
  const { keys, attribute } = value
    ? { keys: [...path.keys, value.name], attribute: value }
    : { keys: path.keys, attribute: path.attribute ?? unknown }
  if (attribute.type === 'complex') {
    throw invalid(
      'invalidFilter',
      `“${keys.join('.')}” has parts. Compare one of them, or ask whether it is there, with “pr”.`,
    )
  }
  const presented = (resource: unknown) => valuesAt(resource, keys).filter(isPresent)
  const isAny = (resource: unknown, test: (value: unknown) => boolean) => presented(resource).some(test)
  if (literal === null && (comparison === 'eq' || comparison === 'ne')) {
    return (resource) => (presented(resource).length === 0) === (comparison === 'eq')
  }
  if (comparison === 'eq' || comparison === 'ne') {
    const key = keyOf(literal, attribute)
    const equals = (resource: unknown) => isAny(resource, (one) => keyOf(one, attribute) === key)
    return comparison === 'eq' ? equals : (resource) => !equals(resource)
  }
  if (attribute.type === 'boolean' || typeof literal === 'boolean' || literal === null) {
    throw invalid('invalidFilter', `“${comparison}” does not compare true and false, nor null: use “eq” or “ne”.`)
  }
  if (comparison === 'co' || comparison === 'sw' || comparison === 'ew') {
    const asText = { type: 'string', caseExact: attribute.caseExact }
    const part = String(keyOf(literal, asText))
    const tests = {
      co: (text: string) => text.includes(part),
      sw: (text: string) => text.startsWith(part),
      ew: (text: string) => text.endsWith(part),
    }
    return (resource) => isAny(resource, (one) => tests[comparison](String(keyOf(one, asText))))
  }
  const key = keyOf(literal, attribute)
  const holds = orders[comparison]
  if (attribute.type === 'dateTime') {
    const instant = Date.parse(String(literal))
    if (Number.isNaN(instant)) throw invalid('invalidFilter', 'An instant has the form "2026-11-23T20:49:15Z".')
    return (resource) => isAny(resource, (one) => holds(Date.parse(String(one)) - instant))
  }
  return (resource) => isAny(resource, (one) => holds(compareKeys(keyOf(one, attribute), key)))
}

/** By code units, and numbers by size; of different kinds none is before the other. */
export function compareKeys(one: Literal, other: Literal): number {
  if (typeof one === 'number' && typeof other === 'number') return one - other
  const [a, b] = [String(one), String(other)]
  return a === b ? 0 : a < b ? -1 : 1
}

/** A value as it is compared. */
export function keyOf(value: unknown, { type, caseExact }: Pick<Attribute, 'type' | 'caseExact'>): Literal {
  if (type === 'boolean' && typeof value === 'string') return value.toLowerCase() === 'true'
  if (type === 'dateTime') return Date.parse(String(value))
  if (typeof value === 'string') return caseExact ? value : value.normalize('NFC').toLowerCase()
  return typeof value === 'number' || typeof value === 'boolean' ? value : null
}

function isPresent(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return false
  return isJson(value) ? Object.keys(value).length > 0 : true
}
