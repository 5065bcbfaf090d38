import { unwrap } from '@latchkey/sdk'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readNetworks } from '../../server/http/client-address.ts'
import { builtConsole } from '../../server/http/console.ts'
import { startDeliveries } from '../../server/webhooks/delivery.ts'
import { checkSignature, openReceiver, type Receiver } from '../receiver.ts'
import { openWorld, type World } from '../world.ts'
import { openBrowser } from './browser.ts'
import { appearances, openVisitor, type Visitor } from './visitor.ts'

let world: World
let browser: Browser
let receiver: Receiver
let stop: () => Promise<void>
beforeAll(async () => {
  world = await openWorld({ consoleDirectory: builtConsole, webhookNetworks: readNetworks(['127.0.0.0/8']) })
  receiver = await openReceiver()
  stop = startDeliveries(world.dependencies)
  browser = await openBrowser()
})
afterAll(async () => {
  await browser.close()
  await stop()
  await receiver[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await world.sql('delete from webhooks')
  receiver.answer = 204
  receiver.accepted.length = 0
})

/** Messages are looked for every second, and the page reads the log again every other. */
const patient = { timeout: 10_000 }

const list = '/organizations/alpha/webhooks'

async function visitAs(email: string, path = list, appearance?: keyof typeof appearances): Promise<Visitor> {
  const visitor = await openVisitor(browser, world.url, appearance)
  await visitor.page.goto(path)
  await visitor.signIn(email)
  await visitor.page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
  return visitor
}

const dialog = (page: Page, name: string | RegExp) => page.getByRole('dialog', { name })
const deliveries = (page: Page) => page.getByRole('table', { name: 'Deliveries, latest first' })
const delivery = (page: Page, text: string | RegExp) => deliveries(page).getByRole('row').filter({ hasText: text })
const host = () => new URL(receiver.url).host
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')

async function addWebhook(eventTypes = ['TOKEN_CREATED', 'TOKEN_DELETED'] as const) {
  const input = { url: receiver.url, description: 'Tells the chat', eventTypes: [...eventTypes] }
  return unwrap((await world.alpha.owner.createWebhook({ input })).createWebhook)
}

async function addToken(label: string) {
  return unwrap((await world.alpha.owner.createToken({ input: { label, roleId: 'role_ci' } })).createToken).token
}

describe('the walk through webhooks', () => {
  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'creates, tests, changes and deletes one: %s',
    async (appearance) => {
      await using visitor = await visitAs(world.alpha.superAdmin.email, '/', appearance)
      const { page, look } = visitor
      await page.getByRole('tab', { name: 'Webhooks' }).click()
      await page.getByRole('heading', { name: 'No webhooks yet' }).waitFor()
      await look('no-webhooks-yet')

      await page.getByRole('button', { name: 'Create Webhook' }).click()
      const panel = dialog(page, 'New Webhook')
      await panel.getByLabel('Address').waitFor()
      await look('new-webhook')
      for (const box of await panel.getByRole('checkbox').all()) expect(await box.isChecked()).toBe(true)
      expect(await panel.getByText('Test message').count()).toBe(0)
      await panel.getByRole('button', { name: 'Choose none' }).click()
      await panel.getByRole('button', { name: 'Create Webhook' }).click()
      await panel.getByText('Choose at least one kind of event.').waitFor()
      await look('webhook-mistakes')
      await panel.getByLabel('Address').fill('https://10.0.0.1/hooks')
      await panel.getByLabel('Description').fill('Tells the chat')
      await panel.getByRole('checkbox', { name: 'Token created' }).check()
      await panel.getByRole('checkbox', { name: 'Token deleted' }).check()
      await panel.getByRole('button', { name: 'Create Webhook' }).click()
      await panel.getByText('not on the public internet').waitFor()
      await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('type'))).toBe('url')
      await look('webhook-refused')
      await panel.getByLabel('Address').fill(receiver.url)
      await panel.getByRole('button', { name: 'Create Webhook' }).click()

      const made = dialog(page, 'Your new webhook')
      const secret = (await made.locator('[data-secret]').textContent()) ?? ''
      expect(secret).toMatch(/^whsec_/)
      await expect.poll(() => focused(page)).toBe('Copy')
      await look('signing-secret-once')
      await made.getByRole('button', { name: 'Copy', exact: true }).click()
      await made.getByRole('button', { name: 'Done' }).click()
      await made.waitFor({ state: 'detached' })
      await page.getByRole('cell', { name: '2 of 9' }).waitFor()
      await look('webhooks')

      await page.getByRole('link', { name: host() }).click()
      await page.getByRole('heading', { level: 2, name: host() }).waitFor()
      await page.getByText('Nothing was sent yet').waitFor()
      await look('webhook')
      expect(await page.content()).not.toContain(secret)
      await page.getByRole('button', { name: 'Send Test Message' }).click()
      await page.getByRole('status').getByText('A test message is on its way.').waitFor()
      await expect.poll(() => focused(page)).toBe('Send Test Message')
      await delivery(page, 'Test message').getByText('Delivered').waitFor()
      for (const got of receiver.accepted) checkSignature(secret, got)
      const jenkins = await addToken(`Jenkins ${appearance}`)
      const okta = await addToken(`Nightly scan of the main branch ${appearance}`)
      unwrap((await world.alpha.owner.deleteToken({ input: { id: okta.id } })).deleteToken)
      await expect.poll(() => receiver.accepted.length, patient).toBe(4)
      await page.reload()
      await delivery(page, 'Token deleted').getByText('Delivered').waitFor()
      expect(await delivery(page, 'Token deleted').getByRole('link').count()).toBe(0)
      await look('deliveries')

      await delivery(page, /Jenkins/)
        .getByRole('button', { name: 'Token created' })
        .click()
      const opened = dialog(page, 'Token created')
      await opened.getByText(`"tokenId": "${jenkins.id}"`).waitFor()
      await opened.getByRole('cell', { name: '204' }).waitFor()
      await look('delivery')
      await opened.getByRole('button', { name: 'Close' }).last().click()
      await opened.waitFor({ state: 'detached' })

      await page.getByRole('button', { name: 'Edit' }).click()
      const edit = dialog(page, /^Edit/)
      await edit.getByLabel('Description').fill('Tells the chat of the security team what happens to tokens.')
      await edit.getByRole('button', { name: 'Choose all' }).click()
      await look('edit-webhook')
      await edit.getByRole('button', { name: 'Save' }).click()
      await page.getByText('All events').waitFor()
      await edit.waitFor({ state: 'detached' })

      await page.getByRole('button', { name: 'Regenerate Secret' }).click()
      const regenerate = dialog(page, /^Regenerate/)
      await look('regenerate-signing-secret')
      expect(await regenerate.getByRole('radio', { name: 'For one day' }).isChecked()).toBe(true)
      await regenerate.getByRole('button', { name: 'Regenerate' }).click()
      const next = (await page.locator('[data-secret]').textContent()) ?? ''
      expect(next).not.toBe(secret)
      await look('signing-secret-regenerated')
      await page.getByRole('button', { name: 'Copy', exact: true }).click()
      await page.getByRole('button', { name: 'Done' }).click()
      await page.getByText('Signs as well until').waitFor()
      await addToken(`Signed twice ${appearance}`)
      await expect.poll(() => receiver.accepted.length, patient).toBe(5)
      for (const signedWith of [secret, next]) {
        const [last] = receiver.accepted.slice(-1)
        if (last) checkSignature(signedWith, last)
      }

      receiver.answer = 503
      await page.getByRole('button', { name: 'Send Test Message' }).click()
      await page.getByText('Its messages do not arrive').waitFor()
      await delivery(page, 'Test message').getByText('It answered 503.').waitFor()
      await delivery(page, 'It answered 503.').getByRole('button', { name: 'Test message' }).click()
      await dialog(page, 'Test message').getByRole('cell', { name: '503', exact: true }).first().waitFor()
      await look('failing-delivery')
      await page.keyboard.press('Escape')
      await dialog(page, 'Test message').waitFor({ state: 'detached' })
      await look('failing-webhook')
      await page.getByRole('link', { name: 'All webhooks' }).click()
      await page.getByText('Failing').waitFor()
      await look('webhooks-failing')
      await page.getByRole('link', { name: host() }).click()

      await page.getByRole('button', { name: 'Delete', exact: true }).click()
      const warning = dialog(page, 'Warning')
      await warning.getByText('1 message waits').waitFor()
      await look('delete-webhook')
      await warning.getByRole('button', { name: 'Disable instead' }).click()
      await page.getByText('It is disabled').waitFor()
      await warning.waitFor({ state: 'detached' })
      await look('disabled-webhook')
      await page.getByRole('button', { name: 'Delete', exact: true }).click()
      await warning.getByRole('button', { name: 'Delete', exact: true }).click()
      await page.getByRole('heading', { name: 'No webhooks yet' }).waitFor()
      expect((await world.alpha.owner.webhooks()).webhooks).toEqual([])
      expect(visitor.complaints).toEqual([])
    },
    90_000,
  )
})

