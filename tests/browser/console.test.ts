import { readFile } from 'node:fs/promises'
import { unwrap } from '@latchkey/sdk'
import type { Browser, Page, Route } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtConsole } from '../../server/http/console.ts'
import { addMember } from '../../server/organizations/operator.ts'
import { scimClient } from '../scim.ts'
import { openWorld, password, type World } from '../world.ts'
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

const visit = (appearance?: keyof typeof appearances) => openVisitor(browser, world.url, appearance)

/** At the list of the organization's tokens. */
async function visitAs(email: string, path = '/'): Promise<Visitor> {
  const visitor = await visit()
  await visitor.page.goto(path)
  await visitor.signIn(email)
  await visitor.page.getByRole('button', { name: 'Access Token' }).waitFor()
  return visitor
}

async function addToken(label: string, input: { description?: string; roleId?: string } = {}) {
  return unwrap((await world.alpha.owner.createToken({ input: { label, roleId: 'role_ci', ...input } })).createToken)
}

const list = '/organizations/alpha/integration-tokens'
const dialog = (page: Page, name: string | RegExp) => page.getByRole('dialog', { name })
const rowOf = (page: Page, label: string) => page.getByRole('row').filter({ hasText: label })

/** What is in the clipboard. The console itself may not read it: its Permissions-Policy says so. */
async function paste(page: Page): Promise<string> {
  const other = await page.context().newPage()
  await other.setContent('<textarea aria-label="Paste"></textarea>')
  await other.getByLabel('Paste').press('ControlOrMeta+V')
  const pasted = await other.getByLabel('Paste').inputValue()
  await other.close()
  return pasted
}

describe('the walk through the guide', () => {
  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'creates, uses and deletes a token, and resets the access token: %s',
    async (appearance) => {
      await using visitor = await visit(appearance)
      const { page, look } = visitor
      const label = `Jenkins ${appearance}`

      await page.goto('/')
      await page.getByLabel('Email address').waitFor()
      await look('sign-in')
      await page.getByLabel('Email address').fill(world.alpha.superAdmin.email)
      await page.locator('input[name=password]').fill('not the password')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('alert').getByText('do not fit together').waitFor()
      await look('sign-in-refused')
      await visitor.signIn(world.alpha.superAdmin.email)

      if (appearance === 'phone') {
        await page.getByRole('button', { name: 'Open the navigation' }).click()
        await look('navigation')
      }
      await page.getByRole('link', { name: 'Organizations' }).click()
      await page.getByRole('tab', { name: 'Integration Tokens', selected: true }).click()
      await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
      await look('integration-tokens')

      await page.getByRole('button', { name: 'Create Token' }).first().click()
      const panel = dialog(page, 'New Integration Token')
      await look('new-integration-token')
      await panel.getByRole('button', { name: 'Create Token' }).click()
      await panel.getByText('Choose what it may do.').waitFor()
      await look('mistakes')
      await panel.getByLabel('Label').fill(label)
      await panel.getByLabel('Description').fill('Scans the main branch.')
      await panel.getByRole('radio', { name: 'CI Token' }).click()
      await look('filled')
      await panel.getByRole('button', { name: 'Create Token' }).click()

      const made = dialog(page, 'Your new token')
      const secret = (await made.locator('[data-secret]').textContent()) ?? ''
      await look('the-value-once')
      await made.getByRole('button', { name: 'Copy', exact: true }).click()
      await made.getByRole('button', { name: 'Copied' }).waitFor()
      await look('copied')
      expect(await paste(page)).toBe(secret)
      await made.getByRole('button', { name: 'Done' }).click()
      await made.waitFor({ state: 'hidden' })
      expect(await world.introspect(secret, { usedFrom: '198.51.100.7' })).toMatchObject({ active: true, label })
      await world.dependencies.lastUse.flush()

      await page.getByRole('button', { name: `Delete ${label}` }).click()
      const warning = dialog(page, 'Warning')
      await warning.getByText('It is in use').waitFor()
      await warning.getByText('198.51.100.7').waitFor()
      await look('delete-warning')
      await warning.getByRole('button', { name: 'Cancel' }).click()
      expect((await world.introspect(secret)).active).toBe(true)
      await page.getByRole('button', { name: `Delete ${label}` }).click()
      await warning.getByRole('button', { name: 'Delete', exact: true }).click()
      await rowOf(page, label).waitFor({ state: 'detached' })
      expect(await world.introspect(secret)).toEqual({ active: false })
      await look('deleted')

      await page.getByRole('button', { name: 'Access Token' }).click()
      await look('access-token')
      await dialog(page, 'Access Token').getByRole('button', { name: 'Reset Token' }).click()
      await dialog(page, 'Warning').getByText('You are signed out everywhere').waitFor()
      await look('reset-warning')
      await dialog(page, 'Warning').getByRole('button', { name: 'Reset Token' }).click()
      const reset = dialog(page, 'Your new access token')
      const accessToken = (await reset.locator('[data-secret]').textContent()) ?? ''
      await look('the-access-token-once')
      const { viewer } = await world.as(accessToken).viewer()
      expect(viewer).toMatchObject({ member: { email: world.alpha.superAdmin.email } })
      await reset.getByRole('button', { name: 'Copy', exact: true }).click()
      await reset.getByRole('button', { name: 'Go to sign-in' }).click()
      await page.getByText('Your access token was reset, and every session of yours has ended.').waitFor()
      await look('signed-out')
      await visitor.signIn(world.alpha.superAdmin.email)
      await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
      expect(visitor.complaints).toEqual([])
    },
    60_000,
  )
})

