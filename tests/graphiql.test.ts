import { hash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readyQueries } from '../server/graphql/ready-queries.ts'
import { signIn } from '../server/identity/service.ts'
import { isRecord } from './raw-requests.ts'
import { provisioner } from './scim.ts'
import { openWorld, password, serve, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld({ lookup: async () => [{ address: '93.184.215.14', family: 4 }] })
})
afterAll(() => world[Symbol.asyncDispose]())

/** What a browser sends when an address is opened in it. */
const opened = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'sec-fetch-site': 'none' }

async function open(sessionToken: string | null, { url = world.url, headers = {} } = {}) {
  const cookie = sessionToken === null ? '' : `latchkey_session=${sessionToken}`
  const response = await fetch(`${url}/graphql`, { redirect: 'manual', headers: { ...opened, cookie, ...headers } })
  return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() }
}

describe('GraphiQL', () => {
  it('opens for owners and super admins, whichever site’s link leads there', async () => {
    const { owner, superAdmin } = world.alpha
    for (const { sessionToken } of [owner, superAdmin]) {
      for (const headers of [{}, { 'sec-fetch-site': 'cross-site' }]) {
        const { status, headers: answered, text } = await open(sessionToken, { headers })
        expect(status).toBe(200)
        expect(answered).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
        expect(text).toContain('<title>Latchkey</title>')
      }
    }
  })

  it('runs the scripts of its own page and no other, and calls this server alone', async () => {
    const { headers, text } = await open(world.alpha.owner.sessionToken)
    const policy = new Map(
      String(headers['content-security-policy'])
        .split('; ')
        .map((directive) => {
          const [name = '', ...sources] = directive.split(' ')
          return [name, sources]
        }),
    )
    const scripts = [...text.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, script = '']) => script)
    expect(scripts.length).toBeGreaterThan(0)
    expect(Object.fromEntries(policy)).toEqual({
      'default-src': ["'none'"],
      'script-src': scripts.map((script) => `'sha256-${hash('sha256', script, 'base64')}'`),
      'worker-src': ['blob:'],
      'style-src': ["'unsafe-inline'"],
      'img-src': ['data:'],
      'font-src': ['data:'],
      'connect-src': ["'self'"],
      'base-uri': ["'none'"],
      'form-action': ["'none'"],
      'frame-ancestors': ["'none'"],
    })
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    })
  })

  it('comes compressed where the browser takes that', async () => {
    const lengths: number[] = []
    for (const encoding of ['gzip, deflate, br', 'identity']) {
      const { headers, text } = await open(world.alpha.owner.sessionToken, { headers: { 'accept-encoding': encoding } })
      expect(headers.vary).toBe('Accept-Encoding')
      expect(text.endsWith('</html>\n')).toBe(true)
      lengths.push(Number(headers['content-length']))
    }
    const [compressed = 0, plain = 0] = lengths
    expect(compressed).toBeLessThan(plain / 3)
  })

  it('leads whoever is not signed in to the sign-in page, and from there back', async () => {
    const { beta, dependencies } = world
    const origin = { ipAddress: null, userAgent: null }
    const ended = await signIn({ ...dependencies, origin }, { email: beta.owner.email, password, slug: null })
    await world.as(ended.sessionToken).signOut()
    const nobodys = [null, '', 'x', dependencies.digester.issue('session').secret, ended.sessionToken]
    for (const sessionToken of nobodys) {
      const { status, headers, text } = await open(sessionToken)
      expect({ status, location: headers.location, text }).toEqual({
        status: 302,
        location: '/sign-in?next=%2Fgraphql',
        text: '',
      })
      expect(headers['cache-control']).toBe('no-store')
    }
  })

  it('tells every other member that it is not for them, and records that they tried', async () => {
    const { alpha } = world
    for (const member of [alpha.powerUser, alpha.member, alpha.guest]) {
      const { status, headers, text } = await open(member.sessionToken)
      expect(status).toBe(403)
      expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' })
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-[^ ]+'; /)
      expect(text).toContain('<h1>GraphiQL is for owners and super admins</h1>')
      expect(text).toContain('<a href="/">')
      const { nodes } = (await alpha.owner.auditEvents({ first: 1 })).auditEvents
      expect(nodes).toMatchObject([{ action: 'access.denied', actor: member.email, target: 'GraphiQL' }])
    }
  })

  it('is switched off by the setting, for everyone', async () => {
    const off = await serve(world.dependencies, { graphiql: false })
    for (const sessionToken of [null, world.alpha.owner.sessionToken, world.alpha.guest.sessionToken]) {
      const { status, headers, text } = await open(sessionToken, off)
      expect(status).toBe(404)
      expect(headers['content-type']).toBe('text/html; charset=utf-8')
      expect(text).toContain('<h1>GraphiQL is switched off</h1>')
    }
    await off.close()
  })

  it('says to try again while the database cannot be asked', async () => {
    const find = () => Promise.reject(Object.assign(new Error('away'), { code: 'ECONNREFUSED' }))
    const credentials = { ...world.dependencies.credentials, find }
    const away = await serve({ ...world.dependencies, credentials })
    const { status, headers, text } = await open(world.alpha.owner.sessionToken, away)
    expect(status).toBe(503)
    expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', 'retry-after': '1' })
    expect(text).toContain('Latchkey cannot reach its database.')
    await away.close()
  })

  it('is for browsers: a program that asks the same address is answered by the API', async () => {
    for (const accept of ['*/*', 'application/json', 'application/graphql-response+json']) {
      const { status, headers, text } = await open(world.alpha.guest.sessionToken, { headers: { accept } })
      expect(status).toBe(400)
      expect(headers['content-type']).toMatch(/json/)
      expect(JSON.parse(text).errors).toMatchObject([{ message: 'Send the GraphQL document in “query”.' }])
    }
  })

  it('is not begun for a request that two servers may read differently', async () => {
    const { hostname, port } = new URL(world.url)
    const socket = connect(Number(port), hostname)
    socket.write(
      'GET /graphql HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n',
    )
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 400 /)
    socket.destroy()
  })
})

