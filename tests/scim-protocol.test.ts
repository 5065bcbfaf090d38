import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { provisioner, type ScimClient, scimClient, urns } from './scim.ts'
import { openWorld, serve, type World } from './world.ts'

let world: World
let scim: ScimClient & { secret: string }
/** Five users of the world itself, and those made here: their names begin with “List”. */
let listed: string[]
beforeAll(async () => {
  world = await openWorld({ publicUrl: 'https://tokens.example.com' })
  scim = await provisioner(world, world.alpha)
  listed = []
  for (const [at, familyName] of ['Delta', 'alpha', 'Charlie', 'bravo'].entries()) {
    listed.push(
      await scim.user({
        userName: `list-${at}@people.example`,
        displayName: `List ${at}`,
        externalId: `list-${at}`,
        name: { familyName },
        ...(at < 2 && { title: 'Guide' }),
        emails: [
          { value: `home-${9 - at}@people.example`, type: 'home' },
          { value: `work-${at}@people.example`, type: 'work', primary: true },
        ],
      }),
    )
  }
})
afterAll(() => world[Symbol.asyncDispose]())

let made = 0
const newUser = (more: Record<string, unknown> = {}) =>
  scim.user({ userName: `made-${++made}@people.example`, ...more })
const query = (parameters: Record<string, string>) => `?${new URLSearchParams(parameters)}`
const ours = 'displayName sw "List"'

async function list(parameters: Record<string, string>) {
  const { status, body } = await scim.get(`/Users${query({ filter: ours, ...parameters })}`)
  expect(status).toBe(200)
  return { ...body, ids: (body.Resources ?? []).map(({ id }) => id) }
}

/** In the form of RFC 7644, section 3.12, in words for a person, and nothing else. */
function expectError(
  { status, headers, body, text }: Awaited<ReturnType<ScimClient['get']>>,
  due: number,
  scimType?: string,
) {
  expect({ status, text }).toMatchObject({ status: due })
  expect(headers.get('content-type')).toBe('application/scim+json')
  expect(body).toEqual({
    schemas: [urns.error],
    status: String(due),
    ...(scimType !== undefined && { scimType }),
    detail: expect.stringMatching(/^[A-Z“].+[.”]$/),
  })
}

describe('what the service tells of itself', () => {
  it('is what it does', async () => {
    expect((await scim.get('/ServiceProviderConfig')).body).toMatchObject({
      patch: { supported: true },
      bulk: { supported: true, maxOperations: 1_000, maxPayloadSize: 1_048_576 },
      filter: { supported: true, maxResults: 1_000 },
      changePassword: { supported: false },
      sort: { supported: true },
      etag: { supported: true },
      authenticationSchemes: [{ type: 'oauthbearertoken' }],
    })
  })

  it('names the types of resource, and has each at its own address', async () => {
    const { body } = await scim.get('/ResourceTypes')
    expect(body).toMatchObject({ schemas: [urns.list], totalResults: 2 })
    for (const type of body.Resources ?? []) {
      expect((await scim.get(`/ResourceTypes/${type.id}`)).body).toEqual(type)
    }
  })

  it('describes the schemas, each at its own address, by name and characteristic', async () => {
    const { body } = await scim.get('/Schemas')
    expect(body.Resources?.map(({ id }) => id)).toEqual([urns.user, urns.enterprise, urns.group])
    for (const schema of body.Resources ?? []) expect((await scim.get(`/Schemas/${schema.id}`)).body).toEqual(schema)
    expect(body.Resources?.[0]?.attributes).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'userName', required: true, caseExact: false, uniqueness: 'server' }),
        expect.objectContaining({ name: 'password', mutability: 'writeOnly', returned: 'never' }),
        expect.objectContaining({ name: 'groups', mutability: 'readOnly' }),
      ]),
    )
  })

  it('is not filtered', async () => {
    for (const path of ['/ServiceProviderConfig', '/ResourceTypes', '/Schemas']) {
      expectError(await scim.get(`${path}?filter=id+eq+%22User%22`), 403)
    }
  })
})