describe('a value that is shown once', () => {
  it('is lost neither to a stray click or key, nor by going back or away without being asked', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await page.getByRole('tab', { name: 'Audit Log' }).click()
    await page.getByRole('tab', { name: 'Integration Tokens' }).click()
    await page.getByRole('button', { name: 'Create Token' }).first().click()
    const panel = dialog(page, 'New Integration Token')
    await panel.getByLabel('Label').fill('Shown once')
    await page.keyboard.press('Escape')
    await page.mouse.click(20, 400)
    expect(await panel.getByLabel('Label').inputValue()).toBe('Shown once')
    await panel.getByRole('radio', { name: 'SCIM' }).click()
    await panel.getByRole('button', { name: 'Create Token' }).click()
    const value = page.locator('[data-secret]')
    const secret = (await value.textContent()) ?? ''
    expect(await world.introspect(secret)).toMatchObject({ active: true })

    const done = page.getByRole('button', { name: 'Done' })
    expect(await done.isDisabled()).toBe(true)
    await page.keyboard.press('Escape')
    await page.mouse.click(20, 400)
    await page.evaluate(() => history.back())
    await page.waitForTimeout(500)
    expect(await value.textContent()).toBe(secret)
    const asked = page.waitForEvent('dialog').then(async (question) => {
      await question.dismiss()
      return question.type()
    })
    await page.evaluate(() => location.assign('/graphql'))
    expect(await asked).toBe('beforeunload')
    expect(await value.textContent()).toBe(secret)

    await page.getByRole('tab', { name: 'Okta' }).waitFor()
    await page.getByText(`${world.url}/scim/v2`).waitFor()
    await page.getByLabel('I have kept it another way').check()
    await done.click()
    await value.waitFor({ state: 'detached' })

    // Once it is gone, it is nowhere.
    const kept = await page.evaluate(() => ({
      source: document.documentElement.outerHTML,
      storage: JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state]),
      address: location.href,
    }))
    expect(JSON.stringify(kept)).not.toContain('lki_')
    expect(JSON.stringify(await page.context().storageState())).not.toContain(secret)
    expect(visitor.complaints).toEqual([])
  })

  it('stays while another tab signs out, and while the clipboard has something else, until it is said to be kept', async () => {
    await using visitor = await visitAs(world.alpha.superAdmin.email, list)
    const { page } = visitor
    const other = await page.context().newPage()
    await other.goto(list)
    await page.getByRole('button', { name: 'Create Token' }).first().click()
    const panel = dialog(page, 'New Integration Token')
    await panel.getByLabel('Label').fill('Held')
    await panel.getByRole('radio', { name: 'CI Token' }).click()
    await panel.getByRole('button', { name: 'Create Token' }).click()
    const value = page.locator('[data-secret]')
    const secret = (await value.textContent()) ?? ''
    await other.getByRole('button', { name: /Super Admin$/ }).click()
    await other.getByRole('menuitem', { name: 'Sign out' }).click()
    await other.getByText('You are signed out.').waitFor()
    await page.waitForTimeout(500)
    expect(await value.textContent()).toBe(secret)

    // Only the tab in front may use the clipboard.
    await page.bringToFront()
    const done = page.getByRole('button', { name: 'Done' })
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await expect.poll(() => done.isEnabled()).toBe(true)
    await page.getByRole('button', { name: 'Copy the snippet' }).click()
    await expect.poll(() => done.isDisabled()).toBe(true)
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await done.click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
  })

  it('comes from one creation, however often the connection is lost before its answer arrives', async () => {
    await using visitor = await visitAs(world.alpha.owner.email, list)
    const { page } = visitor
    await page.getByRole('button', { name: 'Create Token' }).first().click()
    const panel = dialog(page, 'New Integration Token')
    await panel.getByLabel('Label').fill('Lost and found')
    await panel.getByRole('radio', { name: 'Jira' }).click()
    let lost = 0
    const lose = async (route: Route) => {
      if (!route.request().postData()?.includes('"createToken"')) return route.continue()
      await route.fetch()
      lost++
      await route.abort('connectionreset')
    }
    await page.route('**/graphql', lose)
    await panel.getByRole('button', { name: 'Create Token' }).click()
    await panel.getByText('No answer came, so the token may exist already.').waitFor()
    expect(lost).toBe(3)
    expect(await panel.getByLabel('Label').isDisabled()).toBe(true)
    await page.unroute('**/graphql', lose)
    // What the list does meanwhile keeps nobody from seeing the value.
    await page.route('**/graphql', (route) =>
      route.request().postData()?.includes('"integrationTokens"') ? undefined : route.continue(),
    )
    await panel.getByRole('button', { name: 'Try again' }).click()
    const secret = (await page.locator('[data-secret]').textContent()) ?? ''
    expect(await world.introspect(secret)).toMatchObject({ active: true, label: 'Lost and found' })
    expect((await world.alpha.tokenLabels()).filter((label) => label === 'Lost and found')).toHaveLength(1)
  })
})

