import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { roleByGroups } from '../server/organizations/groups.ts'
import { addMember } from '../server/organizations/operator.ts'
import { memberIdOf, provisioner, type ScimClient, urns } from './scim.ts'
import { openWorld, password, type World } from './world.ts'

let world: World
let scim: ScimClient
beforeAll(async () => {
  world = await openWorld()
  scim = await provisioner(world, world.alpha)
})
afterAll(() => world[Symbol.asyncDispose]())

type Role = 'SUPER_ADMIN' | 'POWER_USER' | 'MEMBER' | 'GUEST'

let made = 0
const newAddress = () => `made-${++made}@people.example`
const newGroup = (members: string[] = []) =>
  scim.group({ displayName: `Group ${++made}`, members: members.map((value) => ({ value })) })
const map = async (groupId: string, role: Role | null) =>
  unwrap((await world.alpha.superAdmin.setGroupRole({ input: { groupId, role } })).setGroupRole).group

async function byHand(role: Role): Promise<string> {
  const email = newAddress()
  await addMember(world.dependencies, { organization: world.alpha.slug, role, email, password })
  return memberIdOf(world, email, world.alpha.id)
}

async function roleOf(id: string): Promise<string | undefined> {
  const { member } = await world.alpha.superAdmin.member({ id })
  return member?.role
}

describe('the role of a member whom an identity provider made', () => {
  it('is that of the group, from the answer of the mutation on, and MEMBER when the mapping goes', async () => {
    const id = await scim.user({ userName: newAddress() })
    const group = await newGroup([id])
    expect(await roleOf(id)).toBe('MEMBER')
    for (const role of ['POWER_USER', 'SUPER_ADMIN', 'GUEST', 'MEMBER', 'POWER_USER'] as const) {
      expect(await map(group, role)).toMatchObject({ id: group, role, memberCount: 1 })
      expect(await roleOf(id)).toBe(role)
    }
    expect(await map(group, null)).toMatchObject({ role: null })
    expect(await roleOf(id)).toBe('MEMBER')
  })

  it('is the highest of their groups, as they come and go', async () => {
    const id = await scim.user({ userName: newAddress() })
    const guests = await newGroup([id])
    const admins = await newGroup()
    await map(guests, 'GUEST')
    await map(admins, 'SUPER_ADMIN')
    expect(await roleOf(id)).toBe('GUEST')
    await scim.patch(`/Groups/${admins}`, [{ op: 'add', path: 'members', value: [{ value: id }] }])
    expect(await roleOf(id)).toBe('SUPER_ADMIN')
    expect((await scim.get(`/Users/${id}`)).body.groups).toMatchObject([{ value: guests }, { value: admins }])
    await scim.put(`/Groups/${admins}`, { schemas: [urns.group], displayName: `Emptied ${++made}` })
    expect(await roleOf(id)).toBe('GUEST')
    await scim.put(`/Groups/${admins}`, {
      schemas: [urns.group],
      displayName: `Filled ${++made}`,
      members: [{ value: id }],
    })
    expect(await roleOf(id)).toBe('SUPER_ADMIN')
    await scim.remove(`/Groups/${admins}`)
    expect(await roleOf(id)).toBe('GUEST')
    await scim.remove(`/Groups/${guests}`)
    expect(await roleOf(id)).toBe('MEMBER')
  })

  it('as a super admin by a group leaves them to the identity provider: deactivated, renamed and deleted', async () => {
    const id = await scim.user({ userName: newAddress() })
    await map(await newGroup([id]), 'SUPER_ADMIN')
    expect((await scim.patch(`/Users/${id}`, [{ op: 'replace', path: 'displayName', value: 'Renamed' }])).status).toBe(
      200,
    )
    expect((await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])).status).toBe(200)
    expect((await scim.remove(`/Users/${id}`)).status).toBe(204)
  })

  it('is recorded when it changes, after what changed it', async () => {
    const id = await scim.user({ userName: newAddress() })
    const group = await newGroup([id])
    await map(group, 'POWER_USER')
    await map(group, 'POWER_USER')
    await scim.remove(`/Groups/${group}`)
    const events = await world.sql<{ action: string; target_id: string }>(
      'select action, target_id from audit_events where target_id in ($1, $2) order by position',
      [id, group],
    )
    expect(events.map(({ action }) => action)).toEqual([
      'member.added',
      'group.created',
      'group.role_set',
      'member.role_changed',
      'group.role_set',
      'group.deleted',
      'member.role_changed',
    ])
  })
})

