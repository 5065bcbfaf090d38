import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Answer, openRawRequests, type RawRequests } from './raw-requests.ts'

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

describe('a document', () => {
  changesNothing()

  const problems: [problem: string, query: string, message: string | RegExp][] = [
    [
      'an unknown field',
      '{ organization { nope } }',
      'Line 1, column 18: “Organization” has no such field. Latchkey’s schema.graphql has the contract.',
    ],
    [
      'an unknown field of a union',
      '{ viewer { nope } }',
      'Line 1, column 12: “Viewer” has no such field. Those of its types are selected by “... on”. Latchkey’s schema.graphql has the contract.',
    ],
    [
      'an unknown argument',
      '{ organization(nope: 1) { id } }',
      'Line 1, column 16: “organization” takes no such argument. Latchkey’s schema.graphql has the contract.',
    ],
    [
      'an unknown argument where there are others',
      '{ member(nope: 1, id: "x") { id } }',
      'Line 1, column 10: “member” takes no such argument. Latchkey’s schema.graphql has the contract.',
    ],
    ['a missing argument', '{ member { id } }', 'Line 1, column 3: “member” needs “id”.'],
    [
      'missing fields of an input',
      'mutation { createToken(input: {}) { __typename } }',
      'Line 1, column 31: “CreateTokenInput” needs “label” and “roleId”.',
    ],
    [
      'an unknown field of an input',
      'mutation { deleteToken(input: { id: "x", nope: 1 }) { __typename } }',
      'Line 1, column 42: “DeleteTokenInput” has no such field. Latchkey’s schema.graphql has the contract.',
    ],
    [
      'null for an input',
      'mutation { deleteToken(input: null) { __typename } }',
      'Line 1, column 31: the value has to be an object with fields of “DeleteTokenInput”.',
    ],
    [
      'a text for a whole number',
      listing('first: "1"'),
      'Line 1, column 28: the value has to be a whole number of at most 32 bits.',
    ],
    [
      'a number of more than 32 bits',
      'mutation { regenerateToken(input: { id: "x", overlapSeconds: 2147483648 }) { __typename } }',
      'Line 1, column 62: the value has to be a whole number of at most 32 bits.',
    ],
    ['a number for a text', listing('after: 1'), 'Line 1, column 28: the value has to be a text.'],
    ['an object for an id', '{ member(id: {}) { id } }', 'Line 1, column 14: the value has to be an id, as a text.'],
    [
      'a text for a Boolean',
      'mutation { updateToken(input: { id: "x", enabled: "true" }) { __typename } }',
      'Line 1, column 51: the value has to be true or false.',
    ],
    [
      'an unknown value of an enum',
      listing('sort: NOPE'),
      'Line 1, column 27: the value has to be a value of “IntegrationTokenSort”.',
    ],
    ['a value of an enum as a text', listing('sort: "LABEL_ASC"'), /, without quotation marks\.$/],
    [
      'an unknown value within a list',
      listing('filter: { statuses: [ACTIVE, NOPE] }'),
      'Line 1, column 50: the value has to be a value of “TokenStatus”.',
    ],
    [
      'a day that is none',
      '{ auditEvents(filter: { after: "2027-02-30T00:00:00Z" }) { nodes { id } } }',
      'Line 1, column 32: the value has to be an RFC 3339 date-time such as “2026-11-23T20:49:15.000Z”.',
    ],
    [
      'a field of fields without a selection',
      '{ organization }',
      'Line 1, column 3: this field has fields of its own: select some of them in braces.',
    ],
    [
      'a selection on a plain field',
      '{ organization { id { x } } }',
      'Line 1, column 21: this field has no fields of its own: leave out the braces.',
    ],
    [
      'an unknown type',
      '{ node(id: "x") { ... on Nope { id } } }',
      'Line 1, column 26: there is no type of this name.',
    ],
    [
      'an unknown directive',
      '{ __typename @nope }',
      'Line 1, column 14: there is no such directive, or it does not belong here.',
    ],
    ['an unknown fragment', '{ ...Nope }', 'Line 1, column 6: the document has no fragment of this name.'],
    [
      'an undeclared variable',
      '{ member(id: $nope) { id } }',
      'Line 1, column 14: this variable is not declared by the operation.',
    ],
    [
      'a variable of another type',
      'query($id: Int!) { member(id: $id) { id } }',
      'Line 1, column 31: the type of this variable does not fit here.',
    ],
    [
      'a fragment in a circle',
      '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }',
      /: this fragment contains itself\.$/,
    ],
    ['a syntax error', '{ organization { id ', 'Line 1, column 21: the document is not valid GraphQL from here on.'],
    [
      'no operation',
      'fragment A on Query { __typename }',
      'The document has no operation, or several: give the name of the one to run in “operationName”.',
    ],
    [
      'several operations',
      'query A { __typename } query B { __typename }',
      'The document has no operation, or several: give the name of the one to run in “operationName”.',
    ],
    [
      '12 levels',
      `{ viewer ${'{ ... on MemberViewer '.repeat(12)}{ __typename }${'}'.repeat(12)} }`,
      'The document nests more than 10 levels deep. Ask in several requests.',
    ],
    [
      '20 aliases',
      `{ ${Array.from({ length: 20 }, (_, index) => `a${index}: organization { id }`).join(' ')} }`,
      'The document has more than 15 aliases. Ask in several requests.',
    ],
    [
      '20 aliases of __typename',
      `{ ${Array.from({ length: 20 }, (_, index) => `a${index}: __typename`).join(' ')} }`,
      'The document has more than 15 aliases. Ask in several requests.',
    ],
    [
      '20 aliases in a fragment',
      `{ ...A } fragment A on Query { ${Array.from({ length: 20 }, (_, index) => `a${index}: __typename`).join(' ')} }`,
      'The document has more than 15 aliases. Ask in several requests.',
    ],
    [
      '100 directives',
      `{ __typename ${'@include(if: true) '.repeat(100)} }`,
      'The document has more than 20 directives. Leave some out.',
    ],
    [
      'an enormous number of levels',
      `${'{ a '.repeat(5_000)}${'}'.repeat(5_000)}`,
      /^The document has more than 2,000 names and signs\./,
    ],
    [
      'an enormous number of fields',
      `{ ${'__typename '.repeat(50_000)} }`,
      /^The document has more than 2,000 names and signs\./,
    ],
    [
      'as many fields as are taken, all alike',
      `{ ${'viewer { __typename } '.repeat(480)} }`,
      'The document repeats too much to be checked. Ask for fewer fields.',
    ],
    [
      'fragments that unfold into a million fields',
      `{ ...F0 } ${Array.from({ length: 20 }, (_, index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`).join(' ')} fragment F20 on Query { __typename }`,
      'The document asks for too much at once. Ask for fewer fields, or for smaller pages.',
    ],
    [
      'two sign-ins under aliases',
      'mutation { a: signIn(input: { email: "a", password: "b" }) { __typename } b: signIn(input: { email: "a", password: "c" }) { __typename } }',
      'Line 1, column 75: a document may sign in once.',
    ],
    [
      'two sign-ins in a fragment',
      'mutation { ...F } fragment F on Mutation { a: signIn(input: { email: "a", password: "b" }) { __typename } b: signIn(input: { email: "a", password: "c" }) { __typename } }',
      /: a document may sign in once\.$/,
    ],
    [
      'the character NUL, escaped',
      '{ member(id: "mem_\\u0000") { id } }',
      'Line 1, column 14: the text holds the character NUL. Leave it out.',
    ],
    [
      'the character NUL in a block',
      '{ member(id: """mem_\0""") { id } }',
      'Line 1, column 14: the text holds the character NUL. Leave it out.',
    ],
  ]
  for (const [problem, query, message] of problems) {
    it(`with ${problem} is refused, saying what to change and where`, async () => {
      const answer = await api.ask(query)
      expect(answer).toMatchObject({ status: 400, data: undefined })
      expect(answer.messages[0]).toEqual(typeof message === 'string' ? message : expect.stringMatching(message))
      expect(new Set(answer.codes)).toEqual(new Set(['BAD_REQUEST']))
      // GraphQL over HTTP asks for 200 here where the client knows no more than plain JSON.
      const plain = await api.ask(query, {}, { ...api.asOwner(), accept: 'application/json' })
      expect(plain).toMatchObject({ status: 200, messages: answer.messages })
    })
  }

  it('with a thousand mistakes is told the first twenty', async () => {
    const { status, messages } = await api.ask(
      `{ ${Array.from({ length: 1_000 }, (_, index) => `x${index}`).join(' ')} }`,
    )
    expect(status).toBe(400)
    expect(messages).toHaveLength(21)
    expect(messages.at(-1)).toBe('There is more of this kind. Put the first ones right.')
  })

  it('is refused within half a second, however it is made', async () => {
    const started = performance.now()
    await api.ask(`{ ${'viewer { __typename } '.repeat(480)} }`)
    await api.ask(
      `{ ...F0 } ${Array.from({ length: 100 }, (_, index) => `fragment F${index} on Query { ...F${index + 1} ...F${index + 1} }`).join(' ')} fragment F100 on Query { __typename }`,
    )
    await api.post('x'.repeat(1_000_000))
    await api.post(JSON.stringify({ query: `{ organization { id } } # ${'x'.repeat(1_000_000)}` }))
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

describe('what a document costs the database', () => {
  /** Besides those that come once a second, whatever is asked: last uses and the listener’s heartbeat. */
  const besides = /^update \w+ set last_used_at|^select pg_notify/
  async function statementsOf(ask: () => Promise<Answer>): Promise<{ answer: Answer; statements: number }> {
    const spy = vi.spyOn(pg.Client.prototype, 'query')
    try {
      const answer = await ask()
      const counted = spy.mock.calls.filter(([statement]) => typeof statement !== 'string' || !besides.test(statement))
      return { answer, statements: counted.length }
    } finally {
      spy.mockRestore()
    }
  }
  const aliased = (count: number, field: string) =>
    Array.from({ length: count }, (_, index) => `a${index}: ${field}`).join(' ')

  it('is bounded: the dearest that is taken is 150 statements, and with one alias more it is none at all', async () => {
    const page = '(first: 1, filter: { search: "nowhere", statuses: [ACTIVE, DISABLED, EXPIRED] })'
    const dearest = `integrationTokens${page} { totalCount nodes { id createdBy { id } role { id } secrets { hint } } }`
    const viewer =
      'viewer { ... on MemberViewer { member { id } organization { id } organizations { id } accessToken { hint } } }'
    const once = [
      viewer,
      'organization { id }',
      'sessions { id }',
      'tokenRoles { id }',
      'auditEvents(first: 1) { nodes { id } }',
    ]
    const taken = await statementsOf(() => api.ask(`{ ${aliased(15, dearest)} ${once.join(' ')} }`))
    expect(taken.answer).toMatchObject({ status: 200, codes: [] })
    expect(taken.statements).toBeGreaterThan(50)
    // Nine for each page and its count, as the list’s own test has it, and fifteen for the rest.
    expect(taken.statements).toBeLessThanOrEqual(150)
    const refused = await statementsOf(() => api.ask(`{ ${aliased(16, dearest)} }`))
    expect(refused.answer).toMatchObject({ status: 400 })
    expect(refused.statements).toBe(0)
  })

  it('is bounded for changes as well, and for the verification of thousands', async () => {
    const change = 'updateToken(input: { id: "tok_01m85tb6reecna28jnaafrx9eb", label: "Nobody’s" }) { __typename }'
    const changes = await statementsOf(() => api.ask(`mutation { ${aliased(15, change)} }`))
    expect(changes.answer).toMatchObject({ status: 200, codes: [] })
    expect(changes.statements).toBeLessThanOrEqual(15 * 4 + 2)
    const refused = await statementsOf(() => api.ask(`mutation { ${aliased(16, change)} }`))
    expect([refused.answer.status, refused.statements]).toEqual([400, 0])

    const digests = Array.from({ length: 1_000 }, (_, index) => index.toString(16).padStart(64, '0'))
    const verify = `query($digests: [String!]!) { ${aliased(15, 'verifyTokenDigests(digests: $digests) { active }')} }`
    const verified = await statementsOf(() => api.ask(verify, { digests }, api.asService()))
    expect(verified.answer).toMatchObject({ status: 200, codes: [] })
    expect(verified.statements).toBeLessThanOrEqual(40)
  })
})

describe('a variable', () => {
  changesNothing()

  const date = 'query($filter: AuditEventFilter) { auditEvents(filter: $filter) { nodes { id } } }'
  const tokens =
    'query($first: Int, $sort: IntegrationTokenSort!, $filter: IntegrationTokenFilter) { integrationTokens(first: $first, sort: $sort, filter: $filter) { nodes { id } } }'
  const update = 'mutation($input: UpdateTokenInput!) { updateToken(input: $input) { __typename } }'
  const problems: [problem: string, query: string, variables: unknown, message: string][] = [
    ['is missing', creation, {}, 'the variable $input is required and was not given.'],
    [
      'is null',
      creation,
      { input: null },
      'the variable $input cannot be null: it has to be an object with fields of “CreateTokenInput”.',
    ],
    ['lacks fields', creation, { input: {} }, 'the variable $input needs “label” and “roleId”.'],
    [
      'has an unknown field',
      creation,
      { input: { label: 'a', roleId: 'b', nope: 1 } },
      'the variable $input has a field that “CreateTokenInput” does not have. Latchkey’s schema.graphql has the contract.',
    ],
    [
      'is a text where an object belongs',
      creation,
      { input: 'x' },
      'the variable $input has to be an object with fields of “CreateTokenInput”.',
    ],
    [
      'is a list where an object belongs',
      creation,
      { input: [] },
      'the variable $input has to be an object with fields of “CreateTokenInput”.',
    ],
    [
      'is a number where a text belongs',
      creation,
      { input: { label: 1, roleId: 'role_ci' } },
      'the variable $input.label has to be a text.',
    ],
    [
      'is a list where a text belongs',
      creation,
      { input: { label: ['a'], roleId: 'role_ci' } },
      'the variable $input.label has to be a text.',
    ],
    [
      'is an object where an id belongs',
      creation,
      { input: { label: 'a', roleId: {} } },
      'the variable $input.roleId has to be an id, as a text.',
    ],
    [
      'is a text where a Boolean belongs',
      update,
      { input: { id: 'x', enabled: 'yes' } },
      'the variable $input.enabled has to be true or false.',
    ],
    [
      'is a text where a number belongs',
      tokens,
      { first: '1', sort: 'LABEL_ASC' },
      'the variable $first has to be a whole number of at most 32 bits.',
    ],
    [
      'is a fraction where a whole number belongs',
      tokens,
      { first: 1.5, sort: 'LABEL_ASC' },
      'the variable $first has to be a whole number of at most 32 bits.',
    ],
    [
      'is a number of more than 32 bits',
      tokens,
      { first: 2 ** 31, sort: 'LABEL_ASC' },
      'the variable $first has to be a whole number of at most 32 bits.',
    ],
    [
      'is an unknown value of an enum',
      tokens,
      { sort: 'NOPE' },
      'the variable $sort has to be a value of “IntegrationTokenSort”.',
    ],
    [
      'is the name of something that every object has',
      tokens,
      { sort: 'constructor' },
      'the variable $sort has to be a value of “IntegrationTokenSort”.',
    ],
    [
      'has an unknown value in a list',
      tokens,
      { sort: 'LABEL_ASC', filter: { statuses: ['ACTIVE', 'NOPE'] } },
      'the variable $filter.statuses[1] has to be a value of “TokenStatus”.',
    ],
    [
      'has null in a list',
      tokens,
      { sort: 'LABEL_ASC', filter: { roleIds: [null] } },
      'the variable $filter.roleIds[0] cannot be null: it has to be an id, as a text.',
    ],
    [
      'is the date of no day',
      date,
      { filter: { after: '2027-02-30T00:00:00Z' } },
      'the variable $filter.after has to be an RFC 3339 date-time such as “2026-11-23T20:49:15.000Z”.',
    ],
    [
      'is called as the contract calls nothing',
      'query($mine: ID!) { member(id: $mine) { id } }',
      { mine: {} },
      'the variable $… has to be an id, as a text.',
    ],
  ]
  for (const [problem, query, variables, message] of problems) {
    it(`that ${problem} is refused, saying which and what it has to be`, async () => {
      const answer = await api.ask(query, variables)
      expect(answer).toMatchObject({ status: 400, codes: ['BAD_REQUEST'], data: undefined })
      expect(answer.messages[0]?.replace(/^Line 1, column \d+: /, '')).toBe(message)
      const plain = await api.ask(query, variables, { ...api.asOwner(), accept: 'application/json' })
      expect(plain).toMatchObject({ status: 200, messages: answer.messages })
    })
  }

  it('of a subscription is explained as that of a query is', async () => {
    const query = 'subscription($if: Boolean!) { tokenInvalidations { everything @include(if: $if) } }'
    const { status, messages } = await api.ask(query, { if: 1 }, api.asService())
    expect(status).toBe(400)
    expect(messages).toEqual(['Line 1, column 14: the variable $… has to be true or false.'])
  })

  it('that is null where only its default would do is refused', async () => {
    const answer = await api.ask('query($id: ID = "x") { member(id: $id) { id } }', { id: null })
    expect(answer).toMatchObject({ status: 400, messages: ['Line 1, column 35: this variable cannot be null here.'] })
  })

  it('with a list of more than 1,000 entries is refused', async () => {
    for (const [query, filter] of [
      [
        'query($filter: AuditEventFilter) { auditEvents(filter: $filter) { nodes { id } } }',
        { actions: Array(70_000).fill('a') },
      ],
      [
        'query($filter: IntegrationTokenFilter) { integrationTokens(filter: $filter) { nodes { id } } }',
        { roleIds: Array(1_001).fill('role_ci') },
      ],
    ] as const) {
      expect(await api.ask(query, { filter })).toMatchObject({
        status: 400,
        messages: ['A list in the variables has more than 1000 entries. Ask in several requests.'],
      })
    }
    const verify = 'query($digests: [String!]!) { verifyTokenDigests(digests: $digests) { active } }'
    expect(await api.ask(verify, { digests: Array(1_001).fill('0'.repeat(64)) }, api.asService())).toMatchObject({
      status: 400,
    })
  })

  it('that nests deeper than calls can is refused', async () => {
    const nested = `${'['.repeat(200_000)}"\\u0000"${']'.repeat(200_000)}`
    const query = JSON.stringify('query($id: ID!) { member(id: $id) { id } }')
    expect(await api.post(`{"query": ${query}, "variables": {"id": ${nested}}}`)).toMatchObject({ status: 400 })
  })
})