describe('by keyboard alone', () => {
  it('a token is created and deleted, and the focus goes where it came from', async () => {
    await using visitor = await visit()
    const { page } = visitor
    const focused = () =>
      page.evaluate(
        () => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '',
      )
    /** Tabs on until the focus is there. */
    const tabTo = async (name: string | RegExp) => {
      for (let steps = 0; steps < 60; steps++) {
        const now = await focused()
        if (typeof name === 'string' ? now === name : name.test(now)) return
        await page.keyboard.press('Tab')
      }
      throw new Error(`The focus does not get to ${name}.`)
    }
    await page.goto('/')
    await page.getByLabel('Email address').waitFor()
    await page.keyboard.type(world.alpha.owner.email)
    await page.keyboard.press('Tab')
    await page.keyboard.type(password)
    await page.keyboard.press('Enter')
    await page.getByRole('button', { name: 'Access Token' }).waitFor()

    await page.keyboard.press('Tab')
    await tabTo('Skip to the content')
    await page.keyboard.press('Enter')
    await tabTo('Create Token')
    await page.keyboard.press('Enter')
    await dialog(page, 'New Integration Token').waitFor()
    await page.waitForFunction(() => document.activeElement?.tagName === 'INPUT')
    await page.keyboard.type('Typed')
    await tabTo('CI Token')
    await page.keyboard.press('Space')
    // Within the dialog the focus goes round.
    for (let steps = 0; steps < 25; steps++) {
      await page.keyboard.press('Tab')
      expect(await page.evaluate(() => document.activeElement?.closest('[role=dialog]') !== null)).toBe(true)
    }
    await tabTo('Create Token')
    await page.keyboard.press('Enter')
    await page.locator('[data-secret]').waitFor()
    expect(await focused()).toBe('Copy')
    await page.keyboard.press('Enter')
    await tabTo('Done')
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Create Token')

    await tabTo('Delete Typed')
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Cancel')
    await page.keyboard.press('Escape')
    await expect.poll(focused).toBe('Delete Typed')
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Cancel')
    await tabTo('Delete')
    await page.keyboard.press('Enter')
    await rowOf(page, 'Typed').waitFor({ state: 'detached' })
    // What it came from is gone: on from the list’s beginning.
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('content')

    await tabTo(/^Access Token/)
    await page.keyboard.press('Enter')
    await dialog(page, 'Access Token').waitFor()
    await page.keyboard.press('Escape')
    await expect.poll(focused).toBe('Access Token')
    expect(await world.alpha.tokenLabels()).not.toContain('Typed')
  })

  it('a dialog says what it is and what it is about', async () => {
    await addToken('Announced')
    await using visitor = await visitAs(world.alpha.owner.email, list)
    const { page } = visitor
    await page.getByRole('button', { name: 'Delete Announced' }).click()
    const warning = dialog(page, 'Warning')
    expect(await warning.getAttribute('aria-modal')).toBe('true')
    const described = await warning.evaluate(
      (element) => document.getElementById(element.getAttribute('aria-describedby') ?? '')?.textContent,
    )
    expect(described).toContain('Deleting Announced may break integrations and automation that use it.')
  })
})

