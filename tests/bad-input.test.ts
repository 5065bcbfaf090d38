import { unwrap } from '@latchkey/sdk'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isRecord, json, openRawRequests, type RawRequests } from './raw-requests.ts'

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

const creation = `mutation($input: CreateTokenInput!) {
  createToken(input: $input) { __typename ... on Refusal { message } ... on InvalidInput { issues { path message } } ... on CreateTokenPayload { token { id label expiresAt } } }
}`
const listing = (parameters: string) => `{ integrationTokens(${parameters}) { nodes { id } } }`

describe('an instant', () => {
  changesNothing()

  it('is refused in another form than RFC 3339, and outside the years 1 to 9999 of UTC', async () => {
    const wrong = [
      'tomorrow',
      '2030-01-01',
      '2030-01-01T00:00:00',
      '2030-01-01 00:00:00Z',
      '2030-13-01T00:00:00Z',
      '2030-02-29T00:00:00Z',
      '2030-01-01T24:00:00Z',
      '2030-01-01T00:00:00+25:00',
      '10000-01-01T00:00:00Z',
      '+010000-01-01T00:00:00Z',
      '0000-01-01T00:00:00Z',
      '9999-12-31T23:59:59-00:01',
      '1800000000',
      1_800_000_000,
      true,
    ]
    for (const expiresAt of wrong) {
      const answer = await api.ask(creation, { input: { label: 'Instant', roleId: 'role_ci', expiresAt } })
      expect(answer).toMatchObject({ status: 400, codes: ['BAD_REQUEST'] })
      expect(answer.messages[0]).toMatch(
        /the variable \$input\.expiresAt has to be an RFC 3339 date-time such as “.+”\.$/,
      )
    }
    for (const after of ['0000-12-31T23:59:59Z', '0001-01-01T00:00:00+00:01']) {
      const query = `{ auditEvents(filter: { after: "${after}" }) { nodes { id } } }`
      expect(await api.ask(query)).toMatchObject({ status: 400 })
    }
  })

  it('in the past is no expiry date', async () => {
    for (const expiresAt of [
      '2020-01-01T00:00:00Z',
      '0001-01-01T00:00:00Z',
      new Date(Date.now() - 1000).toISOString(),
    ]) {
      const { data } = await api.ask(creation, { input: { label: 'Instant', roleId: 'role_ci', expiresAt } })
      expect(data).toMatchObject({
        createToken: {
          __typename: 'InvalidInput',
          issues: [{ path: 'expiresAt', message: 'The expiry date must lie in the future.' }],
        },
      })
    }
  })
})

describe('an instant with an offset', () => {
  it('is taken, and answered in UTC', async () => {
    const input = { label: 'Offset', roleId: 'role_ci', expiresAt: '2030-01-01T05:30:00.5+05:30' }
    expect((await api.ask(creation, { input })).data).toMatchObject({
      createToken: { token: { expiresAt: '2030-01-01T00:00:00.500Z' } },
    })
  })
})

