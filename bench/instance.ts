import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, type Latchkey } from '@latchkey/sdk'
import pg from 'pg'
import { pino } from 'pino'
import { createHttpServer } from '../server/app.ts'
import { startEmbeddedDatabase } from '../server/database/embedded.ts'
import { migrateDatabase } from '../server/database/migrate.ts'
import { readNetworks } from '../server/http/client-address.ts'
import { builtConsole } from '../server/http/console.ts'
import type { OrganizationId } from '../server/identifiers.ts'
import { signIn } from '../server/identity/service.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { createOrganization } from '../server/organizations/operator.ts'

/** Latchkey as it is run, on a database of its own, with what fills it. */
export interface Instance {
  url: string
  /** An organization, and a client signed in as its owner. */
  addOrganization(name: string): Promise<{ id: OrganizationId; client: Latchkey; sessionToken: string }>
  dependencies: Awaited<ReturnType<typeof openDependencies>>
  /** Runs SQL as the superuser, whom no row-level security binds. */
  sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
}

export interface Laboratory extends AsyncDisposable {
  openInstance(): Promise<Instance>
}

const password = 'a lantern under the stairs'

/** A real PostgreSQL in a temporary directory, for as many instances as a benchmark compares. Leaves nothing behind. */
export async function openLaboratory(): Promise<Laboratory> {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-bench-'))
  const postgres = await startEmbeddedDatabase({ directory, announce: () => undefined })
  const closing = [() => rm(directory, { recursive: true, force: true }), () => postgres.stop()]
  return {
    async openInstance() {
      const databaseUrl = new URL(postgres.url)
      databaseUrl.pathname = `/bench_${closing.length}`
      const maintenance = new pg.Client({ connectionString: postgres.url })
      await maintenance.connect()
      await maintenance.query(`create database bench_${closing.length}`).finally(() => maintenance.end())
      await migrateDatabase(databaseUrl.href)

      const superuser = new pg.Pool({ connectionString: databaseUrl.href, max: 1 })
      closing.push(() => superuser.end())
      const dependencies = await openDependencies({
        databaseUrl: databaseUrl.href,
        databaseConnections: 8,
        serverKey: 'the server key of the benchmarks which is long enough',
        tokenPrefix: 'lk',
        passwordCost: 4,
        log: pino({ level: 'silent' }),
      })
      closing.push(() => dependencies.close())
      const server = createHttpServer(dependencies, {
        publicUrl: new URL('http://127.0.0.1'),
        corsOrigins: [],
        trustedProxies: readNetworks([]),
        consoleDirectory: builtConsole,
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      closing.push(async () => {
        const closed = once(server, 'close')
        server.close()
        server.closeAllConnections()
        await closed
      })
      const address = server.address()
      const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
      return {
        url,
        dependencies,
        async addOrganization(name) {
          const email = `owner@${name.toLowerCase()}.example`
          const { id, slug } = await createOrganization(dependencies, { name, owner: { email, password } })
          const origin = { ipAddress: '192.0.2.1', userAgent: 'bench' }
          const { sessionToken } = await signIn({ ...dependencies, origin }, { email, password, slug })
          return { id, client: createClient({ url, credential: sessionToken }), sessionToken }
        },
        async sql<Row extends pg.QueryResultRow>(text: string, values?: unknown[]) {
          return (await superuser.query<Row>(text, values)).rows
        },
      }
    },
    async [Symbol.asyncDispose]() {
      for (const close of closing.reverse()) await close()
    },
  }
}
