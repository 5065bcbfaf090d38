import { once } from 'node:events'
import { createClient, type Latchkey } from '@latchkey/sdk'
import pg from 'pg'
import { pino } from 'pino'
import { inject } from 'vitest'
import { createHttpServer, type HttpSettings } from '../server/app.ts'
import type { Dependencies } from '../server/dependencies.ts'
import { readNetworks } from '../server/http/client-address.ts'
import type { OrganizationId } from '../server/identifiers.ts'
import { signIn } from '../server/identity/service.ts'
import { addService } from '../server/identity/services.ts'
import { type DependencySettings, openDependencies } from '../server/open-dependencies.ts'
import { addMember, createOrganization } from '../server/organizations/operator.ts'
import type { OrganizationRole } from '../server/organizations/roles.ts'
import { templateDatabase } from './postgres.ts'
import { openBalancer } from './rolling-run/balancer.ts'
import { searchForSecrets, watchAnswers, watchIssuing, watchLine, watchText } from './secret-watch.ts'

export const password = 'a lantern under the stairs'
export const serverKey = 'the server key of the tests which is long enough'

/** Whether each world is to be two instances behind the load balancer, instead of one: `npm run test:balanced` asks for it. */
const isBalanced = process.env.LATCHKEY_TESTS === 'balanced'

/** An organization with a member of every role, and a client signed in as each. */
export interface TestOrganization {
  id: OrganizationId
  slug: string
  owner: TestMember
  superAdmin: TestMember
  powerUser: TestMember
  member: TestMember
  guest: TestMember
  /** The labels of its tokens, oldest first, expired ones included. */
  tokenLabels(): Promise<string[]>
}

export interface TestMember extends Latchkey {
  email: string
  sessionToken: string
}

/** A database of its own, two organizations, a service, and an instance that serves them over HTTP. */
export interface World extends AsyncDisposable {
  url: string
  databaseUrl: string
  dependencies: Awaited<ReturnType<typeof openDependencies>>
  alpha: TestOrganization
  beta: TestOrganization
  /** A client that is nobody. */
  stranger: Latchkey
  service: Latchkey & { secret: string }
  /** Everything that was logged, a line each. */
  logged: string[]
  /** A client with any credential. */
  as(credential: string): Latchkey
  /** What introspection answers the service about a presented token. */
  introspect(token: string, options?: { url?: string; usedFrom?: string }): Promise<Introspection>
  /** Another instance on the same database; gives its address. */
  startInstance(): Promise<{ url: string; dependencies: World['dependencies']; close(): Promise<void> }>
  /** Runs SQL as the superuser, whom no row-level security binds. */
  sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
}

/** RFC 7662, section 2.2, with Latchkey's own members. */
export interface Introspection {
  active: boolean
  scope?: string
  client_id?: string
  sub?: string
  token_type?: string
  iat?: number
  exp?: number
  organization_id?: string
  role?: string
  label?: string
}

