import type pg from 'pg'
import { DatabaseUnavailable, isUnavailable } from '../database/unavailable.ts'
import { isId } from '../identifiers.ts'
import { isOrganizationRole } from '../organizations/roles.ts'
import type { SecretKind } from '../tokens/secret.ts'
import type { Credential } from './credential.ts'
import { sessionIdleHours } from './session-lifetime.ts'

/** One statement asks about this many secrets at most; more only make every answer in it wait. */
const largestBatch = 512
/** While this many statements are under way, questions gather for the next. */
const statementsInFlight = 2
/** Beyond this, waiting would outlast the caller's patience: they are told to come back instead. */
const longestQueue = 20_000

/** Integration tokens and access tokens are asked for together where a digest does not tell which it is. */
export type LookupKind = SecretKind | 'bearer'

export interface CredentialLookup {
  /**
   * What is stored under the digest, read by a statement that starts after the question was asked: nothing is cached.
   * Throws `DatabaseUnavailable`, also where too many questions wait already.
   */
  find(kind: LookupKind, digest: Buffer): Promise<Credential | null>
}

interface Question {
  kind: LookupKind
  digest: Buffer
  resolve(credential: Credential | null): void
  reject(error: unknown): void
}

/** Gathers the questions of concurrent requests into one statement: exact like a look-up of one's own, at a fraction of its cost. */
export function createCredentialLookup({ lookup }: { lookup: pg.Pool }): CredentialLookup {
  let waiting: Question[] = []
  let inFlight = 0
  let scheduled = false

  function pump() {
    scheduled = false
    while (inFlight < statementsInFlight && waiting.length > 0) {
      const batch = waiting.slice(0, largestBatch)
      waiting = waiting.slice(largestBatch)
      inFlight++
      void answer(batch).finally(() => {
        inFlight--
        pump()
      })
    }
  }

  async function answer(batch: Question[]): Promise<void> {
    try {
      const { rows } = await lookup.query<Row, Buffer[][]>({
        name: 'credentials',
        text: statement,
        rowMode: 'array',
        values: [
          batch.filter(({ kind }) => kind === 'integrationToken' || kind === 'bearer').map(({ digest }) => digest),
          batch.filter(({ kind }) => kind === 'accessToken' || kind === 'bearer').map(({ digest }) => digest),
          batch.filter(({ kind }) => kind === 'session').map(({ digest }) => digest),
          batch.filter(({ kind }) => kind === 'service').map(({ digest }) => digest),
        ],
      })
      const found = new Map(rows.map((row) => [row[1].toString('latin1'), readRow(row)]))
      for (const question of batch) question.resolve(found.get(question.digest.toString('latin1')) ?? null)
    } catch (error) {
      const reason = isUnavailable(error) ? new DatabaseUnavailable(error) : error
      for (const question of batch) question.reject(reason)
    }
  }

  return {
    find(kind, digest) {
      if (waiting.length >= longestQueue) return Promise.reject(new DatabaseUnavailable('too many verifications wait'))
      return new Promise((resolve, reject) => {
        waiting.push({ kind, digest, resolve, reject })
        if (scheduled) return
        scheduled = true
        setImmediate(pump)
      })
    },
  }
}

const milliseconds = (column: string) => `(extract(epoch from ${column}) * 1000)::float8`
const usedRecently = (column: string) => `coalesce(${column} > now() - interval '30 seconds', false)`

/** Every kind of credential, in rows of one shape. Expiry is decided here, by the database's clock. */
const statement = `
select 'integrationToken', s.digest, t.id, t.organization_id, t.label, t.role_id, array_to_string(r.permissions, ' '), null, null,
  ${milliseconds('t.created_at')}, ${milliseconds('least(t.expires_at, s.accepted_until)')},
  t.enabled and coalesce(least(t.expires_at, s.accepted_until) > now(), true),
  coalesce(s.accepted_until <= now(), false), ${usedRecently('s.last_used_at')}
from unnest($1::bytea[]) asked(digest)
join token_secrets s using (digest)
join integration_tokens t on t.id = s.token_id
join token_roles r on r.id = t.role_id
union all
select 'accessToken', a.digest, a.id, a.organization_id, p.email, m.role, null, m.id, m.person_id,
  ${milliseconds('a.created_at')}, null, m.active, false, ${usedRecently('a.last_used_at')}
from unnest($2::bytea[]) asked(digest)
join access_tokens a using (digest)
join members m on m.id = a.member_id
join people p on p.id = m.person_id
union all
select 'session', s.digest, s.id, s.organization_id, p.email, m.role, null, m.id, m.person_id,
  ${milliseconds('s.created_at')}, ${milliseconds('s.expires_at')},
  m.active and s.expires_at > now() and s.last_used_at > now() - interval '${sessionIdleHours} hours',
  false, ${usedRecently('s.last_used_at')}
from unnest($3::bytea[]) asked(digest)
join sessions s using (digest)
join members m on m.person_id = s.person_id and m.organization_id = s.organization_id
join people p on p.id = m.person_id
union all
select 'service', s.digest, s.id, null, s.name, null, array_to_string(s.permissions, ' '), null, null,
  ${milliseconds('s.created_at')}, null, true, false, ${usedRecently('s.last_used_at')}
from unnest($4::bytea[]) asked(digest)
join services s using (digest)`

type Row = [
  kind: SecretKind,
  digest: Buffer,
  id: string,
  organizationId: string | null,
  name: string,
  role: string | null,
  permissions: string | null,
  memberId: string | null,
  personId: string | null,
  createdAt: number,
  expiresAt: number | null,
  accepted: boolean,
  retired: boolean,
  usedRecently: boolean,
]

function readRow(row: Row): Credential {
  const [kind, digest, id, organizationId, name, role, permissions, memberId, personId, created, expires, accepted] =
    row
  const known = {
    digest,
    accepted,
    usedRecently: row[13],
    createdAt: new Date(created),
    expiresAt: expires === null ? null : new Date(expires),
  }
  const granted = permissions ? permissions.split(' ') : []
  if (kind === 'service' && isId('service', id)) return { ...known, kind, serviceId: id, name, permissions: granted }
  if (organizationId && isId('organization', organizationId) && role) {
    if (kind === 'integrationToken' && isId('token', id) && isId('role', role)) {
      return {
        ...known,
        kind,
        tokenId: id,
        organizationId,
        label: name,
        roleId: role,
        permissions: granted,
        retired: row[12],
      }
    }
    if (memberId && isId('member', memberId) && personId && isId('person', personId) && isOrganizationRole(role)) {
      const member = { organizationId, memberId, personId, email: name, organizationRole: role }
      if (kind === 'session' && isId('session', id)) return { ...known, ...member, kind, sessionId: id }
      if (kind === 'accessToken' && isId('accessToken', id)) return { ...known, ...member, kind, accessTokenId: id }
    }
  }
  throw new Error(`The row of a ${kind} does not have the form that its table promises.`)
}
