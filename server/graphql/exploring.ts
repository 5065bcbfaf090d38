import type { DocumentNode, ValidationRule } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import type { Principal } from '../identity/principal.ts'
import { refuseAccess } from './access.ts'
import { admins } from './builder.ts'
import type { Context } from './context.ts'

/** Whether the caller may look around in the schema, in GraphiQL and by introspection. */
export function mayExplore(principal: Principal | null): boolean {
  return principal?.kind === 'member' && admins.some((role) => role === principal.role)
}

/**
 * Keeps introspection for those who may explore, while exploring is on; `__typename` is everyone’s. What a document asks
 * for is seen while it is validated, which happens once for each that is kept; who asks is known when it is executed. One
 * that introspects is refused whole, whichever of its operations is to run.
 */
export function guardIntrospection({ isOn }: { isOn: boolean }): Plugin<Context> {
  const exploring = new WeakSet<DocumentNode>()
  const introspectionRule: ValidationRule = (context) => ({
    Field({ name: { value: name } }) {
      if (name === '__schema' || name === '__type') exploring.add(context.getDocument())
    },
  })
  return {
    onValidate({ addValidationRule }) {
      addValidationRule(introspectionRule)
    },
    onExecute({ args: { document }, context }) {
      if (!exploring.has(document) || (isOn && mayExplore(context.principal))) return
      return refuseAccess(context, '__schema', () => (isOn ? onlyAdmins : switchedOff))
    },
  }
}

const instead = 'Read schema.graphql in Latchkey’s repository instead: it is the whole of the contract.'
const onlyAdmins = `Only owners and super admins may introspect the schema. ${instead}`
const switchedOff = `Introspection is switched off here. ${instead}`