export async function openWorld({
  postgresUrl,
  ...settings
}: Partial<DependencySettings> & ServingSettings & { postgresUrl?: string } = {}): Promise<World> {
  const { databaseUrl, drop } = await createDatabase(postgresUrl)
  const superuser = new pg.Pool({ connectionString: databaseUrl, max: 2 })
  // The database may be dropped before the pool has heard that its connections ended.
  superuser.on('error', () => undefined)
  const logged: string[] = []
  const write = (line: string) => {
    logged.push(line)
    watchLine(line)
  }
  const log = pino({ level: 'debug' }, { write })
  const closing: (() => Promise<void>)[] = []

  async function startInstance() {
    const opened = await openDependencies({
      databaseUrl,
      databaseConnections: 20,
      serverKey,
      tokenPrefix: 'lk',
      passwordCost: 4,
      log,
      ...settings,
    })
    const dependencies = watchIssuing(opened)
    const { url, close: stop } = await serve(dependencies, {
      ...(isBalanced && { proxies: ['127.0.0.1'] }),
      ...settings,
    })
    let open = true
    const close = async () => {
      if (!open) return
      open = false
      watchText('the metrics', await dependencies.metrics.registry.metrics())
      await stop()
      await dependencies.close()
    }
    closing.push(close)
    return { url, dependencies, close }
  }

  const sql = async <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) =>
    (await superuser.query<Row>(text, values)).rows

  /** Of one request and the next, each then goes to another instance. */
  async function balance(one: Pick<World, 'url' | 'dependencies'>): Promise<Pick<World, 'url' | 'dependencies'>> {
    const other = await startInstance()
    const balancer = await openBalancer([one.url, other.url])
    closing.push(async () => balancer[Symbol.asyncDispose]())
    const { lastUse } = one.dependencies
    // Each remembers what it was asked, and a test that has it written cannot tell which one that was.
    const flush = async () => {
      await Promise.all([lastUse.flush(), other.dependencies.lastUse.flush()])
    }
    return { url: balancer.url, dependencies: { ...one.dependencies, lastUse: { ...lastUse, flush } } }
  }

  const first = await startInstance()
  const { url, dependencies } = isBalanced ? await balance(first) : first
  const as = (credential: string) => createClient({ url, credential })

  async function openOrganization(name: string): Promise<TestOrganization> {
    const slug = name.toLowerCase()
    const address = (role: string) => `${role}@${slug}.example`
    const owner = { email: address('owner'), password }
    const { id } = await createOrganization(dependencies, { name, owner })
    const add = async (role: OrganizationRole, local: string) => {
      if (role !== 'OWNER') await addMember(dependencies, { organization: slug, role, email: address(local), password })
      const email = address(local)
      const origin = { ipAddress: '192.0.2.1', userAgent: 'tests' }
      const { sessionToken } = await signIn({ ...dependencies, origin }, { email, password, slug: null })
      return { ...as(sessionToken), email, sessionToken }
    }
    return {
      id,
      slug,
      owner: await add('OWNER', 'owner'),
      superAdmin: await add('SUPER_ADMIN', 'super-admin'),
      powerUser: await add('POWER_USER', 'power-user'),
      member: await add('MEMBER', 'member'),
      guest: await add('GUEST', 'guest'),
      tokenLabels: () =>
        superuser
          .query<{ label: string }>('select label from integration_tokens where organization_id = $1 order by id', [id])
          .then(({ rows }) => rows.map(({ label }) => label)),
    }
  }

  const serviceSecret = await addService(dependencies, 'scanner')
  return {
    url,
    databaseUrl,
    dependencies,
    alpha: await openOrganization('Alpha'),
    beta: await openOrganization('Beta'),
    stranger: createClient({ url }),
    service: { ...as(serviceSecret), secret: serviceSecret },
    logged,
    as,
    startInstance,
    async introspect(token, options = {}) {
      const body = new URLSearchParams({ token })
      if (options.usedFrom) body.set('used_from', options.usedFrom)
      const headers = { authorization: `Bearer ${serviceSecret}` }
      const response = await fetch(`${options.url ?? url}/oauth/introspect`, { method: 'POST', headers, body })
      if (!response.ok) throw new Error(`Introspection answered ${response.status}.`)
      return response.json()
    },
    sql,
    async [Symbol.asyncDispose]() {
      for (const close of closing) await close()
      try {
        await searchForSecrets({ sql })
      } finally {
        await superuser.end()
        await drop()
      }
    },
  }
}

interface ServingSettings {
  publicUrl?: string
  corsOrigins?: string[]
  graphiql?: boolean
  /** Whose `X-Forwarded-For` is believed. */
  proxies?: string[]
  /** Where a console is; there is none unless it is said. */
  consoleDirectory?: string
}

/** An instance over HTTP, whatever its dependencies are. */
export async function serve(
  dependencies: Dependencies,
  {
    publicUrl = 'http://127.0.0.1',
    corsOrigins = [],
    graphiql = true,
    proxies = [],
    consoleDirectory,
  }: ServingSettings = {},
): Promise<{ url: string; close(): Promise<void> }> {
  const settings: HttpSettings = {
    publicUrl: new URL(publicUrl),
    corsOrigins,
    trustedProxies: readNetworks(proxies),
    graphiql,
    ...(consoleDirectory !== undefined && { consoleDirectory }),
  }
  const server = createHttpServer(dependencies, settings)
  watchAnswers(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  dependencies.invalidations.listen()
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

/** A migrated, empty database of its own, on the PostgreSQL of this test run unless another is given. */
export async function createDatabase(
  postgresUrl = inject('postgresUrl'),
): Promise<{ databaseUrl: string; drop(): Promise<void> }> {
  const name = `test_${process.pid}_${Math.random().toString(36).slice(2)}`
  const run = async (statement: string) => {
    const client = new pg.Client({ connectionString: postgresUrl })
    await client.connect()
    await client.query(statement).finally(() => client.end())
  }
  await run(`create database ${name} template ${templateDatabase}`)
  const databaseUrl = new URL(postgresUrl)
  databaseUrl.pathname = `/${name}`
  return { databaseUrl: databaseUrl.href, drop: () => run(`drop database ${name} with (force)`) }
}
