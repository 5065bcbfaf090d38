import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signIn } from '../server/identity/service.ts'
import { addMember } from '../server/organizations/operator.ts'
import { memberIdOf, provisioner, type ScimClient, scimClient, urns } from './scim.ts'
import { openWorld, password, type World } from './world.ts'

let world: World
let scim: ScimClient & { secret: string }
beforeAll(async () => {
  world = await openWorld()
  scim = await provisioner(world, world.alpha)
})
afterAll(() => world[Symbol.asyncDispose]())

const idOf = (email: string, organization = world.alpha) => memberIdOf(world, email, organization.id)

let made = 0
const newAddress = () => `made-${++made}@people.example`

interface Standing {
  role: string
  active: boolean
  display_name: string
  external_id: string | null
  email: string
}

async function standingOf(id: string): Promise<Standing | null> {
  const rows = await world.sql<Standing>(
    'select m.role, m.active, m.display_name, m.external_id, p.email from members m join people p on p.id = m.person_id where m.id = $1',
    [id],
  )
  return rows[0] ?? null
}

const actionsOn = async (targetId: string) =>
  (
    await world.sql<{ action: string }>('select action from audit_events where target_id = $1 order by position', [
      targetId,
    ])
  ).map(({ action }) => action)

async function session(email: string, slug = world.alpha.slug): Promise<string> {
  const origin = { ipAddress: '192.0.2.1', userAgent: 'tests' }
  return (await signIn({ ...world.dependencies, origin }, { email, password, slug })).sessionToken
}

async function byHand(role: 'SUPER_ADMIN' | 'POWER_USER' | 'MEMBER' | 'GUEST', organization = world.alpha) {
  const email = newAddress()
  await addMember(world.dependencies, { organization: organization.slug, role, email, password })
  return { email, id: await idOf(email, organization) }
}

describe('an external id', () => {
  it('binds to nobody: neither “1”, nor an admin’s id or address, nor a row’s number', async () => {
    const owner = await idOf(world.alpha.owner.email)
    const superAdmin = await idOf(world.alpha.superAdmin.email)
    for (const externalId of ['1', '0', owner, superAdmin, world.alpha.owner.email, world.alpha.superAdmin.email]) {
      const before = [await standingOf(owner), await standingOf(superAdmin)]
      const userName = newAddress()
      const id = await scim.user({ userName, externalId })
      expect([owner, superAdmin]).not.toContain(id)
      expect(await standingOf(id)).toMatchObject({ email: userName, role: 'MEMBER', external_id: externalId })
      expect(await scim.found('Users', `externalId eq "${externalId}"`)).toEqual([id])
      expect([await standingOf(owner), await standingOf(superAdmin)]).toEqual(before)
      expect((await scim.get(`/Users/${externalId}`)).body.id).not.toBe(id)
    }
  })

  it('is one user’s in an organization, and may be another’s in another', async () => {
    const other = await provisioner(world, world.beta)
    await scim.user({ userName: newAddress(), externalId: 'shared' })
    await other.user({ userName: newAddress(), externalId: 'shared' })
    const body = { schemas: [urns.user], userName: newAddress(), externalId: 'shared' }
    expect((await scim.post('/Users', body)).body).toMatchObject({ status: '409', scimType: 'uniqueness' })
    const id = await scim.user({ userName: newAddress() })
    const taken = await scim.patch(`/Users/${id}`, [{ op: 'add', path: 'externalId', value: 'shared' }])
    expect(taken.body).toMatchObject({ status: '409', scimType: 'uniqueness' })
  })

  it('in a body of an existing member’s address makes a conflict, and changes them in nothing', async () => {
    const { email, id } = await byHand('MEMBER')
    const body = { schemas: [urns.user], userName: email.toUpperCase(), externalId: 'mine now', id, active: false }
    expect((await scim.post('/Users', body)).body).toMatchObject({ status: '409', scimType: 'uniqueness' })
    expect(await standingOf(id)).toMatchObject({ active: true, external_id: null })
  })
})