describe('a resource', () => {
  it('is answered with its address, its version and the media type of SCIM, when it is made and when it is read', async () => {
    const body = { schemas: [urns.user], userName: 'whole@people.example' }
    const made = await scim.post('/Users', body)
    const location = `https://tokens.example.com/scim/v2/Users/${made.body.id}`
    expect(made.status).toBe(201)
    expect(made.headers.get('location')).toBe(location)
    expect(made.headers.get('content-type')).toBe('application/scim+json')
    expect(made.headers.get('cache-control')).toBe('no-store')
    expect(made.body.meta).toMatchObject({ resourceType: 'User', location, version: made.headers.get('etag') })
    const read = await scim.get(`/Users/${made.body.id}`)
    expect(read.body).toEqual(made.body)
    expect(read.headers.get('etag')).toMatch(/^W\/"[\w-]+"$/)
  })

  it('is replaced: what the new one lacks is gone, but for whether it is active, and what it is called', async () => {
    const id = await newUser({ displayName: 'Before', title: 'Guide', nickName: 'B', externalId: 'replaced' })
    await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])
    const { body } = await scim.put(`/Users/${id}`, {
      schemas: [urns.user],
      id: 'mem_another',
      userName: 'replaced@people.example',
      title: 'Boss',
    })
    expect(body).toMatchObject({
      id,
      userName: 'replaced@people.example',
      title: 'Boss',
      displayName: 'Before',
      active: false,
    })
    expect(body).not.toHaveProperty('nickName')
    expect(body).not.toHaveProperty('externalId')
  })

  it('is answered without what was not asked for, in every answer that has it', async () => {
    const [id = ''] = listed
    const only = await scim.get(`/Users/${id}?attributes=USERNAME,name.familyName,emails.value`)
    expect(only.body).toEqual({
      schemas: [urns.user],
      id,
      userName: 'list-0@people.example',
      name: { familyName: 'Delta' },
      emails: [{ value: 'home-9@people.example' }, { value: 'work-0@people.example' }],
    })
    const without = await scim.get(`/Users/${id}?excludedAttributes=id,schemas,emails,meta.location,name.familyName`)
    expect(without.body).toMatchObject({ id, schemas: [urns.user], userName: 'list-0@people.example' })
    expect(without.body).not.toHaveProperty('emails')
    expect(without.body.meta).not.toHaveProperty('location')
    expect((await list({ attributes: 'title', count: '1' })).Resources).toEqual([
      { schemas: [urns.user], id, title: 'Guide' },
    ])
    const made = await scim.post('/Users?attributes=userName', {
      schemas: [urns.user],
      userName: 'asked@people.example',
    })
    expect(Object.keys(made.body).sort()).toEqual(['id', 'schemas', 'userName'])
    expectError(await scim.get(`/Users/${id}?attributes=id&excludedAttributes=id`), 400, 'invalidValue')
  })

  it.each<[string, Record<string, unknown>, string]>([
    ['without a schema', { userName: 'x@people.example' }, 'invalidSyntax'],
    ['of another schema', { schemas: [urns.group], userName: 'x@people.example' }, 'invalidSyntax'],
    ['without a name', { schemas: [urns.user] }, 'invalidValue'],
    ['whose name is no address', { schemas: [urns.user], userName: 'bjensen' }, 'invalidValue'],
    ['whose name is a number', { schemas: [urns.user], userName: 7 }, 'invalidValue'],
    [
      'with a name of two lines',
      { schemas: [urns.user], userName: 'x@people.example', displayName: 'a\nb' },
      'invalidValue',
    ],
    [
      'neither active nor not',
      { schemas: [urns.user], userName: 'x@people.example', active: 'perhaps' },
      'invalidValue',
    ],
    ['with NUL in it', { schemas: [urns.user], userName: 'x@people.example', title: 'a\0b' }, 'invalidValue'],
    ['with half a character', { schemas: [urns.user], userName: 'x@people.example', title: '\ud800' }, 'invalidValue'],
    [
      'with too much in it',
      { schemas: [urns.user], userName: 'x@people.example', title: 'x'.repeat(70_000) },
      'invalidValue',
    ],
    [
      'with a long external id',
      { schemas: [urns.user], userName: 'x@people.example', externalId: 'x'.repeat(501) },
      'invalidValue',
    ],
  ])('%s is refused', async (_, body, scimType) => {
    expectError(await scim.post('/Users', body), 400, scimType)
    expect(await scim.found('Users', 'userName eq "x@people.example"')).toEqual([])
  })

  it('that is not JSON, nested without end, or of another media type, is refused', async () => {
    expectError(await scim.send('POST', '/Users', '{"schemas":'), 400, 'invalidSyntax')
    expectError(await scim.send('POST', '/Users', '[]'), 400, 'invalidSyntax')
    expectError(
      await scim.send('POST', '/Users', `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`),
      400,
      'invalidSyntax',
    )
    expectError(await scim.send('POST', '/Users', '{"__proto__":{"active":false}}'), 400, 'invalidSyntax')
    expectError(await scim.send('POST', '/Users', '{}', { 'content-type': 'text/plain' }), 415)
    const body = { schemas: [urns.user], userName: 'as-json@people.example' }
    const answer = await scim.post('/Users', body, { 'content-type': 'application/json; charset=utf-8' })
    expect(answer.status).toBe(201)
  })

  it('that is larger than a mebibyte is refused as SCIM has it, by its length or in pieces', async () => {
    const body = { schemas: [urns.user], userName: 'x@people.example', title: 'x'.repeat(1_048_576) }
    expectError(await scim.post('/Users', body), 413)
    expectError(await scim.post('/Bulk', body), 413)
  })
})

