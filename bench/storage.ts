import { parseArgs } from 'node:util'
import { fillTokens } from './fill.ts'
import { type Instance, openLaboratory } from './instance.ts'
import { formatTable, writeResults } from './report.ts'

/** What one thing takes in one table, in bytes: its rows, and each index. */
interface Share {
  table: string
  rows: number
  rowBytes: number
  indexBytes: Record<string, number>
}

const events = 100_000
const perToken = ['integration_tokens', 'token_secrets', 'token_uses', 'token_search_texts']

const { values: options } = parseArgs({
  allowPositionals: true,
  options: { tokens: { type: 'string', default: '1000000' } },
})

/** What a token takes on the disk, and what an event of the audit log does. `--tokens=<number>` are filled in, 1,000,000 unless set. */
export async function measureStorage(): Promise<void> {
  const tokens = Number(options.tokens)
  await using laboratory = await openLaboratory()
  const instance = await laboratory.openInstance()
  const { id, client } = await instance.addOrganization('Acme')
  process.stdout.write(`Filling an organization with ${tokens.toLocaleString('en')} tokens …\n`)
  await fillTokens(instance, { organizationId: id, tokens })
  await client.createToken({ input: { label: 'Jenkins', roleId: 'role_ci' } })
  await repeatEvent(instance)
  await instance.sql('vacuum (analyze)')
  await instance.sql('checkpoint')

  const token = await Promise.all(perToken.map((table) => shareOf(instance, table)))
  const event = await shareOf(instance, 'audit_events')
  const [verifying] = await instance.sql<{ bytes: string }>(
    `select pg_table_size('token_secrets') + pg_relation_size('token_secrets_pkey') as bytes`,
  )
  const results = {
    tokens,
    events,
    bytesPerToken: Math.round(sum(token)),
    /** Of a token's bytes, those that a verification reads: its secret's row, and the index over the digests. */
    bytesVerifyingReads: Math.round(Number(verifying?.bytes) / tokens),
    bytesPerEvent: Math.round(sum([event])),
    token,
    event,
  }
  const rows = [...token, event].flatMap(({ table, rowBytes, indexBytes }) => [
    [table, rowBytes.toFixed(1)],
    ...Object.entries(indexBytes).map(([name, bytes]) => [`  ${name}`, bytes.toFixed(1)]),
  ])
  process.stdout.write(
    `\n${formatTable(['', 'bytes'], rows)}\n\n${results.bytesPerToken} bytes a token, of which verifying reads ${results.bytesVerifyingReads}; ${results.bytesPerEvent} bytes an event.\n`,
  )
  await writeResults('storage', results)
}

/** The event of a token's creation, as often as it takes to tell an event's size. What it repeats is its own but for ids and positions. */
async function repeatEvent({ sql }: Pick<Instance, 'sql'>): Promise<void> {
  await sql(
    `insert into audit_events
     select (made).* from (
       select jsonb_populate_record(event, jsonb_build_object(
         'id', 'evt_0' || lpad(to_hex(number), 9, '0') || left(md5(number::text), 16),
         'at', now() + number * interval '1 second', 'position', 1000000 + number)) as made
       from audit_events event, generate_series(1, $1::int) number where event.action = 'token.created'
     ) repeated`,
    [events],
  )
}

async function shareOf({ sql }: Pick<Instance, 'sql'>, table: string): Promise<Share> {
  const [size] = await sql<{ rows: string; bytes: string }>(
    `select (select count(*) from ${table}) as rows, pg_table_size('${table}') as bytes`,
  )
  const indexes = await sql<{ name: string; bytes: string }>(
    `select indexrelid::regclass::text as name, pg_relation_size(indexrelid) as bytes from pg_index
     where indrelid = '${table}'::regclass order by 2 desc`,
  )
  const rows = Number(size?.rows)
  const share = (bytes: string | undefined) => Number((Number(bytes) / rows).toFixed(1))
  return {
    table,
    rows,
    rowBytes: share(size?.bytes),
    indexBytes: Object.fromEntries(indexes.map(({ name, bytes }) => [name, share(bytes)])),
  }
}

function sum(shares: Share[]): number {
  return shares.flatMap(({ rowBytes, indexBytes }) => [rowBytes, ...Object.values(indexBytes)]).reduce((a, b) => a + b)
}