describe('a role', () => {
  it.each(['SUPER_ADMIN', 'OWNER', 'POWER_USER'])('%s is set by no body, whatever it holds', async (role) => {
    const userName = newAddress()
    const group = await scim.group({ displayName: `Would-be ${role}` })
    const claims = {
      schemas: [urns.user],
      userName,
      role,
      roles: [{ value: role, primary: true }],
      groups: [{ value: group }],
      entitlements: [{ value: role }],
      roleFromGroups: false,
    }
    const id = (await scim.post('/Users', claims)).body.id ?? ''
    expect((await scim.put(`/Users/${id}`, { ...claims, id, title: 'Put' })).status).toBe(200)
    expect(await standingOf(id)).toMatchObject({ role: 'MEMBER' })
    const patched = await scim.patch(`/Users/${id}`, [
      { op: 'add', value: { roles: [{ value: role, type: 'again' }], role, roleFromGroups: false } },
    ])
    expect(patched.status).toBe(200)
    await scim.patch(`/Users/${id}`, [{ op: 'replace', path: 'role', value: role }])
    expect(
      (await scim.patch(`/Users/${id}`, [{ op: 'add', path: 'groups', value: [{ value: group }] }])).body,
    ).toMatchObject({ status: '400', scimType: 'mutability' })
    expect(await standingOf(id)).toMatchObject({ role: 'MEMBER' })
    expect((await scim.get(`/Users/${id}`)).body).not.toHaveProperty('groups')
  })

  it('of a group is set by no identity provider', async () => {
    const id = await scim.group({ displayName: 'Plain', role: 'SUPER_ADMIN' })
    const member = await scim.user({ userName: newAddress() })
    await scim.put(`/Groups/${id}`, {
      schemas: [urns.group],
      displayName: 'Plain',
      role: 'SUPER_ADMIN',
      members: [{ value: member }],
    })
    await scim.patch(`/Groups/${id}`, [{ op: 'add', value: { role: 'SUPER_ADMIN' } }])
    expect(await world.sql('select role from groups where id = $1', [id])).toEqual([{ role: null }])
    expect(await standingOf(member)).toMatchObject({ role: 'MEMBER' })
  })
})

describe('an owner, and a super admin made by hand', () => {
  it.each<[string, (path: string) => Promise<{ status: number; text: string }>]>([
    ['deactivated', (path) => scim.patch(path, [{ op: 'replace', value: { active: false } }])],
    ['deactivated by Entra', (path) => scim.patch(path, [{ op: 'Replace', path: 'active', value: 'False' }])],
    ['renamed', (path) => scim.patch(path, [{ op: 'replace', path: 'displayName', value: 'Mallory' }])],
    ['given another address', (path) => scim.patch(path, [{ op: 'replace', path: 'userName', value: newAddress() }])],
    ['claimed by an external id', (path) => scim.patch(path, [{ op: 'add', path: 'externalId', value: 'claimed' }])],
    ['given attributes', (path) => scim.patch(path, [{ op: 'add', path: 'title', value: 'Intern' }])],
    ['replaced', (path) => scim.put(path, { schemas: [urns.user], userName: newAddress(), active: false })],
    ['deleted', (path) => scim.remove(path)],
    [
      'deleted in bulk',
      async (path) => {
        const { body } = await scim.post('/Bulk', { schemas: [urns.bulk], Operations: [{ method: 'DELETE', path }] })
        const [operation] = JSON.parse(JSON.stringify(body.Operations))
        return { status: Number(operation.status), text: JSON.stringify(operation.response) }
      },
    ],
  ])('is not %s, and the answer says what to do', async (_, change) => {
    for (const { email } of [world.alpha.owner, world.alpha.superAdmin]) {
      const id = await idOf(email)
      const before = await standingOf(id)
      const answer = await change(`/Users/${id}`)
      expect(answer).toMatchObject({ status: 403, text: expect.stringMatching(/provisioning/) })
      expect(await standingOf(id)).toEqual(before)
    }
  })

  it('is read, found and put into groups, which change nothing of their role', async () => {
    const ids = [await idOf(world.alpha.owner.email), await idOf(world.alpha.superAdmin.email)]
    const group = await scim.group({ displayName: 'Everyone', members: ids.map((value) => ({ value })) })
    unwrap((await world.alpha.owner.setGroupRole({ input: { groupId: group, role: 'GUEST' } })).setGroupRole)
    await scim.remove(`/Groups/${group}`)
    expect(await Promise.all(ids.map(standingOf))).toMatchObject([{ role: 'OWNER' }, { role: 'SUPER_ADMIN' }])
    expect((await scim.get(`/Users/${ids[0]}`)).status).toBe(200)
  })

  it('may be sent again as they are', async () => {
    const { email, id } = await byHand('SUPER_ADMIN')
    const answer = await scim.put(`/Users/${id}`, { schemas: [urns.user], userName: email, active: true })
    expect(answer.status).toBe(200)
    expect(await actionsOn(id)).toEqual(['member.added'])
  })
})