describe('a webhook’s signing secret', () => {
  it('is shown once, lost to no stray key, and is nowhere afterwards', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await page.getByRole('tab', { name: 'Audit Log' }).click()
    await page.getByRole('tab', { name: 'Webhooks' }).click()
    await page.getByRole('button', { name: 'Create Webhook' }).click()
    await page.getByLabel('Address').fill(receiver.url)
    await page.getByRole('button', { name: 'Create Webhook' }).last().click()
    const value = page.locator('[data-secret]')
    const secret = (await value.textContent()) ?? ''
    const done = page.getByRole('button', { name: 'Done' })
    expect(await done.isDisabled()).toBe(true)
    await page.keyboard.press('Escape')
    await page.mouse.click(20, 400)
    await page.evaluate(() => history.back())
    await page.waitForTimeout(500)
    expect(await value.textContent()).toBe(secret)
    await page.getByRole('button', { name: 'Copy', exact: true }).click()
    await page.getByRole('button', { name: 'Copy the snippet' }).click()
    await expect.poll(() => done.isDisabled()).toBe(true)
    await page.getByLabel('I have kept it another way').check()
    await done.click()
    await value.waitFor({ state: 'detached' })
    await page.getByRole('cell', { name: 'All events' }).waitFor()
    const kept = await page.evaluate(() =>
      JSON.stringify([document.documentElement.outerHTML, { ...localStorage }, { ...sessionStorage }, history.state]),
    )
    expect(kept).not.toContain('whsec_')
    await page.reload()
    await page.getByRole('link', { name: host() }).click()
    await page.getByRole('heading', { level: 2, name: host() }).waitFor()
    expect(await page.content()).not.toContain('whsec_')
    expect(visitor.complaints).toEqual([])
  })

  it('may be unseen where the answer to its creation is lost, and the panel says so', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    await page.getByRole('button', { name: 'Create Webhook' }).click()
    await page.getByLabel('Address').fill(receiver.url)
    await page.route('**/graphql', async (route) => {
      if (!route.request().postData()?.includes('"createWebhook"')) return route.continue()
      await route.fetch()
      await route.abort('connectionreset')
    })
    await page.getByRole('button', { name: 'Create Webhook' }).last().click()
    await page.getByRole('alert').getByText('the webhook may exist already').waitFor()
    expect((await world.alpha.owner.webhooks()).webhooks).toHaveLength(1)
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.getByRole('link', { name: host() }).waitFor()
  })
})

