import type { Dependencies } from '../dependencies.ts'

/** What depends on a server key. */
const sources = {
  integrationTokens: {
    table: 'token_secrets',
    // Retired and expired ones need no key any more.
    live: 'coalesce(accepted_until > now(), true) and coalesce(token_expires_at > now(), true)',
  },
  accessTokens: { table: 'access_tokens' },
  sessions: { table: 'sessions', live: 'expires_at > now()' },
  services: { table: 'services' },
  webhooks: { table: 'webhooks' },
  invitations: { table: 'invitations', live: 'expires_at > now()' },
  passwords: {
    table: 'people',
    live: 'password_hash is not null',
    // See server/identity/passwords.ts.
    keyId: `substring(password_hash from '^[0-9a-f]{8}(?=[$])')`,
  },
}
type Source = { table: string; live?: string; keyId?: string }
export type Dependents = Record<keyof typeof sources, number>

export interface KeyUse extends Dependents {
  /** Null for passwords from before it was kept of which key they are. */
  keyId: string | null
  /** What LATCHKEY_SECRET makes of it: unnamed, whatever depends on it is refused. */
  standing: 'current' | 'former' | 'unnamed' | 'unknown'
}

/** What depends on each server key: on those that the server has, and on whichever others there are. */
export async function readKeyUse({ database, digester }: Dependencies): Promise<KeyUse[]> {
  const standings = new Map<string, KeyUse['standing']>([
    [digester.keyId, 'current'],
    ...digester.formerKeyIds.map((id) => [id, 'former'] as const),
  ])
  const uses = new Map<string | null, KeyUse>()
  const useOf = (keyId: string | null) => {
    const standing = keyId === null ? 'unknown' : (standings.get(keyId) ?? 'unnamed')
    const none = {
      integrationTokens: 0,
      accessTokens: 0,
      sessions: 0,
      services: 0,
      webhooks: 0,
      invitations: 0,
      passwords: 0,
    }
    const use = uses.get(keyId) ?? { keyId, standing, ...none }
    uses.set(keyId, use)
    return use
  }
  for (const keyId of standings.keys()) useOf(keyId)
  for (const kind of [
    'integrationTokens',
    'accessTokens',
    'sessions',
    'services',
    'webhooks',
    'invitations',
    'passwords',
  ] as const) {
    for await (const { keyId, live } of countByKey(database, sources[kind])) {
      if (live > 0) useOf(keyId)[kind] += live
    }
  }
  return [...uses.values()]
}

interface Count {
  keyId: string | null
  live: number
  read: number
  last: string
}

const rowsAtOnce = 10_000

/** In parts, so that no statement takes long, however many there are. */
async function* countByKey(
  { lookup }: Dependencies['database'],
  { table, live = 'true', keyId = 'key_id' }: Source,
): AsyncGenerator<Count> {
  const isSecret = table === 'token_secrets'
  const [place, text, value] = isSecret ? ['digest', `encode(digest, 'hex')`, `decode($1, 'hex')`] : ['id', 'id', '$1']
  const statement = `select key_id as "keyId", count(*) filter (where live)::int as live, count(*)::int as read, max(place) as last
    from (select ${keyId} as key_id, ${live} as live, ${text} as place from ${table}
      where ${place} > ${value} order by ${place} limit ${rowsAtOnce}) part group by 1`
  let after = ''
  let read = 0
  do {
    const { rows } = await lookup.query<Count>(statement, [after])
    yield* rows
    read = rows.reduce((sum, row) => sum + row.read, 0)
    for (const { last } of rows) if (last > after) after = last
  } while (read === rowsAtOnce)
}