describe('another organization', () => {
  it('is not there: each id of it is answered as one that never was, by every method, and nothing of it changes', async () => {
    const other = await provisioner(world, world.beta)
    const user = await other.user({ userName: newAddress(), externalId: 'beta’s' })
    const group = await other.group({ displayName: 'Beta’s group', members: [{ value: user }] })
    const owner = await idOf(world.beta.owner.email, world.beta)
    const before = [await standingOf(user), await standingOf(owner), (await other.get(`/Groups/${group}`)).text]
    const missing = await scim.get('/Users/mem_01m8a6q60men6b8e4693cfbeyd')
    for (const path of [`/Users/${user}`, `/Users/${owner}`, `/Groups/${group}`]) {
      const body = { schemas: [urns.user, urns.group], userName: newAddress(), displayName: 'Mine', active: false }
      const answers = [
        await scim.get(path),
        await scim.put(path, body),
        await scim.patch(path, [{ op: 'replace', path: 'displayName', value: 'Mine' }]),
        await scim.remove(path),
      ]
      for (const { status, text } of answers)
        expect({ path, status, text }).toEqual({ path, status: 404, text: missing.text })
    }
    expect(await scim.found('Users', `id eq "${user}" or externalId eq "beta’s"`)).toEqual([])
    expect(await scim.found('Users', `id eq "${user}"`)).toEqual([])
    expect(await scim.found('Groups', 'displayName co "Beta"')).toEqual([])
    expect((await scim.get('/Users?count=1000')).text).not.toContain('beta.example')
    const taking = await scim.post('/Groups', {
      schemas: [urns.group],
      displayName: 'Taking',
      members: [{ value: user }],
    })
    expect(taking.body).toMatchObject({ status: '400', scimType: 'invalidValue' })
    expect([await standingOf(user), await standingOf(owner), (await other.get(`/Groups/${group}`)).text]).toEqual(
      before,
    )
  })

  it('keeps its person, who becomes a member here too: with their password, their name and their address there', async () => {
    const { email, id: there } = await byHand('POWER_USER', world.beta)
    const before = await standingOf(there)
    const here = await scim.user({ userName: email, displayName: 'Called otherwise here', password: 'chosen by alpha' })
    expect(here).not.toBe(there)
    await session(email, world.beta.slug)
    await session(email)
    const renamed = newAddress()
    expect((await scim.patch(`/Users/${here}`, [{ op: 'replace', path: 'userName', value: renamed }])).status).toBe(200)
    expect(await standingOf(here)).toMatchObject({ email: renamed })
    expect(await standingOf(there)).toEqual(before)
    await session(email, world.beta.slug)
    await expect(session(email)).rejects.toThrow()
    expect((await scim.remove(`/Users/${here}`)).status).toBe(204)
    expect(await standingOf(there)).toEqual(before)
    expect(await world.sql('select 1 from people where email = $1', [renamed])).toEqual([])
  })

  it('loses neither its member nor their password when the person is deleted here', async () => {
    const { email, id: there } = await byHand('MEMBER', world.beta)
    const here = await scim.user({ userName: email })
    expect((await scim.remove(`/Users/${here}`)).status).toBe(204)
    expect(await standingOf(there)).toMatchObject({ email })
    await session(email, world.beta.slug)
  })
})

describe('a member who is given the address of someone else', () => {
  it('is that person from then on: what the one before held is refused, and their password opens nothing here', async () => {
    const { email, id } = await byHand('POWER_USER')
    await addMember(world.dependencies, { organization: world.beta.slug, role: 'MEMBER', email, password: null })
    const sessionToken = await session(email)
    const accessToken = (await world.as(sessionToken).resetAccessToken()).resetAccessToken.secret
    const again = await session(email)
    await scim.patch(`/Users/${id}`, [{ op: 'replace', path: 'userName', value: newAddress() }])
    await expect(world.as(again).viewer()).rejects.toMatchObject({ status: 401 })
    expect(await world.introspect(accessToken)).toEqual({ active: false })
  })
})

