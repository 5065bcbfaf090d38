import { recordDenial } from '../audit/record-denial.ts'
import { CallerGone } from '../caller-gone.ts'
import { isUnavailable } from '../database/unavailable.ts'
import type { Dependencies } from '../dependencies.ts'
import { type Answer, answerAndClose, answerJson } from '../http/answer.ts'
import { BodyRefused, type IncomingRequest, readBody } from '../http/body.ts'
import { isAmbiguous, readBearer } from '../http/credential.ts'
import { reportFailure } from '../http/report-failure.ts'
import { isId } from '../identifiers.ts'
import { authenticate, type OrganizationPrincipal, type RequestOrigin } from '../identity/principal.ts'
import { permissionsOf } from '../organizations/roles.ts'
import type { Provisioning } from './acting.ts'
import { runBulk } from './bulk.ts'
import { resourceTypes, serviceProviderConfig } from './discovery.ts'
import { parseBody } from './input.ts'
import { type ListQuery, listBody, readListQuery, readSearch, selectPage } from './list-query.ts'
import { project } from './projection.ts'
import { projectionFor, type ResourceKind, resourceKinds } from './resource-kinds.ts'
import { describeSchemas, type Json } from './schemas.ts'
import { errorBody, notFound, ScimError } from './scim-error.ts'
import { versionIn } from './users.ts'
import { isAmong } from './version.ts'

const root = '/scim/v2'
const permission = 'scim:provision'
const mediaType = 'application/scim+json'

/** A request of a caller who may provision. */
interface ScimRequest {
  acting: Provisioning
  /** As it was sent; empty where the method has none. */
  body: string
  parameters: URLSearchParams
  ifMatch: string | null
  ifNoneMatch: string | null
  asScimError(error: unknown): ScimError
}

