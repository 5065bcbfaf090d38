import {
  type ASTNode,
  type ASTVisitor,
  coerceInputValue,
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  GraphQLError,
  type GraphQLInputType,
  type GraphQLSchema,
  getNamedType,
  getNullableType,
  getOperationAST,
  isAbstractType,
  isEnumType,
  isInputObjectType,
  isInputType,
  isListType,
  isNonNullType,
  isObjectType,
  isRequiredArgument,
  isRequiredInputField,
  Kind,
  type OperationDefinitionNode,
  typeFromAST,
  type ValidationContext,
  type ValidationRule,
  type VariableDefinitionNode,
  validate,
  visit,
} from 'graphql'
import { isAsyncIterable, type Plugin } from 'graphql-yoga'
import { RequestProblem } from './request-problem.ts'

/** A document can be wrong in thousands of places; the first ones tell as much. */
const mostProblems = 20

/**
 * Says what is wrong with a document or its variables, and where, by the rule that was broken and the contract. The
 * messages of graphql-js are not passed on: they quote what the caller sent. Of the contract, they name what was asked for
 * and what is required; whoever may explore the rest has introspection for it.
 */
export function explainRequests(schema: GraphQLSchema): Plugin {
  const explainVariables = createVariableExplainer(schema)
  return {
    onParse:
      () =>
      ({ result, context: { params, request } }) => {
        if (result instanceof RequestProblem || result === null) return
        if (result instanceof GraphQLError) {
          throw new RequestProblem('the document is not valid GraphQL from here on.', result)
        }
        if (result instanceof Error) return
        const operation = getOperationAST(result, params.operationName)
        if (!operation) throw new RequestProblem(whichOperation(params.operationName))
        if (operation.operation === 'mutation' && request.method === 'GET') {
          throw new RequestProblem('A mutation takes POST.', {}, { status: 405, headers: { allow: 'POST' } })
        }
        if (request.method === 'GET' && verifiesSecret(result)) {
          throw new RequestProblem(
            '“verifyToken” takes POST: an address with the token in it would be kept in logs on its way.',
            {},
            { status: 405, headers: { allow: 'POST' } },
          )
        }
      },
    onValidate({ setValidationFn }) {
      setValidationFn((running, document, rules) =>
        validate(running, document, rules?.map(explained), { maxErrors: mostProblems }).map((error, index) =>
          error instanceof RequestProblem ? error : new RequestProblem(index < mostProblems ? tooInvolved : andMore),
        ),
      )
    },
    onExecute: ({ args }) => ({ onExecuteDone: (done) => explainFailure(args, done) }),
    onSubscribe: ({ args }) => ({ onSubscribeResult: (done) => explainFailure(args, done) }),
  }

  /** An operation that failed before any field of it was resolved failed at its variables. */
  function explainFailure(
    { document, operationName, variableValues }: ExecutionArgs,
    { result, setResult }: { result: object; setResult(result: ExecutionResult): void },
  ) {
    if (isAsyncIterable(result) || !('errors' in result) || 'data' in result) return
    const errors = explainVariables(getOperationAST(document, operationName), variableValues ?? {})
    if (errors.length > 0) setResult({ errors })
  }
}

/** Wherever in the document: in a fragment, under another name, or in an operation that is not to run. */
function verifiesSecret(document: DocumentNode): boolean {
  let found = false
  visit(document, {
    Field({ name }) {
      if (name.value === 'verifyToken') found = true
    },
  })
  return found
}

/** graphql-js gave up checking, before or after it found something. */
const tooInvolved = 'The document repeats too much to be checked. Ask for fewer fields.'
const andMore = 'There is more of this kind. Put the first ones right.'

function whichOperation(name: string | null | undefined): string {
  return name
    ? 'The document has no operation of the name given in “operationName”.'
    : 'The document has no operation, or several: give the name of the one to run in “operationName”.'
}

/** Where a name is to be found that was not. */
const contract = 'Latchkey’s schema.graphql has the contract.'

// ── Documents ──

type Words = string | ((context: ValidationContext, node: ASTNode | undefined) => string)

