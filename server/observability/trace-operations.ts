import { SpanKind } from '@opentelemetry/api'
import { getOperationAST } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { RequestOrigin } from '../identity/principal.ts'
import { operationOf } from './request-labels.ts'
import type { Tracing } from './tracing.ts'

/**
 * A span for each execution, named by the field that was asked for: the name that the caller gave the operation might hold
 * anything.
 */
export function traceOperations(tracing: Tracing): Plugin<{ origin: RequestOrigin }> {
  return {
    onExecute({ args, context: { origin }, executeFn, setExecuteFn }) {
      const type = getOperationAST(args.document, args.operationName)?.operation ?? 'query'
      const options = { kind: SpanKind.INTERNAL, attributes: { 'graphql.operation.type': type } }
      setExecuteFn((given) =>
        tracing.within(type, options, async (span) => {
          const result = await executeFn(given)
          const name = operationOf(origin.request, '/graphql')
          span.updateName(`${type} ${name}`)
          span.setAttribute('graphql.operation.name', name)
          return result
        }),
      )
    },
  }
}