describe('an address that nobody has yet', () => {
  it('is kept warm by no one: whoever was given it here has no password there, once its owner is added elsewhere', async () => {
    const { email, id } = await byHand('MEMBER')
    const sessionToken = await session(email)
    const address = newAddress()
    const renamed = await scim.patch(`/Users/${id}`, [{ op: 'replace', path: 'userName', value: address }])
    expect(renamed.status).toBe(200)
    await expect(world.as(sessionToken).viewer()).rejects.toMatchObject({ status: 401 })
    await addMember(world.dependencies, {
      organization: world.beta.slug,
      role: 'SUPER_ADMIN',
      email: address,
      password: null,
    })
    await expect(session(address, world.beta.slug)).rejects.toThrow()
    await expect(session(address)).rejects.toThrow()
  })
})

describe('a SCIM token', () => {
  it('manages no tokens, and is refused by all of GraphQL', async () => {
    const client = world.as(scim.secret)
    const input = { label: 'Smuggled', roleId: 'role_scim' }
    await expect(client.createToken({ input })).rejects.toMatchObject({ status: 403 })
    await expect(client.integrationTokens({})).rejects.toMatchObject({ status: 403 })
    await expect(client.groups()).rejects.toMatchObject({ status: 403 })
    await expect(client.setGroupRole({ input: { groupId: 'grp_x', role: 'SUPER_ADMIN' } })).rejects.toMatchObject({
      status: 403,
    })
    expect(await world.alpha.tokenLabels()).not.toContain('Smuggled')
  })

  it('is refused at once when it is deleted or disabled', async () => {
    const { secret } = await provisioner(world, world.alpha)
    const client = scimClient(world, secret)
    expect((await client.get('/Users?count=0')).status).toBe(200)
    const { nodes } = (await world.alpha.owner.integrationTokens({ first: 1 })).integrationTokens
    await world.alpha.owner.updateToken({ input: { id: nodes[0]?.id ?? '', enabled: false } })
    expect((await client.get('/Users?count=0')).status).toBe(401)
  })
})

describe('who may provision', () => {
  const statusFor = async (credential: string | null) =>
    (await scimClient(world, credential).get('/Users?count=0')).status

  it('are SCIM tokens, and owners and super admins by their access tokens; no session, no other token, no service', async () => {
    const { alpha } = world
    for (const [who, status] of [
      [alpha.owner, 200],
      [alpha.superAdmin, 200],
      [alpha.powerUser, 403],
      [alpha.member, 403],
      [alpha.guest, 403],
    ] as const) {
      const sessionToken = await session(who.email)
      expect([who.email, await statusFor(sessionToken)]).toEqual([who.email, 403])
      const { secret } = (await world.as(sessionToken).resetAccessToken()).resetAccessToken
      expect([who.email, await statusFor(secret)]).toEqual([who.email, status])
      // The reset has ended the session that the world began with.
      Object.assign(who, world.as(await session(who.email)))
    }
    for (const roleId of ['role_ci', 'role_jira', 'role_service_account']) {
      const created = unwrap((await alpha.owner.createToken({ input: { label: `No ${roleId}`, roleId } })).createToken)
      expect([roleId, await statusFor(created.secret)]).toEqual([roleId, 403])
    }
    expect(await statusFor(world.service.secret)).toBe(403)
    expect(await statusFor(null)).toBe(401)
    expect(await statusFor('lki_nothing')).toBe(401)
    const [denied] = await world.sql<{ count: string }>(
      `select count(*) from audit_events where organization_id = $1 and action = 'access.denied' and target = 'scim'`,
      [alpha.id],
    )
    expect(Number(denied?.count)).toBe(11)
  })

  it('is known to the audit log as whoever they are, with what they did', async () => {
    const id = await scim.user({ userName: newAddress() })
    await scim.patch(`/Users/${id}`, [{ op: 'replace', path: 'title', value: 'Analyst' }])
    await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])
    await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: true } }])
    await scim.remove(`/Users/${id}`)
    expect(await actionsOn(id)).toEqual([
      'member.added',
      'member.updated',
      'member.deactivated',
      'member.activated',
      'member.removed',
    ])
  })
})

