import { type Latchkey, unwrap } from '@latchkey/sdk'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, type World } from './world.ts'

let world: World
let owner: Latchkey
beforeAll(async () => {
  world = await openWorld()
  owner = world.alpha.owner
})
afterAll(() => world[Symbol.asyncDispose]())
afterEach(async () => {
  await world.sql('delete from integration_tokens')
  await world.sql('delete from token_roles where organization_id is not null')
  await world.sql(
    'update organizations set longest_token_lifetime_days = null, token_expiry_required = false, default_token_lifetime_days = null',
  )
})

const day = 24 * 60 * 60 * 1_000
const inDays = (days: number) => new Date(Date.now() + days * day).toISOString()

describe('the token policy', () => {
  const set = async (input: Parameters<Latchkey['updateTokenPolicy']>[0]['input']) =>
    (await owner.updateTokenPolicy({ input })).updateTokenPolicy
  let made = 0
  const create = async (expiresAt?: string | null, by: Latchkey = owner) => {
    const input = { label: `Token ${++made}`, roleId: 'role_ci', ...(expiresAt !== undefined && { expiresAt }) }
    return (await by.createToken({ input })).createToken
  }
  const refusal = (result: { __typename: string }) =>
    result.__typename === 'InvalidInput' && 'issues' in result ? result.issues : result.__typename
  const about = (message: RegExp) => [{ path: 'expiresAt', message: expect.stringMatching(message) }]

  it('asks for nothing at first', async () => {
    const none = { longestLifetimeDays: null, expiryRequired: false, defaultLifetimeDays: null, tokensOutside: 0 }
    expect((await owner.tokenPolicy()).tokenPolicy).toEqual(none)
    expect(unwrap(await create()).token.expiresAt).toBeNull()
    expect((await owner.tokenPolicy()).tokenPolicy).toEqual(none)
  })

  it('gives a token that is made without a word its default, and an expiry that is given goes before it', async () => {
    unwrap(await set({ defaultLifetimeDays: 30 }))
    const left = unwrap(await create()).token
    expect(Date.parse(left.expiresAt ?? '') - Date.parse(left.createdAt)).toBe(30 * day)
    expect(unwrap(await create(null)).token.expiresAt).toBeNull()
    const given = inDays(90)
    expect(unwrap(await create(given)).token.expiresAt).toBe(given)
  })

  it('makes another token of an expiry that is left out than of none, under one idempotency key', async () => {
    unwrap(await set({ defaultLifetimeDays: 30 }))
    const ask = async (expiresAt?: null) => {
      const input = { label: 'Retried', roleId: 'role_ci', idempotencyKey: 'left out' }
      return (await owner.createToken({ input: { ...input, ...(expiresAt === null && { expiresAt }) } })).createToken
    }
    const first = unwrap(await ask())
    expect(unwrap(await ask())).toEqual(first)
    expect((await ask(null)).__typename).toBe('IdempotencyKeyReused')
  })

  it('requires an expiry, from admins and service accounts alike, where it says so', async () => {
    const account = await owner.createToken({ input: { label: 'Automation', roleId: 'role_service_account' } })
    unwrap(await set({ expiryRequired: true }))
    for (const by of [owner, world.as(unwrap(account.createToken).secret)]) {
      expect(refusal(await create(undefined, by))).toEqual(about(/^Every token of the organization expires/))
      expect(refusal(await create(null, by))).toEqual(about(/give an expiry date\.$/))
      unwrap(await create(inDays(3_000), by))
    }
    unwrap(await set({ defaultLifetimeDays: 7 }))
    unwrap(await create())
  })

  it('bounds how long a value is accepted, counted from when it was made', async () => {
    unwrap(await set({ longestLifetimeDays: 30 }))
    expect(refusal(await create())).toEqual(about(/^Every token of the organization expires, 30 days after/))
    expect(refusal(await create(inDays(30.001)))).toEqual(about(/^A token of the organization expires 30 days after/))
    const { token } = unwrap(await create(inDays(29.999)))
    const move = async (expiresAt: string | null) =>
      (await owner.updateToken({ input: { id: token.id, expiresAt } })).updateToken
    await world.sql(`update token_secrets set created_at = created_at - interval '20 days' where token_id = $1`, [
      token.id,
    ])
    expect(refusal(await move(inDays(11)))).toEqual(about(/here on \d{4}-/))
    expect(refusal(await move(null))).toEqual(about(/^Every token/))
    unwrap(await move(inDays(9)))
    // A new value begins anew.
    unwrap((await owner.regenerateToken({ input: { id: token.id } })).regenerateToken)
    unwrap(await move(inDays(29)))
    expect(await world.sql('select count(*)::int as count from integration_tokens')).toEqual([{ count: 1 }])
  })

  it('leaves tokens as they are that do not meet it, counts them, and asks once their expiry is changed', async () => {
    const forever = unwrap(await create()).token
    unwrap(await create(inDays(100)))
    unwrap(await create(inDays(10)))
    const past = unwrap(await create(inDays(50))).token
    await world.sql('update integration_tokens set expires_at = now() where id = $1', [past.id])
    await world.sql(`update token_secrets set created_at = created_at - interval '400 days' where token_id = $1`, [
      past.id,
    ])
    unwrap((await world.beta.owner.createToken({ input: { label: 'Foreign', roleId: 'role_ci' } })).createToken)
    const outside = async (input: Parameters<typeof set>[0]) => unwrap(await set(input)).tokenPolicy.tokensOutside
    expect(await outside({ expiryRequired: true })).toBe(1)
    expect(await outside({ expiryRequired: false, longestLifetimeDays: 30 })).toBe(2)
    expect(await outside({ longestLifetimeDays: 200 })).toBe(1)
    const change = async (input: object) =>
      (await owner.updateToken({ input: { id: forever.id, ...input } })).updateToken
    unwrap(await change({ description: 'As before', enabled: false }))
    expect(refusal(await change({ expiresAt: inDays(300) }))).toEqual(about(/^A token of the organization/))
    unwrap(await change({ expiresAt: inDays(100) }))
    expect((await owner.tokenPolicy()).tokenPolicy.tokensOutside).toBe(0)
  })

  it('is refused where it contradicts itself or cannot be, and changes nothing then', async () => {
    unwrap(await set({ longestLifetimeDays: 30, defaultLifetimeDays: 30 }))
    const before = (await owner.tokenPolicy()).tokenPolicy
    expect(refusal(await set({ defaultLifetimeDays: 31 }))).toMatchObject([{ path: 'defaultLifetimeDays' }])
    expect(refusal(await set({ longestLifetimeDays: 29, expiryRequired: true }))).toMatchObject([
      { path: 'defaultLifetimeDays' },
    ])
    for (const longestLifetimeDays of [0, -1, 3_651])
      expect(refusal(await set({ longestLifetimeDays }))).toMatchObject([{ path: 'longestLifetimeDays' }])
    expect((await owner.tokenPolicy()).tokenPolicy).toEqual(before)
    const events = (await owner.auditEvents({ filter: { actions: ['token_policy.updated'] } })).auditEvents.nodes
    unwrap(await set({ longestLifetimeDays: 30 }))
    const after = (await owner.auditEvents({ filter: { actions: ['token_policy.updated'] } })).auditEvents.nodes
    expect(after).toEqual(events)
    expect(after[0]).toMatchObject({ target: 'Alpha', actor: world.alpha.owner.email })
  })

  it('holds for every token whose creation begins after it has answered, however many are made meanwhile', async () => {
    let changed = false
    const late: string[] = []
    const making = Array.from({ length: 8 }, async () => {
      for (let round = 0; round < 6; round++) {
        const after = changed
        const result = await create(null)
        if (after && result.__typename === 'CreateTokenPayload') late.push(result.token.id)
      }
    })
    unwrap(await set({ expiryRequired: true }))
    changed = true
    await Promise.all(making)
    expect(late).toEqual([])
  })
})

