import { describe, expect, expectTypeOf, it } from 'vitest'
import { type AuditEvent, type IntegrationToken, type Latchkey, paginate } from './index.ts'

/** Three pages, “a b”, “c” and “d”, under the cursors 1 and 2. */
function threePages() {
  const asked: (string | null)[] = []
  const pages: Record<string, { nodes: string[]; pageInfo: { endCursor: string | null; hasNextPage: boolean } }> = {
    null: { nodes: ['a', 'b'], pageInfo: { endCursor: '1', hasNextPage: true } },
    1: { nodes: ['c'], pageInfo: { endCursor: '2', hasNextPage: true } },
    2: { nodes: ['d'], pageInfo: { endCursor: '3', hasNextPage: false } },
  }
  const readPage = async ({ after }: { after: string | null }) => {
    asked.push(after)
    const page = pages[String(after)]
    if (!page) throw new Error('No such page.')
    return { letters: page }
  }
  return { asked, readPage }
}

async function all<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const list: Item[] = []
  for await (const item of items) list.push(item)
  return list
}

describe('paginate', () => {
  it('gives every item of every page in order, and ends', async () => {
    const { asked, readPage } = threePages()
    expect(await all(paginate(readPage))).toEqual(['a', 'b', 'c', 'd'])
    expect(asked).toEqual([null, '1', '2'])
  })

  it('reads no page that nobody asked for', async () => {
    const { asked, readPage } = threePages()
    for await (const letter of paginate(readPage)) if (letter === 'b') break
    expect(asked).toEqual([null])
  })

  it('ends where there is nothing, and where a page has no end', async () => {
    const pageInfo = { endCursor: null, hasNextPage: true }
    expect(await all(paginate(async () => ({ letters: { nodes: [], pageInfo } })))).toEqual([])
  })

  it('passes on a failure, after what came before it', async () => {
    const { readPage } = threePages()
    const seen: string[] = []
    const failing = async (page: { after: string | null }) => {
      if (page.after === '1') throw new Error('Away.')
      return readPage(page)
    }
    await expect(async () => {
      for await (const letter of paginate(failing)) seen.push(letter)
    }).rejects.toThrow('Away.')
    expect(seen).toEqual(['a', 'b'])
  })

  it('knows the type of what it gives', () => {
    const tokensOf = (latchkey: Latchkey) =>
      paginate((page) => latchkey.integrationTokens({ ...page, filter: { search: 'ci' } }))
    const eventsOf = (latchkey: Latchkey) => paginate(latchkey.auditEvents)
    expectTypeOf(tokensOf).returns.toEqualTypeOf<AsyncGenerator<IntegrationToken, void, undefined>>()
    expectTypeOf(eventsOf).returns.toEqualTypeOf<AsyncGenerator<AuditEvent, void, undefined>>()
  })
})