describe('the input of a mutation', () => {
  changesNothing()

  const issueOf = async (input: Record<string, unknown>) => {
    const { status, data } = await api.ask(creation, { input: { label: 'Input', roleId: 'role_ci', ...input } })
    expect(status).toBe(200)
    expect(data).toMatchObject({ createToken: { __typename: 'InvalidInput', issues: [expect.anything()] } })
    const result = isRecord(data) && isRecord(data.createToken) ? data.createToken : {}
    return Array.isArray(result.issues) ? result.issues[0] : null
  }

  it('is refused with a label that is empty, blank, too long, or holds what cannot be seen', async () => {
    for (const label of ['', '   ', '\t\u00a0']) {
      expect(await issueOf({ label })).toEqual({ path: 'label', message: 'A label has at least 1 character.' })
    }
    for (const label of ['x'.repeat(101), '𝕏'.repeat(101)]) {
      expect(await issueOf({ label })).toEqual({ path: 'label', message: 'A label has at most 100 characters.' })
    }
    for (const label of ['a\u0001b', 'a\nb', 'a\u007fb', 'a\u202eb', 'a\u2066b', 'a\u200bb', 'a\u2028b', 'a\ufeffb']) {
      expect(await issueOf({ label })).toEqual({
        path: 'label',
        message: 'A label cannot hold control characters, line breaks or invisible ones.',
      })
    }
    const surrogate = `{"query": ${JSON.stringify(creation)}, "variables": {"input": {"label": "a\\ud800", "roleId": "role_ci"}}}`
    expect((await api.post(surrogate)).data).toMatchObject({ createToken: { __typename: 'InvalidInput' } })
  })

  it('is refused with a description or an idempotency key that is too long, and with a role that is not there', async () => {
    expect(await issueOf({ description: 'x'.repeat(501) })).toMatchObject({ path: 'description' })
    expect(await issueOf({ description: 'a\u0000b'.replace('\u0000', '\u0008') })).toMatchObject({
      path: 'description',
    })
    for (const idempotencyKey of ['', 'k'.repeat(256)]) {
      expect(await issueOf({ idempotencyKey })).toEqual({
        path: 'idempotencyKey',
        message: 'An idempotency key has 1 to 255 characters.',
      })
    }
    for (const roleId of ['role_nope', '', 'x'.repeat(100_000), '__proto__', "role_ci' or true --"]) {
      expect(await issueOf({ roleId })).toMatchObject({ path: 'roleId' })
    }
  })

  it('is refused with an overlap below 0 or above 7 days', async () => {
    const regeneration =
      'mutation($input: RegenerateTokenInput!) { regenerateToken(input: $input) { __typename ... on Refusal { message } } }'
    for (const overlapSeconds of [-1, 604_801, 2 ** 31 - 1]) {
      expect((await api.ask(regeneration, { input: { id: 'tok_x', overlapSeconds } })).data).toEqual({
        regenerateToken: { __typename: 'InvalidInput', message: 'The overlap is 0 to 604800 seconds (7 days).' },
      })
    }
    expect(await api.ask(regeneration, { input: { id: 'tok_x', overlapSeconds: 2 ** 31 } })).toMatchObject({
      status: 400,
    })
    expect(await api.ask(regeneration, { input: { id: 'tok_x', overlapSeconds: null } })).toMatchObject({ status: 400 })
  })
})

describe('an id', () => {
  changesNothing()

  const queries = ['member', 'integrationToken', 'node', 'webhook']
  const mutations = [
    'deleteToken(input: { id: $id })',
    'regenerateToken(input: { id: $id })',
    'updateToken(input: { id: $id, enabled: false })',
  ]
  const odd = [
    '',
    ' ',
    'x',
    'tok_',
    '0',
    '__proto__',
    'tok_00000000000000000000000000',
    'tok_zzzzzzzzzzzzzzzzzzzzzzzzzz',
    "tok_' or true --",
    '%',
    'tok_\ud83d',
    '\u202e',
    'tok_\n',
    '../../etc/passwd',
    'x'.repeat(1_000_000),
  ]

  it('that is malformed or nobody’s finds nothing', async () => {
    for (const id of odd) {
      for (const field of queries) {
        const answer = await api.ask(`query($id: ID!) { ${field}(id: $id) { id } }`, { id })
        expect(answer).toMatchObject({ status: 200, data: { [field]: null } })
      }
      const audited = await api.ask('query($id: ID) { auditEvents(filter: { targetId: $id }) { nodes { id } } }', {
        id,
      })
      expect(audited.data).toEqual({ auditEvents: { nodes: [] } })
    }
  })

  it('that is malformed or nobody’s changes nothing, and is told as not found', async () => {
    for (const id of odd) {
      for (const field of mutations) {
        const answer = await api.ask(`mutation($id: ID!) { result: ${field} { __typename } }`, { id })
        expect(answer).toMatchObject({ status: 200, data: { result: { __typename: 'TokenNotFound' } } })
      }
    }
  })

  it('or any other text with the character NUL is refused as such, whether in the document or in a variable', async () => {
    const texts: [query: string, variables: Record<string, unknown>][] = [
      ...queries.map((field): [string, object] => [`query($x: ID!) { ${field}(id: $x) { id } }`, {}]),
      ...mutations.map((field): [string, object] => [
        `mutation($x: ID!) { ${field.replace('$id', '$x')} { __typename } }`,
        {},
      ]),
      ['query($x: String) { integrationTokens(filter: { search: $x }) { nodes { id } } }', {}],
      ['query($x: ID!) { integrationTokens(filter: { roleIds: [$x] }) { nodes { id } } }', {}],
      ['query($x: String!) { auditEvents(filter: { actions: [$x] }) { nodes { id } } }', {}],
      ['query($x: String) { integrationTokens(after: $x) { nodes { id } } }', {}],
      ['query($x: String!) { verifyToken(token: $x, usedFrom: $x) { active } }', {}],
      ['mutation($x: String!) { signIn(input: { email: $x, password: $x, organization: $x }) { __typename } }', {}],
      ['mutation($x: String!) { switchOrganization(slug: $x) { __typename } }', {}],
      ['mutation($x: ID!) { endSession(input: { id: $x }) { __typename } }', {}],
      ['mutation($x: String!) { changePassword(input: { currentPassword: $x, newPassword: $x }) { __typename } }', {}],
    ].map(([query, variables]) => [String(query), { ...Object(variables), x: 'tok_\0' }])
    for (const [query, variables] of texts) {
      expect(await api.ask(query, variables)).toMatchObject({
        status: 400,
        messages: ['The variables hold the character NUL. Leave it out.'],
      })
      const literal = query.replace(/\(\$x: \w+!?\)/, '').replaceAll('$x', '"tok_\\u0000"')
      const answer = await api.ask(literal)
      expect(answer.status).toBe(400)
      expect(answer.messages[0]).toMatch(/: the text holds the character NUL\. Leave it out\.$/)
    }
  })
})

