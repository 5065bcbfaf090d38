import { unwrap } from '@latchkey/sdk'
import { z } from 'zod'
import type { TestOrganization, World } from './world.ts'

/** What SCIM answered: the body where there is one. */
export interface ScimAnswer {
  status: number
  headers: Headers
  text: string
  body: Resource
}

/** What tests look at of a resource, a list and an error; all of it is there as it was sent. */
const resource = z.looseObject({
  schemas: z.array(z.string()).optional(),
  id: z.string().optional(),
  meta: z.looseObject({ version: z.string().optional(), location: z.string().optional() }).optional(),
  status: z.string().optional(),
  scimType: z.string().optional(),
  detail: z.string().optional(),
  totalResults: z.number().optional(),
  get Resources() {
    return z.array(resource).optional()
  },
})
export type Resource = z.output<typeof resource>

export interface ScimClient {
  send(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<ScimAnswer>
  get(path: string, headers?: Record<string, string>): Promise<ScimAnswer>
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<ScimAnswer>
  put(path: string, body: unknown, headers?: Record<string, string>): Promise<ScimAnswer>
  /** The operations alone. */
  patch(path: string, operations: unknown[], headers?: Record<string, string>): Promise<ScimAnswer>
  remove(path: string, headers?: Record<string, string>): Promise<ScimAnswer>
  /** Made anew; throws where that is refused. Gives the id. */
  user(content: Record<string, unknown> & { userName: string }): Promise<string>
  group(content: Record<string, unknown> & { displayName: string }): Promise<string>
  /** The ids, or whatever else is named, of what a filter finds. */
  found(kind: 'Users' | 'Groups', filter: string, attribute?: string): Promise<unknown[]>
}

export const urns = {
  user: 'urn:ietf:params:scim:schemas:core:2.0:User',
  enterprise: 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User',
  group: 'urn:ietf:params:scim:schemas:core:2.0:Group',
  patch: 'urn:ietf:params:scim:api:messages:2.0:PatchOp',
  search: 'urn:ietf:params:scim:api:messages:2.0:SearchRequest',
  bulk: 'urn:ietf:params:scim:api:messages:2.0:BulkRequest',
  error: 'urn:ietf:params:scim:api:messages:2.0:Error',
  list: 'urn:ietf:params:scim:api:messages:2.0:ListResponse',
}

export function scimClient({ url }: { url: string }, credential: string | null): ScimClient {
  const client: ScimClient = {
    async send(method, path, body, headers = {}) {
      const response = await fetch(`${url}/scim/v2${path}`, {
        method,
        headers: {
          ...(credential !== null && { authorization: `Bearer ${credential}` }),
          ...(body !== undefined && { 'content-type': 'application/scim+json' }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        text,
        body: text === '' ? {} : resource.parse(JSON.parse(text)),
      }
    },
    get: (path, headers) => client.send('GET', path, undefined, headers),
    post: (path, body, headers) => client.send('POST', path, body, headers),
    put: (path, body, headers) => client.send('PUT', path, body, headers),
    patch: (path, Operations, headers) => client.send('PATCH', path, { schemas: [urns.patch], Operations }, headers),
    remove: (path, headers) => client.send('DELETE', path, undefined, headers),
    user: (content) => made('/Users', { schemas: [urns.user], ...content }),
    group: (content) => made('/Groups', { schemas: [urns.group], ...content }),
    async found(kind, filter, attribute = 'id') {
      const { status, text, body } = await client.get(`/${kind}?${new URLSearchParams({ filter })}`)
      if (status !== 200) throw new Error(text)
      return (body.Resources ?? []).map((one) => one[attribute])
    },
  }
  async function made(path: string, content: unknown): Promise<string> {
    const { status, text, body } = await client.post(path, content)
    if (status !== 201 || !body.id) throw new Error(`${status} ${text}`)
    return body.id
  }
  return client
}

/** With an integration token of the role SCIM, made for it. */
export async function provisioner(
  world: World,
  organization: TestOrganization,
): Promise<ScimClient & { secret: string }> {
  const input = { label: `Identity provider ${Math.random()}`, roleId: 'role_scim' }
  const { secret } = unwrap((await organization.superAdmin.createToken({ input })).createToken)
  return { ...scimClient(world, secret), secret }
}

export async function memberIdOf(world: World, email: string, organizationId: string): Promise<string> {
  const [member] = await world.sql<{ id: string }>(
    'select m.id from members m join people p on p.id = m.person_id where p.email = $1 and m.organization_id = $2',
    [email, organizationId],
  )
  return member?.id ?? ''
}