describe('a version', () => {
  it('that a reader has is not sent again', async () => {
    const id = await newUser()
    const { headers, body } = await scim.get(`/Users/${id}`)
    const version = headers.get('etag') ?? ''
    expect(body.meta?.version).toBe(version)
    for (const known of [version, `"other", ${version}`, version.slice(2), '*']) {
      const again = await scim.get(`/Users/${id}`, { 'if-none-match': known })
      expect({ known, status: again.status, text: again.text }).toEqual({ known, status: 304, text: '' })
    }
    expect((await scim.get(`/Users/${id}`, { 'if-none-match': 'W/"other"' })).status).toBe(200)
    const groups = await scim.group({ displayName: `Group ${++made}`, members: [{ value: id }] })
    expect((await scim.get(`/Users/${id}`, { 'if-none-match': version })).status).toBe(200)
    expect(groups).toBeDefined()
  })

  it('that has passed is not changed, by any method', async () => {
    const id = await newUser()
    const path = `/Users/${id}`
    const version = (await scim.get(path)).headers.get('etag') ?? ''
    const change = [{ op: 'replace', path: 'title', value: 'Changed' }]
    const patched = await scim.patch(path, change, { 'if-match': version })
    expect(patched.status).toBe(200)
    expect(patched.headers.get('etag')).not.toBe(version)
    const stale = { 'if-match': version }
    expectError(await scim.patch(path, [{ op: 'remove', path: 'title' }], stale), 412)
    expectError(await scim.put(path, { schemas: [urns.user], userName: 'lost@people.example' }, stale), 412)
    expectError(await scim.remove(path, stale), 412)
    expect((await scim.get(path)).body).toMatchObject({ title: 'Changed' })
    expect((await scim.remove(path, { 'if-match': '*' })).status).toBe(204)
  })

  it('is changed by one of those that change it at once', async () => {
    const path = `/Users/${await newUser()}`
    const headers = { 'if-match': (await scim.get(path)).headers.get('etag') ?? '' }
    const answers = await Promise.all(
      Array.from({ length: 5 }, (_, at) => scim.patch(path, [{ op: 'add', path: 'title', value: `T${at}` }], headers)),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412, 412])
  })
})

