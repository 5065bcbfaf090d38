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
      await expect.poll(() => focused(page).then(() => page.evaluate(() => document.activeElement?.getAttribute('type')))).toBe('url')
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
      await expect.poll(() => receiver.accepted.length).toBe(4)
      await page.reload()
      await delivery(page, 'Token deleted').getByText('Delivered').waitFor()
      expect(await delivery(page, 'Token deleted').getByRole('link').count()).toBe(0)
      await look('deliveries')

      await delivery(page, /Jenkins/).getByRole('button', { name: 'Token created' }).click()
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
      await page.getByText('and the one before until').waitFor()
      await addToken(`Signed twice ${appearance}`)
      await expect.poll(() => receiver.accepted.length).toBe(5)
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