describe('the log of deliveries', () => {
  it('shows a message that is sent again, which arrives under the same id', async () => {
    const { webhook } = await addWebhook()
    await addToken('Sent twice')
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${webhook.id}`)
    const { page } = visitor
    await delivery(page, 'Sent twice').getByText('Delivered').waitFor()
    await delivery(page, 'Sent twice').getByRole('button', { name: 'Token created' }).click()
    await dialog(page, 'Token created').getByRole('button', { name: 'Send Again' }).click()
    await page.getByRole('status').getByText('The message is sent again.').waitFor()
    await expect.poll(() => focused(page)).toBe('Token created')
    await expect.poll(() => deliveries(page).getByText('Delivered').count(), patient).toBe(2)
    const [first, second, ...others] = receiver.accepted
    expect(others).toEqual([])
    expect(second?.id).toBe(first?.id)
    expect(visitor.complaints).toEqual([])
  })

  it('is filtered and paged by its address, and leads to the token', async () => {
    const { webhook } = await addWebhook()
    const { id } = await addToken('In the log')
    for (let number = 0; number < 22; number++) {
      unwrap((await world.alpha.owner.testWebhook({ input: { id: webhook.id } })).testWebhook)
    }
    await expect.poll(() => receiver.accepted.length, patient).toBe(23)
    await world.sql(
      `update webhook_deliveries set status = 'FAILED' where sequence = (select max(sequence) from webhook_deliveries)`,
    )
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${webhook.id}`)
    const { page } = visitor
    await deliveries(page).waitFor()
    expect(await deliveries(page).getByRole('row').count()).toBe(1 + 20)
    await page.getByRole('button', { name: 'Next' }).click()
    await delivery(page, 'In the log').waitFor()
    expect(new URL(page.url()).searchParams.has('after')).toBe(true)
    await page.getByRole('button', { name: /^Status/ }).click()
    await page.getByRole('checkbox', { name: 'Failed' }).check()
    await page.keyboard.press('Escape')
    await expect.poll(() => deliveries(page).getByRole('row').count()).toBe(1 + 1)
    expect(new URL(page.url()).searchParams.get('status')).toBe('FAILED')
    await page.goto(`${list}/${webhook.id}?status=PENDING`)
    await page.getByRole('heading', { name: 'No delivery matches' }).waitFor()
    await visitor.look('no-delivery')
    await page.getByRole('button', { name: 'Show all deliveries' }).click()
    await page.getByRole('button', { name: 'Next' }).click()
    await page.getByRole('link', { name: 'In the log' }).click()
    await page.getByRole('heading', { level: 2, name: 'In the log' }).waitFor()
    expect(page.url()).toContain(id)
    expect(visitor.complaints).toEqual([])
  })

  it('is read again by itself until what waits has arrived', async () => {
    const { webhook } = await addWebhook()
    receiver.answer = 500
    await addToken('Late')
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${webhook.id}`)
    const { page } = visitor
    await page.getByText('Its messages do not arrive').waitFor()
    await delivery(page, 'Late').getByText('It answered 500.').waitFor()
    receiver.answer = 204
    await delivery(page, 'Late').getByText('Delivered').waitFor({ timeout: 15_000 })
    await page.getByText('Its messages do not arrive').waitFor({ state: 'detached' })
    expect(visitor.complaints).toEqual([])
  })

  it('keeps what waits while the webhook is disabled, and sends it once it is enabled', async () => {
    const { webhook } = await addWebhook()
    await addToken('Waits')
    await expect.poll(() => receiver.accepted.length, patient).toBe(1)
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${webhook.id}`)
    const { page } = visitor
    await page.getByRole('button', { name: 'Disable' }).click()
    await page.getByText('It is disabled').waitFor()
    await expect.poll(() => focused(page)).toBe('Enable')
    expect(await page.getByRole('button', { name: 'Send Test Message' }).count()).toBe(0)
    await delivery(page, 'Waits').getByRole('button', { name: 'Token created' }).click()
    await dialog(page, 'Token created').getByRole('button', { name: 'Send Again' }).click()
    await page.getByRole('status').getByText('once the webhook is enabled').waitFor()
    await delivery(page, 'Once it is enabled').waitFor()
    await page.getByRole('button', { name: 'Enable' }).click()
    await expect.poll(() => receiver.accepted.length, patient).toBe(2)
    await expect.poll(() => deliveries(page).getByText('Delivered').count(), patient).toBe(2)
    expect(visitor.complaints).toEqual([])
  })
})

