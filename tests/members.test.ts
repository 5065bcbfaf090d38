import { type Latchkey, type MemberFilter, type OrganizationRole, unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addMember } from '../server/organizations/operator.ts'
import { openWorld, password, type World } from './world.ts'

let world: World
let owner: Latchkey
beforeAll(async () => {
  world = await openWorld()
  owner = world.alpha.owner
})
afterAll(() => world[Symbol.asyncDispose]())

let added = 0
/** Someone new, signed in. */
async function join(role: OrganizationRole = 'MEMBER', email = `someone-${++added}@people.example`) {
  await addMember(world.dependencies, { organization: 'alpha', role, email, password })
  const [member] = (await owner.members({ filter: { search: email } })).members.nodes
  const { signIn } = await world.stranger.signIn({ input: { email, password } })
  if (signIn.__typename !== 'SignInPayload' || !member) throw new Error('They have just joined.')
  return { ...member, client: world.as(signIn.sessionToken) }
}

const setRole = async (id: string, role: OrganizationRole, by = owner) =>
  (await by.setMemberRole({ input: { id, role } })).setMemberRole
const setActive = async (id: string, active: boolean, by = owner) =>
  (await by.setMemberActive({ input: { id, active } })).setMemberActive
const find = async (search: string) => (await owner.members({ filter: { search } })).members.nodes[0]

describe('the list of members', () => {
  it('has every member of the organization, in the order of their addresses, and of no other', async () => {
    const { members } = await owner.members({ withTotalCount: true })
    const emails = members.nodes.map(({ email }) => email)
    expect(emails).toEqual(
      ['guest', 'member', 'owner', 'power-user', 'super-admin'].map((who) => `${who}@alpha.example`),
    )
    expect(members.totalCount).toBe(5)
    expect((await world.alpha.member.members()).members.nodes).toEqual(members.nodes)
  })

  it('is paged both ways, and filtered', async () => {
    const locals = async (given: Parameters<Latchkey['members']>[0]) =>
      (await owner.members(given)).members.nodes.map(({ email }) => email.split('@')[0])
    const first = (await owner.members({ first: 2 })).members
    expect(first.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false })
    expect(await locals({ first: 2, after: first.pageInfo.endCursor })).toEqual(['owner', 'power-user'])
    expect(await locals({ last: 2 })).toEqual(['super-admin', 'power-user'].reverse())
    const filters: [MemberFilter, string[]][] = [
      [{ search: 'ER@ALPHA' }, ['member', 'owner', 'power-user']],
      [{ search: '%' }, []],
      [{ roles: ['OWNER', 'GUEST'] }, ['guest', 'owner']],
      [{ active: false }, []],
      [{ search: 'alpha', roles: ['MEMBER'], active: true }, ['member']],
    ]
    for (const [filter, due] of filters) expect([filter, await locals({ filter })]).toEqual([filter, due])
  })
})

describe('a member’s role', () => {
  it('is another at once, by session and by access token', async () => {
    const { id, client } = await join()
    const { secret } = (await client.resetAccessToken()).resetAccessToken
    await expect(world.as(secret).integrationTokens()).rejects.toThrow('Only these may do this')
    expect(unwrap(await setRole(id, 'SUPER_ADMIN')).member).toMatchObject({ id, role: 'SUPER_ADMIN' })
    expect((await world.as(secret).integrationTokens()).integrationTokens.nodes).toEqual([])
    expect(await world.introspect(secret)).toMatchObject({ scope: expect.stringContaining('tokens:manage') })
    unwrap(await setRole(id, 'GUEST', world.alpha.superAdmin))
    await expect(world.as(secret).integrationTokens()).rejects.toThrow('you are guest')
    expect(await world.introspect(secret)).toMatchObject({ scope: 'apps:read' })
    const { nodes } = (await owner.auditEvents({ filter: { targetId: id, actions: ['member.role_changed'] } }))
      .auditEvents
    expect(nodes.map(({ actor }) => actor)).toEqual([world.alpha.superAdmin.email, world.alpha.owner.email])
    // Once more says nothing new.
    unwrap(await setRole(id, 'GUEST'))
    expect(
      (await owner.auditEvents({ filter: { targetId: id, actions: ['member.role_changed'] } })).auditEvents.nodes,
    ).toEqual(nodes)
  })

  it('is the owner’s for good, and makes nobody else an owner', async () => {
    const { id } = await join()
    expect(await setRole(id, 'OWNER')).toMatchObject({ __typename: 'InvalidInput', issues: [{ path: 'role' }] })
    const one = await find(world.alpha.owner.email)
    for (const by of [owner, world.alpha.superAdmin]) {
      expect((await setRole(one?.id ?? '', 'GUEST', by)).__typename).toBe('OwnerProtected')
      expect((await setActive(one?.id ?? '', false, by)).__typename).toBe('OwnerProtected')
    }
    expect(await find(world.alpha.owner.email)).toEqual(one)
  })

  it('that was given by hand is no longer a group’s to take', async () => {
    const { id, email } = await join()
    await world.sql(`update members set role = 'POWER_USER', role_from_groups = true where id = $1`, [id])
    unwrap(await setRole(id, 'SUPER_ADMIN'))
    const [row] = await world.sql('select role, role_from_groups from members where id = $1', [id])
    expect(row).toEqual({ role: 'SUPER_ADMIN', role_from_groups: false })
    expect((await find(email))?.role).toBe('SUPER_ADMIN')
  })
})

describe('a member who is deactivated', () => {
  it('is out at once, by session and by access token, and comes back without either session', async () => {
    const { id, email, client } = await join('SUPER_ADMIN')
    const { secret } = (await client.resetAccessToken()).resetAccessToken
    const again = await world.stranger.signIn({ input: { email, password } })
    if (again.signIn.__typename !== 'SignInPayload') throw new Error('They can sign in.')
    const session = world.as(again.signIn.sessionToken)
    const { token, ...made } = unwrap(
      (await session.createToken({ input: { label: 'Theirs', roleId: 'role_ci' } })).createToken,
    )
    expect(unwrap(await setActive(id, false)).member).toMatchObject({ id, active: false })
    await expect(session.viewer()).rejects.toThrow('The credential is not accepted')
    expect(await world.introspect(secret)).toEqual({ active: false })
    expect((await world.stranger.signIn({ input: { email, password } })).signIn.__typename).toBe('SignInRefused')
    // What they made is the organization’s.
    expect(await world.introspect(made.secret)).toMatchObject({ active: true, client_id: token.id })
    unwrap(await setActive(id, true))
    await expect(session.viewer()).rejects.toThrow('The credential is not accepted')
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    expect((await world.stranger.signIn({ input: { email, password } })).signIn.__typename).toBe('SignInPayload')
    const actions = (await owner.auditEvents({ filter: { targetId: id } })).auditEvents.nodes.map(
      ({ action }) => action,
    )
    expect(actions.filter((action) => /activated/.test(action))).toEqual(['member.activated', 'member.deactivated'])
  })

  it('is found by id in their own organization alone', async () => {
    const foreign = (await world.beta.owner.members({ filter: { roles: ['GUEST'] } })).members.nodes[0]
    for (const id of [foreign?.id ?? '', 'mem_x', '']) {
      expect((await setActive(id, false)).__typename).toBe('MemberNotFound')
      expect((await setRole(id, 'MEMBER')).__typename).toBe('MemberNotFound')
    }
    expect((await world.beta.owner.members({ filter: { roles: ['GUEST'] } })).members.nodes).toEqual([foreign])
  })
})
