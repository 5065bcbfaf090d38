import type { IntegrationTokenFilter, IntegrationTokenSort, Latchkey } from '@latchkey/sdk'
import { fillTokens } from './fill.ts'
import { openLaboratory } from './instance.ts'
import { formatTable, median, writeResults } from './report.ts'

const sizes = [1_000, 1_000_000] as const
const rounds = 60
const warmUpRounds = 15

/** A list as an admin sees it, of one organization. */
interface List {
  client: Latchkey
  /** In each order, the cursor of a token in the middle. */
  middle: Record<Sort, string>
  /** The label of that token, which no other has. */
  label: string
}

type Page = {
  first?: number
  after?: string
  last?: number
  filter?: IntegrationTokenFilter
  sort?: IntegrationTokenSort
  withTotalCount?: boolean
}

/** The orders of the list, in SQL. */
const orders = {
  CREATED_AT_DESC: 'created_at desc',
  LABEL_ASC: 'label_key',
  LAST_USED_AT_DESC: 'last_used_at desc nulls last',
  EXPIRES_AT_ASC: 'expires_at nulls last',
} as const satisfies Partial<Record<IntegrationTokenSort, string>>
type Sort = keyof typeof orders

const pages: Record<string, (list: List) => Page> = {
  'first page': () => ({ first: 20 }),
  'page in the middle': ({ middle }) => ({ first: 20, after: middle.CREATED_AT_DESC }),
  'last page': () => ({ last: 20 }),
  'search by label, one match': ({ label }) => ({ first: 20, filter: { search: label } }),
  'search by label, ten matches': () => ({ first: 20, filter: { search: 'keycloak' } }),
  'search by label, many matches': () => ({ first: 20, filter: { search: 'production' } }),
  'search without a match': () => ({ first: 20, filter: { search: 'qqq nothing like this' } }),
  'filter by role': () => ({ first: 20, filter: { roleIds: ['role_jira'] } }),
  'filter by status': () => ({ first: 20, filter: { statuses: ['DISABLED'] } }),
  'sorted by label': () => ({ first: 20, sort: 'LABEL_ASC' }),
  'sorted by label, in the middle': ({ middle }) => ({ first: 20, after: middle.LABEL_ASC, sort: 'LABEL_ASC' }),
  'sorted by last use': () => ({ first: 20, sort: 'LAST_USED_AT_DESC' }),
  'sorted by last use, in the middle': ({ middle }) => ({
    first: 20,
    after: middle.LAST_USED_AT_DESC,
    sort: 'LAST_USED_AT_DESC',
  }),
  'sorted by expiry': () => ({ first: 20, sort: 'EXPIRES_AT_ASC' }),
  'sorted by expiry, in the middle': ({ middle }) => ({
    first: 20,
    after: middle.EXPIRES_AT_ASC,
    sort: 'EXPIRES_AT_ASC',
  }),
  'first page, counted': () => ({ first: 20, withTotalCount: true }),
  'page in the middle, counted': ({ middle }) => ({ first: 20, after: middle.CREATED_AT_DESC, withTotalCount: true }),
  'search by label, one match, counted': ({ label }) => ({
    first: 20,
    filter: { search: label },
    withTotalCount: true,
  }),
  'search by label, many matches, counted': () => ({
    first: 20,
    filter: { search: 'production' },
    withTotalCount: true,
  }),
  'filter by role, counted': () => ({ first: 20, filter: { roleIds: ['role_jira'] }, withTotalCount: true }),
}

/** What a page of the tokens costs with 1,000 in the organization and with 1,000,000: the requirement is within twice. */
export async function measureTokenList(): Promise<void> {
  await using laboratory = await openLaboratory()
  const lists: List[] = []
  for (const tokens of sizes) {
    process.stdout.write(`Filling an organization with ${tokens.toLocaleString('en')} tokens …\n`)
    const instance = await laboratory.openInstance()
    const { id, client } = await instance.addOrganization('Acme')
    await fillTokens(instance, { organizationId: id, tokens })
    await instance.sql('vacuum (analyze)')
    const labelInTheMiddle = async (sort: Sort) => {
      const [row] = await instance.sql<{ label: string }>(
        `select label from integration_tokens join token_uses on token_id = id
         where integration_tokens.organization_id = $1 and enabled and coalesce(expires_at > now(), true)
         and label not like 'Keycloak%' order by ${orders[sort]} offset $2 limit 1`,
        [id, Math.floor(tokens * 0.4)],
      )
      return row?.label ?? ''
    }
    const cursorInTheMiddle = async (sort: Sort) => {
      const search = await labelInTheMiddle(sort)
      const { integrationTokens } = await client.integrationTokens({ first: 1, filter: { search }, sort })
      return integrationTokens.pageInfo.endCursor ?? ''
    }
    const middle = {
      CREATED_AT_DESC: await cursorInTheMiddle('CREATED_AT_DESC'),
      LABEL_ASC: await cursorInTheMiddle('LABEL_ASC'),
      LAST_USED_AT_DESC: await cursorInTheMiddle('LAST_USED_AT_DESC'),
      EXPIRES_AT_ASC: await cursorInTheMiddle('EXPIRES_AT_ASC'),
    }
    lists.push({ client, label: await labelInTheMiddle('CREATED_AT_DESC'), middle })
  }

  const results: Record<string, { milliseconds: number[]; ratio: number }> = {}
  for (const [name, page] of Object.entries(pages)) {
    const times = lists.map((): number[] => [])
    for (let round = -warmUpRounds; round < rounds; round++) {
      for (const [index, list] of lists.entries()) {
        const begun = performance.now()
        await list.client.integrationTokens(page(list))
        if (round >= 0) times[index]?.push(performance.now() - begun)
      }
    }
    const milliseconds = times.map(median)
    results[name] = { milliseconds, ratio: (milliseconds[1] ?? Number.NaN) / (milliseconds[0] ?? Number.NaN) }
  }

  const rows = Object.entries(results).map(([name, { milliseconds, ratio }]) => [
    name,
    ...milliseconds.map((figure) => `${figure.toFixed(1)} ms`),
    `${ratio.toFixed(2)} ×`,
  ])
  const headings = ['over GraphQL', ...sizes.map((size) => `${size.toLocaleString('en')} tokens`), 'ratio']
  process.stdout.write(
    `\n${formatTable(headings, rows)}\n\nMedians of ${rounds}, measured in turn. The requirement is 2 × or less.\n`,
  )
  await writeResults('token-list', { sizes, rounds, results })
}