interface ScimAnswer {
  status: number
  body: Json | null
  headers?: Record<string, string>
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Route = {
  name: string
  methods: Partial<Record<Method, (request: ScimRequest) => Promise<ScimAnswer> | ScimAnswer>>
}

export interface Scim {
  owns(path: string): boolean
  /** As the log calls the address: without the id of what is asked for. Null where there is nothing. */
  routeOf(path: string): string | null
  answer(request: IncomingRequest, response: Answer, origin: RequestOrigin): Promise<void>
}

/** SCIM 2.0 (RFC 7643 and 7644), for an integration token that may provision, or an owner's or super admin's access token. */
export function createScim(dependencies: Dependencies, { publicUrl }: { publicUrl: URL }): Scim {
  const base = `${publicUrl.origin}${root}`
  return {
    owns: (path) => path === root || path.startsWith(`${root}/`),
    routeOf: (path) => findRoute(path)?.name ?? null,
    async answer(request, response, origin) {
      const asScimError = (error: unknown) => scimErrorOf(dependencies, origin, error)
      try {
        const { status, body, headers } = await serve(dependencies, base, { request, origin, asScimError })
        send(response, status, body, headers)
      } catch (error) {
        if (error instanceof CallerGone) throw error
        const refusal = asScimError(error)
        origin.request.refusals.push(refusal.scimType ?? `SCIM_${refusal.status}`)
        if (error instanceof BodyRefused && error.status === 413) {
          return answerAndClose(request, response, 413, errorBody(refusal), mediaType)
        }
        send(response, refusal.status, errorBody(refusal), refusal.headers)
      }
    },
  }
}

function send(response: Answer, status: number, body: Json | null, headers: Record<string, string> = {}): void {
  if (body) answerJson(response, status, body, headers, mediaType)
  else response.writeHead(status, [...response.commonHeaders, ...Object.entries(headers).flat()]).end()
}

/** What any failure is to the caller. */
function scimErrorOf(dependencies: Dependencies, { request }: RequestOrigin, error: unknown): ScimError {
  if (error instanceof ScimError) return error
  if (error instanceof BodyRefused) return new ScimError(error.status, error.message)
  if (isUnavailable(error)) {
    const headers = { 'retry-after': '1' }
    return new ScimError(503, 'Latchkey cannot reach its database. Try again in a moment.', { headers })
  }
  return new ScimError(500, reportFailure(dependencies, request, error))
}

async function serve(
  dependencies: Dependencies,
  base: string,
  {
    request,
    origin,
    asScimError,
  }: { request: IncomingRequest; origin: RequestOrigin; asScimError: (error: unknown) => ScimError },
): Promise<ScimAnswer> {
  const [path = '', query = ''] = (request.url ?? '').split(/\?(.*)/s, 2)
  const route = findRoute(path)
  if (!route) throw new ScimError(404, 'There is nothing at this address.')
  if (isAmbiguous(request)) throw new ScimError(400, 'Send one “Authorization” header.')
  const { headers } = request
  const body = takesBody(request.method) ? await readBody(request) : ''
  const acting = await requireProvisioning(dependencies, headers.authorization, origin, base)
  const answer = isMethod(request.method) ? route.methods[request.method] : undefined
  if (!answer) {
    const allow = Object.keys(route.methods).join(', ')
    throw new ScimError(405, `This address takes ${allow}.`, { headers: { allow } })
  }
  if (body !== '' && !/^application\/(scim\+)?json *(;|$)/i.test(headers['content-type'] ?? '')) {
    throw new ScimError(415, `Send the body as ${mediaType}.`)
  }
  return answer({
    acting,
    body,
    parameters: new URLSearchParams(query),
    ifMatch: headers['if-match'] ?? null,
    ifNoneMatch: headers['if-none-match'] ?? null,
    asScimError,
  })
}

const takesBody = (method: string | undefined) => method === 'POST' || method === 'PUT' || method === 'PATCH'
const isMethod = (method: string | undefined): method is Method =>
  method === 'GET' || method === 'DELETE' || takesBody(method)

/** Throws `ScimError` 401 and 403; whoever is known and refused is in their organization's log. */
async function requireProvisioning(
  dependencies: Dependencies,
  authorization: string | undefined,
  origin: RequestOrigin,
  base: string,
): Promise<Provisioning> {
  const secret = authorization === undefined ? null : readBearer(authorization)
  const principal = secret === null ? null : await authenticate(dependencies, secret, origin)
  if (!principal) {
    const detail =
      secret === null
        ? 'Send an integration token with the role SCIM as “Authorization: Bearer …”.'
        : 'The token is not accepted. It may have expired, been disabled or been deleted: send another.'
    const challenge = secret === null ? '' : ', error="invalid_token"'
    throw new ScimError(401, detail, { headers: { 'www-authenticate': `Bearer realm="latchkey"${challenge}` } })
  }
  if (principal.kind !== 'service' && mayProvision(principal)) return { ...dependencies, principal, origin, base }
  await recordDenial({ ...dependencies, principal, origin }, 'scim')
  throw new ScimError(
    403,
    'Provisioning takes an integration token with the role SCIM, or the access token of an owner or a super admin.',
    { headers: { 'www-authenticate': `Bearer realm="latchkey", error="insufficient_scope", scope="${permission}"` } },
  )
}

/** A session is its person's in a browser or a program, and not for an identity provider to act with. */
function mayProvision(principal: OrganizationPrincipal): boolean {
  if (principal.kind === 'integrationToken') return principal.permissions.includes(permission)
  return 'accessToken' in principal.by && permissionsOf[principal.role].includes(permission)
}

const discovery = (read: (base: string) => Json) => ({
  GET: ({ acting, parameters }: ScimRequest): ScimAnswer => {
    // RFC 7644, section 4: so that nobody takes an answer for a filtered one.
    if (parameters.has('filter')) throw new ScimError(403, 'What this address tells of is not filtered.')
    return { status: 200, body: read(acting.base) }
  },
})

const listOf = (resources: Json[]): Json => listBody({ startIndex: 1 }, { total: resources.length, resources })

/** The one of that id or name. Throws `ScimError` 404. */
function oneOf(resources: Json[], id: string): Json {
  const one = resources.find((resource) => resource.id === id)
  if (!one) throw notFound()
  return one
}

const fixedRoutes: Readonly<Record<string, Route['methods']>> = {
  '': { GET: (request) => listAll(request, readListQuery(request.parameters)) },
  '/.search': { POST: (request) => listAll(request, readSearch(parseBody(request.body))) },
  '/ServiceProviderConfig': discovery(serviceProviderConfig),
  '/ResourceTypes': discovery((base) => listOf(resourceTypes(base))),
  '/ResourceTypes/User': discovery((base) => oneOf(resourceTypes(base), 'User')),
  '/ResourceTypes/Group': discovery((base) => oneOf(resourceTypes(base), 'Group')),
  '/Schemas': discovery((base) => listOf(describeSchemas(base))),
  '/Users': routesOfAll(resourceKinds.Users),
  '/Users/.search': { POST: (request) => list(resourceKinds.Users, request, readSearch(parseBody(request.body))) },
  '/Groups': routesOfAll(resourceKinds.Groups),
  '/Groups/.search': { POST: (request) => list(resourceKinds.Groups, request, readSearch(parseBody(request.body))) },
  '/Bulk': {
    POST: async ({ acting, body, asScimError }) => ({
      status: 200,
      body: await runBulk(acting, parseBody(body), asScimError),
    }),
  },
}

/** Compared to the letter. */
function findRoute(path: string): Route | null {
  const rest = path.slice(root.length)
  const fixed = Object.hasOwn(fixedRoutes, rest) ? fixedRoutes[rest] : undefined
  if (fixed) return { name: path, methods: fixed }
  const [, schema] = /^\/Schemas\/([\w:.-]+)$/.exec(rest) ?? []
  if (schema !== undefined) {
    return { name: `${root}/Schemas/:id`, methods: discovery((base) => oneOf(describeSchemas(base), schema)) }
  }
  const [, kind, id = ''] = /^\/(Users|Groups)\/(\w+)$/.exec(rest) ?? []
  if (kind === 'Users') return { name: `${root}/Users/:id`, methods: routesOfOne(resourceKinds.Users, 'member', id) }
  if (kind === 'Groups') return { name: `${root}/Groups/:id`, methods: routesOfOne(resourceKinds.Groups, 'group', id) }
  return null
}

function routesOfAll(kind: ResourceKind): Route['methods'] {
  return {
    GET: (request) => list(kind, request, readListQuery(request.parameters)),
    async POST(request) {
      const projection = projectionFor(kind, readListQuery(request.parameters))
      const resource = await kind.create(request.acting, parseBody(request.body))
      const { location } = metaOf(resource)
      return { status: 201, body: project(resource, projection), headers: { ...versionHeader(resource), location } }
    },
  }
}

async function list(kind: ResourceKind, { acting }: ScimRequest, query: ListQuery): Promise<ScimAnswer> {
  const projection = projectionFor(kind, query)
  const { total, resources } = await kind.list(acting, query, projection)
  const projected = resources.map((resource) => project(resource, projection))
  return { status: 200, body: listBody(query, { total, resources: projected }) }
}

/** Of both kinds in one list (RFC 7644, section 3.4.2.1): users first, unless it is sorted otherwise. */
async function listAll({ acting }: ScimRequest, query: ListQuery): Promise<ScimAnswer> {
  const { Users, Groups } = resourceKinds
  const projections = { Users: projectionFor(Users, query), Groups: projectionFor(Groups, query) }
  const whole = { ...query, sortBy: null, startIndex: 1, count: Number.MAX_SAFE_INTEGER }
  const users = await Users.list(acting, whole, projections.Users)
  const groups = await Groups.list(acting, whole, projections.Groups)
  const areGroups = new Set(groups.resources)
  const { total, resources } = selectPage([...users.resources, ...groups.resources], null, query, Users.scope)
  const projected = resources.map((one) => project(one, areGroups.has(one) ? projections.Groups : projections.Users))
  return { status: 200, body: listBody(query, { total, resources: projected }) }
}

function routesOfOne(kind: ResourceKind, idKind: 'member' | 'group', id: string): Route['methods'] {
  const known = () => {
    if (!isId(idKind, id)) throw notFound()
    return id
  }
  const answerOne = (resource: Json, { parameters }: ScimRequest): ScimAnswer => {
    const projection = projectionFor(kind, readListQuery(parameters))
    return { status: 200, body: project(resource, projection), headers: versionHeader(resource) }
  }
  return {
    async GET(request) {
      const resource = await kind.find(request.acting, known())
      if (request.ifNoneMatch !== null && isAmong(request.ifNoneMatch, versionIn(resource))) {
        return { status: 304, body: null, headers: versionHeader(resource) }
      }
      return answerOne(resource, request)
    },
    async PUT(request) {
      const { acting, body, ifMatch } = request
      return answerOne(await kind.replace(acting, known(), parseBody(body), ifMatch), request)
    },
    async PATCH(request) {
      const { acting, body, ifMatch, parameters } = request
      const resource = await kind.patch(acting, known(), parseBody(body), ifMatch)
      if (kind.answersPatch || parameters.has('attributes')) return answerOne(resource, request)
      return { status: 204, body: null, headers: versionHeader(resource) }
    },
    async DELETE({ acting, ifMatch }) {
      await kind.remove(acting, known(), ifMatch)
      return { status: 204, body: null }
    },
  }
}

const versionHeader = (resource: Json) => ({ etag: versionIn(resource) })

function metaOf({ meta }: Json): { location: string } {
  const location = typeof meta === 'object' && meta !== null && 'location' in meta ? meta.location : ''
  return { location: String(location) }
}
