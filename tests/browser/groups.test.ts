import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtConsole } from '../../server/http/console.ts'
import { addMember } from '../../server/organizations/operator.ts'
import { memberIdOf, provisioner, type ScimClient } from '../scim.ts'
import { openWorld, password, type World } from '../world.ts'
import { openBrowser } from './browser.ts'
import { appearances, openVisitor, type Visitor } from './visitor.ts'

let world: World
let browser: Browser
let scim: ScimClient
beforeAll(async () => {
  world = await openWorld({ consoleDirectory: builtConsole })
  browser = await openBrowser()
  scim = await provisioner(world, world.alpha)
})
afterAll(async () => {
  await browser.close()
  await world[Symbol.asyncDispose]()
})

const list = '/organizations/alpha/groups'
let made = 0
const newPerson = () => scim.user({ userName: `person-${++made}@people.example` })
const addGroup = (displayName: string, members: string[]) =>
  scim.group({ displayName, members: members.map((value) => ({ value })) })

async function visitAs(email: string, path = list, appearance?: keyof typeof appearances): Promise<Visitor> {
  const visitor = await openVisitor(browser, world.url, appearance)
  await visitor.page.goto(path)
  await visitor.signIn(email)
  await visitor.page.getByRole('tab', { name: 'Groups' }).waitFor()
  return visitor
}

const roleOf = (page: Page, group: string) => page.getByLabel(`Role of the members of ${group}`)
const save = (page: Page, group: string) => page.getByRole('button', { name: `Save the role of ${group}` })
const warningOf = (page: Page) => page.getByRole('dialog', { name: 'Warning' })
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')
const storedRole = async (displayName: string) =>
  (await world.alpha.owner.groups()).groups.find((group) => group.displayName === displayName)?.role
const memberRole = async (id: string) => (await world.alpha.owner.member({ id })).member?.role

describe('the groups', () => {
  it('are nobody’s yet, and the page says how they come', async () => {
    await using visitor = await visitAs(world.beta.owner.email, '/organizations/beta/groups')
    const { page } = visitor
    await page.getByRole('heading', { name: 'No groups yet' }).waitFor()
    await visitor.look('no-groups-yet')
    await page.getByRole('link', { name: 'Go to the integration tokens' }).click()
    await page.getByRole('tab', { name: 'Integration Tokens', selected: true }).waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'are given roles, and super admins are made after a question only: %s',
    async (appearance) => {
      const [engineers, leads] = [`Engineers ${appearance}`, `Security leads ${appearance}`]
      const person = await newPerson()
      await addGroup(engineers, [person, await newPerson()])
      await addGroup(leads, [person])
      await using visitor = await visitAs(world.alpha.superAdmin.email, '/', appearance)
      const { page, look } = visitor
      await page.getByRole('tab', { name: 'Groups' }).click()
      const row = page.getByRole('row').filter({ hasText: engineers })
      await row.getByRole('cell', { name: '2', exact: true }).waitFor()
      expect(await roleOf(page, engineers).locator('option:checked').textContent()).toBe('Says nothing of the role')
      await look('groups')

      await roleOf(page, engineers).selectOption('Power User')
      await look('group-role-chosen')
      expect(await storedRole(engineers)).toBeNull()
      await save(page, engineers).click()
      await page.getByRole('status').getByText(`The role of whoever is in ${engineers} is Power User`).waitFor()
      await save(page, engineers).waitFor({ state: 'detached' })
      expect(await storedRole(engineers)).toBe('POWER_USER')
      expect(await memberRole(person)).toBe('POWER_USER')
      await look('group-role-saved')

      await roleOf(page, leads).selectOption('Super Admin')
      await save(page, leads).click()
      await warningOf(page).getByText('1 member now, will be able to').waitFor()
      await look('make-super-admins')
      await warningOf(page).getByRole('button', { name: 'Cancel' }).click()
      expect(await storedRole(leads)).toBeNull()
      await save(page, leads).click()
      await warningOf(page).getByRole('button', { name: 'Make Super Admins' }).click()
      await page.getByRole('status').getByText(`The role of whoever is in ${leads} is Super Admin`).waitFor()
      expect(await memberRole(person)).toBe('SUPER_ADMIN')

      await warningOf(page).waitFor({ state: 'detached' })
      await roleOf(page, leads).selectOption('Says nothing of the role')
      await save(page, leads).click()
      await warningOf(page).getByText('will no longer be a super admin by it').waitFor()
      await look('no-super-admins-any-more')
      await warningOf(page).getByRole('button', { name: 'Change the Role' }).click()
      await page.getByRole('status').getByText(`${leads} says nothing of its members’ role any more.`).waitFor()
      expect(await memberRole(person)).toBe('POWER_USER')
      expect(visitor.complaints).toEqual([])
    },
    60_000,
  )

  it('are given a role by keyboard alone, which changes nothing on the way to it', async () => {
    await addGroup('By keyboard', [await newPerson()])
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await roleOf(page, 'By keyboard').focus()
    await page.keyboard.type('Mem')
    expect(await storedRole('By keyboard')).toBeNull()
    await page.keyboard.press('Tab')
    expect(await focused(page)).toBe('Save the role of By keyboard')
    await page.keyboard.press('Enter')
    await page.getByRole('status').getByText('is Member').waitFor()
    await expect.poll(() => focused(page)).toBe('Role of the members of By keyboard')
    await page.keyboard.type('Sup')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await page.keyboard.press('Escape')
    await expect.poll(() => focused(page)).toBe('Save the role of By keyboard')
    await page.keyboard.press('Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await warningOf(page).getByRole('button', { name: 'Make Super Admins' }).focus()
    await page.keyboard.press('Enter')
    await page.getByRole('status').getByText('is Super Admin').waitFor()
    await expect.poll(() => focused(page)).toBe('Role of the members of By keyboard')
    expect(await storedRole('By keyboard')).toBe('SUPER_ADMIN')
    expect(visitor.complaints).toEqual([])
  })

  it('that are gone meanwhile are said to be, and leave the list', async () => {
    const id = await addGroup('Gone meanwhile', [])
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await roleOf(page, 'Gone meanwhile').selectOption('Guest')
    await scim.remove(`/Groups/${id}`)
    await save(page, 'Gone meanwhile').click()
    await page.getByRole('alert').getByText('There is no such group').waitFor()
    await roleOf(page, 'Gone meanwhile').waitFor({ state: 'detached' })
    await visitor.look('group-gone')
    expect(visitor.complaints).toEqual([])
  })

  it('that made a super admin of whoever changes them leave them without this page', async () => {
    const email = 'by-group@alpha.example'
    await addMember(world.dependencies, { organization: 'alpha', role: 'MEMBER', email, password })
    const id = await addGroup('Admins by group', [await memberIdOf(world, email, world.alpha.id)])
    await world.alpha.owner.setGroupRole({ input: { groupId: id, role: 'SUPER_ADMIN' } })
    await using visitor = await visitAs(email)
    const { page } = visitor
    await roleOf(page, 'Admins by group').selectOption('Member')
    await save(page, 'Admins by group').click()
    await warningOf(page).getByText('If you are a super admin by this group, so do you.').waitFor()
    await warningOf(page).getByRole('button', { name: 'Change the Role' }).click()
    await page.getByRole('heading', { name: 'This page is for owners and super admins' }).waitFor()
    expect(await page.getByRole('tab').allTextContents()).toEqual(['Your Membership', 'Members'])
  })
})
