import { existsSync, readFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { settingNames } from '../server/config.ts'
import { codes, readPage } from './markdown.ts'
import { createDatabase } from './world.ts'

const root = new URL('../', import.meta.url)
const page = await readPage(new URL('docs/scale.md', root))
const read = (file: string): unknown => JSON.parse(readFileSync(new URL(file, root), 'utf8'))

const share = z.object({ table: z.string(), rowBytes: z.number(), indexBytes: z.record(z.string(), z.number()) })
const storage = z
  .object({
    tokens: z.number(),
    bytesPerToken: z.number(),
    bytesVerifyingReads: z.number(),
    bytesPerEvent: z.number(),
    token: z.array(share),
  })
  .parse(read('bench/results/storage.json'))
const rates = z.object({
  conditions: z.object({ connections: z.number(), machine: z.string() }),
  contenders: z.array(z.object({ name: z.string(), perSecond: z.number() })),
})
const verification = rates
  .extend({ verifier: z.object({ invalidationMedianMilliseconds: z.number() }) })
  .parse(read('bench/results/verification.json'))
const sizes = rates
  .extend({ targets: z.array(z.object({ measured: z.number() })) })
  .parse(read('bench/results/verification-sizes.json'))

const figure = (text = '') => Number(text.replaceAll(',', ''))
const sum = (figures: number[]) => Number(figures.reduce((one, other) => one + other, 0).toFixed(1))
const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`

describe('the figures of docs/scale.md', () => {
  it('are the bytes that were measured of a token and of an event', () => {
    const measured = storage.token.map(({ table, rowBytes, indexBytes }) => [
      table,
      rowBytes,
      sum(Object.values(indexBytes)),
    ])
    const rows = page.table('| table | bytes a token in rows |')
    const told = rows.map(([table, inRows, inIndexes]) => [codes(table)[0], figure(inRows), figure(inIndexes)])
    expect(told.slice(0, -1)).toEqual(measured)
    expect(told.at(-1)).toEqual([
      undefined,
      sum(storage.token.map(({ rowBytes }) => rowBytes)),
      sum(storage.token.flatMap(({ indexBytes }) => Object.values(indexBytes))),
    ])
    const { bytesPerToken, bytesVerifyingReads, bytesPerEvent } = storage
    expect(page.text).toContain(`a token takes ${bytesPerToken.toLocaleString('en')} bytes`)
    expect(page.text).toContain(`reads ${bytesVerifyingReads} of them`)
    expect(page.text).toContain(`An event of the audit log takes ${bytesPerEvent} bytes`)
    expect(page.text).toContain(`and ${bytesPerEvent} bytes for each event`)
    const secret = storage.token.find(({ table }) => table === 'token_secrets')
    // A retired one is no current one, and not in the index of those.
    const { token_secrets_one_current: _, ...indexBytes } = secret?.indexBytes ?? {}
    const ofRetired = sum([secret?.rowBytes ?? 0, ...Object.values(indexBytes)])
    expect(page.text).toContain(`at ${Math.round(ofRetired)} bytes each`)
  })

  it('are those bytes times the number of tokens', () => {
    const rows = page.table('| tokens | on the disk |')
    expect(rows.length).toBe(3)
    for (const [tokens, disk, memory] of rows) {
      expect([tokens, disk, memory]).toEqual([
        tokens,
        gigabytes(figure(tokens) * storage.bytesPerToken),
        gigabytes(figure(tokens) * storage.bytesVerifyingReads),
      ])
    }
  })

  it('are the rates that were measured', () => {
    const rate = (of: z.infer<typeof rates>, name: string) => of.contenders.find((one) => one.name === name)?.perSecond
    const told = page.table('| over HTTP | tokens a second |').map(([, perSecond]) => figure(perSecond))
    expect(told).toEqual(
      ['introspection', 'single look-ups', 'verifyToken', 'verifyTokenDigests'].map((name) => rate(verification, name)),
    )
    expect(verification.conditions).toMatchObject({ connections: 64, machine: expect.stringContaining('2 cores') })
    const inThousands = (name: string) => Math.round(rate(sizes, name) ?? 0).toLocaleString('en')
    expect(page.text).toContain(`the rate is ${sizes.targets[0]?.measured.toFixed(2)} of that among 10,000`)
    expect(page.text).toContain(`${inThousands('10,000,000 tokens')} and ${inThousands('10,000 tokens')} a second`)
    expect(page.text).toContain(`${verification.verifier.invalidationMedianMilliseconds.toFixed(1)} ms in the median`)
  })
})

describe('the names in docs/scale.md', () => {
  let database: Awaited<ReturnType<typeof createDatabase>>
  let client: pg.Client
  beforeAll(async () => {
    database = await createDatabase()
    client = new pg.Client({ connectionString: database.databaseUrl })
    await client.connect()
  })
  afterAll(async () => {
    await client.end()
    await database.drop()
  })

  /** What belongs to PostgreSQL or to another engine. */
  const others = [
    ...['synchronous_commit', 'synchronous_standby_names', 'pg_notify', 'set_config', 'postgres_fdw'],
    ...['create_distributed_table', 'create_reference_table', 'enable_unsafe_triggers', 'remote_apply'],
  ]

  it('are of tables, columns, constraints, indexes, functions, triggers and settings that there are', async () => {
    const { rows } = await client.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace
       union select attname from pg_attribute join pg_class on attrelid = pg_class.oid where relnamespace = 'public'::regnamespace
       union select conname from pg_constraint union select tgname from pg_trigger
       union select proname from pg_proc where pronamespace = 'public'::regnamespace`,
    )
    const known = new Set([...rows.map(({ name }) => name), ...settingNames, ...others])
    const named = codes(page.text)
      .filter((code) => !code.includes('/'))
      .flatMap((code) => code.match(/\b[A-Za-z]+(?:_[A-Za-z]+)+\b/g) ?? [])
    expect(named.length).toBeGreaterThan(40)
    expect(named.filter((name) => !known.has(name))).toEqual([])
  })

  it('are of files and of code that there are', () => {
    const files = codes(page.text).filter((code) => /^(tests|server|bench)\/[\w/.-]+$/.test(code))
    expect(files.length).toBeGreaterThan(6)
    expect(files.filter((file) => !existsSync(new URL(file, root)))).toEqual([])
    const code = ['server/tokens/repository.ts', 'server/identity/credential-lookup.ts', 'tests/split-database.ts']
      .concat('server/tokens/invalidation.ts', 'server/database/with-organization.ts')
      .map((file) => readFileSync(new URL(file, root), 'utf8'))
      .join()
    for (const name of [
      'lockToken',
      'moveSecret',
      'createCredentialLookup',
      'askEachServer',
      'openListener',
      'withOrganization',
    ]) {
      expect(page.text).toContain(`\`${name}\``)
      expect(code).toContain(`function ${name}`)
    }
  })

  it('have every table in the layout, as it is: unlogged or not, keyed by its id alone or not', async () => {
    const { rows } = await client.query<{ name: string; unlogged: boolean; key: string[] }>(
      `select relname as name, relpersistence = 'u' as unlogged, array(
         select attname::text from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey)
         where indrelid = pg_class.oid and indisprimary) as key
       from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'`,
    )
    const layout = page.table('| laid out by | tables |')
    expect(layout.flatMap(([, tables]) => codes(tables)).sort()).toEqual(rows.map(({ name }) => name).sort())
    expect(rows.filter(({ unlogged }) => unlogged).map(({ name }) => name)).toEqual(['rates'])
    const byOrganization = new Set(codes(layout[0]?.[1]))
    const toChange = rows.filter(({ name, key }) => byOrganization.has(name) && !key.includes('organization_id'))
    const told = page.table('| in the schema | Citus |').find(([what]) => what?.startsWith('`id` alone'))?.[0]
    expect(
      codes(told)
        .filter((name) => byOrganization.has(name))
        .sort(),
    ).toEqual(toChange.map(({ name }) => name).sort())
  })
})