describe('a role of an organization’s own', () => {
  const make = async (label: string, permissions: string[], by: Latchkey = owner) =>
    (await by.createTokenRole({ input: { label, permissions } })).createTokenRole
  const change = async (id: string, input: object) =>
    (await owner.updateTokenRole({ input: { id, ...input } })).updateTokenRole
  const remove = async (id: string) => (await owner.deleteTokenRole({ input: { id } })).deleteTokenRole

  it('is given to tokens, which may do what it says, in its own organization only', async () => {
    const { tokenRole } = unwrap(await make('Deployer', ['deploys:write', 'apps:read', 'deploys:write']))
    expect(tokenRole).toMatchObject({ kind: 'CUSTOM', description: '', permissions: ['deploys:write', 'apps:read'] })
    expect((await owner.tokenRoles()).tokenRoles.at(-1)).toEqual(tokenRole)
    expect((await world.beta.owner.tokenRoles()).tokenRoles.map(({ id }) => id)).not.toContain(tokenRole.id)
    const { secret } = unwrap(
      (await owner.createToken({ input: { label: 'Deploys', roleId: tokenRole.id } })).createToken,
    )
    expect(await world.introspect(secret)).toMatchObject({ active: true, scope: 'deploys:write apps:read' })
    expect(await owner.node({ id: tokenRole.id })).toMatchObject({ node: { label: 'Deployer' } })
  })

  it('is changed at once for the tokens that have it, once that is confirmed', async () => {
    const { tokenRole } = unwrap(await make('Deployer', ['deploys:write', 'apps:read']))
    const { secret } = unwrap(
      (await owner.createToken({ input: { label: 'Deploys', roleId: tokenRole.id } })).createToken,
    )
    const permissions = ['apps:read', 'deploys:read']
    expect(await change(tokenRole.id, { permissions })).toEqual({
      __typename: 'ConfirmationNeeded',
      message:
        'One token has this role, and at once may also deploys:read, and may no longer deploys:write. Send force: true to do it.',
    })
    expect(await world.introspect(secret)).toMatchObject({ scope: 'deploys:write apps:read' })
    unwrap(await change(tokenRole.id, { label: 'Reader', description: 'Reads.' }))
    unwrap(await change(tokenRole.id, { permissions: ['apps:read', 'deploys:write'] }))
    unwrap(await change(tokenRole.id, { permissions, force: true }))
    expect(await world.introspect(secret)).toMatchObject({ scope: 'apps:read deploys:read' })
    const { nodes } = (await owner.auditEvents({ filter: { targetId: tokenRole.id } })).auditEvents
    expect(nodes.map(({ action, target }) => `${action} ${target}`)).toEqual([
      'token_role.updated Reader',
      'token_role.updated Reader',
      'token_role.created Deployer',
    ])
  })

  it('is deleted while no token has it, and never from under one', async () => {
    const { tokenRole } = unwrap(await make('Deployer', ['deploys:write']))
    const { token } = unwrap(
      (await owner.createToken({ input: { label: 'Deploys', roleId: tokenRole.id } })).createToken,
    )
    expect(await remove(tokenRole.id)).toEqual({
      __typename: 'TokenRoleInUse',
      message: 'One token has this role. Delete it first, or take the role’s permissions away.',
      tokenCount: 1,
    })
    const other = unwrap((await owner.createToken({ input: { label: 'More', roleId: tokenRole.id } })).createToken)
    expect(await remove(tokenRole.id)).toMatchObject({
      message: expect.stringMatching(/^2 tokens have/),
      tokenCount: 2,
    })
    unwrap((await owner.deleteToken({ input: { id: other.token.id } })).deleteToken)
    unwrap((await owner.deleteToken({ input: { id: token.id } })).deleteToken)
    expect(unwrap(await remove(tokenRole.id))).toMatchObject({ deletedTokenRoleId: tokenRole.id })
    expect((await remove(tokenRole.id)).__typename).toBe('TokenRoleNotFound')

    // Each time either the role goes, or the token comes.
    for (let round = 0; round < 10; round++) {
      const { id } = unwrap(await make(`Race ${round}`, ['deploys:write'])).tokenRole
      const [created, deleted] = await Promise.all([
        owner.createToken({ input: { label: `Race ${round}`, roleId: id } }),
        remove(id),
      ])
      const outcomes = `${created.createToken.__typename} ${deleted.__typename}`
      expect(['CreateTokenPayload TokenRoleInUse', 'InvalidInput DeleteTokenRolePayload']).toContain(outcomes)
    }
  })

  it('has a label of its own, also where two are made at once', async () => {
    unwrap(await make('Deployer', ['deploys:write']))
    for (const label of ['deployer', 'DEPLOYER', 'ci token']) {
      expect(await make(label, ['apps:read'])).toMatchObject({
        __typename: 'LabelTaken',
        message: expect.stringMatching(/^Another role is/),
      })
    }
    unwrap(await make('Deployer', ['deploys:write'], world.beta.owner))
    const { tokenRole } = unwrap(await make('Other', ['apps:read']))
    expect((await change(tokenRole.id, { label: 'deployer' })).__typename).toBe('LabelTaken')
    unwrap(await change(tokenRole.id, { label: 'OTHER' }))
    const made = await Promise.all(Array.from({ length: 6 }, () => make('Twice', ['apps:read'])))
    expect(made.map(({ __typename }) => __typename).sort()).toEqual([
      'CreateTokenRolePayload',
      ...Array(5).fill('LabelTaken'),
    ])
  })

  it.each([
    [[]],
    [['']],
    [['findings']],
    [['Findings:read']],
    [['findings:read scans:write']],
    [['findings:read\n']],
    [['*:*']],
    [['tokens:verify']],
    [['tokens:manage']],
    [['tokens:create-ci']],
    [['members:manage']],
    [['scim:provision']],
    [['findings:read', 'tokens:verify']],
    [Array.from({ length: 51 }, (_, n) => `apps:do-${n}`)],
  ])('has no permissions such as %j', async (permissions) => {
    expect(await make('Odd', permissions)).toMatchObject({ __typename: 'InvalidInput' })
    const { tokenRole } = unwrap(await make('Good', ['apps:read']))
    expect(await change(tokenRole.id, { permissions })).toMatchObject({ __typename: 'InvalidInput' })
    expect((await owner.tokenRoles()).tokenRoles.filter(({ kind }) => kind === 'CUSTOM')).toEqual([tokenRole])
  })

  it('could not have one of Latchkey’s own either if the code let it', async () => {
    const { tokenRole } = unwrap(await make('Good', ['apps:read']))
    await expect(
      world.sql(`update token_roles set permissions = '{apps:read,tokens:verify}' where id = $1`, [tokenRole.id]),
    ).rejects.toThrow('token_roles_reserved')
  })

  it('is none of the managed ones, which nobody changes', async () => {
    for (const id of ['role_ci', 'role_scim', 'role_jira', 'role_service_account', 'role_x', '']) {
      expect((await change(id, { permissions: ['apps:read'], force: true })).__typename).toBe('TokenRoleNotFound')
      expect((await remove(id)).__typename).toBe('TokenRoleNotFound')
    }
  })

  it('is one of a hundred at most', async () => {
    await world.sql(
      `insert into token_roles (id, organization_id, label, label_key, description, permissions)
       select 'role_' || lpad(n::text, 26, '0'), $1, 'R' || n, 'r' || n, '', '{apps:read}' from generate_series(1, 99) n`,
      [world.alpha.id],
    )
    const made = await Promise.all([1, 2, 3].map((n) => make(`Last ${n}`, ['apps:read'])))
    expect(made.map(({ __typename }) => __typename).sort()).toEqual([
      'CreateTokenRolePayload',
      'TooManyTokenRoles',
      'TooManyTokenRoles',
    ])
  })
})