describe('a search', () => {
  it('matches %, _ and backslashes as they are, and takes a very long text', async () => {
    const { alpha } = api.world
    const labels = ['100% sure', 'snake_case', 'back\\slash', 'plain']
    for (const label of labels)
      unwrap((await alpha.owner.createToken({ input: { label, roleId: 'role_ci' } })).createToken)
    const found = async (search: string) =>
      (await alpha.owner.integrationTokens({ filter: { search } })).integrationTokens.nodes
        .map(({ label }) => label)
        .sort()
    expect(await found('%')).toEqual(['100% sure'])
    expect(await found('_')).toEqual(['snake_case'])
    expect(await found('\\')).toEqual(['back\\slash'])
    for (const search of [
      'p%n',
      'pl__n',
      '\\%',
      "' or true --",
      'x'.repeat(10_000),
      '\ud800',
      '\ufdfa'.repeat(10_000),
    ]) {
      expect(await found(search)).toEqual([])
    }
    expect((await alpha.owner.integrationTokens({ filter: { roleIds: [] } })).integrationTokens.nodes).toEqual([])
    expect((await alpha.owner.integrationTokens({ filter: { statuses: [] } })).integrationTokens.nodes).toEqual([])
  })
})

describe('a page', () => {
  changesNothing()

  it('of a size out of bounds, or from both ends, is refused', async () => {
    for (const bounds of ['first: 0', 'first: -1', 'first: 101', 'last: 0', 'last: -1', 'last: 101']) {
      expect(await api.ask(listing(bounds))).toMatchObject({
        status: 400,
        messages: ['A page has 1 to 100 entries: give “first” or “last” a number in between.'],
      })
    }
    expect(await api.ask(listing('first: 1, last: 1'))).toMatchObject({
      status: 400,
      messages: ['Give “first” or “last”, not both.'],
    })
  })

  it('from a cursor that its list did not give is refused', async () => {
    const { data } = await api.ask(
      '{ integrationTokens(first: 1, sort: LABEL_ASC) { pageInfo { endCursor } } auditEvents(first: 1) { edges { cursor } } }',
    )
    const own =
      JSON.stringify(data)
        .match(/"(?:endCursor|cursor)":"([^"]+)"/g)
        ?.map((pair) => pair.split('"')[3] ?? '') ?? []
    expect(own).toHaveLength(2)
    const forged = (...parts: unknown[]) => Buffer.from(JSON.stringify(parts)).toString('base64url')
    const list = 'integrationTokens CREATED_AT_DESC'
    const cursors = [
      ...own,
      '',
      'x',
      '%',
      'bnVsbA',
      'x'.repeat(100_000),
      api.canaries.secret,
      forged(list),
      forged(list, 1, 2),
      forged(list, 'a\0', 'b'),
      forged(list, '2026-01-01', 'b\0'),
      forged('auditEvents', '2026-01-01', 'x'),
      forged(list, api.canaries.secret, 'x'),
      forged(list, '9999999-01-01', 'x'),
      forged(list, '0000-00-00', 'x'),
      forged(list, '', ''),
      Buffer.from('{"__proto__": 1}').toString('base64url'),
      Buffer.from([0xff, 0xfe]).toString('base64url'),
    ]
    for (const cursor of cursors) {
      for (const end of ['after', 'before']) {
        const answer = await api.ask(`query($cursor: String) { integrationTokens(${end}: $cursor) { nodes { id } } }`, {
          cursor,
        })
        expect(answer).toMatchObject({ status: 400, codes: ['BAD_REQUEST'], data: null })
        expect(answer.messages[0]).toMatch(/cursor/)
      }
    }
    expect(
      await api.ask(`{ auditEvents(after: "${forged('auditEvents', 'x', 'x')}") { nodes { id } } }`),
    ).toMatchObject({
      status: 400,
    })
  })
})

