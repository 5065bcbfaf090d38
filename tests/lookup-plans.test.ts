import pg from 'pg'
import { pino } from 'pino'
import { expect, it } from 'vitest'
import { openDatabase } from '../server/database/pool.ts'
import { statementOf, tables } from '../server/identity/credential-rows.ts'
import { createMetrics } from '../server/observability/metrics.ts'
import { createDatabase } from './world.ts'

interface PlanNode {
  'Relation Name'?: string
  'Index Cond'?: string
  Plans?: PlanNode[]
}

const scansIn = (node: PlanNode): PlanNode[] => [
  ...(node['Relation Name'] ? [node] : []),
  ...(node.Plans ?? []).flatMap(scansIn),
]

/** By one of these each row is found: a key of its own, or of a member the person, who has few memberships. */
const keys = [/\(digest = /, /\(id = /, /\(person_id = /]

// A connection keeps the plan that it made first, so that what was right of empty tables would go on when they are full.
it('finds every row of a look-up by its key, in tables that were empty when they were analyzed', async () => {
  const { databaseUrl, drop } = await createDatabase()
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query('vacuum analyze')
  await client.end()
  const settings = { connections: 4, log: pino({ level: 'silent' }), metrics: createMetrics(), tracing: null }
  const { lookup, close } = await openDatabase({ url: databaseUrl, ...settings })
  try {
    const text = statementOf(tables.map((_, table) => table))
    const { rows } = await lookup.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
      `explain (generic_plan, format json) ${text}`,
    )
    const scans = rows.flatMap((row) => scansIn(row['QUERY PLAN'][0].Plan))
    expect(scans.map((scan) => scan['Relation Name']).sort()).toEqual([
      'access_tokens',
      'members',
      'members',
      'people',
      'people',
      'services',
      'sessions',
      'token_roles',
      'token_secrets',
    ])
    for (const scan of scans) {
      const condition = scan['Index Cond'] ?? ''
      expect(
        keys.some((key) => key.test(condition)),
        `${scan['Relation Name']}: ${condition}`,
      ).toBe(true)
    }
  } finally {
    await close()
    await drop()
  }
})