/** By the name of graphql-js's rule. A rule that is not here is answered with a sentence that fits any. */
export const wordsByRule: Record<string, Words> = {
  ExecutableDefinitionsRule: 'a request holds operations and fragments only.',
  UniqueOperationNamesRule: 'another operation has this name already.',
  LoneAnonymousOperationRule: 'an operation without a name has to be the only one.',
  SingleFieldSubscriptionsRule: 'a subscription selects one field, and none of introspection.',
  KnownTypeNamesRule: 'there is no type of this name.',
  FragmentsOnCompositeTypesRule: 'a fragment is on an object type, an interface or a union.',
  VariablesAreInputTypesRule: 'a variable is of a scalar, an enum or an input type.',
  ScalarLeafsRule: (_context, node) =>
    node?.kind === Kind.FIELD && !node.selectionSet
      ? 'this field has fields of its own: select some of them in braces.'
      : 'this field has no fields of its own: leave out the braces.',
  FieldsOnCorrectTypeRule: unknownField,
  UniqueFragmentNamesRule: 'another fragment has this name already.',
  KnownFragmentNamesRule: 'the document has no fragment of this name.',
  NoUnusedFragmentsRule: 'this fragment is not used.',
  PossibleFragmentSpreadsRule: 'this fragment can never apply here: what is selected from is never of its type.',
  NoFragmentCyclesRule: 'this fragment contains itself.',
  UniqueVariableNamesRule: 'another variable has this name already.',
  NoUndefinedVariablesRule: 'this variable is not declared by the operation.',
  NoUnusedVariablesRule: 'this variable is declared and not used.',
  KnownDirectivesRule: 'there is no such directive, or it does not belong here.',
  UniqueDirectivesPerLocationRule: 'the same directive stands here already.',
  KnownArgumentNamesRule: unknownArgument,
  UniqueArgumentNamesRule: 'the same argument is given already.',
  ValuesOfCorrectTypeRule: wrongValue,
  ProvidedRequiredArgumentsRule: missingArguments,
  VariablesInAllowedPositionRule: 'the type of this variable does not fit here.',
  OverlappingFieldsCanBeMergedRule:
    'two selections that differ have one name in the answer: give one of them an alias.',
  UniqueInputFieldNamesRule: 'the same field is given already.',
  MaxIntrospectionDepthRule: 'introspection goes too deep here.',
}

/** The rule, reporting in our words. */
function explained(rule: ValidationRule): ValidationRule {
  return (context): ASTVisitor => {
    let last = ''
    const reportError = (error: GraphQLError) => {
      if (error instanceof RequestProblem) return context.reportError(error)
      const words = wordsByRule[rule.name] ?? 'the document breaks a rule of GraphQL.'
      const message = typeof words === 'string' ? words : words(context, error.nodes?.at(-1))
      // Where a variable is used comes before the operation that lacks it; elsewhere the last place is the one to change.
      const place = rule.name === 'NoUndefinedVariablesRule' ? { nodes: error.nodes?.slice(0, 1) } : error
      const problem = new RequestProblem(message, place)
      // Several missing fields of one object are one problem in our words, and several reports.
      if (problem.message !== last) context.reportError(problem)
      last = problem.message
    }
    return rule(
      new Proxy(context, {
        get: (target, property, receiver) =>
          property === 'reportError' ? reportError : Reflect.get(target, property, receiver),
      }),
    )
  }
}

function unknownField(context: ValidationContext): string {
  const type = context.getParentType()
  if (!type) return 'there is no such field.'
  const ofItsTypes = isAbstractType(type) ? ' Those of its types are selected by “... on”.' : ''
  return `“${type.name}” has no such field.${ofItsTypes} ${contract}`
}

function unknownArgument(context: ValidationContext): string {
  const taker = context.getDirective() ?? context.getFieldDef()
  return `“${taker?.name ?? ''}” takes no such argument. ${contract}`
}

function missingArguments(context: ValidationContext, node: ASTNode | undefined): string {
  const taker = node?.kind === Kind.DIRECTIVE ? context.getDirective() : context.getFieldDef()
  const given = node && 'arguments' in node ? node.arguments?.map((argument) => argument.name.value) : []
  const missing =
    taker?.args.filter((argument) => isRequiredArgument(argument) && !given?.includes(argument.name)) ?? []
  return `“${taker?.name ?? ''}” needs ${list(missing.map(({ name }) => name))}.`
}

