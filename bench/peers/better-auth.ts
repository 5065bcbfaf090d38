/**
 * better-auth with its API keys on PostgreSQL, set up as its documentation has it, for the least work that a verification
 * can be: no rate limit, and updates deferred. `verifyApiKey` is for the server's own code alone, so that a route of plain
 * node:http stands before it. With `fill` it makes the tables and the keys instead; with `keys` it prints the ones to present,
 * which are kept in a table of the benchmark's own.
 */
import { createServer } from 'node:http'
import { apiKey } from '@better-auth/api-key'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import pg from 'pg'
import { announce } from './announce.ts'

const [, , task, rows, presented] = process.argv
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL })

const auth = betterAuth({
  baseURL: 'http://127.0.0.1',
  secret: 'the secret of the benchmark, which is long enough',
  database: pool,
  emailAndPassword: { enabled: true },
  plugins: [apiKey({ rateLimit: { enabled: false }, deferUpdates: true })],
  // Before it is filled, it complains of what is to be filled.
  logger: { disabled: task === 'fill' },
  advanced: { backgroundTasks: { handler: () => undefined } },
})

if (task === 'fill') await fill(Number(rows), Number(presented))
else if (task === 'keys') await printKeys()
else serve()

function serve(): void {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', async () => {
      const { key } = JSON.parse(Buffer.concat(chunks).toString())
      const answer = JSON.stringify(await auth.api.verifyApiKey({ body: { key } }))
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) })
      response.end(answer)
    })
  })
  server.listen(0, '127.0.0.1', () => announce(server))
}

/** The keys to present are made by the library itself; the rest are copies of one of them, each with a digest of its own. */
async function fill(rows: number, presented: number): Promise<void> {
  await (await getMigrations(auth.options)).runMigrations()
  const { user } = await auth.api.signUpEmail({
    body: { name: 'Bench', email: 'bench@example.com', password: 'a lantern under the stairs' },
  })
  await pool.query('create table presented_keys (key text)')
  for (let made = 0; made < presented; made++) {
    const { key } = await auth.api.createApiKey({ body: { userId: user.id, permissions: { scans: ['write'] } } })
    await pool.query('insert into presented_keys values ($1)', [key])
  }
  await pool.query(
    `insert into apikey
     select (jsonb_populate_record(one, jsonb_build_object(
       'id', md5(number::text),
       'key', rtrim(translate(encode(sha256(number::text::bytea), 'base64'), '+/', '-_'), '=')
     ))).*
     from (select apikey from apikey limit 1) first (one), generate_series(1, $1::int) number`,
    [rows - presented],
  )
  await pool.query('vacuum analyze')
  await pool.end()
}

async function printKeys(): Promise<void> {
  const { rows } = await pool.query<{ key: string }>('select key from presented_keys')
  process.stdout.write(`${JSON.stringify(rows.map(({ key }) => key))}\n`)
  await pool.end()
}
