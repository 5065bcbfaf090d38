import { unwrap } from '@latchkey/sdk'
import { buildClientSchema, getIntrospectionQuery } from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, serve, type World } from './world.ts'

let world: World
/** Everyone who may not explore, and is known. */
let others: Record<string, string>
beforeAll(async () => {
  world = await openWorld()
  const { alpha } = world
  const secretOf = async (roleId: string) =>
    unwrap((await alpha.owner.createToken({ input: { label: roleId, roleId } })).createToken).secret
  others = {
    powerUser: alpha.powerUser.sessionToken,
    member: alpha.member.sessionToken,
    guest: alpha.guest.sessionToken,
    'a token for a pipeline': await secretOf('role_ci'),
    'a service account': await secretOf('role_service_account'),
    'a service': world.service.secret,
  }
})
afterAll(() => world[Symbol.asyncDispose]())

const introspections: Record<string, { query: string; operationName?: string; variables?: object }> = {
  'of the schema': { query: '{ __schema { queryType { name } } }' },
  'of a type': { query: '{ __type(name: "Member") { name } }' },
  'under another name': { query: '{ viewer: __schema { queryType { name } } }' },
  'beside other fields': { query: '{ __typename __type(name: "Member") { name } }' },
  'in a fragment': { query: 'query { ...All } fragment All on Query { __schema { queryType { name } } }' },
  'in a fragment of a fragment': {
    query: 'query { ...A } fragment A on Query { ...B } fragment B on Query { __type(name: "Member") { name } }',
  },
  'in an inline fragment': { query: '{ ... on Query { ... { __schema { queryType { name } } } } }' },
  'behind a directive': {
    query: 'query($yes: Boolean!) { __schema @include(if: $yes) { queryType { name } } }',
    variables: { yes: true },
  },
  'in one operation of several': {
    query: 'query A { __typename } query B { __schema { queryType { name } } }',
    operationName: 'B',
  },
  'as tools ask': { query: getIntrospectionQuery() },
  // Too long to be kept, so that it is validated anew each time.
  'in a long document': { query: `{ __schema { queryType { name } } } #${' '.repeat(20_000)}` },
}

async function ask(credential: string | null, body: object, { url = world.url, headers = {} } = {}) {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(credential !== null && { authorization: `Bearer ${credential}` }),
      ...headers,
    },
    body: JSON.stringify(body),
  })
  const { data, errors } = await response.json()
  return { status: response.status, headers: response.headers, data, errors }
}

const refused = (message: string) => ({
  status: 403,
  data: undefined,
  errors: [{ message, extensions: { code: 'FORBIDDEN' } }],
})
const onlyAdmins =
  'Only owners and super admins may introspect the schema. Read schema.graphql in Latchkey’s repository instead: it is the whole of the contract.'

describe('introspection', () => {
  for (const [form, body] of Object.entries(introspections)) {
    it(`${form} is for owners and super admins, and nobody else’s`, async () => {
      const { owner, superAdmin } = world.alpha
      // Twice, and by turns: a document that was seen before is neither open nor closed to whoever asks next.
      for (let round = 0; round < 2; round++) {
        for (const { sessionToken } of [owner, superAdmin]) {
          expect(await ask(sessionToken, body)).toMatchObject({ status: 200, errors: undefined })
        }
        for (const [name, credential] of Object.entries(others)) {
          expect({ name, ...(await ask(credential, body)) }).toMatchObject({ name, ...refused(onlyAdmins) })
        }
        for (const credential of [null, 'x', world.dependencies.digester.issue('session').secret]) {
          const answer = await ask(credential, body)
          expect(answer).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] })
          expect(answer.data).toBeUndefined()
          expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="latchkey"')
        }
      }
    })
  }

  it('is the same by GET, from a page, and with an access token', async () => {
    const { beta } = world
    const query = '{ __schema { queryType { name } } }'
    const get = async (credential: string) =>
      (
        await fetch(`${world.url}/graphql?query=${encodeURIComponent(query)}`, {
          headers: { authorization: `Bearer ${credential}`, accept: 'application/json' },
        })
      ).status
    expect([await get(beta.owner.sessionToken), await get(beta.member.sessionToken)]).toEqual([200, 403])
    const headers = { origin: world.url }
    expect(await ask(beta.owner.sessionToken, { query }, { headers })).toMatchObject({ status: 200 })
    expect(await ask(beta.member.sessionToken, { query }, { headers })).toMatchObject(refused(onlyAdmins))
    const [owners, members] = [
      (await beta.owner.resetAccessToken()).resetAccessToken.secret,
      (await beta.member.resetAccessToken()).resetAccessToken.secret,
    ]
    expect(await ask(owners, { query })).toMatchObject({ status: 200 })
    expect(await ask(members, { query })).toMatchObject(refused(onlyAdmins))
  })

  it('tells a tool the whole schema', async () => {
    const { data } = await ask(world.alpha.owner.sessionToken, { query: getIntrospectionQuery() })
    expect(buildClientSchema(data).getMutationType()?.getFields()).toHaveProperty('createToken')
  })

  it('that is refused leaves an event in the organization’s log', async () => {
    const { alpha } = world
    await ask(alpha.guest.sessionToken, { query: '{ __schema { queryType { name } } }' })
    const { nodes } = (await alpha.owner.auditEvents({ first: 1 })).auditEvents
    expect(nodes).toMatchObject([{ action: 'access.denied', actor: alpha.guest.email, target: '__schema' }])
  })

  it('is nobody’s where GraphiQL is switched off', async () => {
    const off = await serve(world.dependencies, { graphiql: false })
    const message =
      'Introspection is switched off here. Read schema.graphql in Latchkey’s repository instead: it is the whole of the contract.'
    for (const body of Object.values(introspections)) {
      expect(await ask(world.alpha.owner.sessionToken, body, off)).toMatchObject(refused(message))
      expect(await ask(null, body, off)).toMatchObject({ status: 401 })
    }
    expect(await ask(world.alpha.owner.sessionToken, { query: '{ viewer { __typename } }' }, off)).toMatchObject({
      status: 200,
    })
    await off.close()
  })

  it('is not what “__typename” is: that is everyone’s', async () => {
    for (const credential of [null, ...Object.values(others)]) {
      expect(await ask(credential, { query: '{ __typename }' })).toMatchObject({
        status: 200,
        data: { __typename: 'Query' },
      })
    }
  })
})

describe('a name that is wrong', () => {
  it('is not answered with a guess at the right one', async () => {
    for (const query of [
      '{ viewerr { __typename } }',
      '{ viewer { ... on MemberVewer { __typename } } }',
      'mutation { createTokenn(input: {}) { __typename } }',
      'mutation { createToken(inputt: {}) { __typename } }',
      'mutation { createToken(input: { labell: "x" }) { __typename } }',
      '{ integrationTokens(sort: LABEL_ASCC) { nodes { id } } }',
    ]) {
      const { errors } = await ask(world.alpha.owner.sessionToken, { query })
      expect(JSON.stringify(errors)).not.toMatch(/did you mean/i)
    }
  })
})
