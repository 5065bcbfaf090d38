import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { unwrap } from '@latchkey/sdk'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createHttpServer } from '../server/app.ts'
import { readNetworks } from '../server/http/client-address.ts'
import { addService } from '../server/identity/services.ts'
import { json, openRawRequests, type RawRequests } from './raw-requests.ts'
import { openWorld } from './world.ts'

let api: RawRequests
beforeAll(async () => {
  api = await openRawRequests()
})
afterAll(() => api[Symbol.asyncDispose]())

/** What is refused changes nothing. */
function changesNothing() {
  let before: Record<string, string>
  beforeEach(async () => {
    before = await api.stored()
  })
  afterEach(async () => {
    expect(await api.stored()).toEqual(before)
  })
}

/** What an operator would be called for: the lines that say more than that a request came and went. */
const warnings = (lines: string[]) => lines.filter((line) => JSON.parse(line).level >= 40)

const creation = `mutation($input: CreateTokenInput!) {
  createToken(input: $input) { __typename ... on Refusal { message } ... on InvalidInput { issues { path message } } ... on CreateTokenPayload { token { id label expiresAt } } }
}`

describe('a body', () => {
  changesNothing()

  it('that is no request is refused, saying what it has to be', async () => {
    const query = '"query": "{ __typename }"'
    const bodies: [body: string, message: string][] = [
      ['', 'The body is not valid JSON. Send an object with the document in “query”.'],
      ['{', 'The body is not valid JSON. Send an object with the document in “query”.'],
      [`{${query},}`, 'The body is not valid JSON. Send an object with the document in “query”.'],
      ['null', 'The body has to be a JSON object with the document in “query”.'],
      ['1', 'The body has to be a JSON object with the document in “query”.'],
      ['"{ __typename }"', 'The body has to be a JSON object with the document in “query”.'],
      ['[]', 'Batches are not taken. Send the requests one by one.'],
      [`[{${query}}, {${query}}]`, 'Batches are not taken. Send the requests one by one.'],
      ['{}', 'Send the GraphQL document in “query”.'],
      ['{"query": null}', 'Send the GraphQL document in “query”.'],
      ['{"query": ["{ __typename }"]}', '“query” has to be a text: the GraphQL document.'],
      ['{"query": ""}', '“query” is empty. Send the GraphQL document in it.'],
      ['{"query": " \\n"}', '“query” is empty. Send the GraphQL document in it.'],
      [`{${query}, "variables": "x"}`, '“variables” has to be an object, or be left out.'],
      [`{${query}, "variables": []}`, '“variables” has to be an object, or be left out.'],
      [`{${query}, "variables": 1}`, '“variables” has to be an object, or be left out.'],
      [`{${query}, "extensions": []}`, '“extensions” has to be an object, or be left out.'],
      [`{${query}, "operationName": 1}`, '“operationName” has to be a text, or be left out.'],
      [`{${query}, "operationName": "Nope"}`, 'The document has no operation of the name given in “operationName”.'],
      [
        `{${query}, "__proto__": {}}`,
        'A request has the fields query, variables, operationName, extensions, and no others.',
      ],
      [
        `{${query}, "constructor": {}}`,
        'A request has the fields query, variables, operationName, extensions, and no others.',
      ],
      [`{"query": "{ nope }", "query": "{", "query": ""}`, '“query” is empty. Send the GraphQL document in it.'],
    ]
    for (const [body, message] of bodies) {
      expect(await api.post(body)).toMatchObject({ status: 400, messages: [message], codes: ['BAD_REQUEST'] })
    }
  })

  it('with keys that would reach into an object’s prototype reaches nothing', async () => {
    const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']
    for (const name of names) {
      const input = `{"label": "a", "roleId": "role_ci", "${name}": {"enabled": true}}`
      const answer = await api.post(
        `{"query": ${JSON.stringify(creation)}, "variables": {"input": ${input}, "${name}": {"x": 1}}}`,
      )
      expect(answer).toMatchObject({ status: 400, codes: ['BAD_REQUEST'] })
    }
    expect(Object.hasOwn(Object.prototype, 'enabled')).toBe(false)
    const query = 'query($__proto__: ID!) { member(id: $__proto__) { id } }'
    expect((await api.post(`{"query": "${query}", "variables": {"__proto__": "x"}}`)).status).toBeLessThan(500)
  })

  it('of another type, compressed, in another encoding or broken is refused', async () => {
    const query = JSON.stringify({ query: '{ __typename }' })
    for (const type of [
      'text/plain',
      'application/graphql',
      'application/graphql-response+json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/jsonx',
      '',
    ]) {
      const answer = await api.post(query, { ...api.asOwner(), 'content-type': type })
      expect(answer).toMatchObject({ status: 415, messages: ['Send the GraphQL request as application/json.'] })
    }
    for (const type of ['application/json', 'Application/JSON ; charset=UTF-8']) {
      expect(await api.post(query, { ...api.asOwner(), 'content-type': type })).toMatchObject({ status: 200 })
    }
    const compressed = await api.post(query, { ...api.asOwner(), 'content-encoding': 'gzip' })
    expect(compressed).toMatchObject({
      status: 415,
      messages: ['Send the body uncompressed, without “Content-Encoding”.'],
    })
    for (const bytes of [[0xff], [0x7b, 0xc0, 0x80, 0x7d], [0xff, 0xfe, 0x7b, 0x00], [0x22, 0xed, 0xa0, 0x80, 0x22]]) {
      expect(await api.post(new Uint8Array(bytes))).toMatchObject({
        status: 400,
        messages: ['The body is not valid UTF-8.'],
      })
    }
  })

  it('whose answer the caller could not take is refused before anything is done', async () => {
    for (const accept of ['text/plain', 'image/png', 'application/xml', 'application/json; charset=utf-16']) {
      const input = { label: 'Nobody could read this', roleId: 'role_ci' }
      const answer = await api.sendAsIs('/graphql', {
        method: 'POST',
        headers: { ...api.asOwner(), accept },
        pieces: [JSON.stringify({ query: creation, variables: { input } })],
      })
      expect(answer).toMatchObject({ status: 406, codes: ['BAD_REQUEST'] })
    }
    const query = 'subscription { tokenInvalidations { everything } }'
    expect(await api.ask(query, {}, api.asService())).toMatchObject({
      status: 406,
      messages: ['A subscription is answered as a stream: name text/event-stream in “Accept”.'],
    })
  })

  it('of 10 MB is refused without being kept, whether or not its length is told, and the caller hears why', async () => {
    for (const path of ['/graphql', '/oauth/introspect']) {
      const type = path === '/graphql' ? 'application/json' : 'application/x-www-form-urlencoded'
      const headers = { 'content-type': type, authorization: api.asService().authorization }
      const told = await api.send(path, { headers, body: 'x'.repeat(10_000_000) })
      const pieces = Array.from({ length: 100 }, () => 'x'.repeat(100_000))
      const untold = await api.sendAsIs(path, { method: 'POST', headers, pieces })
      for (const { status, headers, messages } of [told, untold]) {
        expect(status).toBe(413)
        expect(headers.connection).toBe('close')
        expect(messages).toEqual(['The body is larger than 1048576 bytes. Send less at once.'])
      }
    }
    // Many clients read nothing until they have sent everything. A connection that is closed by then has lost the answer.
    const { hostname, port } = new URL(api.world.url)
    const socket = connect(Number(port), hostname).pause()
    socket.write(
      'POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n\r\n',
    )
    for (let sent = 0; sent < 100; sent++) {
      await new Promise((resolve, reject) => {
        socket.write(Buffer.alloc(100_000), (error) => (error ? reject(error) : setTimeout(resolve, 1)))
      })
    }
    const answer = await text(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain('Send less at once.')
    const almost = await api.post(JSON.stringify({ query: `{ __typename } #${' '.repeat(1_048_000)}` }))
    expect(almost.status).toBe(200)
  })

  it('that stops halfway changes nothing, keeps nobody waiting and is no failure of the server', async () => {
    const before = api.world.logged.length
    const whole = JSON.stringify({ query: creation, variables: { input: { label: 'Half', roleId: 'role_ci' } } })
    for (const [path, type] of [
      ['/graphql', 'application/json'],
      ['/oauth/introspect', 'application/x-www-form-urlencoded'],
    ]) {
      const { hostname, port } = new URL(api.world.url)
      const socket = connect(Number(port), hostname)
      socket.on('error', () => undefined)
      socket.write(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${api.asOwner().authorization}\r\nContent-Type: ${type}\r\nContent-Length: ${whole.length + 10}\r\n\r\n${whole}`,
      )
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect((await api.ask('{ __typename }')).status).toBe(200)
      socket.destroy()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(warnings(api.world.logged.slice(before))).toEqual([])
  })
})

describe('a method', () => {
  changesNothing()

  it('other than POST, and GET for queries, is refused', async () => {
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const answer = await api.send('/graphql', { method, headers: api.asOwner() })
      expect(answer).toMatchObject({ status: 405, messages: ['GraphQL takes POST, and GET for queries.'] })
      expect(answer.headers.allow).toBe('GET, POST')
    }
    const mutation = encodeURIComponent(
      'mutation { createToken(input: { label: "By GET", roleId: "role_ci" }) { __typename } }',
    )
    const answer = await api.send(`/graphql?query=${mutation}`, { method: 'GET', headers: api.asOwner() })
    expect(answer).toMatchObject({ status: 405, messages: ['A mutation takes POST.'] })
    expect(answer.headers.allow).toBe('POST')
    const named = encodeURIComponent('query A { __typename } mutation B { signOut { signedOut } }')
    expect(
      await api.send(`/graphql?query=${named}&operationName=B`, { method: 'GET', headers: api.asOwner() }),
    ).toMatchObject({
      status: 405,
    })
  })

  it('GET is refused with parameters that are missing, doubled or no JSON', async () => {
    const get = (search: string) => api.send(`/graphql?${search}`, { method: 'GET', headers: api.asOwner() })
    const query = 'query=%7B__typename%7D'
    expect(await get(query)).toMatchObject({ status: 200 })
    expect(await get('')).toMatchObject({ status: 400, messages: ['Send the GraphQL document in “query”.'] })
    expect(await get(`${query}&${query}`)).toMatchObject({
      status: 400,
      messages: ['Give “query” once in the address.'],
    })
    for (const variables of [api.canaries.secret, '%22', '%7B', `%7B%22${api.canaries.password}`]) {
      const message = '“variables” in the address is not valid JSON.'
      expect(await get(`${query}&variables=${variables}`)).toMatchObject({ status: 400, messages: [message] })
    }
    expect(await get(`${query}&variables=%5B%5D`)).toMatchObject({ status: 400 })
    expect(await get('query=%ff%fe')).toMatchObject({ status: 400 })
  })
})

describe('a path', () => {
  changesNothing()

  it('that is not an address to the letter leads nowhere', async () => {
    const paths = [
      '/%2Fgraphql',
      '//graphql',
      '/./graphql',
      '/GRAPHQL',
      '/Graphql',
      '/graphql/',
      '/graphql/health',
      '/%67raphql',
      '/graphql%20',
      '/graphql%00',
      '/graphql;a=b',
      '/graphql#a',
      '/x/../graphql',
      '/graphql/../graphql',
      '/oauth/introspect/',
      '/oauth//introspect',
      '/oauth/./introspect',
      '/OAuth/introspect',
      '/oauth%2Fintrospect',
      '/oauth/introspect%2F',
      '/oauth/introspect%20',
      '/healthz/',
      '/readyz/',
      '/__proto__',
      '/constructor',
      '/toString',
      '/.env',
      '/server/main.ts',
      '*',
      'http://evil.example/graphql',
    ]
    for (const path of paths) {
      for (const method of ['GET', 'POST']) {
        const answer = await api.sendAsIs(path, {
          method,
          headers: api.asOwner(),
          pieces: method === 'POST' ? ['{"query": "{ __typename }"}'] : [],
        })
        expect(answer).toMatchObject({
          status: 404,
          messages: ['There is nothing at this address.'],
          codes: ['BAD_REQUEST'],
        })
      }
    }
  })

  const addresses = ['/', '/sign-in', '/organizations/acme', '/graphql', '/oauth/introspect', '/healthz', '/readyz']
  it.each(addresses)(
    '%s is met to the letter alone, whichever way it could be written for the same',
    async (address) => {
      const asPage = { ...api.asOwner(), accept: 'text/html' }
      const asService = { ...api.asService(), 'content-type': 'application/x-www-form-urlencoded' }
      const requests: [string, Record<string, string>, string[]][] = [
        ['GET', api.asOwner(), []],
        ['GET', asPage, []],
        ['POST', api.asOwner(), ['{"query": "{ __typename }"}']],
        ['POST', asService, ['token=lki_nothing']],
      ]
      // None of this is for a server that has not the address itself: there it would prove nothing.
      const itself = await fetch(`${api.world.url}${address}`, { headers: asPage })
      expect([address, itself.status]).not.toEqual([address, 404])
      for (const path of otherForms(address)) {
        for (const [method, headers, pieces] of requests) {
          const answer = await api.sendAsIs(path, { method, headers, pieces })
          expect([method, path, answer.status, answer.messages]).toEqual([
            ...[method, path, 404],
            ['There is nothing at this address.'],
          ])
        }
      }
    },
  )

  it('is told nothing of a host that is none', async () => {
    for (const host of ['a b', '[', 'a:b:c', '%']) {
      for (const accept of ['application/json', 'text/html']) {
        const answer = await api.sendAsIs('/graphql?query=%7B__typename%7D', { headers: { host, accept } })
        expect(answer).toMatchObject({ status: 400, messages: ['The “Host” header is no host.'] })
      }
    }
  })
})

/** What a proxy, a file server or a router might take for the same address. */
function otherForms(address: string): string[] {
  const parts = address.slice(1)
  const encoded = (text: string) => text.replace(/[a-z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`)
  const forms = [
    ...[
      `/${address}`,
      `/.${address}`,
      `/x/..${address}`,
      `/../${parts}`,
      `/%2F${parts}`,
      `/%2f${parts}`,
      `/%2e/${parts}`,
    ],
    ...[
      `/\\${parts}`,
      `/%5C${parts}`,
      `${address}//`,
      `${address}%2F`,
      `${address}/.`,
      `${address}/./`,
      `${address}/..;/`,
    ],
    ...[
      `${address}%00`,
      `${address}%20`,
      `${address}%09`,
      `${address}%3F`,
      `${address};a=b`,
      `${address}#a`,
      `${address}.`,
    ],
    ...[address.replaceAll('/', '//'), address.replaceAll('/', '/./')],
    ...[`/${parts.replaceAll('/', '%2F')}`, `/${parts.replaceAll('/', '%252F')}`, `/${encoded(parts)}`],
    ...[`/${parts.toUpperCase()}`, `/${parts.replace(/[a-z]/, (letter) => letter.toUpperCase())}`],
    `http://localhost${address}`,
    ...(parts === '' ? [] : [`${address}/`]),
  ]
  return [...new Set(forms)].filter((form) => form !== address && form !== '')
}

describe('another site', () => {
  const cookie = () => `latchkey_session=${api.world.alpha.owner.sessionToken}`

  it('may not act with a session’s cookie', async () => {
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'https://app.example.com.evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site', origin: api.world.url },
    ]
    for (const headers of foreign) {
      const answer = await api.sendAsIs('/graphql', {
        method: 'POST',
        headers: { ...json, cookie: cookie(), ...headers },
        pieces: ['{"query": "{ viewer { __typename } }"}'],
      })
      expect(answer).toMatchObject({ status: 403, codes: ['FORBIDDEN'] })
    }
    const trusted = await api.sendAsIs('/graphql', {
      method: 'POST',
      headers: { ...json, cookie: cookie(), origin: 'https://app.example.com', 'sec-fetch-site': 'cross-site' },
      pieces: ['{"query": "{ viewer { __typename } }"}'],
    })
    expect(trusted).toMatchObject({ status: 200, data: { viewer: { __typename: 'MemberViewer' } } })
  })

  it('is let in by CORS only where it is listed, to the letter', async () => {
    const preflight = async (origin: string, path = '/graphql') => {
      const headers = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      }
      return (await fetch(`${api.world.url}${path}`, { method: 'OPTIONS', headers })).headers
    }
    for (const origin of ['https://app.example.com', 'https://admin.example.com']) {
      const headers = await preflight(origin)
      expect(headers.get('access-control-allow-origin')).toBe(origin)
      expect(headers.get('access-control-allow-credentials')).toBe('true')
      expect(headers.get('vary')).toMatch(/\bOrigin\b/)
    }
    for (const origin of [
      'https://evil.example',
      'null',
      'http://app.example.com',
      'https://app.example.com:444',
      'https://APP.example.com',
      'https://sub.app.example.com',
    ]) {
      const answer = await fetch(`${api.world.url}/graphql`, {
        method: 'POST',
        headers: { ...api.asOwner(), origin },
        body: '{"query": "{ __typename }"}',
      })
      for (const headers of [await preflight(origin), answer.headers]) {
        expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
      }
    }
    const introspection = await preflight('https://app.example.com', '/oauth/introspect')
    expect(introspection.get('access-control-allow-origin')).toBeNull()
  })

  it('is let in by CORS nowhere where none is listed', async () => {
    await using world = await openWorld()
    const credential = { authorization: `Bearer ${world.service.secret}` }
    for (const origin of ['https://app.example.com', 'https://evil.example', 'null', world.url]) {
      for (const [path, method, body] of [
        ['/graphql', 'POST', '{"query": "{ __typename }"}'],
        ['/graphql?query=%7B__typename%7D', 'GET', null],
        ['/oauth/introspect', 'POST', 'token=lki_nothing'],
        ['/healthz', 'GET', null],
        ['/', 'GET', null],
      ] as const) {
        const type = path === '/graphql' ? 'application/json' : 'application/x-www-form-urlencoded'
        const asked = { 'access-control-request-method': method, 'access-control-request-headers': 'authorization' }
        for (const answer of [
          await fetch(`${world.url}${path}`, { method: 'OPTIONS', headers: { origin, ...asked } }),
          await fetch(`${world.url}${path}`, {
            method,
            body,
            headers: { origin, 'content-type': type, ...credential },
          }),
        ]) {
          const allowed = [...answer.headers.keys()].filter((name) => name.startsWith('access-control'))
          expect([origin, path, allowed]).toEqual([origin, path, []])
        }
      }
    }
  })
})

describe('introspection', () => {
  changesNothing()

  const form = 'application/x-www-form-urlencoded'
  const introspect = (body: string, headers: Record<string, string> = {}) =>
    api.send('/oauth/introspect', {
      headers: { 'content-type': form, authorization: api.asService().authorization, ...headers },
      body,
    })
  const basic = (text: string | Uint8Array) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
  let accepted = ''
  beforeAll(async () => {
    accepted = unwrap(
      (await api.world.alpha.owner.createToken({ input: { label: 'Introspected', roleId: 'role_ci' } })).createToken,
    ).secret
  })

  it('refuses a form that is not exactly one token', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await api.send(`/oauth/introspect?token=${api.canaries.secret}`, {
        method,
        headers: api.asService(),
      })
      expect(answer).toMatchObject({ status: 405, codes: ['invalid_request'], messages: ['Introspection takes POST.'] })
      expect(answer.headers.allow).toBe('POST')
    }
    for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x', '']) {
      expect(await introspect(`token=${api.canaries.secret}`, { 'content-type': type })).toMatchObject({
        status: 415,
        codes: ['invalid_request'],
      })
    }
    for (const body of [
      '',
      'token',
      'token=',
      'tokens=x',
      'token=a&token=b',
      `token=${api.canaries.secret}&token=${api.canaries.secret}`,
      'TOKEN=x',
      '{"token":"x"}',
    ]) {
      expect(await introspect(body)).toMatchObject({
        status: 400,
        codes: ['invalid_request'],
        messages: ['Send exactly one parameter “token”.'],
      })
    }
    expect(
      await api.send('/oauth/introspect', {
        headers: { ...api.asService(), 'content-type': form },
        body: new Uint8Array([0xff]),
      }),
    ).toMatchObject({ status: 400 })
  })

  it('refuses every caller but a registered service, alike', async () => {
    const { alpha, service } = api.world
    const accessToken = api.world.dependencies.digester.issue('accessToken').secret
    const { secret } = service
    const callers: Record<string, string>[] = [
      { authorization: '' },
      { authorization: 'Bearer' },
      { authorization: `Token ${secret}` },
      { authorization: `Bearer ${secret}, Basic eDp5` },
      { authorization: `Bearer ${secret}x` },
      { authorization: `Bearer ${alpha.owner.sessionToken}` },
      { authorization: `Bearer ${accepted}` },
      { authorization: `Bearer ${accessToken}` },
      { authorization: `Bearer ${api.world.dependencies.digester.issue('service').secret}` },
      basic('scanner'),
      basic(':'),
      basic(`:${secret}`),
      basic(`another:${secret}`),
      basic(`Scanner:${secret}`),
      basic(`scanner:${secret}x`),
      basic(`scanner:%zz`),
      basic(`scanner:${secret}%`),
      basic(`%ff:${secret}`),
      basic(new Uint8Array([0xff, 0x3a, 0xfe])),
      basic(`scanner:${accepted}`),
      { authorization: 'Basic !!!!' },
      { authorization: 'Basic ' },
    ]
    for (const headers of callers) {
      const answer = await introspect(`token=${accepted}`, headers)
      expect(answer).toMatchObject({ status: 401, codes: ['invalid_client'] })
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="latchkey", Basic realm="latchkey"')
      expect(answer.messages[0]).toMatch(/^Introspection is for registered services: send /)
    }
    const doubled = await api.sendAsIs('/oauth/introspect', {
      method: 'POST',
      headers: ['Host', 'x', 'Content-Type', form, 'Authorization', `Bearer ${secret}`, 'Authorization', 'Basic eDp5'],
      pieces: [`token=${accepted}`],
    })
    expect(doubled).toMatchObject({
      status: 400,
      codes: ['invalid_request'],
      messages: ['Send one “Authorization” header.'],
    })
    expect(await introspect(`token=${accepted}`, basic(`sc%61nner:${secret}`))).toMatchObject({ status: 200 })
  })

  it('takes no notice of a hint or of white space around the token, and keeps no address that is none', async () => {
    for (const hint of ['access_token', 'refresh_token', 'nonsense', '']) {
      expect((await introspect(`token=${accepted}&token_type_hint=${hint}`)).text).toContain('"active":true')
    }
    for (const token of [`%20${accepted}`, `${accepted}%20`, `${accepted}%0A`, `${accepted}%00`]) {
      expect((await introspect(`token=${token}`)).text).toBe('{"active":false}')
    }
    const logged = api.world.logged.length
    for (const from of ['%00', 'a%0Ab', '%E2%80%AE', 'x'.repeat(101), '%20', '%FF', '203.0.113.9']) {
      await api.world.dependencies.lastUse.flush()
      await api.world.sql('update token_secrets set last_used_at = null')
      await api.world.sql('update token_uses set last_used_from = null')
      expect((await introspect(`token=${accepted}&used_from=${from}`)).text).toContain('"active":true')
      await api.world.dependencies.lastUse.flush()
      const [row] = await api.world.sql(
        `select last_used_from from token_uses join integration_tokens t on t.id = token_id where label = 'Introspected'`,
      )
      expect(row).toEqual({ last_used_from: from === '203.0.113.9' ? from : null })
    }
    expect(warnings(api.world.logged.slice(logged))).toEqual([])
  })
})

