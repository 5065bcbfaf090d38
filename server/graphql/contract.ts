import {
  type DefinitionNode,
  type GraphQLSchema,
  getNamedType,
  isEnumType,
  isSpecifiedScalarType,
  Kind,
  parse,
  print,
  printSchema,
  visit,
} from 'graphql'

/** The running schema in the contract's form: its directives, descriptions and defaults included, and no built-in type. */
export function printRunningSchema(schema: GraphQLSchema): string {
  const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'))
  const definitions: DefinitionNode[] = [
    ...parse(printSchema(schema)).definitions.filter(({ kind }) => kind === Kind.DIRECTIVE_DEFINITION),
    ...types.flatMap((type) => (type.astNode && !isSpecifiedScalarType(type) ? [type.astNode] : [])),
  ]
  return printNormalized(definitions.map((definition) => writeEnums(definition, schema)))
}

/** The contract as `schema.graphql` holds it. */
export function printContract(source: string): string {
  return printNormalized(parse(source).definitions)
}

/** A directive's values come out of the builder as strings, also where its argument is an enum's. */
function writeEnums(definition: DefinitionNode, schema: GraphQLSchema): DefinitionNode {
  return visit(definition, {
    Directive(directive) {
      const parameters = schema.getDirective(directive.name.value)?.args
      const enums = parameters?.filter(({ type }) => isEnumType(getNamedType(type))).map(({ name }) => name) ?? []
      return {
        ...directive,
        arguments: (directive.arguments ?? []).map((argument) =>
          enums.includes(argument.name.value)
            ? visit(argument, { StringValue: ({ value }) => ({ kind: Kind.ENUM, value }) })
            : argument,
        ),
      }
    },
  })
}

const nameOf = (node: object) =>
  'name' in node && typeof node.name === 'object' && node.name && 'value' in node.name ? String(node.name.value) : ''
const byName = (a: object, b: object) => (nameOf(a) < nameOf(b) ? -1 : 1)
const rootTypes = new Set(['Query', 'Mutation', 'Subscription'])

/**
 * The order of definitions, of root fields and of a union's members, the comments and the layout are for the reader of the
 * file and mean nothing. All else counts.
 */
function printNormalized(definitions: readonly DefinitionNode[]): string {
  return print(
    visit(
      { kind: Kind.DOCUMENT, definitions: [...definitions].sort(byName) },
      {
        StringValue: (node) => ({ ...node, value: node.value.trim(), block: false }),
        UnionTypeDefinition: (node) => ({ ...node, types: [...(node.types ?? [])].sort(byName) }),
        ObjectTypeDefinition: (node) =>
          rootTypes.has(node.name.value) ? { ...node, fields: [...(node.fields ?? [])].sort(byName) } : undefined,
      },
    ),
  )
}