describe('the ready queries', () => {
  it('all do what they say', async () => {
    const { owner } = world.beta
    const { token } = unwrap((await owner.createToken({ input: { label: 'Ready', roleId: 'role_ci' } })).createToken)
    const scim = await provisioner(world, world.beta)
    const group = await scim.group({ displayName: 'Engineers' })
    const ids = { id: token.id, groupId: group }
    const answers: Record<string, unknown> = {}
    for (const { query, variables = '{}' } of readyQueries) {
      const given: unknown = JSON.parse(variables)
      const known = Object.entries(ids).filter(([name]) => isRecord(given) && name in given)
      const filled = isRecord(given) ? { ...given, ...Object.fromEntries(known) } : given
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', cookie: `latchkey_session=${owner.sessionToken}` },
        body: JSON.stringify({ query, variables: filled }),
      })
      const name = /^(?:query|mutation) (\w+)/m.exec(query)?.[1] ?? ''
      const { data, errors } = await response.json()
      expect([name, errors]).toEqual([name, undefined])
      answers[name] = data
    }
    expect(answers).toMatchObject({
      Tokens: { integrationTokens: { nodes: expect.arrayContaining([expect.objectContaining({ label: 'Ready' })]) } },
      CreateToken: { createToken: { secret: expect.stringMatching(/^lki_/), token: { label: 'Jenkins' } } },
      RegenerateToken: { regenerateToken: { token: { secrets: [{ acceptedUntil: null }, {}] } } },
      DeleteToken: { deleteToken: { deletedTokenId: token.id } },
      AuditEvents: { auditEvents: { nodes: expect.arrayContaining([expect.objectContaining({ target: 'Ready' })]) } },
      Webhooks: { webhooks: [] },
      CreateWebhook: {
        createWebhook: {
          secret: expect.stringMatching(/^whsec_/),
          webhook: {
            url: 'https://example.com/hooks',
            eventTypes: ['TOKEN_CREATED', 'TOKEN_DELETED', 'TOKEN_EXPIRING'],
          },
        },
      },
      SetGroupRole: { setGroupRole: { group: { displayName: 'Engineers', role: 'POWER_USER' } } },
      Viewer: { viewer: { member: { role: 'OWNER' }, organization: { slug: 'beta' } } },
    })
    expect(Object.keys(answers)).toHaveLength(readyQueries.length)
  })
})
