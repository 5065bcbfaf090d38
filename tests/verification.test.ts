import { createHash } from 'node:crypto'
import { createClient, type RequestError, unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readPersistedDocuments } from '../server/graphql/persisted-documents.ts'
import type { CredentialLookup } from '../server/identity/credential-lookup.ts'
import { addService, removeService } from '../server/identity/services.ts'
import { openWorld, serve, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

let made = 0
const create = async (roleId = 'role_ci', expiresAt?: string) =>
  unwrap(
    (
      await world.alpha.owner.createToken({
        input: { label: `Verified ${++made}`, roleId, ...(expiresAt && { expiresAt }) },
      })
    ).createToken,
  )
const sha256 = (secret: string) => createHash('sha256').update(secret).digest('hex')

describe('introspection', () => {
  it('answers for an accepted token with its scope, its times and whose it is', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const { token, secret } = await create('role_jira', expiresAt)
    expect(await world.introspect(secret)).toEqual({
      active: true,
      scope: 'apps:read findings:read findings:comment',
      client_id: token.id,
      sub: token.id,
      token_type: 'Bearer',
      iat: Math.floor(Date.parse(token.createdAt) / 1000),
      exp: Math.floor(Date.parse(expiresAt) / 1000),
      organization_id: world.alpha.id,
      role: 'role_jira',
      label: token.label,
    })
  })

  it('takes the caller by HTTP Basic too, with the service’s own name', async () => {
    const { secret } = await create()
    const ask = (name: string) =>
      fetch(`${world.url}/oauth/introspect`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${name}:${world.service.secret}`).toString('base64')}` },
        body: new URLSearchParams({ token: secret }),
      })
    expect(await (await ask('scanner')).json()).toMatchObject({ active: true })
    expect((await ask('another')).status).toBe(401)
  })

  it('says no more than inactive of what is unknown, malformed, expired, disabled, deleted, a session or a service', async () => {
    const { alpha } = world
    const expired = await create()
    await world.sql(`update integration_tokens set expires_at = now() where id = $1`, [expired.token.id])
    const disabled = await create()
    await alpha.owner.updateToken({ input: { id: disabled.token.id, enabled: false } })
    const deleted = await create()
    await alpha.owner.deleteToken({ input: { id: deleted.token.id } })
    const { secret: unknown } = world.dependencies.digester.issue('integrationToken')
    const presented = [
      expired.secret,
      disabled.secret,
      deleted.secret,
      unknown,
      'lki_',
      'x',
      alpha.owner.sessionToken,
      world.service.secret,
    ]
    for (const token of presented) expect(await world.introspect(token)).toEqual({ active: false })
  })

  it('refuses a service that has been removed, from that moment on', async () => {
    const { secret } = await create()
    const service = await addService(world.dependencies, 'short-lived')
    const ask = async () =>
      (
        await fetch(`${world.url}/oauth/introspect`, {
          method: 'POST',
          headers: { authorization: `Bearer ${service}` },
          body: new URLSearchParams({ token: secret }),
        })
      ).status
    expect(await ask()).toBe(200)
    await removeService(world.dependencies, 'short-lived')
    expect(await ask()).toBe(401)
  })

  it('counts no use of a token that was presented by a caller without the right to ask', async () => {
    const { token, secret } = await create()
    const response = await fetch(`${world.url}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${world.alpha.owner.sessionToken}` },
      body: new URLSearchParams({ token: secret }),
    })
    expect(response.status).toBe(401)
    await world.dependencies.lastUse.flush()
    expect((await world.alpha.owner.integrationToken({ id: token.id })).integrationToken?.lastUsedAt).toBeNull()
  })
})