describe('a list', () => {
  it('is read page by page, in the order in which members came', async () => {
    const all = await scim.get('/Users?count=1000')
    const total = all.body.totalResults ?? 0
    expect(all.body).toMatchObject({ schemas: [urns.list], startIndex: 1, itemsPerPage: total })
    const ids: unknown[] = []
    for (let startIndex = 1; startIndex <= total; startIndex += 3) {
      const { body } = await scim.get(`/Users${query({ startIndex: String(startIndex), count: '3' })}`)
      expect(body).toMatchObject({ totalResults: total, startIndex })
      ids.push(...(body.Resources ?? []).map(({ id }) => id))
    }
    expect(ids).toEqual(all.body.Resources?.map(({ id }) => id))
    expect((await scim.get('/Users?startIndex=100000')).body).toMatchObject({ totalResults: total, Resources: [] })
    expect((await scim.get('/Users?count=0')).body).toMatchObject({ totalResults: total, Resources: [] })
    expect((await scim.get('/Users?count=-5&startIndex=-5')).body).toMatchObject({ startIndex: 1, Resources: [] })
  })

  it('filtered is paged alike', async () => {
    expect(await list({})).toMatchObject({ totalResults: 4, itemsPerPage: 4, ids: listed })
    expect(await list({ startIndex: '2', count: '2' })).toMatchObject({ totalResults: 4, ids: listed.slice(1, 3) })
  })

  it('is sorted as the attribute is compared, what lacks it at the end, and the other way round', async () => {
    const [delta, alpha, charlie, bravo] = listed
    expect((await list({ sortBy: 'name.familyName' })).ids).toEqual([alpha, bravo, charlie, delta])
    expect((await list({ sortBy: 'NAME.familyname', sortOrder: 'descending' })).ids).toEqual([
      delta,
      charlie,
      bravo,
      alpha,
    ])
    expect((await list({ sortBy: 'title' })).ids.slice(2).sort()).toEqual([charlie, bravo].sort())
    expect((await list({ sortBy: 'title', sortOrder: 'descending' })).ids.slice(0, 2).sort()).toEqual(
      [charlie, bravo].sort(),
    )
    // By the primary one: the others are in the opposite order.
    expect((await list({ sortBy: 'emails' })).ids).toEqual(listed)
    expect((await list({ sortBy: 'meta.created' })).ids).toEqual(listed)
  })

  it('is found by an index for userName, externalId and id, and says the same as reading all', async () => {
    const [id = ''] = listed
    for (const filter of ['userName eq "LIST-0@people.example"', 'externalId eq "list-0"', `id eq "${id}"`]) {
      expect(await scim.found('Users', filter)).toEqual([id])
      expect(await scim.found('Users', `${filter} and title pr`)).toEqual([id])
    }
    expect(await scim.found('Users', 'externalId eq "LIST-0"')).toEqual([])
  })

  it('is searched for by POST, with the same answer', async () => {
    const search = {
      schemas: [urns.search],
      filter: ours,
      sortBy: 'userName',
      startIndex: 2,
      count: 2,
      attributes: ['userName'],
    }
    const { status, body } = await scim.post('/Users/.search', search)
    expect(status).toBe(200)
    expect(body).toEqual(
      (
        await scim.get(
          `/Users${query({ filter: ours, sortBy: 'userName', startIndex: '2', count: '2', attributes: 'userName' })}`,
        )
      ).body,
    )
    expect(body.Resources).toHaveLength(2)
    expect(
      (await scim.post('/Groups/.search', { schemas: [urns.search], filter: 'displayName eq "None"' })).body,
    ).toMatchObject({
      totalResults: 0,
    })
    expectError(await scim.post('/Users/.search', { filter: ours }), 400, 'invalidSyntax')
    expectError(await scim.post('/Users/.search', { ...search, count: 'all' }), 400, 'invalidValue')
  })

  it.each([
    ['filter=userName', 'invalidFilter'],
    ['filter=', 'invalidFilter'],
    ['filter=userName+eq+%22%00', 'invalidFilter'],
    ['count=many', 'invalidValue'],
    ['startIndex=1.5', 'invalidValue'],
    ['sortBy=userName&sortOrder=sideways', 'invalidValue'],
    ['sortBy=..', 'invalidPath'],
  ])('asked for by ?%s is refused', async (parameters, scimType) => {
    expectError(await scim.get(`/Users?${parameters}`), 400, scimType)
    expectError(await scim.get(`/Groups?${parameters}`), 400, scimType)
  })

  it('of users and groups together is read and searched at the root', async () => {
    const displayName = `List group ${++made}`
    const group = await scim.group({ displayName })
    const { body } = await scim.get(query({ filter: ours, attributes: 'displayName' }))
    expect(body).toMatchObject({ totalResults: 5, itemsPerPage: 5 })
    expect(body.Resources?.map(({ id }) => id)).toEqual([...listed, group])
    expect(body.Resources?.at(-1)).toEqual({ schemas: [urns.group], id: group, displayName })
    const search = { schemas: [urns.search], filter: ours, startIndex: 5, count: 5 }
    expect((await scim.post('/.search', search)).body).toMatchObject({ totalResults: 5, Resources: [{ id: group }] })
    await scim.remove(`/Groups/${group}`)
  })

  it('of two organizations asked for at once is each one’s own', async () => {
    const other = await provisioner(world, world.beta)
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, at) => {
        const { text } = await (at % 2 === 0 ? scim : other).get('/Users?filter=userName+sw+%22owner%22')
        return [text.includes('owner@alpha.example'), text.includes('owner@beta.example')]
      }),
    )
    expect(answers).toEqual(Array.from({ length: 20 }, (_, at) => [at % 2 === 0, at % 2 === 1]))
  })
})