describe('what the API refuses about webhooks', () => {
  it('is said where it was asked for: too many, gone, and a delivery that is kept no longer', async () => {
    const { webhook } = await addWebhook()
    await addToken('Gone meanwhile')
    await expect.poll(() => receiver.accepted.length, patient).toBe(1)
    await using visitor = await visitAs(world.alpha.owner.email, `${list}/${webhook.id}`)
    const { page } = visitor
    await delivery(page, 'Gone meanwhile').getByRole('button', { name: 'Token created' }).click()
    await world.sql('delete from webhook_deliveries')
    const opened = dialog(page, 'Token created')
    await opened.getByRole('button', { name: 'Send Again' }).click()
    await opened.getByRole('alert').getByText('There is no such delivery').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('button', { name: 'Edit' }).click()
    await world.sql('delete from webhooks')
    await page.getByLabel('Description').fill('Changed')
    await page.getByRole('button', { name: 'Save' }).click()
    await dialog(page, /^Edit/).getByRole('alert').getByText('There is no such webhook').waitFor()
    await page.reload()
    await page.getByRole('heading', { name: 'There is no such webhook' }).waitFor()
    await visitor.look('no-such-webhook')

    for (let number = 0; number < 10; number++) await addWebhook()
    await page.getByRole('link', { name: 'All webhooks' }).click()
    await page.getByRole('button', { name: 'Create Webhook' }).click()
    await page.getByLabel('Address').fill(receiver.url)
    await page.getByRole('button', { name: 'Create Webhook' }).last().click()
    await page.getByRole('alert').getByText('10 webhooks at most').waitFor()
    await visitor.look('too-many-webhooks')
    expect(visitor.complaints).toEqual([])
  })
})

