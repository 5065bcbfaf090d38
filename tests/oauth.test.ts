import { unwrap } from '@latchkey/sdk'
import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addService } from '../server/identity/services.ts'
import { openWorld, type World } from './world.ts'

let world: World
let server: oauth.AuthorizationServer
let secret: string
let tokenId: string
const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
beforeAll(async () => {
  world = await openWorld()
  server = { issuer: world.url, introspection_endpoint: `${world.url}/oauth/introspect` }
  const input = { label: 'Gateway', roleId: 'role_jira', expiresAt }
  const created = unwrap((await world.alpha.owner.createToken({ input })).createToken)
  secret = created.secret
  tokenId = created.token.id
})
afterAll(() => world[Symbol.asyncDispose]())

/** As any client of the standard asks, and reads the answer. */
async function introspect(
  token: string,
  authentication: oauth.ClientAuth,
  client: oauth.Client,
  additionalParameters: Record<string, string> = {},
) {
  const options = { [oauth.allowInsecureRequests]: true, additionalParameters }
  const response = await oauth.introspectionRequest(server, client, authentication, token, options)
  return oauth.processIntrospectionResponse(server, client, response)
}

const scanner = { client_id: 'scanner' }
const bearer =
  (credential: string): oauth.ClientAuth =>
  (_server, _client, _body, headers) =>
    headers.set('authorization', `Bearer ${credential}`)

describe('a client of RFC 7662 that was made elsewhere', () => {
  it.each<[string, () => oauth.ClientAuth]>([
    ['HTTP Basic', () => oauth.ClientSecretBasic(world.service.secret)],
    ['bearer', () => bearer(world.service.secret)],
  ])(
    'is told by %s what an accepted token is, and of another only that it is not active',
    async (_, authentication) => {
      expect(await introspect(secret, authentication(), scanner)).toEqual({
        active: true,
        scope: 'apps:read findings:read findings:comment',
        client_id: tokenId,
        sub: tokenId,
        token_type: 'Bearer',
        iat: expect.any(Number),
        exp: Math.floor(Date.parse(expiresAt) / 1_000),
        organization_id: world.alpha.id,
        role: 'role_jira',
        label: 'Gateway',
      })
      const { secret: unknown } = world.dependencies.digester.issue('integrationToken')
      for (const token of [unknown, `${secret}x`, 'no token at all', world.alpha.owner.sessionToken]) {
        expect(await introspect(token, authentication(), scanner)).toEqual({ active: false })
      }
    },
  )

  it('may encode its name and its secret as RFC 6749 has it, and hint at what kind of token it asks about', async () => {
    const name = 'gateway-1.eu_central'
    const authentication = oauth.ClientSecretBasic(await addService(world.dependencies, name))
    const hint = { token_type_hint: 'refresh_token' }
    expect(await introspect(secret, authentication, { client_id: name }, hint)).toMatchObject({ active: true })
  })

  it.each<[string, () => oauth.ClientAuth, oauth.Client]>([
    ['a wrong secret', () => oauth.ClientSecretBasic('lkv_wrong'), scanner],
    ['another’s name', () => oauth.ClientSecretBasic(world.service.secret), { client_id: 'someone else' }],
    ['the secret in the body', () => oauth.ClientSecretPost(world.service.secret), scanner],
    ['no secret', () => oauth.None(), scanner],
    ['a member’s session', () => bearer(world.alpha.owner.sessionToken), scanner],
    ['the presented token itself', () => bearer(secret), scanner],
  ])('is refused with a challenge that it understands: %s', async (_, authentication, client) => {
    const error = await introspect(secret, authentication(), client).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(oauth.WWWAuthenticateChallengeError)
    expect(error).toMatchObject({
      status: 401,
      cause: [
        { scheme: 'bearer', parameters: { realm: 'latchkey' } },
        { scheme: 'basic', parameters: { realm: 'latchkey' } },
      ],
    })
  })

  it('is told in the standard’s own words that it lacks the right to ask', async () => {
    const authentication = oauth.ClientSecretBasic(await addService(world.dependencies, 'powerless'))
    await world.sql(`update services set permissions = '{}' where name = 'powerless'`)
    const error = await introspect(secret, authentication, { client_id: 'powerless' }).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(oauth.ResponseBodyError)
    expect(error).toMatchObject({ status: 403, error: 'insufficient_scope' })
  })
})
