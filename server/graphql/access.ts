import {
  DirectiveLocation,
  defaultFieldResolver,
  GraphQLDirective,
  type GraphQLField,
  GraphQLList,
  GraphQLNonNull,
  type GraphQLSchema,
  GraphQLString,
  isEnumType,
} from 'graphql'
import { z } from 'zod'
import { recordDenial } from '../audit/record-denial.ts'
import { Fault } from '../fault.ts'
import type { Principal } from '../identity/principal.ts'
import { type OrganizationRole, organizationRoles } from '../organizations/roles.ts'
import { Refusal } from '../refusal.ts'
import type { Context } from './context.ts'

const accessDirective = z.discriminatedUnion('name', [
  z.object({ name: z.literal('public') }),
  z.object({ name: z.literal('authenticated') }),
  z.object({
    name: z.literal('hasRole'),
    args: z.object({ anyOf: z.array(z.enum(organizationRoles)).min(1), orPermission: z.string().optional() }),
  }),
  z.object({ name: z.literal('hasPermission'), args: z.object({ permission: z.string() }) }),
])
type Access = z.output<typeof accessDirective>

/** The directives' own definitions, for whoever reads the schema. */
export function accessDirectives(schema: GraphQLSchema): GraphQLDirective[] {
  const role = schema.getType('OrganizationRole')
  if (!isEnumType(role)) throw new Error('The schema has no OrganizationRole.')
  const locations = [DirectiveLocation.FIELD_DEFINITION]
  return [
    new GraphQLDirective({ name: 'public', description: 'Anyone may use the field, signed in or not.', locations }),
    new GraphQLDirective({
      name: 'authenticated',
      description: 'Any caller with a valid credential may use the field.',
      locations,
    }),
    new GraphQLDirective({
      name: 'hasRole',
      description:
        'A member whose role in the organization is one of `anyOf` may use the field; so may an integration token or\nan internal service whose role grants the permission `orPermission`, where one is named.',
      locations,
      args: {
        anyOf: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(role))) },
        orPermission: { type: GraphQLString },
      },
    }),
    new GraphQLDirective({
      name: 'hasPermission',
      description: 'Only an integration token or an internal service whose role grants `permission` may use the field.',
      locations,
      args: { permission: { type: new GraphQLNonNull(GraphQLString) } },
    }),
  ]
}

/**
 * Makes the directives what is enforced: each root field answers only callers whom its directive admits. Throws for a field
 * that has none, or more than one, so that the server does not start with a field that nobody thought about.
 */
export function enforceAccess(schema: GraphQLSchema): GraphQLSchema {
  for (const type of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    for (const field of Object.values(type?.getFields() ?? {})) {
      const access = readAccess(`${type?.name}.${field.name}`, field)
      const resolve = field.resolve ?? defaultFieldResolver
      if (type === schema.getSubscriptionType()) {
        const { subscribe } = field
        if (!subscribe) throw new Error(`Subscription.${field.name} has no subscribe function.`)
        field.subscribe = async (source, args, context: Context, info) => {
          context.origin.request?.operations.push(field.name)
          await requireAccess(access, context, field.name)
          return subscribe(source, args, context, info)
        }
      } else {
        field.resolve = async (source, args, context: Context, info) => {
          const { request } = context.origin
          request?.operations.push(field.name)
          await requireAccess(access, context, field.name)
          const answer: unknown = await resolve(source, args, context, info)
          const refusal = refusalName(answer)
          if (refusal) request?.refusals.push(refusal)
          return answer
        }
      }
    }
  }
  return schema
}

/** Pothos hands a refusal on within a proxy, which is no instance of its class. */
function refusalName(answer: unknown): string | null {
  if (typeof answer !== 'object' || answer === null) return null
  const type: unknown = answer.constructor
  return typeof type === 'function' && type.prototype instanceof Refusal ? type.name : null
}

/** Whether the caller could also ask the Query's field of that name. */
export function mayQuery(schema: GraphQLSchema, name: string, principal: Principal): boolean {
  const field = schema.getQueryType()?.getFields()[name]
  if (!field) throw new Error(`Query.${name} does not exist.`)
  return isAdmitted(readAccess(name, field), principal)
}

function readAccess(name: string, { extensions }: GraphQLField<unknown, Context>): Access {
  const directives = z.array(accessDirective).safeParse(extensions.directives)
  const [access, ...others] = directives.success ? directives.data : []
  if (!access || others.length > 0) {
    throw new Error(`${name} needs exactly one of the directives @public, @authenticated, @hasRole and @hasPermission.`)
  }
  return access
}

function isAdmitted(access: Access, principal: Principal | null): boolean {
  if (access.name === 'public') return true
  if (!principal) return false
  if (access.name === 'authenticated') return true
  if (access.name === 'hasPermission')
    return principal.kind !== 'member' && principal.permissions.includes(access.args.permission)
  if (principal.kind === 'member') return access.args.anyOf.includes(principal.role)
  return access.args.orPermission !== undefined && principal.permissions.includes(access.args.orPermission)
}

async function requireAccess(access: Access, context: Context, field: string): Promise<void> {
  if (!isAdmitted(access, context.principal)) {
    await refuseAccess(context, field, (principal) => denial(access, principal))
  }
}

/** Records the attempt and throws `Fault`: FORBIDDEN in these words, or UNAUTHENTICATED where it is not known who asks. */
export async function refuseAccess(
  context: Context,
  name: string,
  words: (principal: Principal) => string,
): Promise<never> {
  const { principal } = context
  if (!principal) throw unauthenticated(context)
  await recordDenial({ ...context, principal }, name)
  throw new Fault('FORBIDDEN', words(principal))
}

function unauthenticated({ credentialRefused }: Context): Fault {
  return new Fault(
    'UNAUTHENTICATED',
    credentialRefused
      ? 'The credential is not accepted. It may have expired, been reset or been deleted: sign in again, or send another.'
      : 'Sign in first, or send a credential as “Authorization: Bearer …”.',
  )
}

const roleNames: Record<OrganizationRole, string> = {
  OWNER: 'owner',
  SUPER_ADMIN: 'super admin',
  POWER_USER: 'power user',
  MEMBER: 'member',
  GUEST: 'guest',
}

function denial(access: Access, principal: Principal): string {
  if (access.name === 'hasRole') {
    const roles = access.args.anyOf.map((role) => roleNames[role]).join(', ')
    const own = principal.kind === 'member' ? `, and you are ${roleNames[principal.role]}` : ''
    return `Only these may do this: ${roles}${own}. Ask an owner or a super admin of the organization.`
  }
  const permission = access.name === 'hasPermission' ? access.args.permission : ''
  return `This needs the permission “${permission}”, which this credential does not have.`
}