describe('a presented token', () => {
  changesNothing()

  const malformed = () => {
    const { secret } = api.world.dependencies.digester.issue('integrationToken')
    return [
      '',
      ' ',
      'lki_',
      'x',
      secret.slice(0, -1),
      `${secret}0`,
      `${secret}${secret}`,
      secret.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
      secret.replace('lki_', 'lkp_'),
      secret.replace('lki_', 'xyi_'),
      secret.replace('lki_', 'LKI_'),
      secret.replace('lki_', 'lkx_'),
      ` ${secret}`,
      `${secret}\n`,
      secret.replace(/^(.{10})./, '$1é'),
      secret.replace(/^(.{10})./, '$1０'),
      secret.replace(/^(.{10})./, '$1\ud800'),
      'é'.repeat(53),
      '💥'.repeat(100),
      'x'.repeat(500_000),
      '__proto__',
      secret,
    ]
  }

  it('of any wrong form is inactive and nothing else', async () => {
    for (const token of malformed()) {
      const answer = await api.ask(
        'query($token: String!) { verifyToken(token: $token) { active tokenId label permissions } }',
        { token },
        api.asService(),
      )
      expect(answer).toMatchObject({
        status: 200,
        data: { verifyToken: { active: false, tokenId: null, label: null, permissions: null } },
      })
      if (token === '') continue
      const body = new URLSearchParams({ token }).toString()
      const headers = {
        authorization: api.asService().authorization,
        'content-type': 'application/x-www-form-urlencoded',
      }
      expect((await api.send('/oauth/introspect', { headers, body })).text).toBe('{"active":false}')
    }
  })

  it('is inactive as a digest of any wrong form, and more than 1,000 are not taken', async () => {
    const digests = [
      '',
      'x',
      '0'.repeat(63),
      '0'.repeat(65),
      'g'.repeat(64),
      'A'.repeat(64),
      `${'0'.repeat(63)}\n`,
      '０'.repeat(64),
      'x'.repeat(100_000),
    ]
    const query = 'query($digests: [String!]!) { verifyTokenDigests(digests: $digests) { active } }'
    const { data } = await api.ask(query, { digests }, api.asService())
    expect(data).toEqual({ verifyTokenDigests: digests.map(() => ({ active: false })) })
    const literal = `{ verifyTokenDigests(digests: [${'"x" '.repeat(1_001)}]) { active } }`
    expect(await api.ask(literal, {}, api.asService())).toMatchObject({
      status: 400,
      messages: ['Ask for at most 1000 digests at once.'],
    })
  })

  it('as the caller’s own credential is refused alike, whatever is wrong with it', async () => {
    const credentials = malformed().filter((token) => /^[\w.~+/=-]+$/.test(token) && token.length < 10_000)
    for (const credential of credentials) {
      const answer = await api.ask('{ viewer { __typename } }', {}, { ...json, authorization: `Bearer ${credential}` })
      expect(answer).toMatchObject({ status: 401, codes: ['UNAUTHENTICATED'], data: null })
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="latchkey"')
      const cookie = await api.ask(
        '{ viewer { __typename } }',
        {},
        { ...json, cookie: `latchkey_session=${credential}` },
      )
      expect(cookie).toMatchObject({ status: 401, messages: answer.messages })
    }
    for (const authorization of [
      'Bearer',
      'Bearer ',
      'Basic eDp5',
      'Token x',
      'Bearer a b',
      'Bearer é',
      `Bearer ${api.world.service.secret}, Basic eDp5`,
    ]) {
      const answer = await api.ask('{ viewer { __typename } }', {}, { ...json, authorization })
      expect(answer).toMatchObject({ status: 400, messages: ['Send the credential as “Authorization: Bearer …”.'] })
    }
  })
})

