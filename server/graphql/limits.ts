import { EnvelopArmorPlugin } from '@escape.tech/graphql-armor'
import { GraphQLError, type ValidationRule } from 'graphql'

/** Bounds on what one document may ask, well above what the SDK and GraphiQL send. */
export const documentLimits = () =>
  EnvelopArmorPlugin({
    maxDepth: { n: 10 },
    // Without an empty list, __typename could be aliased without end.
    maxAliases: { n: 15, allowList: [] },
    maxDirectives: { n: 20 },
    maxTokens: { n: 2_000 },
    costLimit: { maxCost: 25_000 },
    blockFieldSuggestion: { mask: '' },
  })

/** Aliases would let one request guess many passwords. */
export const oneSignInRule: ValidationRule = (context) => {
  let signIns = 0
  return {
    Field(node) {
      if (context.getParentType()?.name !== 'Mutation' || node.name.value !== 'signIn') return
      signIns++
      if (signIns === 2) context.reportError(new GraphQLError('A document may sign in once.', { nodes: node }))
    },
  }
}