describe('the list', () => {
  beforeAll(async () => {
    for (let number = 1; number <= 25; number++)
      await addToken(`Listed ${String(number).padStart(2, '0')}`, { description: 'One of many' })
    await addToken('Listed for Jira', { roleId: 'role_jira' })
  })

  it('has its search, filters, order and page in the address, so that a view can be shared', async () => {
    await using visitor = await visitAs(world.alpha.owner.email, list)
    const { page } = visitor
    await page.getByRole('searchbox').fill('one of many')
    await page.getByText('25 tokens').waitFor()
    await page.getByLabel('Order').selectOption('LABEL_ASC')
    await rowOf(page, 'Listed 01').waitFor()
    await page.getByRole('button', { name: 'Next' }).click()
    await rowOf(page, 'Listed 25').waitFor()
    expect(await page.getByRole('row').count()).toBe(1 + 5)
    const { searchParams } = new URL(page.url())
    expect(searchParams.get('search')).toBe('one of many')
    expect(searchParams.get('sort')).toBe('LABEL_ASC')

    const shared = await page.context().newPage()
    await shared.goto(page.url())
    await rowOf(shared, 'Listed 25').waitFor()
    expect(await shared.getByRole('row').count()).toBe(1 + 5)
    expect(await shared.getByRole('searchbox').inputValue()).toBe('one of many')

    await page.getByRole('button', { name: 'Previous' }).click()
    await rowOf(page, 'Listed 01').waitFor()
    await page.goBack()
    await rowOf(page, 'Listed 25').waitFor()

    await page.goto(list)
    await page.getByRole('button', { name: /^Role/ }).click()
    await page.getByRole('checkbox', { name: 'Jira' }).check()
    await page.keyboard.press('Escape')
    await page.getByText('1 token', { exact: true }).or(page.getByText('2 tokens')).waitFor()
    await rowOf(page, 'Listed for Jira').waitFor()
    expect(new URL(page.url()).searchParams.get('role')).toBe('role_jira')
    await visitor.look('filtered')
    expect(visitor.complaints).toEqual([])
  })

  it('says what to do where nothing matches, where it cannot be read, and while it is read', async () => {
    await using visitor = await visitAs(world.alpha.owner.email, `${list}?search=nothing+like+this`)
    const { page, look } = visitor
    await page.getByRole('heading', { name: 'No token matches' }).waitFor()
    await look('nothing-matches')
    await page.getByRole('button', { name: 'Clear search and filters' }).click()
    await rowOf(page, 'Listed 25').waitFor()

    let isAway = true
    await page.route('**/graphql', (route) =>
      isAway && route.request().postData()?.includes('"integrationTokens"') ? route.abort() : route.continue(),
    )
    await page.goto(list)
    await page.getByRole('table').and(page.locator('[aria-busy=true]')).waitFor()
    await look('loading')
    await page.getByText('Latchkey cannot be reached at the moment.').waitFor()
    await look('failed')
    isAway = false
    await page.getByRole('button', { name: 'Try again' }).click()
    await rowOf(page, 'Listed 25').waitFor()
  })

  it('asks to create the first token where there is none', async () => {
    await using visitor = await visitAs(world.beta.owner.email)
    await visitor.page.getByRole('heading', { name: 'No integration tokens yet' }).waitFor()
    await visitor.look('no-tokens-yet')
  })
})