describe('a role that was given by hand', () => {
  it('is raised from MEMBER by a group, and is then the groups’ to say', async () => {
    const id = await byHand('MEMBER')
    const group = await newGroup([id])
    await map(group, 'GUEST')
    expect(await roleOf(id)).toBe('MEMBER')
    await map(group, 'SUPER_ADMIN')
    expect(await roleOf(id)).toBe('SUPER_ADMIN')
    await scim.patch(`/Groups/${group}`, [{ op: 'remove', path: `members[value eq "${id}"]` }])
    expect(await roleOf(id)).toBe('MEMBER')
  })

  it.each(['GUEST', 'POWER_USER', 'SUPER_ADMIN'] as const)('as %s stays, whatever the groups', async (role) => {
    const id = await byHand(role)
    const group = await newGroup([id])
    for (const mapped of ['SUPER_ADMIN', 'GUEST', null] as const) {
      await map(group, mapped)
      expect(await roleOf(id)).toBe(role)
    }
  })

  it.each([
    ['OWNER', true, ['GUEST'], 'OWNER'],
    ['OWNER', false, ['SUPER_ADMIN'], 'OWNER'],
    ['SUPER_ADMIN', true, [], 'MEMBER'],
    ['SUPER_ADMIN', false, [], 'SUPER_ADMIN'],
    ['MEMBER', false, ['MEMBER', 'POWER_USER'], 'POWER_USER'],
    ['MEMBER', false, ['GUEST'], 'MEMBER'],
    ['GUEST', true, ['GUEST', 'MEMBER'], 'MEMBER'],
  ] as const)('%s, of groups %s, with %j is %s', (role, roleFromGroups, roles, due) => {
    expect(roleByGroups({ role, roleFromGroups, roles })).toBe(due)
  })
})