describe('verifyToken', () => {
  it('gives the typed verdict, for integration tokens and access tokens', async () => {
    const { alpha, service } = world
    const { token, secret } = await create('role_scim')
    expect((await service.verifyToken({ token: secret })).verifyToken).toMatchObject({
      active: true,
      kind: 'INTEGRATION_TOKEN',
      organizationId: alpha.id,
      tokenId: token.id,
      label: token.label,
      roleId: 'role_scim',
      memberId: null,
      permissions: ['scim:provision'],
      expiresAt: null,
    })
    const { secret: access } = (await alpha.member.resetAccessToken()).resetAccessToken
    expect((await service.verifyToken({ token: access })).verifyToken).toMatchObject({
      active: true,
      kind: 'ACCESS_TOKEN',
      organizationRole: 'MEMBER',
      label: null,
      permissions: ['apps:read', 'findings:read', 'findings:comment'],
    })
  })

  it('answers with the earlier of the token’s end and the secret’s', async () => {
    const { service, alpha } = world
    const { token, secret } = await create('role_ci', new Date(Date.now() + 86_400_000).toISOString())
    unwrap((await alpha.owner.regenerateToken({ input: { id: token.id, overlapSeconds: 60 } })).regenerateToken)
    const { expiresAt } = (await service.verifyToken({ token: secret })).verifyToken
    expect(Date.parse(expiresAt ?? '') - Date.now()).toBeLessThanOrEqual(60_000)
  })
})

describe('verifyTokenDigests', () => {
  it('answers in the order asked, each for itself, duplicates and nonsense included', async () => {
    const { service } = world
    const [one, two] = [await create(), await create('role_jira')]
    const digests = [
      sha256(two.secret),
      'nonsense',
      sha256(one.secret),
      sha256('unknown'),
      sha256(two.secret),
      sha256(one.secret).toUpperCase(),
    ]
    const answers = (await service.verifyTokenDigests({ digests, usedFrom: ['203.0.113.1', null, '203.0.113.2'] }))
      .verifyTokenDigests
    expect(answers.map(({ tokenId }) => tokenId)).toEqual([two.token.id, null, one.token.id, null, two.token.id, null])
    await world.dependencies.lastUse.flush()
    expect((await world.alpha.owner.integrationToken({ id: one.token.id })).integrationToken?.lastUsedFrom).toBe(
      '203.0.113.2',
    )
  })

  it('answers a thousand at once', async () => {
    const { secret, token } = await create()
    const digests = Array.from({ length: 1_000 }, (_, index) => sha256(index === 777 ? secret : `unknown ${index}`))
    const answers = (await world.service.verifyTokenDigests({ digests })).verifyTokenDigests
    expect(answers.flatMap(({ active }, index) => (active ? [index] : []))).toEqual([777])
    expect(answers[777]?.tokenId).toBe(token.id)
  })
})

describe('the SDK’s verifications, which are compiled', () => {
  it('are answered as the same documents are that are not', async () => {
    const { owner } = world.alpha
    const expiring = await create('role_jira', new Date(Date.now() + 3_600_000).toISOString())
    const disabled = await create()
    await owner.updateToken({ input: { id: disabled.token.id, enabled: false } })
    const { secret: accessToken } = (await world.beta.guest.resetAccessToken()).resetAccessToken
    const unlimited = (await create()).secret
    const secrets = [expiring.secret, disabled.secret, accessToken, unlimited, 'nothing', world.service.secret, '']
    const variables: Record<string, Record<string, unknown>[]> = {
      verifyToken: [
        ...secrets.map((token) => ({ token })),
        ...[
          { token: unlimited, usedFrom: null },
          { token: unlimited, usedFrom: '192.0.2.9' },
        ],
        ...[{}, { token: null }, { token: 7 }, { token: [unlimited] }, { token: unlimited, usedFrom: {} }],
        { token: unlimited, more: true },
      ],
      verifyTokenDigests: [
        { digests: secrets.map(sha256) },
        { digests: secrets.map(sha256), usedFrom: ['192.0.2.9', null] },
        ...[{ digests: [] }, { digests: 'x' }, { digests: sha256(unlimited) }, { digests: [null] }, { digests: [7] }],
        ...[{}, { digests: null }, { digests: Array(1_001).fill('x') }, { digests: [], usedFrom: 'x' }],
      ],
    }
    const callers = [world.service.secret, owner.sessionToken, unlimited, 'lkv_wrong', undefined]
    const send = async (caller: string | undefined, body: object) => {
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(caller && { authorization: `Bearer ${caller}` }) },
        body: JSON.stringify(body),
      })
      // Where an error lies in a document tells nothing to a caller that has sent no document.
      const same = (text: string) =>
        text
          .replace(/"expiresInMilliseconds":[\d.]+/g, '"expiresInMilliseconds":1')
          .replace(/"locations":\[.*?\],/g, '')
      return { status: response.status, text: same(await response.text()) }
    }
    const answers = new Set<string>()
    for (const [sha256Hash, query] of readPersistedDocuments()) {
      const [name = ''] = Object.keys(variables).filter((known) => query.includes(`query ${known}(`))
      for (const given of variables[name] ?? []) {
        for (const caller of callers) {
          const compiled = await send(caller, {
            extensions: { persistedQuery: { version: 1, sha256Hash } },
            variables: given,
          })
          const interpreted = await send(caller, { query: `${query} # by another text`, variables: given })
          expect({ name, given, caller, ...compiled }).toEqual({ name, given, caller, ...interpreted })
          answers.add(compiled.text)
        }
      }
    }
    expect(answers.size).toBeGreaterThan(20)
  })
})