describe('a bulk request', () => {
  const bulk = (Operations: unknown[], more: Record<string, unknown> = {}) =>
    scim.post('/Bulk', { schemas: [urns.bulk], ...more, Operations })
  const newGroup = (bulkId: string, more: Record<string, unknown> = {}) => ({
    method: 'POST',
    path: '/Groups',
    bulkId,
    data: { schemas: [urns.group], displayName: `Bulk ${++made}`, ...more },
  })
  const inBulk = (bulkId: string, userName = `bulk-${++made}@people.example`) => ({
    method: 'POST',
    path: '/Users',
    bulkId,
    data: { schemas: [urns.user], userName },
  })

  it('does each operation, also where one refers to what a later one makes, and answers in the order sent', async () => {
    const { status, body } = await bulk([
      newGroup('group', { members: [{ value: 'bulkId:first' }, { value: 'bulkId:second' }] }),
      inBulk('first'),
      inBulk('second'),
      {
        method: 'PATCH',
        path: '/Users/bulkId:second',
        data: { schemas: [urns.patch], Operations: [{ op: 'add', path: 'title', value: 'Bulk' }] },
      },
      { method: 'DELETE', path: '/Users/bulkId:first' },
    ])
    expect(status).toBe(200)
    expect(body).toMatchObject({
      schemas: ['urn:ietf:params:scim:api:messages:2.0:BulkResponse'],
      Operations: [
        {
          method: 'POST',
          bulkId: 'group',
          status: '201',
          location: expect.stringContaining('/scim/v2/Groups/grp_'),
          version: expect.stringMatching(/^W/),
        },
        { method: 'POST', bulkId: 'first', status: '201' },
        { method: 'POST', bulkId: 'second', status: '201' },
        { method: 'PATCH', status: '200' },
        { method: 'DELETE', status: '204' },
      ],
    })
    expect(await scim.found('Users', 'title eq "Bulk"')).toHaveLength(1)
  })

  it('goes on after a failure, or stops after as many as were asked for', async () => {
    const [taken] = [inBulk('taken', 'list-0@people.example')]
    const goesOn = await bulk([taken, inBulk('a')])
    expect(goesOn.body.Operations).toMatchObject([
      { status: '409', response: { schemas: [urns.error], status: '409', scimType: 'uniqueness' } },
      { status: '201' },
    ])
    const stops = await bulk([taken, { ...taken, bulkId: 'again' }, inBulk('b', 'never@people.example')], {
      failOnErrors: 2,
    })
    expect(stops.body.Operations).toHaveLength(2)
    expect(await scim.found('Users', 'userName eq "never@people.example"')).toEqual([])
  })

  it('refuses what refers in a circle, to what failed, and to nothing', async () => {
    const { body } = await bulk([
      newGroup('one', { members: [{ value: 'bulkId:two' }] }),
      newGroup('two', { members: [{ value: 'bulkId:one' }] }),
      inBulk('failing', 'list-0@people.example'),
      newGroup('three', { members: [{ value: 'bulkId:failing' }] }),
      newGroup('four', { members: [{ value: 'bulkId:nothing' }] }),
    ])
    const answers = JSON.parse(JSON.stringify(body.Operations))
    expect(answers.map(({ status }: { status: string }) => status)).toEqual(['409', '400', '409', '400', '400'])
  })

  it('goes by the version of each operation', async () => {
    const id = await newUser()
    const patch = {
      method: 'PATCH',
      path: `/Users/${id}`,
      data: { schemas: [urns.patch], Operations: [{ op: 'add', path: 'title', value: 'x' }] },
    }
    expect((await bulk([{ ...patch, version: 'W/"other"' }])).body.Operations).toMatchObject([{ status: '412' }])
    const version = (await scim.get(`/Users/${id}`)).headers.get('etag')
    expect((await bulk([{ ...patch, version }])).body.Operations).toMatchObject([{ status: '200' }])
  })

  it('is refused whole where it is none, or has too many operations', async () => {
    expectError(await bulk([{ method: 'GET', path: '/Users' }]), 400, 'invalidSyntax')
    expectError(await bulk([inBulk('same'), inBulk('same')]), 400, 'invalidSyntax')
    expectError(await bulk([{ ...inBulk('x'), bulkId: undefined }]), 400, 'invalidSyntax')
    expectError(await bulk(Array.from({ length: 1_001 }, () => ({ method: 'DELETE', path: '/Users/x' }))), 413)
    const bad = await bulk([
      { method: 'DELETE', path: '/Bulk' },
      { method: 'PUT', path: '/Users', data: {} },
      { method: 'DELETE', path: '/Users/a/b' },
    ])
    expect(bad.body.Operations).toMatchObject([{ status: '400' }, { status: '400' }, { status: '400' }])
  })
})

