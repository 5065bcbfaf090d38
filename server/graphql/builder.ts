import SchemaBuilder from '@pothos/core'
import DirectivesPlugin from '@pothos/plugin-directives'
import ErrorsPlugin from '@pothos/plugin-errors'
import type { OrganizationRole } from '../organizations/roles.ts'
import type { Context } from './context.ts'
import { parseInstant } from './instant.ts'

/** Who may use a field: the arguments of the contract's directives. */
export interface AccessDirectives {
  public: Record<string, never>
  authenticated: Record<string, never>
  hasRole: { anyOf: readonly OrganizationRole[]; orPermission?: string }
  hasPermission: { permission: string }
}

export const builder = new SchemaBuilder<{
  Context: Context
  DefaultFieldNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: Date; Output: Date }
  }
  Directives: { [Name in keyof AccessDirectives]: { locations: 'FIELD_DEFINITION'; args: AccessDirectives[Name] } }
}>({
  plugins: [ErrorsPlugin, DirectivesPlugin],
  defaultFieldNullability: false,
  errors: { directResult: true, defaultTypes: [] },
})

builder.queryType({})
builder.mutationType({})
builder.subscriptionType({})

builder.scalarType('DateTime', {
  description: 'An instant, as an RFC 3339 string in UTC with milliseconds, such as `2026-11-23T20:49:15.000Z`.',
  serialize: (instant) => instant.toISOString(),
  parseValue: parseInstant,
})

export const admins = ['OWNER', 'SUPER_ADMIN'] as const
