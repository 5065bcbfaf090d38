import { readFile } from 'node:fs/promises'
import { buildSchema as buildPlainSchema, type GraphQLSchema, isObjectType, specifiedRules } from 'graphql'
import { describe, expect, it } from 'vitest'
import { accessDirectives, enforceAccess } from '../server/graphql/access.ts'
import { printContract, printRunningSchema } from '../server/graphql/contract.ts'
import { wordsByRule } from '../server/graphql/explain-requests.ts'
import { buildSchema } from '../server/graphql/schema.ts'

const contract = await readFile(new URL('../schema.graphql', import.meta.url), 'utf8')
const running = printRunningSchema(buildSchema())

describe('the running schema', () => {
  it('is the contract to the letter: types, defaults, directives and descriptions', () => {
    expect(running).toBe(printContract(contract))
  })

  const changes: [change: string, from: string, to: string][] = [
    ['a type’s description', '"Whoever made the request."', '"Whoever made a request."'],
    [
      'a description of several lines',
      'The same for up to 1,000 tokens at once',
      'The same for up to 999 tokens at once',
    ],
    ['a field’s description', '"Such as `token.created`, ', '"Such as '],
    ['an enum value’s description', '"Accepted wherever it is verified."', ''],
    ['a directive’s description', '"Anyone may use the field, signed in or not."', '"Anyone may use the field."'],
    [
      'who may use a field',
      'RegenerateTokenResult! @hasRole(anyOf: [OWNER, SUPER_ADMIN])',
      'RegenerateTokenResult! @hasRole(anyOf: [OWNER])',
    ],
    [
      'which permission opens a field',
      'orPermission: "tokens:create-ci")\n\n  tokenPolicy',
      'orPermission: "tokens:verify")\n\n  tokenPolicy',
    ],
    ['that anyone may use a field', 'viewer: Viewer! @authenticated', 'viewer: Viewer! @public'],
    ['a directive that is missing', 'viewer: Viewer! @authenticated', 'viewer: Viewer!'],
    ['a directive’s argument', 'orPermission: String) on', 'orPermission: String!) on'],
    ['what may be null', 'lastUsedFrom: String\n', 'lastUsedFrom: String!\n'],
    ['a default', 'overlapSeconds: Int! = 0', 'overlapSeconds: Int! = 1'],
    ['a default list', '= [ACTIVE, DISABLED]', '= [ACTIVE]'],
    [
      'a member of a union',
      'union SwitchOrganizationResult = SignInPayload | NotAMember',
      'union SwitchOrganizationResult = SignInPayload',
    ],
    ['the order of an enum’s values', '  CREATED_AT_DESC\n  CREATED_AT_ASC\n', '  CREATED_AT_ASC\n  CREATED_AT_DESC\n'],
    ['a field that is missing', '  slug: String!\n', ''],
    ['a type that is missing', 'type TokenNotFound implements Refusal', 'type TokenIsNotThere implements Refusal'],
    ['an interface that is missing', 'type Member implements Node', 'type Member'],
  ]
  for (const [change, from, to] of changes) {
    it(`is told apart from a contract that differs in ${change}`, () => {
      expect(contract.split(from)).toHaveLength(2)
      expect(printContract(contract.replace(from, to))).not.toBe(running)
    })
  }

  it('is not told apart by comments, layout and the order of definitions, which mean nothing', () => {
    const [first, ...others] = contract.split('\n\n# ── ')
    const shuffled = [...others.map((part) => `# ${part}`).reverse(), first].join('\n\n').replaceAll('  ', '\t')
    expect(shuffled).not.toBe(contract)
    expect(printContract(`# Another comment.\n${shuffled}`)).toBe(running)
  })
})

describe('who may use a field', () => {
  /** As Pothos leaves a field's directives: for what is enforced, not only for what is printed. */
  function withAccess(sdl: string, access: Record<string, unknown>): GraphQLSchema {
    const schema = buildPlainSchema(sdl)
    for (const type of Object.values(schema.getTypeMap())) {
      if (!isObjectType(type)) continue
      for (const field of Object.values(type.getFields())) {
        const directives = access[`${type.name}.${field.name}`]
        if (directives !== undefined) Object.assign(field.extensions, { directives })
        if (type.name === 'Subscription') field.subscribe = async function* () {}
      }
    }
    return schema
  }
  const authenticated = { name: 'authenticated' }
  const sdl = 'type Query { a: Int } type Mutation { b: Int } type Subscription { c: Int }'
  const good = { 'Query.a': [authenticated], 'Mutation.b': [{ name: 'public' }], 'Subscription.c': [authenticated] }
  const needs = (field: string) =>
    `${field} needs exactly one of the directives @public, @authenticated, @hasRole and @hasPermission.`

  it('is said by exactly one directive for every root field, or the schema is not built', () => {
    expect(() => enforceAccess(withAccess(sdl, good))).not.toThrow()
    for (const field of ['Query.a', 'Mutation.b', 'Subscription.c']) {
      const wrong: unknown[] = [
        undefined,
        [],
        [authenticated, { name: 'public' }],
        [authenticated, authenticated],
        [{ name: 'deprecated' }],
        [{ name: 'hasRole' }],
        [{ name: 'hasRole', args: { anyOf: [] } }],
        [{ name: 'hasRole', args: { anyOf: ['EMPEROR'] } }],
        [{ name: 'hasPermission', args: {} }],
        [authenticated, { name: 'hasRole', args: { anyOf: [] } }],
      ]
      for (const directives of wrong) {
        expect(() => enforceAccess(withAccess(sdl, { ...good, [field]: directives }))).toThrow(needs(field))
      }
    }
  })

  it('is said of fields that a schema has; a schema without the roles that are spoken of is not built', () => {
    expect(() => accessDirectives(withAccess(sdl, good))).toThrow('The schema has no OrganizationRole.')
  })
})

describe('what is wrong with a document', () => {
  it('has words of its own for every rule of graphql-js', () => {
    expect(Object.keys(wordsByRule).sort()).toEqual(specifiedRules.map(({ name }) => name).sort())
  })
})