describe('a service without tokens:verify', () => {
  it('is told that it lacks it', async () => {
    const secret = await addService(api.world.dependencies, 'powerless')
    await api.world.sql(`update services set permissions = '{}' where name = 'powerless'`)
    const answer = await api.send('/oauth/introspect', {
      headers: { 'content-type': 'application/x-www-form-urlencoded', authorization: `Bearer ${secret}` },
      body: `token=${api.canaries.secret}`,
    })
    expect(answer).toMatchObject({ status: 403, codes: ['insufficient_scope'] })
    expect(answer.messages).toEqual(['This service may not verify tokens: it lacks tokens:verify.'])
    const graphql = await api.ask(
      '{ verifyToken(token: "x") { active } }',
      {},
      { ...json, authorization: `Bearer ${secret}` },
    )
    expect(graphql).toMatchObject({ status: 403, codes: ['FORBIDDEN'] })
  })
})

describe('a token in an address', () => {
  it('is not verified, wherever in the document that is asked', async () => {
    const ask = 'verifyToken(token: "lki_nothing") { active }'
    for (const document of [
      `{ ${ask} }`,
      `{ ok: ${ask} }`,
      `query { ...A } fragment A on Query { ${ask} }`,
      `{ ... on Query { ${ask} } }`,
      `query A { __typename } query B { ${ask} }`,
    ]) {
      const search = `query=${encodeURIComponent(document)}&operationName=${document.includes('query A') ? 'A' : ''}`
      const answer = await api.send(`/graphql?${search}`, { method: 'GET', headers: { ...json, ...api.asService() } })
      expect(answer).toMatchObject({
        status: 405,
        messages: ['“verifyToken” takes POST: an address with the token in it would be kept in logs on its way.'],
      })
      expect(answer.headers.allow).toBe('POST')
    }
    const digests = encodeURIComponent(`{ verifyTokenDigests(digests: ["${'0'.repeat(64)}"]) { active } }`)
    const answer = await api.send(`/graphql?query=${digests}`, {
      method: 'GET',
      headers: { ...json, ...api.asService() },
    })
    expect(answer.status).toBe(200)
  })
})