describe('a group', () => {
  it('has a name of its own in the organization, without regard to case, which another organization may use too', async () => {
    const displayName = `Straße ${++made}`
    await scim.group({ displayName, externalId: `x-${made}` })
    const again = { schemas: [urns.group], displayName: displayName.toUpperCase().replace('SS', 'ß') }
    expect((await scim.post('/Groups', again)).body).toMatchObject({ status: '409', scimType: 'uniqueness' })
    const sameExternalId = { schemas: [urns.group], displayName: 'Other', externalId: `x-${made}` }
    expect((await scim.post('/Groups', sameExternalId)).body).toMatchObject({ status: '409', scimType: 'uniqueness' })
    await (await provisioner(world, world.beta)).group({ displayName })
    const id = await newGroup()
    const renaming = await scim.patch(`/Groups/${id}`, [{ op: 'replace', path: 'displayName', value: displayName }])
    expect(renaming.body).toMatchObject({ status: '409', scimType: 'uniqueness' })
  })

  it('takes users of the organization alone, and no group', async () => {
    const inner = await newGroup()
    for (const member of [
      { value: 'mem_01m8a6q60men6b8e4693cfbeyd' },
      { value: inner },
      { value: inner, type: 'Group' },
      { value: 7 },
      {},
    ]) {
      const body = { schemas: [urns.group], displayName: 'Refused', members: [member] }
      expect((await scim.post('/Groups', body)).body).toMatchObject({ status: '400', scimType: 'invalidValue' })
    }
    expect(await scim.found('Groups', 'displayName eq "Refused"')).toEqual([])
  })

  it('has each member once, however often and in however many ways they are added and removed', async () => {
    const [one, two, three] = [
      await scim.user({ userName: newAddress() }),
      await scim.user({ userName: newAddress() }),
      await scim.user({ userName: newAddress() }),
    ]
    const group = await newGroup([one, one])
    const path = `/Groups/${group}`
    const members = async () => {
      const { members = [] } = (await scim.get(path)).body
      return Array.isArray(members) ? members.map(({ value }) => value) : []
    }
    await scim.patch(path, [
      { op: 'Add', path: 'members', value: [{ value: one }, { value: two, type: 'User' }] },
      { op: 'add', value: { members: [{ value: two }, { value: three }] } },
    ])
    expect(await members()).toEqual([one, two, three])
    await scim.patch(path, [{ op: 'remove', path: `members[value eq "${one}" or value eq "${two}"]` }])
    expect(await members()).toEqual([three])
    await scim.patch(path, [{ op: 'replace', path: 'members', value: [{ value: one }] }])
    expect(await members()).toEqual([one])
    await scim.patch(path, [{ op: 'Remove', path: 'members', value: [{ value: two }] }])
    expect(await members()).toEqual([one])
    await scim.patch(path, [{ op: 'remove', path: 'members' }])
    expect(await members()).toEqual([])
  })

  it('is changed by one of those that change one version of it at once', async () => {
    const members = [await scim.user({ userName: newAddress() }), await scim.user({ userName: newAddress() })]
    for (let round = 0; round < 5; round++) {
      const path = `/Groups/${await newGroup()}`
      const headers = { 'if-match': (await scim.get(path)).headers.get('etag') ?? '' }
      const answers = await Promise.all(
        members.flatMap((value) => {
          const add = [{ op: 'add', path: 'members', value: [{ value }] }]
          return [scim.patch(path, add, headers), scim.patch(path, add, headers)]
        }),
      )
      expect(answers.map(({ status }) => status).sort()).toEqual([204, 412, 412, 412])
    }
  })

  it('gives the role that follows in the end, however its members and its mapping change at once', async () => {
    for (let round = 0; round < 5; round++) {
      const id = await scim.user({ userName: newAddress() })
      const [left, joined] = [await newGroup([id]), await newGroup()]
      await map(left, 'SUPER_ADMIN')
      await Promise.all([
        scim.patch(`/Groups/${left}`, [{ op: 'remove', path: 'members' }]),
        scim.patch(`/Groups/${joined}`, [{ op: 'add', path: 'members', value: [{ value: id }] }]),
        map(joined, 'POWER_USER'),
      ])
      expect(await roleOf(id)).toBe('POWER_USER')
    }
  })

  it('is listed for super admins, with its role and how many are in it', async () => {
    const id = await newGroup([await scim.user({ userName: newAddress() })])
    await map(id, 'POWER_USER')
    const { groups } = await world.alpha.superAdmin.groups()
    expect(groups.find((one) => one.id === id)).toMatchObject({ role: 'POWER_USER', memberCount: 1 })
    expect((await world.beta.superAdmin.groups()).groups.map((one) => one.id)).not.toContain(id)
    const foreign = await world.beta.superAdmin.setGroupRole({ input: { groupId: id, role: 'GUEST' } })
    expect(foreign.setGroupRole.__typename).toBe('GroupNotFound')
  })

  it('has a version that changes with what it is called and who is in it, and with nothing else', async () => {
    const member = await scim.user({ userName: newAddress(), displayName: 'First name' })
    const path = `/Groups/${await newGroup()}`
    const version = async () => (await scim.get(path)).headers.get('etag')
    const versions = new Set([await version()])
    await scim.patch(path, [{ op: 'add', path: 'members', value: [{ value: member }] }])
    versions.add(await version())
    await scim.patch(`/Users/${member}`, [{ op: 'replace', path: 'displayName', value: 'Second name' }])
    versions.add(await version())
    await scim.patch(path, [{ op: 'replace', path: 'displayName', value: `Renamed ${++made}` }])
    const last = await version()
    versions.add(last)
    expect(versions.size).toBe(4)
    expect((await scim.get(`${path}?excludedAttributes=members`)).headers.get('etag')).toBe(last)
    await scim.patch(path, [{ op: 'add', path: 'members', value: [{ value: member }] }])
    expect(await version()).toBe(last)
  })
})