describe('an address', () => {
  it.each([
    '/',
    '/users',
    '/Users/',
    '//Users',
    '/./Users',
    '/Users%2F',
    '/%55sers',
    '/Users/.',
    '/USERS',
    '/Me',
    '/Nothing',
    '/Schemas/',
    '/Users/mem_1/x',
    '/Users/a%2Fb',
  ])('is compared to the letter: there is nothing at /scim/v2%s', async (path) => {
    // As it is: fetch would put some of these right.
    const headers = { authorization: `Bearer ${scim.secret}` }
    const request = httpRequest(world.url, { path: `/scim/v2${path}`, headers }).end()
    const [response] = await once(request, 'response')
    expect(response.statusCode).toBe(404)
    response.resume()
  })

  it.each(['/SCIM/v2/Users', '//scim/v2/Users', '/scim%2Fv2/Users', '/scim/v2Users', '/scim/v3/Users'])(
    'is nothing, nor the console’s: %s',
    async (path) => {
      const request = httpRequest(world.url, { path, headers: { authorization: `Bearer ${scim.secret}` } }).end()
      const [response] = await once(request, 'response')
      expect(response.statusCode).toBe(404)
      response.resume()
    },
  )

  it.each([
    ['DELETE', '/Users', 'GET, POST'],
    ['POST', '/Users/mem_01m8a6q60men6b8e4693cfbeyd', 'GET, PUT, PATCH, DELETE'],
    ['GET', '/Users/.search', 'POST'],
    ['GET', '/Bulk', 'POST'],
    ['POST', '/Schemas', 'GET'],
    ['PUT', '/ServiceProviderConfig', 'GET'],
  ])('says which methods it takes: %s %s', async (method, path, allow) => {
    const answer = await scim.send(method, path, method === 'GET' || method === 'DELETE' ? undefined : {})
    expectError(answer, 405)
    expect(answer.headers.get('allow')).toBe(allow)
  })

  it('tells nothing to a caller without a credential but where one is to be had', async () => {
    const stranger = scimClient(world, null)
    for (const path of ['/Users', '/ServiceProviderConfig', '/Users/mem_01m8a6q60men6b8e4693cfbeyd']) {
      const answer = await stranger.get(path)
      expectError(answer, 401)
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="latchkey"')
    }
    const wrong = await scimClient(world, 'lki_wrong').get('/Users')
    expectError(wrong, 401)
    expect(wrong.headers.get('www-authenticate')).toBe('Bearer realm="latchkey", error="invalid_token"')
    const session = await scimClient(world, world.alpha.owner.sessionToken).get('/Users')
    expectError(session, 403)
    expect(session.headers.get('www-authenticate')).toContain('error="insufficient_scope", scope="scim:provision"')
  })
})

