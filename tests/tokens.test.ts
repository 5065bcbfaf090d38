import { RequestError, unwrap } from '@latchkey/sdk'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { purge } from '../server/tokens/retention.ts'
import { openWorld, type TestMember, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

let made = 0
const create = async (
  who: TestMember,
  input: { label?: string; roleId?: string; idempotencyKey?: string; expiresAt?: string } = {},
) => unwrap((await who.createToken({ input: { label: `Token ${++made}`, roleId: 'role_ci', ...input } })).createToken)

const actionsOn = async (who: TestMember, targetId: string) =>
  (await who.auditEvents({ filter: { targetId } })).auditEvents.nodes.map(({ action }) => action)

describe('createToken', () => {
  it('gives a token that belongs to the organization, with its secret once and only its digest kept', async () => {
    const { alpha } = world
    const { createToken } = await alpha.superAdmin.createToken({
      input: {
        label: '  Jenkins  ',
        description: 'Nightly build',
        roleId: 'role_ci',
        expiresAt: new Date(Date.now() + 3_600_000).toISOString(),
      },
    })
    const { token, secret } = unwrap(createToken)
    expect(token).toMatchObject({ label: 'Jenkins', description: 'Nightly build', status: 'ACTIVE', lastUsedAt: null })
    expect(token.createdBy?.email).toBe(alpha.superAdmin.email)
    expect(secret).toMatch(/^lki_[0-9A-Za-z]{49}$/)
    expect(token.secrets).toMatchObject([{ hint: secret.slice(-4), acceptedUntil: null }])
    expect(await actionsOn(alpha.owner, token.id)).toEqual(['token.created'])
    const everything = await world.sql<{ row: string }>(
      `select t::text as row from token_secrets t union all select t::text from integration_tokens t union all select t::text from audit_events t union all select t::text from idempotency_keys t`,
    )
    expect(everything.filter(({ row }) => row.includes(secret) || row.includes(secret.slice(4, 40)))).toEqual([])
  })

  it('refuses a label that another token of the organization has, in any case and width, and leaves it to other organizations', async () => {
    const { alpha, beta } = world
    await create(alpha.owner, { label: 'Deploy Straße' })
    for (const label of ['deploy straße', 'DEPLOY STRAßE ', 'Ｄeploy Straße']) {
      const { createToken } = await alpha.owner.createToken({ input: { label, roleId: 'role_ci' } })
      expect(createToken.__typename).toBe('LabelTaken')
    }
    expect((await create(beta.owner, { label: 'Deploy Straße' })).token.label).toBe('Deploy Straße')
  })

  it('makes one token of two creations with the same label at once', async () => {
    const { alpha } = world
    const results = await Promise.all(
      Array.from({ length: 8 }, () => alpha.owner.createToken({ input: { label: 'At once', roleId: 'role_ci' } })),
    )
    const names = results.map(({ createToken }) => createToken.__typename).sort()
    expect(names).toEqual(['CreateTokenPayload', ...Array(7).fill('LabelTaken')])
  })

  it('refuses an expiry in the past, an unknown role, and names each field that is wrong', async () => {
    const { alpha } = world
    const before = await alpha.tokenLabels()
    const past = await alpha.owner.createToken({
      input: { label: 'Late', roleId: 'role_ci', expiresAt: '2020-01-01T00:00:00Z' },
    })
    expect(past.createToken).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'expiresAt' }] })
    const unknown = await alpha.owner.createToken({ input: { label: 'Odd', roleId: 'role_none' } })
    expect(unknown.createToken).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'roleId' }] })
    const both = await alpha.owner.createToken({
      input: { label: ' ', description: 'x'.repeat(501), roleId: 'role_ci' },
    })
    expect(both.createToken).toMatchObject({
      __typename: 'InvalidInput',
      issues: [{ path: 'label' }, { path: 'description' }],
    })
    expect(await alpha.tokenLabels()).toEqual(before)
  })
})

