import SCIMMY from 'scimmy'
import { z } from 'zod'

/** A resource as JSON. */
export type Json = Record<string, unknown>

export interface Attribute {
  name: string
  type: string
  multiValued: boolean
  caseExact: boolean
  readOnly: boolean
  /** By their names in lower case. */
  subAttributes: ReadonlyMap<string, Attribute>
}

export interface ResourceSchema {
  name: 'User' | 'Group'
  urn: string
  attributes: ReadonlyMap<string, Attribute>
  /** Each as the complex attribute that its URN is the name of; by that name in lower case. */
  extensions: ReadonlyMap<string, Attribute>
}

export const userUrn = 'urn:ietf:params:scim:schemas:core:2.0:User'
export const enterpriseUrn = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User'
export const groupUrn = 'urn:ietf:params:scim:schemas:core:2.0:Group'

interface Described {
  name: string
  type: string
  multiValued: boolean
  caseExact?: boolean | undefined
  mutability?: string | undefined
  subAttributes?: Described[] | undefined
}

const described: z.ZodType<Described> = z.looseObject({
  name: z.string(),
  type: z.string(),
  multiValued: z.boolean(),
  caseExact: z.boolean().optional(),
  mutability: z.string().optional(),
  get subAttributes() {
    return z.array(described).optional()
  },
})
const schemaDescription = z.looseObject({ id: z.string(), attributes: z.array(described) })

const { User, EnterpriseUser, Group } = SCIMMY.Schemas

/** As JSON: the library's own objects show what they hold only there. */
const describe = ({ definition }: { definition: { describe(base?: string): unknown } }, base = '') =>
  schemaDescription.parse(JSON.parse(JSON.stringify(definition.describe(`${base}/Schemas`))))

/** As RFC 7643, section 8.7, has them: what `/Schemas` answers, where each is at an address below `base`. */
export const describeSchemas = (base: string): Json[] => [
  describe(User, base),
  describe(EnterpriseUser, base),
  withUniqueNames(describe(Group, base)),
]

const withUniqueNames = (schema: ReturnType<typeof describe>) => ({
  ...schema,
  attributes: schema.attributes.map((one) => (one.name === 'displayName' ? { ...one, uniqueness: 'server' } : one)),
})

function attributeOf({
  name,
  type,
  multiValued,
  caseExact = false,
  mutability,
  subAttributes = [],
}: Described): Attribute {
  return {
    name,
    type,
    multiValued,
    caseExact,
    readOnly: mutability === 'readOnly',
    subAttributes: byName(subAttributes.map(attributeOf)),
  }
}

const byName = (attributes: Attribute[]) => new Map(attributes.map((one) => [one.name.toLowerCase(), one]))

const common = (name: string, more: Partial<Attribute> = {}): Attribute => ({
  name,
  type: 'string',
  multiValued: false,
  caseExact: true,
  readOnly: true,
  subAttributes: new Map(),
  ...more,
})

/** Every resource's (RFC 7643, section 3.1), which no schema lists. */
const commonAttributes = [
  common('schemas', { multiValued: true, caseExact: false }),
  common('id'),
  common('externalId', { readOnly: false }),
  common('meta', {
    type: 'complex',
    subAttributes: byName([
      common('resourceType'),
      common('created', { type: 'dateTime' }),
      common('lastModified', { type: 'dateTime' }),
      common('location'),
      common('version'),
    ]),
  }),
]

const attributesOf = (schema: Parameters<typeof describe>[0]) => describe(schema).attributes.map(attributeOf)

export const userSchema: ResourceSchema = {
  name: 'User',
  urn: userUrn,
  attributes: byName([...commonAttributes, ...attributesOf(User)]),
  extensions: byName([
    common(enterpriseUrn, { type: 'complex', readOnly: false, subAttributes: byName(attributesOf(EnterpriseUser)) }),
  ]),
}

export const groupSchema: ResourceSchema = {
  name: 'Group',
  urn: groupUrn,
  attributes: byName([...commonAttributes, ...attributesOf(Group)]),
  extensions: new Map(),
}