describe('the request log', () => {
  it('has the route and what came of it, and nothing of what was asked for or sent', async () => {
    world.logged.length = 0
    const id = await newUser({ title: 'Canary title', password: 'canary password' })
    await scim.patch(`/Users/${id}`, [{ op: 'replace', path: 'nosuch', value: 'canary value' }])
    await scim.get('/Users?filter=title+eq+%22canary+filter')
    await scim.get('/canary')
    const lines = world.logged
      .map((line): Record<string, unknown> => JSON.parse(line))
      .filter(({ msg }) => msg === 'answered')
    expect(lines).toMatchObject([
      { method: 'POST', route: '/scim/v2/Users', status: 201, principal: expect.stringMatching(/^tok_/) },
      { method: 'PATCH', route: '/scim/v2/Users/:id', status: 400, refusals: ['invalidPath'] },
      { method: 'GET', route: '/scim/v2/Users', status: 400, refusals: ['invalidFilter'] },
      { method: 'GET', route: null, status: 404, refusals: ['SCIM_404'] },
    ])
    expect(world.logged.join('\n').toLowerCase()).not.toMatch(/canary|made-|mem_/)
  })
})

describe('without the database', () => {
  it('every request is answered 503, with when to try again', async () => {
    const away = new pg.Pool({ connectionString: 'postgres://127.0.0.1:1/nowhere' })
    const { dependencies } = world
    const instance = await serve({ ...dependencies, database: { ...dependencies.database, server: away } })
    const client = scimClient(instance, scim.secret)
    for (const answer of [
      await client.post('/Users', { schemas: [urns.user], userName: 'x@people.example' }),
      await client.get('/Users'),
      await client.remove('/Groups/grp_01m8a6q60men6b8e4693cfbeyd'),
    ]) {
      expectError(answer, 503)
      expect(answer.headers.get('retry-after')).toBe('1')
    }
    await instance.close()
    await away.end()
  })
})