describe('a token’s page', () => {
  it('shows its values and events, and disables, enables, edits and regenerates it', async () => {
    const { secret, token } = await addToken('On its page', { description: 'Before' })
    await using visitor = await visitAs(world.alpha.owner.email, list)
    const { page, look } = visitor
    await page.getByRole('link', { name: 'On its page' }).click()
    await page.getByRole('heading', { level: 2, name: 'On its page' }).waitFor()
    expect(page.url()).toContain(token.id)
    await page.getByRole('cell', { name: 'Token created' }).waitFor()
    await look('token')

    await page.getByRole('button', { name: 'Disable' }).click()
    await page.getByRole('button', { name: 'Enable' }).waitFor()
    expect(await world.introspect(secret)).toEqual({ active: false })
    await page.getByRole('button', { name: 'Enable' }).click()
    await page.getByRole('button', { name: 'Disable' }).waitFor()
    expect(await world.introspect(secret)).toMatchObject({ active: true })

    await addToken('Taken')
    await page.getByRole('button', { name: 'Edit' }).click()
    const edit = dialog(page, /^Edit/)
    await edit.waitFor()
    await page.keyboard.press('Escape')
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('Edit')
    await page.getByRole('button', { name: 'Edit' }).click()
    await edit.getByLabel('Label').fill('taken')
    await edit.getByLabel('Description').fill('')
    await edit.getByLabel('Expiry').selectOption('30')
    await edit.getByRole('button', { name: 'Save' }).click()
    await edit.getByText('is already called').waitFor()
    await look('edit-refused')
    await edit.getByLabel('Label').fill('Renamed')
    await edit.getByRole('button', { name: 'Save' }).click()
    await page.getByRole('heading', { level: 2, name: 'Renamed', exact: true }).waitFor()
    const { integrationToken } = await world.alpha.owner.integrationToken({ id: token.id })
    expect(integrationToken).toMatchObject({ label: 'Renamed', description: null })
    const days = (Date.parse(integrationToken?.expiresAt ?? '') - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(29.9)
    expect(days).toBeLessThan(30.1)

    await page.getByRole('button', { name: 'Regenerate' }).click()
    const regenerate = dialog(page, /^Regenerate/)
    await regenerate.getByRole('radio', { name: /^For one hour/ }).check()
    await look('regenerate')
    await regenerate.getByRole('button', { name: 'Regenerate' }).click()
    const value = page.locator('[data-secret]')
    const next = (await value.textContent()) ?? ''
    await look('regenerated')
    expect(await world.introspect(next)).toMatchObject({ active: true })
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await page.getByRole('button', { name: 'Done' }).click()
    for (const value of [next, secret]) await page.getByRole('cell', { name: value.slice(-4) }).waitFor()
    await look('two-values')
    expect(visitor.complaints).toEqual([])
  })

  it('warns of an old value that is still presented, and disables from the warning of a deletion', async () => {
    const { secret, token } = await addToken('Old value about')
    unwrap((await world.alpha.owner.regenerateToken({ input: { id: token.id } })).regenerateToken)
    await world.introspect(secret)
    await world.dependencies.lastUse.flush()
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${token.id}`)
    const { page } = visitor
    await page.getByText('An old value was presented').waitFor()
    await visitor.look('old-value-used')
    await page.getByRole('button', { name: 'Delete' }).click()
    await dialog(page, 'Warning').getByRole('button', { name: 'Disable instead' }).click()
    await page.getByRole('button', { name: 'Enable' }).waitFor()
    expect((await world.alpha.owner.integrationToken({ id: token.id })).integrationToken?.status).toBe('DISABLED')
  })

  it('of the last SCIM token in use says what stops with it, before it is disabled or deleted all the same', async () => {
    const { owner } = world.beta
    const input = { label: 'Okta', roleId: 'role_scim' }
    const { token, secret } = unwrap((await owner.createToken({ input })).createToken)
    expect((await scimClient(world, secret).get('/Users?count=0')).status).toBe(200)
    await world.dependencies.lastUse.flush()
    const words = 'This is the last SCIM token in use. Provisioning stops with it.'
    await using visitor = await visitAs(owner.email, `/organizations/beta/integration-tokens/${token.id}`)
    const { page, look } = visitor
    await page.getByRole('button', { name: 'Disable', exact: true }).click()
    await page.getByRole('alert').getByText(words, { exact: true }).waitFor()
    await expect.poll(() => page.evaluate(() => document.activeElement?.textContent)).toBe('Disable it all the same')
    await look('last-scim-token')
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    const warning = dialog(page, 'Warning')
    await warning.getByRole('button', { name: 'Disable instead' }).click()
    await warning.getByRole('button', { name: 'Disable it all the same' }).waitFor()
    await warning.getByRole('button', { name: 'Cancel' }).click()
    await warning.waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'Delete', exact: true }).click()
    await warning.getByRole('button', { name: 'Delete', exact: true }).click()
    await warning.getByText(words, { exact: true }).waitFor()
    await look('delete-last-scim-token')
    expect((await owner.integrationToken({ id: token.id })).integrationToken?.status).toBe('ACTIVE')
    await warning.getByRole('button', { name: 'Delete it all the same' }).click()
    await page.getByRole('heading', { name: 'No integration tokens yet' }).waitFor()
    expect(await world.beta.tokenLabels()).toEqual([])
    expect(visitor.complaints).toEqual([])
  })

  it('says so where there is no such token, or it is another organization’s', async () => {
    const foreign = unwrap(
      (await world.beta.owner.createToken({ input: { label: 'Foreign', roleId: 'role_ci' } })).createToken,
    )
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${foreign.token.id}`)
    await visitor.page.getByRole('heading', { name: 'There is no such token' }).waitFor()
    await visitor.look('no-such-token')
    unwrap((await world.beta.owner.deleteToken({ input: { id: foreign.token.id } })).deleteToken)
  })
})

