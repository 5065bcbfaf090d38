/** `npm run pictures`: the README's pictures of the console, of an organization as `latchkey demo` makes it. */
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { openLaboratory } from '../bench/instance.ts'
import { createDemo } from '../server/organizations/demo.ts'
import { openBrowser } from '../tests/browser/browser.ts'

const settleMilliseconds = 500
const directory = fileURLToPath(new URL('pictures/', import.meta.url))

await using laboratory = await openLaboratory()
const { url, dependencies } = await laboratory.openInstance()
const demo = await createDemo(dependencies, { slug: 'acme-robotics', seed: 1 })
const admin = demo?.members.find(({ role }) => role === 'SUPER_ADMIN')
if (!demo || !admin) throw new Error('The demo has no super admin.')
const browser = await openBrowser()
try {
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browser.newContext({
      colorScheme,
      viewport: { width: 1280, height: 800 },
      reducedMotion: 'reduce',
      locale: 'en-GB',
    })
    const page = await context.newPage()
    const take = (name: string) => page.screenshot({ path: `${directory}${name}-${colorScheme}.png` })
    await page.goto(url)
    await page.getByLabel('Email address').fill(admin.email)
    await page.locator('input[name=password]').fill(demo.password)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.locator('tbody a').nth(5).waitFor()
    await take('integration-tokens')
    if (colorScheme === 'light') await walk(page, take)
    await context.close()
  }
} finally {
  await browser.close()
}

async function walk(page: Page, take: (name: string) => Promise<unknown>): Promise<void> {
  await page.getByRole('button', { name: 'Create Token' }).click()
  const panel = page.getByRole('dialog', { name: 'New Integration Token' })
  await panel.getByLabel('Label').fill('Jenkins: main branch')
  await panel.getByLabel('Description').fill('Runs the scanner after every merge.')
  await panel.getByRole('radio', { name: 'CI Token' }).click()
  await page.waitForTimeout(settleMilliseconds)
  await take('create-token')
  await page.getByRole('button', { name: 'Cancel' }).click()

  await page.getByLabel('Order').selectOption('LAST_USED_AT_DESC')
  await page.getByRole('row').nth(1).getByText('ago').first().waitFor()
  await page.getByRole('row').nth(1).getByRole('button').click()
  await page.getByText('It is in use').waitFor()
  await take('delete-token')
}
