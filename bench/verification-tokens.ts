import { hash, randomBytes } from 'node:crypto'
import { createClient, type Latchkey } from '@latchkey/sdk'
import pg from 'pg'
import { pino } from 'pino'
import { migrateDatabase } from '../server/database/migrate.ts'
import { signIn } from '../server/identity/service.ts'
import { addService } from '../server/identity/services.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { createOrganization } from '../server/organizations/operator.ts'
import { createDigester } from '../server/tokens/secret.ts'

export const serverKey = 'the server key of the benchmarks which is long enough'
const tokenPrefix = 'lk'
const presentedAtMost = 50_000

/** A migrated database full of tokens, and those who ask about them. */
export interface TokenDatabase {
  url: string
  /** Of tokens that are accepted, from all over the table and in no order. */
  secrets: string[]
  /** SHA-256 of each, in lower-case hexadecimal. */
  hashes: string[]
  /** What is stored of each, likewise. */
  digests: string[]
  /** Of a service that verifies tokens. */
  serviceSecret: string
  /** A client, at any instance's address, that is signed in as an organization's owner. */
  ownerAt(url: string): Latchkey
}

/** Takes the database of this many tokens as an earlier run left it, or makes it. */
export async function openTokenDatabase(
  postgresUrl: string,
  tokens: number,
  announce: (text: string) => void,
): Promise<TokenDatabase> {
  const digester = createDigester({ serverKey, prefix: tokenPrefix, randomBytes })
  const made = Array.from({ length: Math.min(tokens, presentedAtMost) }, (_, index) =>
    digester.derive('integrationToken', Buffer.alloc(32), `benchmark ${index}`),
  )
  const url = await openDatabase(postgresUrl, `tokens_${tokens}`, async (databaseUrl) => {
    announce(`Filling a database with ${tokens.toLocaleString('en')} tokens …`)
    await migrateDatabase(databaseUrl)
    await fill(
      databaseUrl,
      tokens,
      made.map(({ record }) => record.digest),
    )
  })
  // One that an earlier version left lacks what has come since.
  await migrateDatabase(url)
  // In the order of random texts, they are in no order of their rows.
  const presented = made.sort((one, other) => (one.secret < other.secret ? -1 : 1))
  return {
    url,
    secrets: presented.map(({ secret }) => secret),
    hashes: presented.map(({ secret }) => hash('sha256', secret)),
    digests: presented.map(({ record }) => record.digest.toString('hex')),
    ...(await addCallers(url)),
  }
}

/** A database by this name is one that was filled to the end. Gives its address. */
export async function openDatabase(
  postgresUrl: string,
  name: string,
  fillDatabase: (databaseUrl: string) => Promise<void>,
): Promise<string> {
  const maintenance = new pg.Client({ connectionString: postgresUrl })
  await maintenance.connect()
  try {
    const { rowCount } = await maintenance.query('select from pg_database where datname = $1', [name])
    if (rowCount === 0) {
      await maintenance.query(`drop database if exists ${name}_unfinished`)
      await maintenance.query(`create database ${name}_unfinished`)
      await fillDatabase(addressOf(postgresUrl, `${name}_unfinished`))
      await maintenance.query(`alter database ${name}_unfinished rename to ${name}`)
      await maintenance.query('checkpoint')
    }
  } finally {
    await maintenance.end()
  }
  return addressOf(postgresUrl, name)
}

function addressOf(postgresUrl: string, database: string): string {
  const url = new URL(postgresUrl)
  url.pathname = `/${database}`
  return url.href
}

/**
 * A thousand organizations with a thousandth of the tokens each, one in three of which expires within a year. The digests to
 * be presented are spread evenly; the others belong to no secret.
 */
async function fill(databaseUrl: string, tokens: number, presented: Buffer[]): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    // Neither the checks of foreign keys nor the texts for searching, which are most of the work, matter to verifying. What
    // the triggers would copy is copied here.
    await client.query('set session_replication_role = replica')
    await client.query(
      'create temporary table presented as select * from unnest($1::bytea[]) with ordinality as p(digest, nth)',
      [presented],
    )
    const id = (prefix: string, number: string) =>
      `'${prefix}_0' || lpad(to_hex(${number}), 9, '0') || left(md5((${number})::text), 16)`
    const organization = id('org', 'number::bigint * 1000 / ($1::int + 1)')
    await client.query(
      `insert into organizations (id, name, slug)
       select ${id('org', 'number')}, 'Organization ' || number, 'organization-' || number from generate_series(0, 999) number`,
    )
    await client.query(
      `insert into integration_tokens (id, organization_id, label, label_key, search_text, role_id, created_at, expires_at)
       select ${id('tok', 'number')}, ${organization}, 'Pipeline ' || number, 'pipeline ' || number, 'pipeline ' || number,
         'role_ci', now() - ($1 - number) * interval '10 seconds',
         case when number % 3 = 0 then now() + interval '30 days' + number % 300 * interval '1 day' end
       from generate_series(1, $1::int) number`,
      [tokens],
    )
    await client.query(
      `insert into token_secrets (digest, organization_id, token_id, key_id, hint, created_at,
         token_label, token_role_id, token_enabled, token_created_at, token_expires_at)
       select coalesce(digest, sha256(number::text::bytea)), organization_id, id, 'bench', 'abcd', created_at,
         label, role_id, enabled, created_at, expires_at
       from generate_series(1, $1::int) number join integration_tokens on id = ${id('tok', 'number')}
       left join presented on nth * $2 = number`,
      [tokens, Math.floor(tokens / presented.length)],
    )
    await client.query(
      'insert into token_uses (organization_id, token_id) select organization_id, id from integration_tokens',
    )
    await client.query('vacuum analyze')
  } finally {
    await client.end()
  }
}

async function addCallers(databaseUrl: string): Promise<Pick<TokenDatabase, 'serviceSecret' | 'ownerAt'>> {
  await using dependencies = await openCallers(databaseUrl)
  const name = `bench-${Date.now()}`
  const account = { email: `${name}@example.com`, password: 'a lantern under the stairs' }
  await createOrganization(dependencies, { name, owner: account })
  const origin = { ipAddress: '192.0.2.1', userAgent: 'bench' }
  const { sessionToken } = await signIn({ ...dependencies, origin }, { ...account, slug: null })
  return {
    serviceSecret: await addService(dependencies, name),
    ownerAt: (url) => createClient({ url, credential: sessionToken }),
  }
}

async function openCallers(databaseUrl: string) {
  const log = pino({ level: 'silent' })
  const dependencies = await openDependencies({ databaseUrl, databaseConnections: 4, serverKey, tokenPrefix, log })
  return { ...dependencies, [Symbol.asyncDispose]: () => dependencies.close() }
}