describe('a secret or a password', () => {
  changesNothing()

  it('comes back from no place that it was put into by mistake', async () => {
    for (const canary of Object.values(api.canaries)) {
      const requests: [query: string, variables?: unknown][] = [
        // As a variable of another type.
        [creation, { input: canary }],
        [creation, { input: [canary] }],
        [creation, { input: { label: [canary], roleId: 'role_ci' } }],
        [creation, { input: { label: { [canary]: canary }, roleId: 'role_ci' } }],
        [creation, { input: { label: 'a', roleId: { canary } } }],
        [creation, { input: { label: 'a', roleId: 'role_ci', expiresAt: canary } }],
        [creation, { input: { label: 'a', roleId: 'role_ci', [canary]: 1 } }],
        [creation, { [canary]: canary }],
        ['query($first: Int) { integrationTokens(first: $first) { nodes { id } } }', { first: canary }],
        ['query($sort: IntegrationTokenSort!) { integrationTokens(sort: $sort) { nodes { id } } }', { sort: canary }],
        [
          'query($filter: IntegrationTokenFilter) { integrationTokens(filter: $filter) { nodes { id } } }',
          { filter: { statuses: [canary] } },
        ],
        [
          'query($filter: IntegrationTokenFilter) { integrationTokens(filter: $filter) { nodes { id } } }',
          { filter: { roleIds: [[canary]] } },
        ],
        ['query($digests: [String!]!) { verifyTokenDigests(digests: $digests) { active } }', { digests: [{ canary }] }],
        [
          'mutation($input: SignInInput!) { signIn(input: $input) { __typename } }',
          { input: { email: 'a@b.example', password: [canary] } },
        ],
        [
          'mutation($input: SignInInput!) { signIn(input: $input) { __typename } }',
          { input: { email: 'a@b.example', passwort: canary } },
        ],
        [`query($${canary}: ID!) { member(id: $${canary}) { id } }`, { [canary]: {} }],
        [`query($${canary}: ID!) { member(id: $${canary}) { id } }`, {}],
        // As a literal in another place.
        [listing(`first: "${canary}"`)],
        [listing(`sort: ${canary}`)],
        [listing(`sort: "${canary}"`)],
        [listing(`after: "${canary}"`)],
        [listing(`${canary}: 1`)],
        [listing(`filter: { ${canary}: 1 }`)],
        [listing(`filter: { search: ["${canary}", 1] }`)],
        [listing(`first: $${canary}`)],
        [`{ auditEvents(filter: { after: "${canary}" }) { nodes { id } } }`],
        [`mutation { signIn(input: { email: "a@b.example", password: ["${canary}"] }) { __typename } }`],
        [`mutation { createToken(input: "${canary}") { __typename } }`],
        // As a name.
        [`{ ${canary} }`],
        [`{ organization { ${canary} } }`],
        [`{ ... on ${canary} { id } }`],
        [`{ ...${canary} }`],
        [`{ __typename @${canary} }`],
        [`fragment ${canary} on Query { ...${canary} } { ...${canary} }`],
        [`query ${canary} { nope } query ${canary} { nope }`],
        [`query($a: ${canary}) { member(id: $a) { id } }`],
        [`type ${canary} { id: ID } { __typename }`],
        // In a document that is none.
        [canary],
        [`{ organization { "${canary}" } }`],
        [`{ member(id: "${canary}) { id } }`],
        [`{ member(id: "\\${canary}") { id } }`],
        [`{ member(id: '${canary}') { id } }`],
        [`{ member(id: ${canary} ${canary}) { id } `],
        // As an id, a cursor, a search: well-formed, and finding nothing.
        ['query($id: ID!) { node(id: $id) { id } }', { id: canary }],
        ['query($id: ID!) { integrationToken(id: $id) { id } }', { id: `tok_${canary}` }],
        [
          'mutation($id: ID!) { deleteToken(input: { id: $id }) { __typename ... on Refusal { message } } }',
          { id: canary },
        ],
        [
          'mutation($slug: String!) { switchOrganization(slug: $slug) { __typename ... on Refusal { message } } }',
          { slug: canary },
        ],
        [creation, { input: { label: 'a', roleId: canary } }],
        [creation, { input: { label: `\u202e${canary}`, roleId: 'role_ci' } }],
        [creation, { input: { label: canary.repeat(5), roleId: 'role_ci' } }],
        [creation, { input: { label: 'a', roleId: 'role_ci', idempotencyKey: canary.repeat(20) } }],
        ['query($x: String) { integrationTokens(filter: { search: $x }) { nodes { id } } }', { x: canary }],
        ['query($x: String!) { verifyToken(token: $x, usedFrom: $x) { active } }', { x: canary }],
        [
          'mutation($x: String!) { signIn(input: { email: $x, password: $x }) { __typename ... on Refusal { message } } }',
          { x: canary },
        ],
        [
          'mutation($x: String!) { signIn(input: { email: "owner@alpha.example", password: $x }) { __typename ... on Refusal { message } } }',
          { x: canary },
        ],
        [
          'mutation($x: String!) { changePassword(input: { currentPassword: $x, newPassword: $x }) { __typename ... on Refusal { message } } }',
          { x: canary },
        ],
        [
          'mutation($x: String!) { changePassword(input: { currentPassword: "a", newPassword: $x }) { __typename ... on Refusal { message } } }',
          { x: canary.slice(0, 8) },
        ],
        [
          'mutation($id: ID!) { endSession(input: { id: $id }) { __typename ... on Refusal { message } } }',
          { id: canary },
        ],
      ]
      for (const [query, variables] of requests) {
        for (const headers of [api.asOwner(), api.asService(), { ...json, accept: 'application/json' }]) {
          const { status } = await api.ask(query, variables ?? {}, headers)
          expect(status).toBeLessThan(500)
        }
      }
      const bodies = [
        `{"query": "${canary}`,
        `{"query": {"${canary}": 1}}`,
        `"${canary}"`,
        `["${canary}"]`,
        canary,
        `{"${canary}": 1, "query": "{ __typename }"}`,
        `{"query": "{ __typename }", "variables": "${canary}"}`,
        `{"query": "{ __typename }", "operationName": "${canary}"}`,
        `{"query": "{ __typename }", "extensions": "${canary}"}`,
      ]
      for (const body of bodies) expect((await api.post(body)).status).toBe(400)
      for (const search of [
        `query=%7B__typename%7D&variables=${canary}`,
        `query=${canary}`,
        `${canary}=1`,
        `query=%7B${canary}%7D`,
        `query=%7B__typename%7D&operationName=${canary}`,
      ]) {
        const answer = await api.send(`/graphql?${search}`, { method: 'GET', headers: api.asOwner() })
        expect(answer.messages).toHaveLength(1)
      }
      for (const path of [`/${canary}`, `/graphql/${canary}`, `/oauth/introspect/${canary}`]) {
        expect(await api.sendAsIs(path, { headers: { authorization: `Bearer ${canary}` } })).toMatchObject({
          status: 404,
        })
      }
      for (const name of [
        'authorization',
        'cookie',
        'content-type',
        'accept',
        'origin',
        'user-agent',
        'x-forwarded-for',
      ]) {
        const headers = { ...json, [name]: name === 'cookie' ? `latchkey_session=${canary}` : canary }
        const body = '{"query": "{ viewer { __typename } }"}'
        expect(
          (await api.sendAsIs('/graphql', { method: 'POST', headers, pieces: [body] })).status,
        ).toBeGreaterThanOrEqual(400)
      }
    }
  })
})
