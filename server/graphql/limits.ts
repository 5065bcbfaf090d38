import { EnvelopArmorPlugin } from '@escape.tech/graphql-armor'
import type { ValidationRule } from 'graphql'
import { RequestProblem } from './request-problem.ts'

/** Bounds on what one document may ask, well above what the SDK and GraphiQL send. Beyond one, nothing else is looked at. */
export const documentLimits = () =>
  EnvelopArmorPlugin({
    maxDepth: { n: 10, ...refusing('The document nests more than 10 levels deep. Ask in several requests.') },
    maxAliases: {
      n: 15,
      // Without an empty list, __typename could be aliased without end.
      allowList: [],
      ...refusing('The document has more than 15 aliases. Ask in several requests.'),
    },
    maxDirectives: { n: 20, ...refusing('The document has more than 20 directives. Leave some out.') },
    maxTokens: {
      n: 2_000,
      ...refusing(
        'The document has more than 2,000 names and signs. Ask in several requests, and give values as variables.',
      ),
    },
    costLimit: {
      maxCost: 25_000,
      ...refusing('The document asks for too much at once. Ask for fewer fields, or for smaller pages.'),
    },
    blockFieldSuggestion: { enabled: false },
  })

function refusing(message: string) {
  return {
    onReject: [
      () => {
        throw new RequestProblem(message)
      },
    ],
  }
}

/** Aliases would let one request guess many passwords. */
export const oneSignInRule: ValidationRule = (context) => {
  let signIns = 0
  return {
    Field(node) {
      if (context.getParentType()?.name !== 'Mutation' || node.name.value !== 'signIn') return
      signIns++
      if (signIns === 2) context.reportError(new RequestProblem('a document may sign in once.', { nodes: [node] }))
    },
  }
}

/** PostgreSQL stores every character but this one. */
export const noNulRule: ValidationRule = (context) => ({
  StringValue(node) {
    if (!node.value.includes('\0')) return
    context.reportError(new RequestProblem('the text holds the character NUL. Leave it out.', { nodes: [node] }))
  },
})