describe('a member who is deactivated', () => {
  it('is out at once, by session and by access token, on every instance; the tokens that they made stay', async () => {
    await using other = await closing(world.startInstance())
    const { email, id } = await byHand('SUPER_ADMIN')
    await world.sql('update members set role_from_groups = true where id = $1', [id])
    const { secret } = (await world.as(await session(email)).resetAccessToken()).resetAccessToken
    const client = world.as(await session(email))
    const input = { label: `Of ${email}`, roleId: 'role_ci' }
    const created = unwrap((await client.createToken({ input })).createToken)
    expect((await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])).status).toBe(200)
    await expect(client.viewer()).rejects.toMatchObject({ status: 401 })
    for (const { url } of [world, other]) {
      expect(await world.introspect(secret, { url })).toEqual({ active: false })
      expect(await world.introspect(created.secret, { url })).toMatchObject({ active: true })
    }
    await expect(session(email)).rejects.toThrow()
    await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: true } }])
    await expect(client.viewer()).rejects.toMatchObject({ status: 401 })
    await session(email)
  })

  it('is deactivated also where the role was given by hand, as a guest or a power user, and keeps it', async () => {
    for (const role of ['GUEST', 'POWER_USER', 'MEMBER'] as const) {
      const { id } = await byHand(role)
      expect((await scim.patch(`/Users/${id}`, [{ op: 'replace', value: { active: false } }])).status).toBe(200)
      expect(await standingOf(id)).toMatchObject({ role, active: false })
    }
  })
})

describe('a member who is deleted', () => {
  it('is gone with sessions and access token; their tokens, events and groups stay', async () => {
    const { email, id } = await byHand('SUPER_ADMIN')
    await world.sql('update members set role_from_groups = true where id = $1', [id])
    const accessToken = (await world.as(await session(email)).resetAccessToken()).resetAccessToken.secret
    const client = world.as(await session(email))
    const input = { label: `Of ${email}`, roleId: 'role_ci' }
    const created = unwrap((await client.createToken({ input })).createToken)
    const group = await scim.group({ displayName: `Group of ${email}`, members: [{ value: id }] })
    const version = (await scim.get(`/Groups/${group}`)).body.meta?.version
    expect((await scim.remove(`/Users/${id}`)).status).toBe(204)
    expect((await scim.get(`/Users/${id}`)).status).toBe(404)
    expect((await scim.remove(`/Users/${id}`)).status).toBe(404)
    await expect(client.viewer()).rejects.toMatchObject({ status: 401 })
    expect(await world.introspect(accessToken)).toEqual({ active: false })
    expect(await world.introspect(created.secret)).toMatchObject({ active: true })
    const { integrationToken } = await world.alpha.superAdmin.integrationToken({ id: created.token.id })
    expect(integrationToken).toMatchObject({ createdBy: null })
    expect((await scim.get(`/Groups/${group}`)).body).not.toHaveProperty('members')
    expect((await scim.get(`/Groups/${group}`)).body.meta?.version).not.toBe(version)
    expect(await world.sql('select 1 from people where email = $1', [email])).toEqual([])
    expect(await actionsOn(id)).toContain('member.removed')
  })
})

describe('two connections at once', () => {
  it('make one user of one address, and tell the other of the conflict', async () => {
    for (let round = 0; round < 5; round++) {
      const body = { schemas: [urns.user], userName: newAddress() }
      const answers = await Promise.all(Array.from({ length: 6 }, () => scim.post('/Users', body)))
      const conflicts = answers.filter(({ body }) => body.scimType === 'uniqueness')
      expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409])
      expect(conflicts).toHaveLength(5)
      expect(await scim.found('Users', `userName eq "${body.userName}"`)).toHaveLength(1)
    }
  })

  it('of two organizations make one person of one address', async () => {
    const other = await provisioner(world, world.beta)
    for (let round = 0; round < 5; round++) {
      const userName = newAddress()
      await Promise.all([scim, other].map((one) => one.user({ userName })))
      expect(await world.sql('select 1 from people where email = $1', [userName])).toHaveLength(1)
    }
  })
})

async function closing<T extends { close(): Promise<void> }>(opening: Promise<T>) {
  const opened = await opening
  return { ...opened, [Symbol.asyncDispose]: () => opened.close() }
}
