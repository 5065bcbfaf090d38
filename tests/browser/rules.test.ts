import { unwrap } from '@latchkey/sdk'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { builtConsole } from '../../server/http/console.ts'
import { openWorld, type World } from '../world.ts'
import { openBrowser } from './browser.ts'
import { appearances, openVisitor, type Visitor } from './visitor.ts'

let world: World
let browser: Browser
beforeAll(async () => {
  world = await openWorld({ consoleDirectory: builtConsole })
  browser = await openBrowser()
})
afterAll(async () => {
  await browser.close()
  await world[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await world.sql('delete from integration_tokens')
  await world.sql('delete from token_roles where organization_id is not null')
  await world.sql(
    'update organizations set longest_token_lifetime_days = null, token_expiry_required = false, default_token_lifetime_days = null',
  )
})

const dayMilliseconds = 24 * 60 * 60 * 1_000
const list = '/organizations/alpha/integration-tokens'
const rolesAddress = '/organizations/alpha/token-roles'
const policyAddress = '/organizations/alpha/token-policy'

async function visitAs(email: string, path: string, appearance?: keyof typeof appearances): Promise<Visitor> {
  const visitor = await openVisitor(browser, world.url, appearance)
  await visitor.page.goto(path)
  await visitor.signIn(email)
  await visitor.page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
  return visitor
}

const dialog = (page: Page, name: string | RegExp) => page.getByRole('dialog', { name })
const rowOf = (page: Page, text: string) => page.getByRole('row').filter({ hasText: text })
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')
const storedPolicy = async () => (await world.alpha.owner.tokenPolicy()).tokenPolicy
const storedToken = async (label: string) => {
  const { nodes } = (await world.alpha.owner.integrationTokens({ first: 100 })).integrationTokens
  return nodes.find((token) => token.label === label)
}
const setPolicy = async (input: Parameters<World['alpha']['owner']['updateTokenPolicy']>[0]['input']) =>
  unwrap((await world.alpha.owner.updateTokenPolicy({ input })).updateTokenPolicy)
const offered = (page: Page) => page.getByLabel('Expiry', { exact: true }).locator('option').allTextContents()
const chosen = (page: Page) => page.getByLabel('Expiry', { exact: true }).locator('option:checked').textContent()

async function addToken(label: string, input: { roleId?: string; expiresAt?: string | null } = {}) {
  const given = { label, roleId: 'role_ci', ...input }
  return unwrap((await world.alpha.owner.createToken({ input: given })).createToken)
}

async function addRole(label: string, permissions: string[], description = '') {
  const input = { label, description, permissions }
  return unwrap((await world.alpha.owner.createTokenRole({ input })).createTokenRole).tokenRole
}

/** As on a local calendar; the browser is in the same time zone. */
const dayAfter = (days: number) => {
  const at = new Date(Date.now() + days * dayMilliseconds)
  const two = (number: number) => String(number).padStart(2, '0')
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
}

describe('the token policy', () => {
  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'says what it means before it is saved, and how many tokens do not meet it, and is obeyed where tokens are made: %s',
    async (appearance) => {
      await addToken('Without an end')
      await using visitor = await visitAs(world.alpha.superAdmin.email, '/', appearance)
      const { page, look } = visitor
      await page.getByRole('tab', { name: 'Token Policy' }).click()
      const save = page.getByRole('button', { name: 'Save' })
      await save.waitFor()
      await look('policy-at-first')
      await page.getByLabel('Longest lifetime').fill('4000')
      await save.click()
      await page.getByText(/^Give a whole number of days from 1 to 3.650/).waitFor()
      await page.getByLabel('Longest lifetime').fill('60')
      await page.getByLabel('Default lifetime').fill('90')
      await page.getByText('A value is accepted for at most 60 days after it was made.').waitFor()
      await save.click()
      await page.getByText('The default cannot be longer than the longest lifetime, which is 60 days.').waitFor()
      await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('aria-invalid'))).toBe('true')
      await look('policy-contradicts-itself')
      await page.getByLabel('Default lifetime').fill('45')
      await page.getByText('No token is created without an expiry any more.').waitFor()
      await look('policy-stricter')
      expect((await storedPolicy()).longestLifetimeDays).toBeNull()
      await save.click()
      await page.getByText('1 token does not meet the policy').waitFor()
      await page.getByRole('status').getByText('The policy is saved').waitFor()
      await look('policy-saved')
      const saved = { longestLifetimeDays: 60, expiryRequired: false, defaultLifetimeDays: 45, tokensOutside: 1 }
      expect(await storedPolicy()).toEqual(saved)

      await page.getByRole('tab', { name: 'Integration Tokens' }).click()
      await page.getByRole('button', { name: 'Create Token' }).first().click()
      const panel = dialog(page, 'New Integration Token')
      await panel.getByLabel('Label').fill('By the default')
      await panel.getByRole('radio', { name: 'CI Token' }).click()
      await panel.getByLabel('Expiry', { exact: true }).scrollIntoViewIfNeeded()
      expect(await chosen(page)).toBe('45 days, the default')
      expect(await offered(page)).toEqual([
        '30 days',
        '45 days, the default',
        '60 days, the longest that is allowed',
        'Until a day of your choice',
      ])
      await look('create-by-the-policy')
      await panel.getByLabel('Expiry', { exact: true }).selectOption('Until a day of your choice')
      expect(await panel.getByLabel('Last day').getAttribute('max')).toBe(dayAfter(60))
      await panel.getByLabel('Last day').fill(dayAfter(75))
      await panel.getByRole('button', { name: 'Create Token' }).click()
      await panel.getByText(/^Choose a day up to .*: the organization’s policy allows none after it\.$/).waitFor()
      await look('create-beyond-the-policy')
      await panel.getByLabel('Expiry', { exact: true }).selectOption('45 days, the default')
      await panel.getByRole('button', { name: 'Create Token' }).click()
      await page.locator('[data-secret]').waitFor()
      const { expiresAt, createdAt } = (await storedToken('By the default')) ?? {}
      const days = (Date.parse(expiresAt ?? '') - Date.parse(createdAt ?? '')) / dayMilliseconds
      expect(days).toBeCloseTo(45, 2)
      await page.getByLabel('I have kept it another way').check()
      await page.getByRole('button', { name: 'Done' }).click()

      await page.getByRole('link', { name: 'Without an end' }).click()
      await page.getByRole('button', { name: 'Edit' }).click()
      const edit = dialog(page, /^Edit/)
      await edit
        .getByText(/^By the organization’s policy a new end is .* at the latest, 60 days after the value was made/)
        .waitFor()
      expect(await offered(page)).not.toContain('No expiry')
      await look('edit-by-the-policy')
      await edit.getByLabel('Expiry', { exact: true }).selectOption('60 days, the longest that is allowed')
      await edit.getByRole('button', { name: 'Save' }).click()
      await edit.waitFor({ state: 'detached' })
      expect((await storedPolicy()).tokensOutside).toBe(0)
      await page.getByRole('tab', { name: 'Token Policy' }).click()
      await page.getByText('Every token meets the policy.').waitFor()
      await look('policy-met')
      expect(visitor.complaints).toEqual([])
    },
    90_000,
  )

  it('that requires an expiry offers no other, and one that asks for nothing chooses 90 days at first', async () => {
    await using visitor = await visitAs(world.alpha.owner.email, list)
    const { page } = visitor
    const open = async () => {
      await page.getByRole('button', { name: 'Create Token' }).first().click()
      await page.getByLabel('Expiry', { exact: true }).waitFor()
    }
    await open()
    expect(await chosen(page)).toBe('90 days')
    expect(await offered(page)).toContain('No expiry')
    await page.getByLabel('Expiry', { exact: true }).selectOption('No expiry')
    await dialog(page, 'New Integration Token').getByLabel('Label').fill('Too late')
    await page.getByRole('radio', { name: 'CI Token' }).click()
    // Somebody else makes it stricter meanwhile: the API has the last word, and what is offered follows.
    await setPolicy({ expiryRequired: true })
    await page.getByRole('button', { name: 'Create Token' }).last().click()
    await page.getByText('Every token of the organization expires: give an expiry date.').waitFor()
    await expect.poll(() => offered(page)).not.toContain('No expiry')
    expect(await chosen(page)).toBe('90 days')
    await page.getByRole('button', { name: 'Create Token' }).last().click()
    await page.locator('[data-secret]').waitFor()
    expect((await storedToken('Too late'))?.expiresAt).not.toBeNull()
    expect(visitor.complaints).toEqual([])
  })

  it('counts from when the value was made, so that an old one has to be regenerated first', async () => {
    const { token } = await addToken('Made long ago')
    await world.sql(`update token_secrets set created_at = created_at - interval '40 days' where token_id = $1`, [
      token.id,
    ])
    await setPolicy({ longestLifetimeDays: 30 })
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${token.id}`)
    const { page } = visitor
    await page.getByRole('button', { name: 'Edit' }).click()
    await page.getByText('regenerate it before you give it another end').waitFor()
    expect(await offered(page)).toEqual(['As it is: no expiry'])
    await visitor.look('edit-past-the-policy')
    await dialog(page, /^Edit/).getByLabel('Description').fill('Looked after by nobody.')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('Looked after by nobody.').waitFor()
    expect((await storedToken('Made long ago'))?.expiresAt).toBeNull()
    expect(visitor.complaints).toEqual([])
  })

  it('is changed in what was typed alone, and left as it is by Cancel', async () => {
    await using visitor = await visitAs(world.alpha.owner.email, policyAddress)
    const { page } = visitor
    await page.getByLabel('Require an expiry').check()
    await page.getByRole('button', { name: 'Cancel' }).click()
    expect(await page.getByLabel('Require an expiry').isChecked()).toBe(false)
    expect(await focused(page)).toBe('Save')
    await page.getByLabel('Require an expiry').check()
    await setPolicy({ defaultLifetimeDays: 30 })
    await page.getByRole('button', { name: 'Save' }).click()
    await page.getByText('The policy is saved').waitFor()
    await expect.poll(() => focused(page)).toBe('Save')
    expect(await page.getByLabel('Default lifetime').inputValue()).toBe('30')
    expect(await storedPolicy()).toMatchObject({ expiryRequired: true, defaultLifetimeDays: 30 })
    expect(visitor.complaints).toEqual([])
  })
})

describe('a role of the organization’s own', () => {
  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'is created, given to a token, changed after a question, and deleted once no token has it: %s',
    async (appearance) => {
      await using visitor = await visitAs(world.alpha.superAdmin.email, '/', appearance)
      const { page, look } = visitor
      await page.getByRole('tab', { name: 'Token Roles' }).click()
      await rowOf(page, 'Service Account').waitFor()
      await page.getByText('None yet.').waitFor()
      await look('no-own-roles')

      await page.getByRole('button', { name: 'Create Role' }).click()
      const panel = dialog(page, 'New Token Role')
      await panel.getByRole('button', { name: 'Create Role' }).click()
      await panel.getByText('Give it at least one permission.').waitFor()
      await look('role-mistakes')
      await panel.getByLabel('Label').fill('jira')
      await panel.getByLabel('Description').fill('Rolls a release out, and back again.')
      const permissions = panel.getByRole('combobox', { name: 'Permissions' })
      await permissions.fill('deploys:write')
      await permissions.press('Enter')
      await permissions.fill('apps')
      await page.getByRole('option', { name: 'apps:read' }).waitFor()
      await look('role-suggestions')
      await page.getByRole('option', { name: 'apps:read' }).click()
      await permissions.fill('Deploys:Read')
      await panel.getByRole('button', { name: 'Create Role' }).click()
      await panel.getByText('“Deploys:Read”: A permission is written as resource:action').waitFor()
      await permissions.press('Backspace')
      await permissions.fill('deploys:read')
      await panel.getByRole('button', { name: 'Create Role' }).click()
      await panel.getByText('Another role is already called “jira”.').waitFor()
      await look('role-refused')
      await panel.getByLabel('Label').fill('Deployments')
      await panel.getByRole('button', { name: 'Create Role' }).click()
      await panel.waitFor({ state: 'detached' })
      await rowOf(page, 'Deployments').getByText('deploys:read').waitFor()
      await look('own-role')

      await page.getByRole('tab', { name: 'Integration Tokens' }).click()
      await page.getByRole('button', { name: 'Create Token' }).first().click()
      const tokenPanel = dialog(page, 'New Integration Token')
      await tokenPanel.getByLabel('Label').fill('Release train')
      await tokenPanel.getByRole('radio', { name: 'Deployments' }).click()
      await look('own-role-for-a-token')
      await tokenPanel.getByRole('button', { name: 'Create Token' }).click()
      const secret = (await page.locator('[data-secret]').textContent()) ?? ''
      expect(await world.introspect(secret)).toMatchObject({ scope: 'deploys:write apps:read deploys:read' })
      await page.getByLabel('I have kept it another way').check()
      await page.getByRole('button', { name: 'Done' }).click()

      await page.getByRole('tab', { name: 'Token Roles' }).click()
      await page.getByRole('button', { name: 'Edit Deployments' }).click()
      const edit = dialog(page, /^Edit/)
      const edited = edit.getByRole('combobox', { name: 'Permissions' })
      await edited.press('Backspace')
      await edited.press('Backspace')
      await edited.fill('releases:read')
      await edited.press('Enter')
      await edit.getByRole('button', { name: 'Save' }).click()
      const question = edit.getByRole('alert')
      await question.getByText('1 token has this role').waitFor()
      expect(await question.textContent()).not.toContain('force')
      await question.getByText('At once it may also').getByText('releases:read').waitFor()
      await question.getByText('At once it may no longer').getByText('deploys:read').waitFor()
      await look('role-change-asked')
      expect(await world.introspect(secret)).toMatchObject({ scope: 'deploys:write apps:read deploys:read' })
      await edit.getByRole('button', { name: 'Change it all the same' }).click()
      await edit.waitFor({ state: 'detached' })
      expect(await world.introspect(secret)).toMatchObject({ scope: 'deploys:write releases:read' })
      await rowOf(page, 'Deployments').getByText('releases:read').waitFor()

      await page.getByRole('button', { name: 'Delete Deployments' }).click()
      const warning = dialog(page, 'Warning')
      await warning.getByText('cannot be deleted while a token has it').waitFor()
      expect(await warning.getByRole('button', { name: 'Delete' }).count()).toBe(0)
      await look('role-in-use')
      await warning.getByRole('link', { name: '1 token' }).click()
      await page.getByRole('link', { name: 'Release train' }).waitFor()
      expect(new URL(page.url()).searchParams.get('status')).toBe('ACTIVE,DISABLED,EXPIRED')
      await look('tokens-of-the-role')

      await world.sql('delete from integration_tokens')
      await page.getByRole('tab', { name: 'Token Roles' }).click()
      await page.getByRole('button', { name: 'Delete Deployments' }).click()
      await warning.getByText('No token has it').waitFor()
      await look('delete-role')
      await warning.getByRole('button', { name: 'Delete' }).click()
      await page.getByText('None yet.').waitFor()
      await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('content')
      expect(visitor.complaints).toEqual([])
    },
    90_000,
  )

  it('that a token gets meanwhile is kept, and the page says so', async () => {
    const role = await addRole('Just given', ['deploys:write'])
    await using visitor = await visitAs(world.alpha.owner.email, rolesAddress)
    const { page } = visitor
    await page.getByRole('button', { name: 'Delete Just given' }).click()
    const warning = dialog(page, 'Warning')
    await warning.getByText('No token has it').waitFor()
    await addToken('Just made', { roleId: role.id })
    await addToken('And another', { roleId: role.id })
    await warning.getByRole('button', { name: 'Delete' }).click()
    await warning.getByRole('alert').getByText('2 tokens have this role').waitFor()
    await expect.poll(() => focused(page)).toBe('Close')
    await page.keyboard.press('Enter')
    await warning.waitFor({ state: 'detached' })
    await rowOf(page, 'Just given').waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('changes its words at once, whatever tokens have it', async () => {
    const role = await addRole('Renamed', ['deploys:write', 'apps:read'])
    await addToken('Has it', { roleId: role.id })
    await using visitor = await visitAs(world.alpha.owner.email, rolesAddress)
    const { page } = visitor
    await page.getByRole('button', { name: 'Edit Renamed' }).click()
    const edit = dialog(page, /^Edit/)
    await edit.getByLabel('Label').fill('Another name')
    await edit.getByRole('button', { name: 'Save' }).click()
    await edit.waitFor({ state: 'detached' })
    await rowOf(page, 'Another name').waitFor()
    await page.getByRole('tab', { name: 'Integration Tokens' }).click()
    await page.getByRole('cell', { name: 'Another name' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'is found among many where a token is created, and with the longest of permissions: %s',
    async (appearance) => {
      const long = `${'r'.repeat(50)}:${'a'.repeat(50)}`
      await addRole('Everything there is', [long, ...Array.from({ length: 24 }, (_, nth) => `resource-${nth}:write`)])
      for (let nth = 1; nth < 20; nth++) {
        await addRole(`Team ${nth}`, [`team-${nth}:read`, `team-${nth}:write`], `What the pipelines of team ${nth} do.`)
      }
      await using visitor = await visitAs(world.alpha.owner.email, rolesAddress, appearance)
      const { page, look } = visitor
      await rowOf(page, 'Team 19').waitFor()
      await look('many-roles')
      expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)
      await page.getByRole('tab', { name: 'Integration Tokens' }).click()
      await page.getByRole('button', { name: 'Create Token' }).first().click()
      const panel = dialog(page, 'New Integration Token')
      await panel.getByRole('radio', { name: 'CI Token' }).waitFor()
      await look('create-among-many-roles')
      expect(await panel.getByRole('radio').count()).toBe(24)
      await panel.getByLabel('Find a role or a permission').fill('team-17:w')
      await panel.getByRole('radio', { name: 'Team 17' }).click()
      expect(await panel.getByRole('radio').count()).toBe(1)
      await look('found-among-many-roles')
      await panel.getByLabel('Find a role or a permission').fill('')
      expect(await panel.getByRole('radio', { name: 'Team 17' }).isChecked()).toBe(true)
      await panel.getByLabel('Label').fill('Of the 17th')
      await panel.getByRole('button', { name: 'Create Token' }).click()
      await page.locator('[data-secret]').waitFor()
      expect((await storedToken('Of the 17th'))?.role.label).toBe('Team 17')
      expect(visitor.complaints).toEqual([])
    },
    60_000,
  )
})

describe('the organization’s rules', () => {
  it.each(['powerUser', 'member', 'guest'] as const)('are shown to no %s', async (role) => {
    await using visitor = await visitAs(world.alpha[role].email, rolesAddress)
    const { page } = visitor
    for (const address of [rolesAddress, policyAddress]) {
      await page.goto(address)
      await page.getByRole('heading', { name: 'This page is for owners and super admins' }).waitFor()
      expect(await page.getByRole('tab', { name: /^Token/ }).count()).toBe(0)
    }
  })
})
