import { type OrganizationRole, unwrap } from '@latchkey/sdk'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtConsole } from '../../server/http/console.ts'
import { addDomain, addMember } from '../../server/organizations/operator.ts'
import { openWorld, password, type World } from '../world.ts'
import { openBrowser } from './browser.ts'
import { appearances, openVisitor, type Visitor } from './visitor.ts'

let world: World
let browser: Browser
beforeAll(async () => {
  world = await openWorld({ consoleDirectory: builtConsole })
  browser = await openBrowser()
  await addDomain(world.dependencies, { organization: 'alpha', domain: 'alpha.example' })
})
afterAll(async () => {
  await browser.close()
  await world[Symbol.asyncDispose]()
})

const list = '/organizations/alpha/members'

async function visitAs(email: string, path = list, appearance?: keyof typeof appearances): Promise<Visitor> {
  const visitor = await openVisitor(browser, world.url, appearance)
  await visitor.page.goto(path)
  await visitor.signIn(email)
  await visitor.page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
  return visitor
}

let added = 0
async function join(displayName: string, role: OrganizationRole = 'MEMBER') {
  const email = `person-${String(++added).padStart(2, '0')}@people.example`
  await addMember(world.dependencies, { organization: 'alpha', role, email, displayName, password })
  return email
}

const warningOf = (page: Page) => page.getByRole('dialog', { name: 'Warning' })
const dialog = (page: Page, name: string) => page.getByRole('dialog', { name })
const rowOf = (page: Page, text: string) => page.getByRole('row').filter({ hasText: text })
const status = (page: Page, text: string) => page.getByRole('status').getByText(text)
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')
const stored = async (email: string) =>
  (await world.alpha.owner.members({ filter: { search: email } })).members.nodes[0]
const openInvitations = async () => (await world.alpha.owner.invitations()).invitations

