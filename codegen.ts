import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { type CodegenConfig, generate } from '@graphql-codegen/cli'
import {
  buildSchema,
  type GraphQLField,
  type GraphQLObjectType,
  getDirectiveValues,
  isRequiredArgument,
  isUnionType,
} from 'graphql'

/**
 * Writes the SDK's typed operations from the contract and the documents in sdk/operations. With `--check` it writes
 * nothing, and exits with 1 where the file is not what would be written.
 */
const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: 'sdk/operations/*.graphql',
  silent: true,
  generates: {
    'sdk/src/generated.ts': {
      plugins: ['typescript-operations', 'typescript-graphql-request'],
      config: {
        documentMode: 'documentNode',
        useTypeImports: true,
        strictScalars: true,
        // JSON.stringify writes a Date as the contract wants it; what comes back over JSON is a string.
        scalars: { ID: 'string', DateTime: { input: 'Date | string', output: 'string' } },
        // The documents ask for `__typename` where it tells something.
        skipTypename: true,
        arrayInputCoercion: false,
        inlineFragmentTypes: 'combine',
      },
    },
  },
}

const target = new URL('sdk/src/generated.ts', import.meta.url)
const contract = buildSchema(readFileSync(new URL('schema.graphql', import.meta.url), 'utf8'))

/** The client's interface, with the contract's own words on every method, which no plugin writes. */
function describeOperations(): string {
  const methods = [contract.getQueryType(), contract.getMutationType()].flatMap((type) =>
    type ? Object.values(type.getFields()).map((field) => describeOperation(type, field)) : [],
  )
  return `/** One method for every field of Query and Mutation. */\nexport interface Operations {\n${methods.join('\n')}\n}\n`
}

function describeOperation(type: GraphQLObjectType, field: GraphQLField<unknown, unknown>): string {
  const name = `${field.name.charAt(0).toUpperCase()}${field.name.slice(1)}${type.name}`
  const optional = field.args.some(isRequiredArgument) ? '' : '?'
  const variables = field.args.length === 0 ? '' : `variables${optional}: ${name}Variables`
  const lines = [...(field.description ?? '').split('\n'), whoMayCall(field), refusalsOf(field)].filter(Boolean)
  const comment = lines.map((line) => `   * ${line}\n`).join('')
  return `  /**\n${comment}   */\n  ${field.name}: (${variables}) => Promise<${name}>`
}

function whoMayCall({ astNode }: GraphQLField<unknown, unknown>): string {
  const valuesOf = (name: string) => {
    const directive = contract.getDirective(name)
    return directive && astNode ? getDirectiveValues(directive, astNode) : undefined
  }
  if (valuesOf('public')) return 'Anyone may call it.'
  if (valuesOf('authenticated')) return 'Any valid credential may call it.'
  const { anyOf, orPermission, permission = orPermission } = { ...valuesOf('hasRole'), ...valuesOf('hasPermission') }
  const callers = [
    ...(Array.isArray(anyOf) ? [`a member who is ${anyOf.join(', ')}`] : []),
    ...(permission ? [`a token or service with the permission \`${permission}\``] : []),
  ]
  return `May be called by ${callers.join(', or by ')}.`
}

function refusalsOf({ type }: GraphQLField<unknown, unknown>): string {
  const result = contract.getType(String(type).replace('!', ''))
  if (!isUnionType(result)) return ''
  const refusals = result.getTypes().filter((member) => member.getInterfaces().some(({ name }) => name === 'Refusal'))
  return refusals.length === 0 ? '' : `Refusals: ${refusals.map(({ name }) => `\`${name}\``).join(', ')}.`
}

async function writeOperations(): Promise<string> {
  const [file]: { content: string }[] = await generate({ ...config, cwd: import.meta.dirname }, false)
  const [head, tail, ...more] = file?.content.split(`} from 'graphql-request';`) ?? []
  if (tail === undefined || more.length > 0) throw new Error('The generated file does not import graphql-request once.')
  // The SDK sends through a transport of its own: graphql-request puts the whole request, secrets included, into its errors.
  return `// Written by codegen.ts. Change schema.graphql or sdk/operations, then: npm run codegen
${head}} from './transport.ts';${tail}
${describeOperations()}`
}

try {
  const content = await writeOperations()
  if (!process.argv.includes('--check')) {
    writeFileSync(target, content)
  } else if (!existsSync(target) || readFileSync(target, 'utf8') !== content) {
    throw new Error('sdk/src/generated.ts does not follow from schema.graphql and sdk/operations. Run: npm run codegen')
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