describe('an idempotency key', () => {
  it('answers a retry with the same token and the same working secret, however many come at once', async () => {
    const { alpha } = world
    const input = { label: 'Retried', roleId: 'role_ci', idempotencyKey: 'create-retried' }
    const answers = await Promise.all(Array.from({ length: 6 }, () => create(alpha.owner, input)))
    const again = await create(alpha.owner, input)
    expect(new Set([...answers, again].map(({ token }) => token.id)).size).toBe(1)
    expect(new Set([...answers, again].map(({ secret }) => secret)).size).toBe(1)
    expect(await world.introspect(again.secret)).toMatchObject({ active: true, label: 'Retried' })
    expect(await actionsOn(alpha.owner, again.token.id)).toEqual(['token.created'])
  })

  it('gives a working secret to a retry after the first answer was lost', async () => {
    const { alpha, url } = world
    const input = { label: 'Lost answer', roleId: 'role_ci', idempotencyKey: 'lost-answer' }
    const abandon = new AbortController()
    const query = 'mutation($input: CreateTokenInput!) { createToken(input: $input) { __typename } }'
    const first = fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${alpha.owner.sessionToken}` },
      body: JSON.stringify({ query, variables: { input } }),
      signal: abandon.signal,
    })
    setTimeout(() => abandon.abort(), 3)
    await first.catch(() => undefined)
    const { token, secret } = await create(alpha.owner, input)
    expect(token.lastUsedAt).toBeNull()
    expect(await world.introspect(secret)).toMatchObject({ active: true, sub: token.id })
    expect((await alpha.tokenLabels()).filter((label) => label === 'Lost answer')).toHaveLength(1)
  })

  it('is refused for another input, and after its token was deleted or regenerated', async () => {
    const { alpha } = world
    const idempotencyKey = 'once'
    const first = await create(alpha.owner, { label: 'Once', idempotencyKey })
    const other = await alpha.owner.createToken({ input: { label: 'Twice', roleId: 'role_ci', idempotencyKey } })
    expect(other.createToken.__typename).toBe('IdempotencyKeyReused')
    await alpha.owner.regenerateToken({ input: { id: first.token.id } })
    const stale = await alpha.owner.createToken({ input: { label: 'Once', roleId: 'role_ci', idempotencyKey } })
    expect(stale.createToken.__typename).toBe('IdempotencyKeyReused')
    await alpha.owner.deleteToken({ input: { id: first.token.id } })
    const gone = await alpha.owner.createToken({ input: { label: 'Once', roleId: 'role_ci', idempotencyKey } })
    expect(gone.createToken.__typename).toBe('IdempotencyKeyReused')
  })

  it('is its caller’s own, and free again after 24 hours', async () => {
    const { alpha, beta } = world
    const idempotencyKey = 'shared words'
    const one = await create(alpha.owner, { label: 'Own 1', idempotencyKey })
    const two = await create(alpha.superAdmin, { label: 'Own 2', idempotencyKey })
    const three = await create(beta.owner, { label: 'Own 1', idempotencyKey })
    expect(new Set([one.token.id, two.token.id, three.token.id]).size).toBe(3)
    await world.sql(`update idempotency_keys set created_at = now() - interval '24 hours'`)
    const later = await create(alpha.owner, { label: 'Own 3', idempotencyKey })
    expect(later.token.id).not.toBe(one.token.id)
    expect(later.secret).not.toBe(one.secret)
  })

  it('is free again where the creation was refused', async () => {
    const { alpha } = world
    const idempotencyKey = 'refused first'
    await create(alpha.owner, { label: 'In the way' })
    const refused = await alpha.owner.createToken({ input: { label: 'In the way', roleId: 'role_ci', idempotencyKey } })
    expect(refused.createToken.__typename).toBe('LabelTaken')
    expect((await create(alpha.owner, { label: 'Out of the way', idempotencyKey })).token.label).toBe('Out of the way')
  })
})

describe('updateToken', () => {
  it('changes the fields that are given, clears those given as null, and records what changed', async () => {
    const { alpha } = world
    const { token } = await create(alpha.owner)
    const id = token.id
    const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
    const named = await alpha.owner.updateToken({
      input: { id, label: 'Renamed', description: 'What it is', expiresAt },
    })
    expect(unwrap(named.updateToken).token).toMatchObject({ label: 'Renamed', description: 'What it is', expiresAt })
    const cleared = await alpha.owner.updateToken({ input: { id, description: null, expiresAt: null } })
    expect(unwrap(cleared.updateToken).token).toMatchObject({ label: 'Renamed', description: null, expiresAt: null })
    await alpha.owner.updateToken({ input: { id } })
    expect(await actionsOn(alpha.owner, id)).toEqual(['token.updated', 'token.updated', 'token.created'])
  })

  it('refuses a taken label, an expiry in the past and a token that is not there', async () => {
    const { alpha, beta } = world
    await create(alpha.owner, { label: 'Here already' })
    const { token } = await create(alpha.owner)
    const update = async (input: { id: string; label?: string; expiresAt?: string }) =>
      (await alpha.owner.updateToken({ input })).updateToken
    expect((await update({ id: token.id, label: 'HERE already' })).__typename).toBe('LabelTaken')
    expect((await update({ id: token.id, expiresAt: '2020-01-01T00:00:00Z' })).__typename).toBe('InvalidInput')
    expect((await update({ id: 'tok_nothing', label: 'X' })).__typename).toBe('TokenNotFound')
    expect((await beta.owner.updateToken({ input: { id: token.id, label: 'Mine' } })).updateToken.__typename).toBe(
      'TokenNotFound',
    )
    expect(await alpha.owner.integrationToken({ id: token.id })).toEqual({ integrationToken: token })
  })

  it('keeps a token its own label', async () => {
    const { alpha } = world
    const { token } = await create(alpha.owner, { label: 'Same' })
    const { updateToken } = await alpha.owner.updateToken({ input: { id: token.id, label: 'SAME' } })
    expect(unwrap(updateToken).token.label).toBe('SAME')
  })

  it('disables and enables: disabled outranks expired, and each is an event', async () => {
    const { alpha } = world
    const { token, secret } = await create(alpha.owner)
    const set = async (enabled: boolean) =>
      unwrap((await alpha.owner.updateToken({ input: { id: token.id, enabled } })).updateToken).token.status
    expect(await set(false)).toBe('DISABLED')
    expect(await world.introspect(secret)).toEqual({ active: false })
    await world.sql(`update integration_tokens set expires_at = now() - interval '1 hour' where id = $1`, [token.id])
    expect(await set(false)).toBe('DISABLED')
    expect(await set(true)).toBe('EXPIRED')
    expect(await world.introspect(secret)).toEqual({ active: false })
    await world.sql('update integration_tokens set expires_at = null where id = $1', [token.id])
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    expect(await actionsOn(alpha.owner, token.id)).toEqual(['token.enabled', 'token.disabled', 'token.created'])
  })
})

describe('regenerateToken', () => {
  it('gives a new secret and refuses the old one at once, unless an overlap is asked for', async () => {
    const { alpha } = world
    const { token, secret } = await create(alpha.owner)
    const next = unwrap((await alpha.owner.regenerateToken({ input: { id: token.id } })).regenerateToken)
    expect(next.token).toMatchObject({ id: token.id, label: token.label, role: token.role })
    expect(await world.introspect(secret)).toEqual({ active: false })
    expect(await world.introspect(next.secret)).toMatchObject({ active: true, sub: token.id })
  })

  it('accepts both secrets during the overlap, tells when it ends, and shows when each was used', async () => {
    const { alpha } = world
    const { token, secret } = await create(alpha.owner)
    const next = unwrap(
      (await alpha.owner.regenerateToken({ input: { id: token.id, overlapSeconds: 3600 } })).regenerateToken,
    )
    expect(next.token.secrets.map(({ hint }) => hint)).toEqual([next.secret.slice(-4), secret.slice(-4)])
    const old = await world.introspect(secret)
    expect(old).toMatchObject({ active: true, sub: token.id })
    expect(old.exp).toBeGreaterThan(Date.now() / 1000 + 3500)
    expect((await world.introspect(next.secret)).exp).toBeUndefined()
    await world.dependencies.lastUse.flush()
    const shown = (await alpha.owner.integrationToken({ id: token.id })).integrationToken
    expect(shown?.secrets.every(({ lastUsedAt }) => lastUsedAt !== null)).toBe(true)

    const third = unwrap(
      (await alpha.owner.regenerateToken({ input: { id: token.id, overlapSeconds: 60 } })).regenerateToken,
    )
    expect(await world.introspect(secret)).toEqual({ active: false })
    expect(third.token.secrets).toHaveLength(2)
    await world.sql(`update token_secrets set accepted_until = now() where accepted_until > now()`)
    expect(await world.introspect(next.secret)).toEqual({ active: false })
    expect(await world.introspect(third.secret)).toMatchObject({ active: true })
  })

  it('leaves, of 50 regenerations at once, exactly one secret accepted: the last committed', async () => {
    const { alpha } = world
    const { token } = await create(alpha.owner)
    // PostgreSQL delivers notifications in the order of the commits.
    await world.sql(
      `create function tell_hint() returns trigger language plpgsql as $$ begin perform pg_notify('hints', new.hint); return null; end $$;
       create trigger tell_hint after insert on token_secrets for each row execute function tell_hint()`,
    )
    const committed: string[] = []
    await using stack = new AsyncDisposableStack()
    const listener = new pg.Client({ connectionString: world.databaseUrl })
    stack.defer(() => listener.end())
    stack.defer(() => world.sql('drop function tell_hint() cascade').then(() => undefined))
    await listener.connect()
    listener.on('notification', ({ payload = '' }) => committed.push(payload))
    await listener.query('listen hints')
    // Whoever is told to try again in a moment, since so many come at once, does.
    async function regenerate(): Promise<{ secret: string }> {
      try {
        return unwrap((await alpha.owner.regenerateToken({ input: { id: token.id } })).regenerateToken)
      } catch (error) {
        if (error instanceof RequestError && error.code === 'UNAVAILABLE') return regenerate()
        throw error
      }
    }
    const answers = await Promise.all(Array.from({ length: 50 }, regenerate))
    await listener.query('select 1')
    const verdicts = await Promise.all(answers.map(({ secret }) => world.introspect(secret)))
    const accepted = answers.filter((_, index) => verdicts[index]?.active)
    expect(accepted).toHaveLength(1)
    const current = await world.sql<{ hint: string }>(
      'select hint from token_secrets where token_id = $1 and accepted_until is null',
      [token.id],
    )
    expect(current).toEqual([{ hint: accepted[0]?.secret.slice(-4) }])
    expect(committed.length).toBeGreaterThanOrEqual(50)
    expect(committed.at(-1)).toBe(accepted[0]?.secret.slice(-4))
  })

  it('notices the use of a retired secret: refused, marked on the token, an event, and nothing is revoked', async () => {
    const { alpha } = world
    const { token, secret } = await create(alpha.owner)
    const next = unwrap((await alpha.owner.regenerateToken({ input: { id: token.id } })).regenerateToken)
    const before = (await alpha.owner.integrationToken({ id: token.id })).integrationToken
    expect(before?.retiredSecretLastUsedAt).toBeNull()
    for (let use = 0; use < 3; use++) {
      expect(await world.introspect(secret, { usedFrom: '203.0.113.9' })).toEqual({ active: false })
      await world.dependencies.lastUse.flush()
    }
    const shown = (await alpha.owner.integrationToken({ id: token.id })).integrationToken
    expect(Date.parse(shown?.retiredSecretLastUsedAt ?? '')).toBeGreaterThan(Date.now() - 60_000)
    expect(shown?.lastUsedAt).toBeNull()
    const { nodes } = (
      await alpha.owner.auditEvents({ filter: { targetId: token.id, actions: ['token.retired_secret_used'] } })
    ).auditEvents
    expect(nodes).toMatchObject([
      { actor: `a retired secret (…${secret.slice(-4)})`, target: token.label, ipAddress: '203.0.113.9' },
    ])
    expect(await world.introspect(next.secret)).toMatchObject({ active: true })
  })
})

describe('deleteToken', () => {
  it('refuses the secret from then on, keeps the event, and frees the label', async () => {
    const { alpha } = world
    const { token, secret } = await create(alpha.owner, { label: 'Gone' })
    const { deleteToken } = await alpha.owner.deleteToken({ input: { id: token.id } })
    expect(unwrap(deleteToken).deletedTokenId).toBe(token.id)
    expect(await world.introspect(secret)).toEqual({ active: false })
    expect((await alpha.owner.integrationToken({ id: token.id })).integrationToken).toBeNull()
    expect((await alpha.owner.deleteToken({ input: { id: token.id } })).deleteToken.__typename).toBe('TokenNotFound')
    expect(await actionsOn(alpha.owner, token.id)).toEqual(['token.deleted', 'token.created'])
    expect((await create(alpha.owner, { label: 'Gone' })).token.id).not.toBe(token.id)
  })

  it('refuses another organization’s token as not found, so that ids cannot be probed', async () => {
    const { alpha, beta } = world
    const { token } = await create(alpha.superAdmin)
    const { deleteToken } = await beta.superAdmin.deleteToken({ input: { id: token.id } })
    expect(deleteToken.__typename).toBe('TokenNotFound')
    expect((await alpha.owner.integrationToken({ id: token.id })).integrationToken?.id).toBe(token.id)
  })
})

describe('a service account', () => {
  it('creates CI tokens, which stay when it is deleted, and nothing else', async () => {
    const { alpha } = world
    const account = await create(alpha.owner, { roleId: 'role_service_account' })
    const automation = world.as(account.secret)
    expect((await automation.tokenRoles()).tokenRoles.map(({ id }) => id)).toEqual(['role_ci'])
    const made = unwrap(
      (await automation.createToken({ input: { label: 'Pipeline 7', roleId: 'role_ci' } })).createToken,
    )
    expect(made.token.createdBy).toBeNull()
    for (const roleId of ['role_scim', 'role_jira', 'role_service_account']) {
      const { createToken } = await automation.createToken({ input: { label: 'More', roleId } })
      expect(createToken).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'roleId' }] })
    }
    const events = (await alpha.owner.auditEvents({ filter: { targetId: made.token.id } })).auditEvents.nodes
    expect(events).toMatchObject([{ action: 'token.created', actor: account.token.label }])
    await alpha.owner.deleteToken({ input: { id: account.token.id } })
    expect(await world.introspect(made.secret)).toMatchObject({ active: true, label: 'Pipeline 7' })
  })
})

describe('last used', () => {
  it('is kept with the address that the verifying service reported, and costs no write while it is recent', async () => {
    const { alpha } = world
    const { token, secret } = await create(alpha.owner)
    await world.introspect(secret, { usedFrom: '198.51.100.7' })
    await world.dependencies.lastUse.flush()
    const read = async () => (await alpha.owner.integrationToken({ id: token.id })).integrationToken
    const first = await read()
    expect(first?.lastUsedFrom).toBe('198.51.100.7')
    expect(Date.parse(first?.lastUsedAt ?? '')).toBeGreaterThan(Date.now() - 60_000)
    await world.introspect(secret, { usedFrom: '198.51.100.8' })
    await world.dependencies.lastUse.flush()
    expect(await read()).toEqual(first)
    await world.sql(`update token_secrets set last_used_at = now() - interval '46 seconds' where token_id = $1`, [
      token.id,
    ])
    await world.introspect(secret, { usedFrom: '198.51.100.8' })
    await world.dependencies.lastUse.flush()
    expect((await read())?.lastUsedFrom).toBe('198.51.100.8')
  })
})

describe('the purge', () => {
  it('removes tokens that expired longer than the retention period ago, with an event, and leaves the others', async () => {
    const { alpha } = world
    const old = await create(alpha.owner, { label: 'Long expired' })
    const recent = await create(alpha.owner, { label: 'Just expired' })
    await world.sql(`update integration_tokens set expires_at = now() - interval '91 days' where id = $1`, [
      old.token.id,
    ])
    await world.sql(`update integration_tokens set expires_at = now() - interval '89 days' where id = $1`, [
      recent.token.id,
    ])
    await purge(world.dependencies, { retentionDays: 90 })
    expect((await alpha.owner.integrationToken({ id: old.token.id })).integrationToken).toBeNull()
    expect((await alpha.owner.integrationToken({ id: recent.token.id })).integrationToken?.status).toBe('EXPIRED')
    expect(await actionsOn(alpha.owner, old.token.id)).toEqual(['token.purged', 'token.created'])
  })
})