describe('the members', () => {
  it('are searched, filtered and paged, each view by its own address', async () => {
    for (let count = 0; count < 18; count++) await join(`Robin ${count}`)
    await join('Ann Lovelace', 'POWER_USER')
    const gone = await stored(await join('Gone Girl', 'GUEST'))
    unwrap((await world.alpha.owner.setMemberActive({ input: { id: gone?.id ?? '', active: false } })).setMemberActive)
    await using visitor = await visitAs(world.alpha.owner.email, '/')
    const { page } = visitor
    await page.getByRole('tab', { name: 'Members', exact: true }).click()
    await page.getByText('25 members').waitFor()
    const rows = () => page.getByRole('row').count()
    expect(await rows()).toBe(1 + 20)
    await visitor.look('members')
    await page.getByRole('button', { name: 'Next' }).click()
    await expect.poll(rows).toBe(1 + 5)
    expect(new URL(page.url()).searchParams.has('after')).toBe(true)
    await page.getByRole('button', { name: 'Previous' }).click()
    await expect.poll(rows).toBe(1 + 20)

    await page.getByLabel('Search by name or email address').fill('LOVE')
    await page.getByText('1 member', { exact: true }).waitFor()
    await rowOf(page, 'Ann Lovelace').getByText('Power User').waitFor()
    expect(new URL(page.url()).search).toBe('?search=LOVE')
    await page.getByRole('button', { name: 'Clear the search' }).click()
    await page.getByRole('button', { name: /^Status/ }).click()
    await page.getByRole('checkbox', { name: 'Deactivated' }).check()
    await page.keyboard.press('Escape')
    await page.getByText('1 member', { exact: true }).waitFor()
    await rowOf(page, 'Gone Girl').getByText('Deactivated').waitFor()
    await page.getByRole('button', { name: /^Role/ }).click()
    await page.getByRole('checkbox', { name: 'Owner' }).check()
    await page.keyboard.press('Escape')
    await page.getByRole('heading', { name: 'No member matches' }).waitFor()
    await page.getByRole('button', { name: 'Clear search and filters' }).click()
    await page.getByText('25 members').waitFor()
    await page.goto(`${list}?role=OWNER,SUPER_ADMIN&status=ACTIVE`)
    await page.getByText('2 members').waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('are given roles, after a question where that makes a super admin', async () => {
    const name = 'Grace Hopper'
    const email = await join(name)
    await using visitor = await visitAs(world.alpha.superAdmin.email, '/')
    const { page, look } = visitor
    await page.getByRole('tab', { name: 'Members', exact: true }).click()
    await page.getByLabel('Search by name or email address').fill(name)
    await page.getByText('1 member', { exact: true }).waitFor()
    await look('found')
    const change = page.getByRole('button', { name: `Change Role of ${name}` })
    const panel = dialog(page, `Role of ${name}`)
    await change.click()
    await panel.getByText(`The role of ${email} is Member.`).waitFor()
    expect(await panel.getByRole('radio', { name: 'Member', checked: true }).count()).toBe(1)
    expect(await panel.getByRole('radio').count()).toBe(4)
    await look('change-role')
    await panel.getByRole('radio', { name: 'Super Admin' }).click()
    await panel.getByRole('button', { name: 'Save' }).click()
    await warningOf(page).getByText('will be able to do whatever you can').waitFor()
    await look('make-super-admin')
    await warningOf(page).getByRole('button', { name: 'Cancel' }).click()
    await warningOf(page).waitFor({ state: 'detached' })
    expect((await stored(email))?.role).toBe('MEMBER')
    await panel.getByRole('button', { name: 'Save' }).click()
    await warningOf(page).getByRole('button', { name: 'Make Super Admin' }).click()
    await status(page, `The role of ${name} is Super Admin now.`).waitFor()
    await panel.waitFor({ state: 'detached' })
    expect((await stored(email))?.role).toBe('SUPER_ADMIN')

    await change.click()
    await panel.getByRole('radio', { name: 'Power User' }).click()
    await panel.getByRole('button', { name: 'Save' }).click()
    await warningOf(page).getByText('The links of invitations that they have made are refused').waitFor()
    await warningOf(page).getByRole('button', { name: 'Change the Role' }).click()
    await status(page, `The role of ${name} is Power User now.`).waitFor()
    await look('role-changed')
    // Between two lesser roles there is nothing to ask.
    await change.click()
    await panel.getByRole('radio', { name: 'Guest' }).click()
    await panel.getByRole('button', { name: 'Save' }).click()
    await status(page, `The role of ${name} is Guest now.`).waitFor()
    expect((await stored(email))?.role).toBe('GUEST')
    expect(visitor.complaints).toEqual([])
  }, 60_000)

  it('are out at once when they are deactivated, and come back as what they were', async () => {
    const name = 'Hedy Lamarr'
    const email = await join(name, 'SUPER_ADMIN')
    const { sessionToken } = unwrap((await world.stranger.signIn({ input: { email, password } })).signIn)
    const { secret } = (await world.as(sessionToken).resetAccessToken()).resetAccessToken
    await using visitor = await visitAs(world.alpha.superAdmin.email, `${list}?search=Hedy`)
    const { page, look } = visitor
    await page.getByRole('button', { name: `Deactivate ${name}` }).click()
    await warningOf(page).getByText('their sessions here end, and their access token is refused').waitFor()
    await warningOf(page).getByText('they stay, and go on working').waitFor()
    await warningOf(page).getByText('The links of invitations that they have made are refused').waitFor()
    await look('deactivate')
    await warningOf(page).getByRole('button', { name: 'Cancel' }).click()
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    await page.getByRole('button', { name: `Deactivate ${name}` }).click()
    await warningOf(page).getByRole('button', { name: 'Deactivate' }).click()
    await status(page, `${name} is deactivated.`).waitFor()
    expect(await world.introspect(secret)).toEqual({ active: false })
    await page.getByRole('button', { name: `Activate ${name}` }).waitFor()
    await look('deactivated')
    await page.getByRole('button', { name: `Activate ${name}` }).click()
    await warningOf(page)
      .getByText('their access token and the links of invitations that they have made are accepted again')
      .waitFor()
    await look('activate')
    await warningOf(page).getByRole('button', { name: 'Activate' }).click()
    await status(page, `${name} is active again.`).waitFor()
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    expect(visitor.complaints).toEqual([])
  }, 60_000)

  it('are changed by keyboard alone, and the focus goes where it came from', async () => {
    await join('Key Board')
    await using visitor = await visitAs(world.alpha.owner.email, `${list}?search=Key+Board`)
    const { page } = visitor
    const press = async (...keys: string[]) => {
      for (const key of keys) await page.keyboard.press(key)
    }
    await page.getByRole('button', { name: 'Change Role of Key Board' }).focus()
    await press('Enter')
    await dialog(page, 'Role of Key Board').waitFor()
    await page.getByRole('radio', { name: 'Member', checked: true }).focus()
    await press('ArrowDown', 'ArrowDown', 'Space')
    await page.getByRole('radio', { name: 'Super Admin', checked: true }).waitFor()
    await press('Enter')
    await press('Tab', 'Tab')
    await expect.poll(() => focused(page)).toBe('Save')
    await press('Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await press('Escape')
    await expect.poll(() => focused(page)).toBe('Save')
    await dialog(page, 'Role of Key Board').waitFor()
    await press('Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await press('Tab', 'Enter')
    await status(page, 'is Super Admin now').waitFor()
    await expect.poll(() => focused(page)).toBe('Change Role of Key Board')
    await press('Tab', 'Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await press('Tab', 'Enter')
    await status(page, 'Key Board is deactivated').waitFor()
    await expect.poll(() => focused(page)).toBe('Activate Key Board')
    expect(visitor.complaints).toEqual([])
  })

  it('have one owner, whom nobody changes here, and it says why', async () => {
    await using visitor = await visitAs(world.alpha.superAdmin.email, `${list}?role=OWNER`)
    const { page } = visitor
    const row = rowOf(page, world.alpha.owner.email)
    await row.getByText('Whoever runs Latchkey can hand the organization over.').waitFor()
    expect(await row.getByRole('button').count()).toBe(0)
    expect(visitor.complaints).toEqual([])
  })

  it('that have changed meanwhile are said to be, in words', async () => {
    const [gone, risen] = [await stored(await join('Gone Meanwhile')), await stored(await join('Risen Meanwhile'))]
    await using visitor = await visitAs(world.alpha.superAdmin.email, `${list}?search=Meanwhile`)
    const { page } = visitor
    await page.getByRole('button', { name: 'Change Role of Gone Meanwhile' }).click()
    await world.sql('delete from members where id = $1', [gone?.id])
    const panel = dialog(page, 'Role of Gone Meanwhile')
    await panel.getByRole('radio', { name: 'Guest' }).click()
    await panel.getByRole('button', { name: 'Save' }).click()
    await panel.getByRole('alert').getByText('There is no such member in the organization.').waitFor()
    await visitor.look('member-gone')
    await panel.getByRole('button', { name: 'Cancel' }).click()
    await rowOf(page, 'Gone Meanwhile').waitFor({ state: 'detached' })

    await page.getByRole('button', { name: 'Deactivate Risen Meanwhile' }).click()
    await world.sql(`update members set role = 'SUPER_ADMIN' where organization_id = $1 and role = 'OWNER'`, [
      world.alpha.id,
    ])
    await world.sql(`update members set role = 'OWNER' where id = $1`, [risen?.id])
    await warningOf(page).getByRole('button', { name: 'Deactivate' }).click()
    await warningOf(page).getByRole('alert').getByText('The owner keeps their role and stays active.').waitFor()
    await warningOf(page).getByRole('button', { name: 'Cancel' }).click()
    await rowOf(page, 'Risen Meanwhile').getByText('Changed by nobody here.').waitFor()
    await world.sql('delete from members where id = $1', [risen?.id])
    const { email } = world.alpha.owner
    await world.sql(
      `update members set role = 'OWNER' where organization_id = $1 and person_id = (select id from people where email = $2)`,
      [world.alpha.id, email],
    )
    expect(visitor.complaints).toEqual([])
  })

  it('that are oneself are warned of what they lose, and lose it', async () => {
    const email = await join('Self Made', 'SUPER_ADMIN')
    await using visitor = await visitAs(email, `${list}?search=Self`)
    const { page } = visitor
    await rowOf(page, 'Self Made').getByText('You', { exact: true }).waitFor()
    const panel = dialog(page, 'Role of Self Made')
    await page.getByRole('button', { name: 'Change Role of Self Made' }).click()
    await panel.getByRole('radio', { name: 'Power User' }).click()
    await panel.getByRole('button', { name: 'Save' }).click()
    await warningOf(page).getByText('You take your own role of a super admin away.').waitFor()
    await visitor.look('own-role')
    await warningOf(page).getByRole('button', { name: 'Change the Role' }).click()
    await page.getByRole('tab', { name: 'Your Membership' }).waitFor()
    await rowOf(page, 'Self Made').getByText('Power User').waitFor()
    expect(await page.getByRole('button', { name: /Change Role|Deactivate|Invite/ }).count()).toBe(0)
    expect(await page.getByRole('heading', { name: 'Open invitations' }).count()).toBe(0)

    await world.sql(`update members set role = 'SUPER_ADMIN' where id = $1`, [(await stored(email))?.id])
    await page.reload()
    await page.getByRole('button', { name: 'Deactivate Self Made' }).click()
    await warningOf(page).getByText('This is yourself.').waitFor()
    await visitor.look('oneself')
    await warningOf(page).getByRole('button', { name: 'Deactivate' }).click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    expect(await stored(email)).toMatchObject({ active: false })
  })

  it.each(['powerUser', 'member'] as const)('are shown to a %s, who changes nothing of them', async (role) => {
    await using visitor = await visitAs(world.alpha[role].email, '/')
    const { page } = visitor
    await page.getByRole('tab', { name: 'Your Membership', selected: true }).waitFor()
    await page.getByRole('tab', { name: 'Members', exact: true }).click()
    await rowOf(page, world.alpha.owner.email).waitFor()
    await visitor.look('members-for-reading')
    expect(await page.getByRole('main').getByRole('row').getByRole('button').count()).toBe(0)
    expect(await page.getByRole('button', { name: 'Invite Member' }).count()).toBe(0)
    await page.getByRole('tab', { name: 'Your Membership' }).click()
    await page.getByRole('heading', { name: 'Your membership' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('are shown to no guest', async () => {
    await using visitor = await visitAs(world.alpha.guest.email)
    await visitor.page.getByRole('heading', { name: 'This page is not for guests' }).waitFor()
    expect(await visitor.page.getByRole('tab').count()).toBe(0)
    expect(visitor.complaints).toEqual([])
  })
})

describe('an invitation', () => {
  it('is made by a link that is shown once, and withdrawn', async () => {
    await using visitor = await visitAs(world.alpha.superAdmin.email, `${list}?role=OWNER`)
    const { page, look } = visitor
    const email = 'new@alpha.example'
    await page.getByRole('button', { name: 'Invite Member' }).click()
    const panel = dialog(page, 'Invite Member')
    await look('invite-member')
    await panel.getByLabel('Email address').fill(email)
    await panel.getByRole('radio', { name: 'Power User' }).click()
    await panel.getByRole('button', { name: 'Invite' }).click()
    const made = dialog(page, 'The link of the invitation')
    const link = (await made.locator('[data-secret]').textContent()) ?? ''
    expect(link).toMatch(/\/invitation#lkn_[0-9A-Za-z]{49}$/)
    await made.getByText('alpha.example is confirmed to be your organization’s').waitFor()
    await look('invitation-link')
    expect(await made.getByRole('button', { name: 'Done' }).isDisabled()).toBe(true)
    await made.getByRole('button', { name: 'Copy', exact: true }).click()
    await made.getByRole('button', { name: 'Done' }).click()
    await made.waitFor({ state: 'detached' })
    const row = rowOf(page, email)
    await row.getByText('Domain confirmed').waitFor()
    await row.scrollIntoViewIfNeeded()
    await look('open-invitations')
    expect(await openInvitations()).toMatchObject([{ email, role: 'POWER_USER' }])
    expect(await page.evaluate(() => document.documentElement.outerHTML)).not.toContain('lkn_')

    await row.getByRole('button', { name: 'Withdraw' }).click()
    await warningOf(page).getByText('is refused at once').waitFor()
    await look('withdraw')
    await warningOf(page).getByRole('button', { name: 'Cancel' }).click()
    expect(await openInvitations()).toHaveLength(1)
    await row.getByRole('button', { name: 'Withdraw' }).click()
    await warningOf(page).getByRole('button', { name: 'Withdraw' }).click()
    await status(page, `The invitation of ${email} is withdrawn.`).waitFor()
    expect(await openInvitations()).toEqual([])
    await page.getByRole('heading', { name: 'Open invitations' }).waitFor({ state: 'detached' })
    expect(visitor.complaints).toEqual([])
  }, 60_000)

  it('where the domain is not confirmed says who alone can accept it, and what to do otherwise', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await page.getByRole('button', { name: 'Invite Member' }).click()
    await dialog(page, 'Invite Member').getByLabel('Email address').fill('friend@elsewhere.example')
    await page.keyboard.press('Enter')
    const made = dialog(page, 'The link of the invitation')
    await made.getByText('They need a password that they have here already').waitFor()
    await made.getByText('ask whoever runs Latchkey to confirm the domain, or to add them').waitFor()
    await visitor.look('invitation-link-unconfirmed')
    const first = (await made.locator('[data-secret]').textContent()) ?? ''
    await made.getByLabel('I have kept it another way').check()
    await made.getByRole('button', { name: 'Done' }).click()
    const row = rowOf(page, 'friend@elsewhere.example')
    await row.getByText('Domain not confirmed').scrollIntoViewIfNeeded()
    await page.getByText('Where the domain is not confirmed, only somebody who has a password here already').waitFor()
    await visitor.look('open-invitation-unconfirmed')

    // A link that was lost is replaced.
    await row.getByRole('button', { name: 'New Link' }).click()
    const again = dialog(page, 'New Link for friend@elsewhere.example')
    await again.getByText('which is refused from then on').waitFor()
    expect(await again.getByRole('radio', { name: 'Member', checked: true }).count()).toBe(1)
    await visitor.look('new-link')
    await again.getByRole('button', { name: 'Make New Link' }).click()
    const second = (await made.locator('[data-secret]').textContent()) ?? ''
    expect(second).not.toBe(first)
    await made.getByLabel('I have kept it another way').check()
    await made.getByRole('button', { name: 'Done' }).click()
    const offerOf = async (link: string) =>
      (await world.stranger.invitationOffer({ secret: link.replace(/^.*#/, '') })).invitationOffer
    expect(await offerOf(first)).toBeNull()
    expect(await offerOf(second)).toMatchObject({ email: 'friend@elsewhere.example', role: 'MEMBER' })
    expect(visitor.complaints).toEqual([])
  })

  it('that cannot be made, or is gone, is refused in words', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await page.getByRole('button', { name: 'Invite Member' }).click()
    const panel = dialog(page, 'Invite Member')
    const refused = async (email: string, words: string) => {
      await panel.getByLabel('Email address').fill(email)
      await panel.getByRole('button', { name: 'Invite' }).click()
      await panel.getByText(words).waitFor()
      await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('aria-invalid'))).toBe('true')
    }
    await refused(' ', 'Enter the address of whom you invite.')
    await refused('nobody', 'An email address has the form name@example.com.')
    await refused(world.alpha.guest.email, 'is a member of the organization already')
    await visitor.look('invitation-refused')
    await page.keyboard.press('Escape')
    await panel.waitFor()
    await panel.getByRole('button', { name: 'Cancel' }).click()

    const input = { email: 'gone@alpha.example', role: 'GUEST' as const }
    const { invitation } = unwrap((await world.alpha.owner.inviteMember({ input })).inviteMember)
    await page.reload()
    await page.getByRole('button', { name: `Withdraw the invitation of ${input.email}` }).click()
    unwrap((await world.alpha.owner.revokeInvitation({ input: { id: invitation.id } })).revokeInvitation)
    await warningOf(page).getByRole('button', { name: 'Withdraw' }).click()
    await warningOf(page).getByRole('alert').getByText('it may have been accepted, withdrawn').waitFor()
    await warningOf(page).getByRole('button', { name: 'Cancel' }).click()
    await rowOf(page, input.email).waitFor({ state: 'detached' })

    const email = 'risen@alpha.example'
    unwrap((await world.alpha.owner.inviteMember({ input: { email, role: 'GUEST' } })).inviteMember)
    await page.reload()
    await page.getByRole('button', { name: `New Link for ${email}` }).click()
    await addMember(world.dependencies, { organization: 'alpha', role: 'GUEST', email, password })
    const again = dialog(page, `New Link for ${email}`)
    await again.getByRole('button', { name: 'Make New Link' }).click()
    await again.getByRole('alert').getByText('is a member of the organization already').waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('whose link got lost on its way is made again by trying again', async () => {
    const email = 'lost@alpha.example'
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await page.getByRole('button', { name: 'Invite Member' }).click()
    const panel = dialog(page, 'Invite Member')
    await panel.getByLabel('Email address').fill(email)
    await page.route('**/graphql', async (route) => {
      if (!route.request().postData()?.includes('"inviteMember"')) return route.continue()
      await route.fetch()
      await route.abort('connectionreset')
    })
    await panel.getByRole('button', { name: 'Invite' }).click()
    await panel.getByText('No answer came, so there may be an invitation whose link nobody has seen.').waitFor()
    await page.unroute('**/graphql')
    await panel.getByRole('button', { name: 'Invite' }).click()
    const link = (await page.locator('[data-secret]').textContent()) ?? ''
    const { invitationOffer } = await world.stranger.invitationOffer({ secret: link.replace(/^.*#/, '') })
    expect(invitationOffer?.email).toBe(email)
    expect((await openInvitations()).filter((invitation) => invitation.email === email)).toHaveLength(1)
  })
})

describe('the page of an invitation', () => {
  const chosen = 'chosen by whoever was invited'
  let invited = 0

  async function invite(role: OrganizationRole = 'MEMBER', email = `invited-${++invited}@alpha.example`) {
    const { secret, link } = unwrap((await world.alpha.owner.inviteMember({ input: { email, role } })).inviteMember)
    // The world of the tests says that it is elsewhere.
    return { email, secret, address: link.replace(/^http:..[^/]*/, '') }
  }

  /** At the page, with all that the browser has sent in an address or told another page of. */
  async function open(address: string) {
    const visitor = await openVisitor(browser, world.url)
    const sent: string[] = []
    visitor.page.on('request', (request) => sent.push(request.url(), JSON.stringify(request.headers())))
    await visitor.page.goto(address)
    return { ...visitor, sent }
  }

  const accept = (page: Page) => page.getByRole('button', { name: 'Accept Invitation' })
  const passwordField = (page: Page) => page.locator('input[name=password]')

  it('lets whoever has no password choose one, and leaves the link’s secret in no address and in no storage', async () => {
    const { email, secret, address } = await invite('POWER_USER')
    await using visitor = await open(address)
    const { page, look, sent } = visitor
    await page.getByRole('heading', { level: 1, name: 'Join Alpha' }).waitFor()
    expect(new URL(page.url()).href).toBe(`${world.url}/invitation`)
    await page.getByText(`${email} is invited to Alpha as a Power User.`).waitFor()
    expect(await passwordField(page).getAttribute('autocomplete')).toBe('new-password')
    await look('invitation')
    await accept(page).click()
    await page.getByText('Choose a password.').waitFor()
    await passwordField(page).fill('short')
    await accept(page).click()
    await page.getByText('A password has at least 12 characters').waitFor()
    await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('password')
    await look('password-too-short')
    await page.getByLabel('Your name').fill('Ann Invited')
    await passwordField(page).fill(chosen)
    await accept(page).click()
    await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
    await page.getByRole('heading', { name: 'Your membership' }).waitFor()
    await look('arrived')
    expect(await stored(email)).toMatchObject({ displayName: 'Ann Invited', role: 'POWER_USER', active: true })
    expect((await world.stranger.signIn({ input: { email, password: chosen } })).signIn.__typename).toBe(
      'SignInPayload',
    )

    const kept = await page.evaluate(() => [
      document.documentElement.outerHTML,
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state, document.referrer]),
      document.cookie,
      location.href,
    ])
    for (const text of [...sent, ...kept]) expect(text).not.toContain(secret)
    await page.goBack().catch(() => null)
    expect(page.url()).not.toContain('lkn_')
    expect(visitor.complaints).toEqual([])
  }, 60_000)

  it('asks whoever has a password for it, and goes on after a wrong one', async () => {
    const { email, address } = await invite('MEMBER', 'known@beta.example')
    await addMember(world.dependencies, { organization: 'beta', role: 'GUEST', email, password })
    await using visitor = await open(address)
    const { page } = visitor
    await page.getByText('No password here yet?').waitFor()
    expect(await passwordField(page).getAttribute('autocomplete')).toBe('current-password')
    await visitor.look('invitation-of-known')
    await page.getByLabel('Your name').fill('x'.repeat(300))
    await passwordField(page).fill('not the password')
    await accept(page).click()
    await page.getByText(`This is not the password with which ${email} signs in`).waitFor()
    await visitor.look('wrong-password')
    expect(await stored(email)).toBeUndefined()
    await page.getByLabel('Your name').fill('')
    await passwordField(page).fill(password)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
    await page.getByRole('button', { name: /^Organization: Alpha/ }).click()
    await page.getByRole('menuitem', { name: 'Beta' }).waitFor()
    expect(await stored(email)).toMatchObject({ displayName: 'known', role: 'MEMBER' })
    expect(visitor.complaints).toEqual([])
  })

  it('tells whoever is signed in as the same person that they can switch from then on', async () => {
    const email = 'twice@beta.example'
    await addMember(world.dependencies, { organization: 'beta', role: 'MEMBER', email, password })
    const { address } = await invite('MEMBER', email)
    await using visitor = await openVisitor(browser, world.url)
    const { page } = visitor
    await page.goto('/')
    await visitor.signIn(email)
    await page.getByRole('heading', { level: 1, name: 'Beta' }).waitFor()
    await page.goto(address)
    await page.getByText('You are signed in to Beta. Once you have accepted you are in Alpha').waitFor()
    await passwordField(page).fill(password)
    await accept(page).click()
    await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('says that it may have been accepted where no answer comes, and how to go on', async () => {
    const { email, address } = await invite()
    await using visitor = await open(address)
    const { page } = visitor
    await passwordField(page).fill(chosen)
    await page.route('**/graphql', async (route) => {
      if (!route.request().postData()?.includes('"acceptInvitation"')) return route.continue()
      await route.fetch()
      await route.abort('connectionreset')
    })
    await accept(page).click()
    await page.getByRole('alert').getByText('No answer came, so you may have accepted already.').waitFor()
    await page.unroute('**/graphql')
    await accept(page).click()
    await page.getByRole('heading', { name: 'This invitation is not good any more' }).waitFor()
    await page.getByRole('link', { name: 'Go to sign-in' }).click()
    await page.getByLabel('Email address').fill(email)
    await passwordField(page).fill(chosen)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
  })

  it('says a mistake beside its field, and after too many attempts for how long to wait', async () => {
    const { address, email } = await invite('MEMBER', 'guessed@beta.example')
    await addMember(world.dependencies, { organization: 'beta', role: 'GUEST', email, password })
    await using visitor = await open(address)
    const { page } = visitor
    await accept(page).waitFor()
    await page.getByLabel('Your name').evaluate((field) => field.removeAttribute('maxlength'))
    await page.getByLabel('Your name').fill('x'.repeat(321))
    await passwordField(page).fill(password)
    await accept(page).click()
    await page.getByText('The name of a member has 1 to 320 characters').waitFor()
    await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('displayName')
    await page.getByLabel('Your name').fill('')
    for (let attempt = 0; attempt < 11; attempt++) {
      await passwordField(page).fill(`guess ${attempt}, which is wrong`)
      const answered = page.waitForResponse('**/graphql')
      await accept(page).click()
      await answered
    }
    await page.getByRole('alert').getByText('Too many attempts').waitFor()
    await visitor.look('too-many-attempts')
    expect(visitor.complaints).toEqual([])
  })

  it('of one that is not good says so, before or when it is accepted', async () => {
    await using visitor = await open('/invitation#lkn_nothing')
    const { page } = visitor
    const notGood = page.getByRole('heading', { name: 'This invitation is not good any more' })
    await notGood.waitFor()
    await visitor.look('invitation-not-good')
    // Another link in the same tab changes nothing but what follows the #.
    const { email, address } = await invite()
    await page.goto(address)
    await page.getByRole('heading', { name: 'Join Alpha' }).waitFor()
    expect(new URL(page.url()).hash).toBe('')
    await passwordField(page).fill(chosen)
    await invite('MEMBER', email)
    await accept(page).click()
    await notGood.waitFor()
    expect(await stored(email)).toBeUndefined()
    await page.getByRole('link', { name: 'Go to sign-in' }).click()
    await page.getByLabel('Email address').waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('without a link says what to do, and so it does once it is reloaded: nothing was kept', async () => {
    const { address } = await invite()
    await using visitor = await open('/invitation')
    const { page } = visitor
    const missing = page.getByRole('heading', { name: 'Open the link that you were sent' })
    await missing.waitFor()
    await visitor.look('no-link')
    await page.goto(address)
    await page.getByRole('heading', { name: 'Join Alpha' }).waitFor()
    await page.reload()
    await missing.waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('tells whoever is signed in what becomes of that', async () => {
    const { email, address } = await invite()
    const present = await join('Present Person')
    await using visitor = await visitAs(present, '/')
    const { page } = visitor
    const other = await page.context().newPage()
    await other.goto('/')
    await other.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
    await page.goto(address)
    await page.getByText('Accepting it signs you out here.').waitFor()
    await page.getByText(`You are signed in as ${present}`).waitFor()
    await visitor.look('signed-in-as-another')
    // Whoever signs out elsewhere does not lose the link by it.
    await world.sql('delete from sessions where person_id = (select id from people where email = $1)', [present])
    await other.getByRole('tab', { name: 'Members', exact: true }).click()
    await other.getByText('Your session has ended.').waitFor()
    await page.getByText('Accepting it signs you out here.').waitFor({ state: 'detached' })
    await passwordField(page).fill(chosen)
    await accept(page).click()
    await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
    await page.getByRole('button', { name: /invited-\d+.*Member$/ }).waitFor()
    expect(await stored(email)).toBeDefined()
    // The browser has one session: the other tab is theirs, too.
    await other.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })
})

describe('in the dark, and on a phone', () => {
  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'somebody is given a role, and another is invited and accepts: %s',
    async (appearance) => {
      const name = `Katherine ${appearance}`
      const email = `katherine-${appearance}@alpha.example`
      await join(name, 'POWER_USER')
      await using admin = await visitAs(world.alpha.superAdmin.email, '/', appearance)
      const { page, look } = admin
      await page.getByRole('tab', { name: 'Members', exact: true }).click()
      await page.getByLabel('Search by name or email address').fill('Katherine')
      await rowOf(page, name).scrollIntoViewIfNeeded()
      await look('members')
      await page.getByRole('button', { name: `Change Role of ${name}` }).click()
      await dialog(page, `Role of ${name}`).getByRole('radio', { name: 'Super Admin' }).click()
      await look('change-role')
      await page.getByRole('button', { name: 'Save' }).click()
      await warningOf(page).getByText('will be able to do whatever you can').waitFor()
      await look('make-super-admin')
      await warningOf(page).getByRole('button', { name: 'Make Super Admin' }).click()
      await status(page, `The role of ${name} is Super Admin now.`).waitFor()
      await warningOf(page).waitFor({ state: 'detached' })

      await page.getByRole('button', { name: 'Invite Member' }).click()
      await dialog(page, 'Invite Member').getByLabel('Email address').fill(email)
      await look('invite-member')
      await page.getByRole('button', { name: 'Invite', exact: true }).click()
      const link = (await page.locator('[data-secret]').textContent()) ?? ''
      await look('invitation-link')
      await page.getByLabel('I have kept it another way').check()
      await page.getByRole('button', { name: 'Done' }).click()
      await rowOf(page, email).scrollIntoViewIfNeeded()
      await look('open-invitations')

      await using invited = await openVisitor(browser, world.url, appearance)
      await invited.page.goto(`/invitation${new URL(link).hash}`)
      await invited.page.getByRole('button', { name: 'Accept Invitation' }).click()
      await invited.page.getByText('Choose a password.').waitFor()
      await invited.look('invitation')
      await invited.page.locator('input[name=password]').fill('chosen by whoever was invited')
      await invited.page.getByRole('button', { name: 'Accept Invitation' }).click()
      await invited.page.getByRole('tab', { name: 'Members', exact: true }).click()
      await rowOf(invited.page, email).getByText('You', { exact: true }).waitFor()
      await invited.look('members-for-reading')
      expect([...admin.complaints, ...invited.complaints]).toEqual([])
    },
    60_000,
  )
})
