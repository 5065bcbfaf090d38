/**
 * Every item of a paged field, in order, a page at a time and only as they are asked for. An item that is added, deleted
 * or moved in the order meanwhile may be left out, or come twice.
 *
 * @param readPage calls the field with the `first` (100) and `after` that it is given, and with whatever else it likes
 * @example for await (const token of paginate((page) => latchkey.integrationTokens({ ...page, filter }))) { … }
 * @throws whatever `readPage` throws
 */
export async function* paginate<Item>(
  readPage: (page: { first: number; after: string | null }) => Promise<{ [field: string]: Page<Item> }>,
): AsyncGenerator<Item, void, undefined> {
  let after: string | null = null
  do {
    const [page]: Page<Item>[] = Object.values(await readPage({ first: 100, after }))
    if (!page) return
    yield* page.nodes
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
  } while (after !== null)
}

interface Page<Item> {
  nodes: Item[]
  pageInfo: { endCursor: string | null; hasNextPage: boolean }
}