function wrongValue(context: ValidationContext, node: ASTNode | undefined): string {
  if (node?.kind === Kind.OBJECT_FIELD) return unknownInputField(context.getParentInputType())
  const type = context.getInputType()
  if (!type) return 'the value is not of the type that is asked for.'
  const object = getNamedType(type)
  if (node?.kind === Kind.OBJECT && isInputObjectType(object)) {
    const given = node.fields.map((field) => field.name.value)
    const missing = Object.values(object.getFields()).filter(isRequiredInputField)
    return `“${object.name}” needs ${list(missing.map(({ name }) => name).filter((name) => !given.includes(name)))}.`
  }
  const quoted = node?.kind === Kind.STRING && isEnumType(object)
  return `the value has to be ${expected(type)}${quoted ? ', without quotation marks' : ''}.`
}

function unknownInputField(type: GraphQLInputType | null | undefined): string {
  const object = type && getNamedType(type)
  return isInputObjectType(object) ? `“${object.name}” has no such field. ${contract}` : 'there is no such field.'
}

const conjunction = new Intl.ListFormat('en', { style: 'long', type: 'conjunction' })
const list = (names: string[]) => conjunction.format(names.map((name) => `“${name}”`))

const scalars: Record<string, string> = {
  Boolean: 'true or false',
  DateTime: 'an RFC 3339 date-time such as “2026-11-23T20:49:15.000Z”',
  Float: 'a number',
  ID: 'an id, as a text',
  Int: 'a whole number of at most 32 bits',
  String: 'a text',
}

function expected(type: GraphQLInputType): string {
  if (isNonNullType(type)) return expected(type.ofType)
  if (isListType(type)) return `a list, in which each is ${expected(type.ofType)}`
  if (isEnumType(type)) return `a value of “${type.name}”`
  if (isInputObjectType(type)) return `an object with fields of “${type.name}”`
  return scalars[type.name] ?? `a “${type.name}”`
}

// ── Variables ──

function createVariableExplainer(schema: GraphQLSchema) {
  const names = namesOfInputs(schema)

  /** A variable is named where the contract has the name too; else it is told by where it is declared. */
  function explainVariable(definition: VariableDefinitionNode, values: Record<string, unknown>): RequestProblem | null {
    const name = definition.variable.name.value
    const type = typeFromAST(schema, definition.type)
    if (!isInputType(type)) return null
    const own = `the variable $${names.has(name) ? name : '…'}`
    const problem = (message: string) => new RequestProblem(message, { nodes: [definition] })
    if (!Object.hasOwn(values, name)) {
      return isNonNullType(type) && !definition.defaultValue ? problem(`${own} is required and was not given.`) : null
    }
    try {
      // The first problem ends the search: there can be as many as a body has room for.
      coerceInputValue(values[name], type, (path, value) => {
        throw problem(`${own}${place(path)} ${wrongInput(typeAt(type, path), value)}`)
      })
      return null
    } catch (error) {
      if (error instanceof RequestProblem) return error
      throw error
    }
  }

  return (operation: OperationDefinitionNode | null | undefined, values: Record<string, unknown>): RequestProblem[] =>
    (operation?.variableDefinitions ?? []).flatMap((definition) => explainVariable(definition, values) ?? [])
}

/** Every name that an argument or the field of an input has. */
function namesOfInputs(schema: GraphQLSchema): Set<string> {
  const names = new Set<string>()
  for (const type of Object.values(schema.getTypeMap())) {
    if (isInputObjectType(type)) for (const name of Object.keys(type.getFields())) names.add(name)
    if (!isObjectType(type)) continue
    for (const { args } of Object.values(type.getFields())) for (const { name } of args) names.add(name)
  }
  return names
}

const place = (path: readonly (string | number)[]) =>
  path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')

function typeAt(type: GraphQLInputType, path: readonly (string | number)[]): GraphQLInputType {
  return path.reduce<GraphQLInputType>((outer, step) => {
    const current = getNullableType(outer)
    if (typeof step === 'number') return isListType(current) ? current.ofType : current
    const object = getNamedType(current)
    return (isInputObjectType(object) && object.getFields()[step]?.type) || current
  }, type)
}

function wrongInput(type: GraphQLInputType, value: unknown): string {
  if (value === null || value === undefined) return `cannot be null: it has to be ${expected(type)}.`
  const object = getNamedType(type)
  if (isInputObjectType(object) && typeof value === 'object' && !Array.isArray(value)) {
    const fields = object.getFields()
    const missing = Object.values(fields).filter(
      (field) => isRequiredInputField(field) && !Object.hasOwn(value, field.name),
    )
    return missing.length > 0
      ? `needs ${list(missing.map(({ name }) => name))}.`
      : `has a field that “${object.name}” does not have. ${contract}`
  }
  return `has to be ${expected(type)}.`
}