describe('the addresses that probes ask', () => {
  it('take GET and HEAD, and no other method', async () => {
    for (const path of ['/healthz', '/readyz']) {
      expect((await api.send(path, { method: 'GET' })).status).toBe(200)
      expect((await fetch(api.world.url + path, { method: 'HEAD' })).status).toBe(200)
      for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const answer = await api.send(path, { method })
        expect(answer).toMatchObject({ status: 405, messages: ['This takes GET.'] })
        expect(answer.headers.allow).toBe('GET, HEAD')
      }
    }
  })

  it('and all others, answer TRACE with a refusal that repeats nothing', async () => {
    for (const path of ['/healthz', '/readyz', '/graphql', '/oauth/introspect']) {
      const answer = await api.sendAsIs(path, {
        method: 'TRACE',
        headers: { authorization: `Bearer ${api.canaries.secret}` },
      })
      expect(answer.status).toBe(405)
    }
  })
})

describe('a request that does not come to its end', () => {
  it('is answered 408 after ten seconds where its headers do not, and keeps no connection', async () => {
    const { host, port } = new URL(api.world.url)
    const socket = connect(Number(port), '127.0.0.1')
    const began = performance.now()
    socket.write(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n`)
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nConnection: close\r\n/)
    const seconds = (performance.now() - began) / 1_000
    expect(seconds).toBeGreaterThan(9)
    expect(seconds).toBeLessThan(15)
  })

  it('is given thirty seconds where its body does not', () => {
    const server = createHttpServer(api.world.dependencies, {
      publicUrl: new URL(api.world.url),
      corsOrigins: [],
      trustedProxies: readNetworks([]),
    })
    expect(server.requestTimeout).toBe(30_000)
  })
})

describe('a request that says its length twice', () => {
  it('is refused, since whatever stands in front may have gone by the other', async () => {
    const { host, port } = new URL(api.world.url)
    const smuggled = 'POST /graphql HTTP/1.1\r\nHost: x\r\n\r\n'
    for (const lengths of [
      'Transfer-Encoding: chunked\r\nContent-Length: 5',
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
      'Content-Length: 5\r\nContent-Length: 6',
      'Transfer-Encoding: chunked, identity',
      'Transfer-Encoding : chunked',
    ]) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.write(
        `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n${lengths}\r\n\r\n0\r\n\r\n${smuggled}`,
      )
      const answer = await text(socket)
      expect(answer, lengths).toMatch(/^HTTP\/1\.1 400 Bad Request/)
      expect(answer.match(/HTTP\/1\.1/g), lengths).toHaveLength(1)
    }
  })
})