describe('the audit log', () => {
  it('is filtered and paged by its address, and exported whole as CSV and JSON', async () => {
    const { token } = await addToken('=HYPERLINK("x"), audited')
    unwrap((await world.alpha.owner.updateToken({ input: { id: token.id, enabled: false } })).updateToken)
    await using visitor = await visitAs(world.alpha.owner.email, `/organizations/alpha/audit-log?target=${token.id}`)
    const { page, look } = visitor
    await page.getByRole('cell', { name: 'Token disabled' }).waitFor()
    expect(await page.getByRole('row').count()).toBe(1 + 2)
    await look('audit-log')

    const download = async (form: string) => {
      const downloading = page.waitForEvent('download')
      await page.getByRole('button', { name: 'Export' }).click()
      await page.getByRole('menuitem', { name: form }).click()
      const file = await downloading
      return { name: file.suggestedFilename(), text: await readFile(await file.path(), 'utf8') }
    }
    const csv = await download('As CSV')
    expect(csv.name).toMatch(/^alpha-audit-log-\d{4}-\d\d-\d\d\.csv$/)
    const [headings, newest] = csv.text.split('\r\n')
    expect(headings).toBe('at,action,actor,target,targetId,ipAddress,userAgent,id')
    expect(newest).toContain(`,token.disabled,owner@alpha.example,"'=HYPERLINK(""x""), audited",${token.id},`)
    const json: unknown = JSON.parse((await download('As JSON')).text)
    expect(json).toMatchObject([{ action: 'token.disabled' }, { action: 'token.created', targetId: token.id }])

    for (let number = 0; number < 60; number++) {
      const description = `Changed ${number} times`
      unwrap((await world.alpha.owner.updateToken({ input: { id: token.id, description } })).updateToken)
    }
    await page.getByRole('button', { name: 'Show the events of everything' }).click()
    await page.getByRole('button', { name: 'Next' }).click()
    await expect.poll(() => new URL(page.url()).searchParams.has('after')).toBe(true)
    await page.getByRole('button', { name: 'Previous' }).click()
    await expect.poll(() => new URL(page.url()).searchParams.has('before')).toBe(true)
    await page.getByRole('button', { name: /^What/ }).click()
    await page.getByRole('checkbox', { name: 'Token disabled' }).check()
    await page.keyboard.press('Escape')
    await page.getByRole('cell', { name: 'Token disabled' }).first().waitFor()
    await expect.poll(() => page.getByRole('cell', { name: /^Token (created|changed)$/ }).count()).toBe(0)
    const from = page.getByLabel('From', { exact: true })
    await from.focus()
    await page.keyboard.type('01022001')
    await page.getByRole('tab', { name: 'Audit Log' }).focus()
    await expect.poll(() => new URL(page.url()).searchParams.get('since')).toBe('2001-01-02')
    await page.goto('/organizations/alpha/audit-log?since=2001-01-01&until=2001-01-02')
    await page.getByRole('heading', { name: 'No event matches' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })
})

describe('who may not manage tokens', () => {
  it.each(['powerUser', 'member', 'guest'] as const)(
    'is offered nothing of it, and told so at its address: %s',
    async (role) => {
      await using visitor = await visitAs(world.alpha[role].email)
      const { page, look } = visitor
      await page.getByRole('heading', { name: 'Your membership' }).waitFor()
      expect(await page.getByRole('tab').allTextContents()).toEqual(
        role === 'guest' ? [] : ['Your Membership', 'Members'],
      )
      expect(await page.getByRole('link', { name: 'GraphiQL' }).count()).toBe(0)
      await look('membership')
      for (const path of [list, '/organizations/alpha/audit-log']) {
        await page.goto(path)
        await page.getByRole('heading', { name: 'This page is for owners and super admins' }).waitFor()
      }
      await look('not-for-this-role')
      await page.getByRole('button', { name: 'Access Token' }).click()
      await page.getByRole('button', { name: 'Reset Token' }).waitFor()
    },
  )
})

describe('the session', () => {
  it('that has ended leads to the sign-in page, which says so and leads back', async () => {
    await using visitor = await visitAs(world.beta.superAdmin.email)
    const { page } = visitor
    await page.getByRole('heading', { name: 'No integration tokens yet' }).waitFor()
    await world.sql('delete from sessions where organization_id = $1', [world.beta.id])
    await page.getByRole('tab', { name: 'Audit Log' }).click()
    await page.getByText('Your session has ended.').waitFor()
    await visitor.look('session-ended')
    await visitor.signIn(world.beta.superAdmin.email)
    await page.getByRole('tab', { name: 'Audit Log', selected: true }).waitFor()
    await page.getByRole('cell', { name: 'Signed in' }).first().waitFor()
  })

  it('ends by signing out, in every tab of the browser', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    const other = await page.context().newPage()
    await other.goto(list)
    await other.getByRole('tab', { name: 'Audit Log' }).waitFor()
    await page.evaluate(() => localStorage.setItem('graphiql:variables', '{ "label": "typed by me" }'))
    await page.getByRole('button', { name: /Owner$/ }).click()
    await page.getByRole('menuitem', { name: 'Sign out' }).click()
    await page.getByText('You are signed out.').waitFor()
    expect(await page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('graphiql')))).toEqual([])
    await other.getByRole('button', { name: 'Sign in' }).waitFor()
    await page.goto(list)
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    // And begins in every tab again.
    await visitor.signIn(world.alpha.owner.email)
    await other.getByRole('tab', { name: 'Audit Log' }).waitFor()
  })

  it('is in a cookie that no script can read, and in nothing else', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    expect(await page.evaluate(() => document.cookie)).toBe('')
    const [cookie, ...others] = await page.context().cookies()
    expect(others).toEqual([])
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Lax', path: '/' })
    const stored = await page.evaluate(() =>
      JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.documentElement.outerHTML]),
    )
    expect(stored).not.toContain(cookie?.value)
    expect(stored).not.toContain('lks_')
  })

  it('is refused after too many attempts, in words that say for how long', async () => {
    await addMember(world.dependencies, {
      organization: 'beta',
      role: 'MEMBER',
      email: 'guessed@beta.example',
      password,
    })
    await using visitor = await visit()
    const { page } = visitor
    await page.goto('/sign-in')
    for (let attempt = 0; attempt < 11; attempt++) {
      await page.getByLabel('Email address').fill('guessed@beta.example')
      await page.locator('input[name=password]').fill(`guess ${attempt}, which is wrong`)
      const answered = page.waitForResponse('**/graphql')
      await page.getByRole('button', { name: 'Sign in' }).click()
      await answered
    }
    await page
      .getByRole('alert')
      .getByText(/minutes/)
      .waitFor()
    await visitor.look('too-many-attempts')
  })

  it('acts in one organization at a time, and is switched by its menu or at another one’s address', async () => {
    const email = 'both@example.com'
    await addMember(world.dependencies, { organization: 'alpha', role: 'SUPER_ADMIN', email, password })
    await addMember(world.dependencies, { organization: 'beta', role: 'SUPER_ADMIN', email, password: null })
    await using visitor = await visitAs(email, '/organizations/alpha/integration-tokens?sort=LABEL_ASC')
    const { page } = visitor
    const heading = (name: string) => page.getByRole('heading', { level: 1, name, exact: true })
    await heading('Alpha').waitFor()
    await page.goto('/organizations/beta/integration-tokens?sort=LABEL_ASC')
    await heading('This page belongs to Beta').waitFor()
    await visitor.look('another-organization')
    await page.getByRole('button', { name: 'Switch to Beta' }).click()
    await heading('Beta').waitFor()
    expect(new URL(page.url()).searchParams.get('sort')).toBe('LABEL_ASC')
    await page.getByRole('button', { name: /^Organization: Beta/ }).click()
    await page.getByRole('menuitem', { name: 'Alpha' }).click()
    await heading('Alpha').waitFor()
    expect(page.url()).toContain('/organizations/alpha/')
    await page.goto('/organizations/gamma')
    await page.getByRole('heading', { name: 'This address is none of your organizations’' }).waitFor()
    await page.goto('/organizations/alpha/nothing')
    await page.getByRole('heading', { name: 'There is nothing at this address' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('is led by a link to no other site after signing in', async () => {
    for (const next of ['//evil.example/', 'https://evil.example/', '/\\evil.example/', 'javascript:alert(1)']) {
      await using visitor = await visitAs(world.alpha.owner.email, `/sign-in?next=${encodeURIComponent(next)}`)
      expect(new URL(visitor.page.url()).origin).toBe(world.url)
    }
  })
})

describe('over plain HTTP from another machine', () => {
  // Where browsers keep the clipboard and the hash functions from a page.
  it('a token is created all the same, and its value selected to be copied by hand', async () => {
    await using visitor = await visit()
    const { page } = visitor
    const host = 'console.test'
    await page.context().route(`http://${host}/**`, async (route) => {
      const url = route.request().url().replace(`http://${host}`, world.url)
      const headers = { ...(await route.request().allHeaders()), host }
      await route.fulfill({ response: await route.fetch({ url, headers, maxRedirects: 0 }) })
    })
    await page.goto(`http://${host}/`)
    expect(await page.evaluate(() => isSecureContext)).toBe(false)
    await visitor.signIn(world.alpha.owner.email)
    await page.getByRole('button', { name: 'Create Token' }).first().click()
    const panel = dialog(page, 'New Integration Token')
    await panel.getByLabel('Label').fill('By hand')
    await panel.getByRole('radio', { name: 'CI Token' }).click()
    await panel.getByRole('button', { name: 'Create Token' }).click()
    const secret = (await page.locator('[data-secret]').textContent()) ?? ''
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await page.getByText('The value is selected: copy it by hand.').waitFor()
    expect(await page.evaluate(() => String(getSelection()))).toBe(secret)
    expect(await world.introspect(secret)).toMatchObject({ active: true, label: 'By hand' })
  })
})

describe('what is sent to a browser', () => {
  it('is less than 300 kB for the first page, the table included', async () => {
    await using visitor = await visit()
    const { page } = visitor
    let bytes = 0
    page.on('requestfinished', async (request) => {
      const sizes = await request.sizes()
      bytes += sizes.responseBodySize + sizes.responseHeadersSize
    })
    await page.goto(list)
    await visitor.signIn(world.alpha.owner.email)
    await page.getByRole('table').waitFor()
    await page.waitForLoadState('networkidle')
    expect(bytes).toBeGreaterThan(50_000)
    expect(bytes).toBeLessThan(300_000)
  })
})
