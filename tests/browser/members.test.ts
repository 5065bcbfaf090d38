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
const looks = Object.keys(appearances) as (keyof typeof appearances)[]

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

  it.each(looks)(
    'are given roles, after a question where that makes a super admin: %s',
    async (appearance) => {
      const name = `Grace ${appearance}`
      const email = await join(name)
      await using visitor = await visitAs(world.alpha.superAdmin.email, '/', appearance)
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
    },
    60_000,
  )

  it.each(looks)(
    'are out at once when they are deactivated, and come back as what they were: %s',
    async (appearance) => {
      const name = `Hedy ${appearance}`
      const email = await join(name, 'SUPER_ADMIN')
      const { sessionToken } = unwrap((await world.stranger.signIn({ input: { email, password } })).signIn)
      const { secret } = (await world.as(sessionToken).resetAccessToken()).resetAccessToken
      await using visitor = await visitAs(world.alpha.superAdmin.email, `${list}?search=Hedy`, appearance)
      const { page, look } = visitor
      await page.getByRole('button', { name: `Deactivate ${name}` }).click()
      await warningOf(page).getByText('their sessions here end, and their access token is refused').waitFor()
      await warningOf(page).getByText('they stay, and go on working').waitFor()
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
      await warningOf(page).getByText('their access token is accepted again').waitFor()
      await look('activate')
      await warningOf(page).getByRole('button', { name: 'Activate' }).click()
      await status(page, `${name} is active again.`).waitFor()
      expect(await world.introspect(secret)).toMatchObject({ active: true })
      expect(visitor.complaints).toEqual([])
    },
    60_000,
  )

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
  it.each(looks)(
    'is made by a link that is shown once, and withdrawn: %s',
    async (appearance) => {
      await using visitor = await visitAs(world.alpha.superAdmin.email, `${list}?role=OWNER`, appearance)
      const { page, look } = visitor
      const email = `new-${appearance}@alpha.example`
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
      await row.getByText('Confirmed', { exact: true }).waitFor()
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
    },
    60_000,
  )

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
    await row.getByText('Not confirmed').scrollIntoViewIfNeeded()
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
    expect(visitor.complaints).toEqual([])
  })
})
