import { type InviteMemberResult, type Latchkey, type OrganizationRole, unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { addDomain, addMember, removeDomain, setPassword } from '../server/organizations/operator.ts'
import { purge } from '../server/tokens/retention.ts'
import { provisioner } from './scim.ts'
import { openWorld, password, type World } from './world.ts'

let world: World
let owner: Latchkey
beforeAll(async () => {
  world = await openWorld({ rateLimits: { signInsByAccount: 4, signInsByAddress: 0, secrets: 0, verifications: 0 } })
  owner = world.alpha.owner
  await addDomain(world.dependencies, { organization: 'alpha', domain: 'Alpha.Example' })
})
afterAll(() => world[Symbol.asyncDispose]())

const firstPassword = 'chosen by whoever was invited'
let made = 0
const newAddress = (domain = 'alpha.example') => `invited-${++made}@${domain}`

const ask = async (email: string, role: OrganizationRole = 'MEMBER', by = owner): Promise<InviteMemberResult> =>
  (await by.inviteMember({ input: { email, role } })).inviteMember
const invite = async (email: string, role?: OrganizationRole, by?: Latchkey) => unwrap(await ask(email, role, by))
const accept = async (secret: string, given: { password?: string; displayName?: string } = {}, by = world.stranger) =>
  (await by.acceptInvitation({ input: { secret, password: firstPassword, ...given } })).acceptInvitation
const offerOf = async (secret: string) => (await world.stranger.invitationOffer({ secret })).invitationOffer
const open = async () => (await owner.invitations()).invitations
const find = async (search: string, by = owner) => (await by.members({ filter: { search } })).members.nodes[0]
const signIn = async (email: string, given = firstPassword, organization?: string) =>
  (await world.stranger.signIn({ input: { email, password: given, organization } })).signIn
const events = async (action: string, by = owner) =>
  (await by.auditEvents({ first: 5, filter: { actions: [action] } })).auditEvents.nodes

/** Someone who has been a member of Beta for long, with a password. */
async function knownPerson(domain = 'alpha.example'): Promise<string> {
  const email = newAddress(domain)
  await addMember(world.dependencies, { organization: 'beta', role: 'GUEST', email, password })
  return email
}

describe('an invitation', () => {
  it('makes whom it is for a member with its role, once, and signs them in', async () => {
    const email = newAddress()
    const { invitation, link, secret } = await invite(` ${email.toUpperCase()} `, 'POWER_USER')
    expect(invitation).toMatchObject({ email, role: 'POWER_USER', domainConfirmed: true })
    expect(invitation.createdBy.email).toBe(world.alpha.owner.email)
    const days = (Date.parse(invitation.expiresAt) - Date.parse(invitation.createdAt)) / 86_400_000
    expect(days).toBe(7)
    expect(link).toBe(`http://127.0.0.1/invitation#${secret}`)
    expect(secret).toMatch(/^lkn_[0-9A-Za-z]{49}$/)
    expect(await open()).toContainEqual(invitation)
    expect(await offerOf(secret)).toEqual({
      organization: 'Alpha',
      email,
      role: 'POWER_USER',
      choosesPassword: true,
      expiresAt: invitation.expiresAt,
    })
    expect(await find(email)).toBeUndefined()

    const { viewer, sessionToken } = unwrap(await accept(secret, { displayName: 'Ann Invited' }))
    expect(viewer.member).toMatchObject({ email, displayName: 'Ann Invited', role: 'POWER_USER', active: true })
    expect((await world.as(sessionToken).organization()).organization.slug).toBe('alpha')
    expect(await find(email)).toMatchObject({ id: viewer.member.id, role: 'POWER_USER' })
    expect((await signIn(email)).__typename).toBe('SignInPayload')

    expect(await open()).not.toContainEqual(invitation)
    expect(await offerOf(secret)).toBeNull()
    expect((await accept(secret)).__typename).toBe('InvitationNotFound')
    const [invited] = await events('member.invited')
    expect(invited).toMatchObject({ actor: world.alpha.owner.email, target: email, targetId: invitation.id })
    for (const action of ['invitation.accepted', 'member.added', 'member.password_set', 'session.signed_in']) {
      expect([action, (await events(action))[0]]).toMatchObject([action, { actor: email }])
    }
  })

  it('is accepted by one of many at once', async () => {
    const email = newAddress()
    const { secret } = await invite(email)
    const answers = await Promise.all(Array.from({ length: 8 }, () => accept(secret)))
    expect(answers.filter(({ __typename }) => __typename === 'SignInPayload')).toHaveLength(1)
    expect((await owner.members({ filter: { search: email } })).members.nodes).toHaveLength(1)
  })

  it('changes nothing where what is given cannot be', async () => {
    const before = await open()
    const bad = async (email: string, role?: OrganizationRole) => {
      const answer = await ask(email, role)
      return answer.__typename === 'InvalidInput' ? answer.issues.map(({ path }) => path) : answer.__typename
    }
    expect(await bad('nobody')).toEqual(['email'])
    expect(await bad(newAddress(), 'OWNER')).toEqual(['role'])
    expect(await bad('', 'OWNER')).toEqual(['email', 'role'])
    expect(await bad(world.alpha.guest.email)).toBe('AlreadyMember')
    expect(await open()).toEqual(before)

    const { secret } = await invite(newAddress())
    const refused = async (given: Parameters<typeof accept>[1]) => {
      const answer = await accept(secret, given)
      return answer.__typename === 'InvalidInput' ? answer.issues.map(({ path }) => path) : answer.__typename
    }
    expect(await refused({ password: 'short' })).toEqual(['password'])
    expect(await refused({ password: 'password1234', displayName: 'two\nlines' })).toEqual(['displayName', 'password'])
    expect(await refused({ displayName: '  ' })).toBe('SignInPayload')
  })

  it('is refused as every other secret is: mistyped, of another kind, or never issued', async () => {
    const { secret } = await invite(newAddress())
    const mistyped = secret.slice(0, -1) + (secret.endsWith('0') ? '1' : '0')
    const service = world.service.secret
    const neverIssued = world.dependencies.digester.derive('invitation', Buffer.alloc(32), 'never issued').secret
    for (const other of [mistyped, service, neverIssued, world.alpha.owner.sessionToken, '', 'x'.repeat(5_000)]) {
      expect(await offerOf(other)).toBeNull()
      expect((await accept(other)).__typename).toBe('InvitationNotFound')
    }
    await expect(world.as(secret).viewer()).rejects.toThrow('not accepted')
    expect(await world.introspect(secret)).toEqual({ active: false })
  })

  it('takes the place of an earlier one for the same address', async () => {
    const email = newAddress()
    const first = await invite(email, 'GUEST')
    const second = await invite(email, 'POWER_USER')
    expect((await open()).filter((one) => one.email === email)).toEqual([second.invitation])
    expect((await accept(first.secret)).__typename).toBe('InvitationNotFound')
    expect(unwrap(await accept(second.secret)).viewer.member.role).toBe('POWER_USER')
  })

  it('is good no more from when it is withdrawn, and from when it expires', async () => {
    const withdrawn = await invite(newAddress())
    const revoke = async (id: string, by = owner) => (await by.revokeInvitation({ input: { id } })).revokeInvitation
    expect((await revoke(withdrawn.invitation.id, world.beta.owner)).__typename).toBe('InvitationNotFound')
    expect(unwrap(await revoke(withdrawn.invitation.id)).revokedInvitationId).toBe(withdrawn.invitation.id)
    expect((await revoke(withdrawn.invitation.id)).__typename).toBe('InvitationNotFound')
    expect((await accept(withdrawn.secret)).__typename).toBe('InvitationNotFound')
    expect((await events('invitation.revoked'))[0]?.target).toBe(withdrawn.invitation.email)

    const expired = await invite(newAddress())
    await world.sql('update invitations set expires_at = now() where id = $1', [expired.invitation.id])
    expect(await offerOf(expired.secret)).toBeNull()
    expect((await accept(expired.secret)).__typename).toBe('InvitationNotFound')
    expect((await open()).map(({ id }) => id)).not.toContain(expired.invitation.id)
    await purge(world.dependencies, { retentionDays: 30 })
    expect(await world.sql('select from invitations where id = $1', [expired.invitation.id])).toEqual([])
  })

  it.each(['is deactivated', 'is an admin no more', 'is gone'])(
    'is good no more once whoever made it %s',
    async (what) => {
      const email = newAddress()
      await addMember(world.dependencies, { organization: 'alpha', role: 'SUPER_ADMIN', email, password })
      const admin = world.as(unwrap(await signIn(email, password)).sessionToken)
      const { secret } = await invite(newAddress(), 'SUPER_ADMIN', admin)
      expect(await offerOf(secret)).not.toBeNull()
      const id = (await find(email))?.id ?? ''
      if (what === 'is deactivated')
        unwrap((await owner.setMemberActive({ input: { id, active: false } })).setMemberActive)
      else if (what === 'is gone') await world.sql('delete from members where id = $1', [id])
      else unwrap((await owner.setMemberRole({ input: { id, role: 'POWER_USER' } })).setMemberRole)
      expect(await offerOf(secret)).toBeNull()
      expect((await accept(secret)).__typename).toBe('InvitationNotFound')
    },
  )

  it('leaves whoever became a member in another way as they are, and lets nobody back in who was deactivated', async () => {
    const email = newAddress()
    const { secret } = await invite(email, 'SUPER_ADMIN')
    const id = await (await provisioner(world, world.alpha)).user({ userName: email })
    expect(unwrap(await accept(secret)).viewer.member).toMatchObject({ id, role: 'MEMBER' })

    const other = newAddress()
    const second = await invite(other)
    const deactivated = await (await provisioner(world, world.alpha)).user({ userName: other, active: false })
    expect((await accept(second.secret)).__typename).toBe('SignInRefused')
    expect(await find(other)).toMatchObject({ id: deactivated, active: false })
    expect((await ask(other)).__typename).toBe('AlreadyMember')
  })

  it('is one of 200 at most', async () => {
    const count = (await open()).length
    const template = await invite(newAddress())
    await world.sql(
      `insert into invitations select 'inv_filler' || n, organization_id, 'filler' || n || '@alpha.example', role,
         sha256(n::text::bytea), key_id, created_by_member_id, created_at, expires_at
       from invitations, generate_series(1, $2) n where id = $1`,
      [template.invitation.id, 200 - count - 1],
    )
    const answer = await ask(newAddress())
    expect(answer).toMatchObject({ __typename: 'TooManyInvitations', message: expect.stringContaining('200') })
    // The place of one that is there already is not another.
    expect((await ask(template.invitation.email)).__typename).toBe('InviteMemberPayload')
    expect((await ask(newAddress('beta.example'), 'MEMBER', world.beta.owner)).__typename).toBe('InviteMemberPayload')
    await world.sql(`delete from invitations where id like 'inv_filler%'`)
  })
})

describe('whose the address is', () => {
  it('is proven with the password by whoever has one, which stays as it is', async () => {
    const email = await knownPerson()
    const { secret } = await invite(email)
    expect(await offerOf(secret)).toMatchObject({ choosesPassword: false })
    expect((await accept(secret)).__typename).toBe('SignInRefused')
    expect(await find(email)).toBeUndefined()
    const { viewer } = unwrap(await accept(secret, { password }))
    expect(viewer.organizations.map(({ slug }) => slug)).toEqual(['alpha', 'beta'])
    expect((await signIn(email)).__typename).toBe('SignInRefused')
    expect((await signIn(email, password, 'beta')).__typename).toBe('SignInPayload')
  })

  it('is not an admin’s to say of a domain that is not confirmed: nobody becomes another organization’s person to be', async () => {
    const email = newAddress('beta.example')
    const { invitation, secret } = await invite(email)
    expect(invitation.domainConfirmed).toBe(false)
    expect(await offerOf(secret)).toMatchObject({ choosesPassword: false })
    expect((await accept(secret)).__typename).toBe('SignInRefused')
    // Nor is it once the address’s own organization has added them without a password.
    const theirs = await (await provisioner(world, world.beta)).user({ userName: email })
    expect((await accept(secret)).__typename).toBe('SignInRefused')
    expect((await signIn(email)).__typename).toBe('SignInRefused')
    expect(await find(email, world.beta.owner)).toMatchObject({ id: theirs })
    expect(await world.sql('select password_hash from people where email = $1', [email])).toEqual([
      { password_hash: null },
    ])
    // Whose domain it is, says so.
    await addDomain(world.dependencies, { organization: 'beta', domain: 'beta.example' })
    expect(await offerOf(secret)).toMatchObject({ choosesPassword: false })
    await removeDomain(world.dependencies, { organization: 'beta', domain: 'beta.example' })
  })

  it('is the organization’s to say of its domain, for wherever the address is a member', async () => {
    const email = newAddress()
    await (await provisioner(world, world.beta)).user({ userName: email })
    const { secret } = await invite(email)
    const { viewer } = unwrap(await accept(secret))
    expect(viewer.organizations.map(({ slug }) => slug)).toEqual(['alpha', 'beta'])
    const there = await find(email, world.beta.owner)
    expect((await events('member.password_set', world.beta.owner))[0]).toMatchObject({
      actor: email,
      targetId: there?.id,
    })
  })

  it('is that no more once the operator has taken the domain back', async () => {
    await addDomain(world.dependencies, { organization: 'alpha', domain: 'taken.example' })
    const { secret } = await invite(newAddress('taken.example'))
    expect(await offerOf(secret)).toMatchObject({ choosesPassword: true })
    await removeDomain(world.dependencies, { organization: 'alpha', domain: 'taken.example' })
    expect(await offerOf(secret)).toMatchObject({ choosesPassword: false })
    expect((await accept(secret)).__typename).toBe('SignInRefused')
  })

  it('is proven with the password that was set while another was being chosen', async () => {
    const email = newAddress()
    await (await provisioner(world, world.beta)).user({ userName: email })
    const { secret } = await invite(email)
    const { lookup } = world.dependencies.database
    const query = lookup.query.bind(lookup)
    let isSet = false
    const asked = vi.spyOn(lookup, 'query').mockImplementation(async (...given: unknown[]) => {
      // After the offer was found, which has no password yet, and before the person is.
      if (!isSet && /from people where email/.test(String(given[0]))) {
        isSet = true
        await setPassword(world.dependencies, { email, password })
      }
      return Reflect.apply(query, lookup, given)
    })
    const answer = await accept(secret).finally(() => asked.mockRestore())
    expect(isSet).toBe(true)
    expect(answer.__typename).toBe('SignInRefused')
    expect(await find(email)).toBeUndefined()
    expect((await signIn(email)).__typename).toBe('SignInRefused')
    expect((await accept(secret, { password })).__typename).toBe('SignInPayload')
  })

  it('is guessed at no oftener than by signing in', async () => {
    const email = await knownPerson()
    const { secret } = await invite(email)
    for (let guess = 1; guess <= 4; guess++) {
      expect((await accept(secret, { password: `guess number ${guess}` })).__typename).toBe('SignInRefused')
    }
    expect((await accept(secret, { password })).__typename).toBe('TooManyAttempts')
    expect((await signIn(email, password)).__typename).toBe('TooManyAttempts')
    expect((await events('session.sign_in_failed', world.beta.owner))[0]?.actor).toBe(email)
  })
})