describe('by keyboard alone', () => {
  it('a webhook is created, tested and deleted, and the focus goes where it came from', async () => {
    await using visitor = await visitAs(world.alpha.owner.email)
    const { page } = visitor
    const tabTo = async (name: string) => {
      for (let steps = 0; steps < 60; steps++) {
        if ((await focused(page)) === name) return
        await page.keyboard.press('Tab')
      }
      throw new Error(`The focus does not get to ${name}.`)
    }
    await page.getByRole('heading', { name: 'No webhooks yet' }).waitFor()
    await tabTo('Create Webhook')
    await page.keyboard.press('Enter')
    await dialog(page, 'New Webhook').waitFor()
    await page.waitForFunction(() => document.activeElement?.tagName === 'INPUT')
    await page.keyboard.press('Enter')
    await page.getByText('Give the address to which messages are sent.').waitFor()
    await page.waitForFunction(() => document.activeElement?.getAttribute('aria-invalid') === 'true')
    await page.keyboard.type(receiver.url)
    await page.keyboard.press('Enter')
    await expect.poll(() => focused(page)).toBe('Copy')
    await page.keyboard.press('Enter')
    await tabTo('Done')
    await page.keyboard.press('Enter')
    await page.getByRole('cell', { name: 'All events' }).waitFor()
    // The button for the first one is gone.
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('content')

    await tabTo(host())
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { level: 2, name: host() }).waitFor()
    await tabTo('Send Test Message')
    await page.keyboard.press('Enter')
    await delivery(page, 'Test message').getByText('Delivered').waitFor()
    await tabTo('Test message')
    await page.keyboard.press('Enter')
    await dialog(page, 'Test message').waitFor()
    await page.keyboard.press('Escape')
    await expect.poll(() => focused(page)).toBe('Test message')
    await page.getByRole('button', { name: 'Edit' }).focus()
    await page.keyboard.press('Enter')
    await dialog(page, /^Edit/).waitFor()
    await page.keyboard.press('Escape')
    await expect.poll(() => focused(page)).toBe('Edit')
    await tabTo('Delete')
    await page.keyboard.press('Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await tabTo('Delete')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'No webhooks yet' }).waitFor()
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('content')
    expect(visitor.complaints).toEqual([])
  })
})

describe('who may not manage webhooks and groups', () => {
  it('is offered neither, and told so at their addresses', async () => {
    const { webhook } = await addWebhook()
    await using visitor = await visitAs(world.alpha.member.email, '/')
    const { page } = visitor
    await page.getByRole('heading', { name: 'Your membership' }).waitFor()
    expect(await page.getByRole('tab').allTextContents()).toEqual(['Your Membership', 'Members'])
    for (const path of [list, `${list}/${webhook.id}`, '/organizations/alpha/groups']) {
      await page.goto(path)
      await page.getByRole('heading', { name: 'This page is for owners and super admins' }).waitFor()
    }
    expect(await page.content()).not.toContain(host())
    expect(visitor.complaints).toEqual([])
  })
})