describe('a verifier’s questions', () => {
  it('are looked up while it is itself, where it was good before, and for nobody who is not', async () => {
    const { credentials } = world.dependencies
    const events: string[] = []
    const recording: CredentialLookup = {
      async find(asked, isGone) {
        if (asked[0]?.kind === 'bearer') {
          events.push('what is asked?')
          return credentials.find(asked, isGone)
        }
        events.push(`who asks, a ${asked[0]?.kind}?`)
        const found = await credentials.find(asked, isGone)
        events.push(found[0] ? 'known' : 'unknown')
        return found
      },
    }
    const instance = await serve({ ...world.dependencies, credentials: recording })
    const { secret } = await create()
    const asking = async (credential: string) => {
      events.length = 0
      const latchkey = createClient({ url: instance.url, credential })
      const answer = await latchkey.verifyTokenDigests({ digests: [sha256(secret)] }).then(
        ({ verifyTokenDigests: [verdict] }) => verdict?.active,
        (error: RequestError) => error.code,
      )
      return [...events, answer]
    }
    const known = ['who asks, a service?', 'known', 'what is asked?', true]
    const ahead = ['who asks, a service?', 'what is asked?', 'known', true]
    const service = await addService(world.dependencies, 'looked-ahead-for')
    expect(await asking(service)).toEqual(known)
    expect(await asking(service)).toEqual(ahead)
    const forged = world.dependencies.digester.issue('service').secret
    expect(await asking(forged)).toEqual(['who asks, a service?', 'unknown', 'UNAUTHENTICATED'])
    expect(await asking(service)).toEqual(ahead)
    await world.dependencies.lastUse.flush()
    await world.sql('update token_secrets set last_used_at = null where digest = $1', [
      Buffer.from(world.dependencies.digester.readHash(sha256(secret))?.digest ?? '', 'latin1'),
    ])
    await removeService(world.dependencies, 'looked-ahead-for')
    expect(await asking(service)).toEqual(['who asks, a service?', 'what is asked?', 'unknown', 'UNAUTHENTICATED'])
    expect(await asking(service)).toEqual(['who asks, a service?', 'unknown', 'UNAUTHENTICATED'])
    await world.dependencies.lastUse.flush()
    expect(
      await world.sql('select from token_secrets where last_used_at is null and hint = $1', [secret.slice(-4)]),
    ).toHaveLength(1)
    await instance.close()
  })
})

describe('gathering', () => {
  it('answers each of many concurrent questions with its own token', async () => {
    const tokens = await Promise.all(Array.from({ length: 40 }, () => create()))
    const verdicts = await Promise.all(
      Array.from({ length: 400 }, (_, index) => world.introspect(tokens[index % 40]?.secret ?? '')),
    )
    expect(verdicts.map(({ sub }) => sub)).toEqual(verdicts.map((_, index) => tokens[index % 40]?.token.id))
  })
})
