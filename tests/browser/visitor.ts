import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import axe, { type AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { expect } from 'vitest'
import { password } from '../world.ts'

/** Where the pictures of a run are left, to be looked at. */
const pictures = fileURLToPath(new URL('screenshots/', import.meta.url))

/** Somebody at a browser of their own. */
export interface Visitor extends AsyncDisposable {
  page: Page
  /** What the browser had to say that it should not have to. */
  complaints: string[]
  signIn(email: string): Promise<void>
  /** Takes a picture of what is shown, and has axe-core look for what keeps people from using it. */
  look(step: string): Promise<void>
}

const sizes = { desktop: { width: 1360, height: 860 }, phone: { width: 390, height: 844 } }

/** How a visitor sees the console. Where the desktop is asked for by its name, all is looked at in the dark as well. */
export const appearances = {
  desktop: { colorScheme: 'light', viewport: sizes.desktop },
  phone: { colorScheme: 'light', viewport: sizes.phone },
} as const satisfies Record<string, BrowserContextOptions>

export async function openVisitor(browser: Browser, url: string, named?: keyof typeof appearances): Promise<Visitor> {
  const appearance = named ?? 'desktop'
  const context = await browser.newContext({
    ...appearances[appearance],
    baseURL: url,
    reducedMotion: 'reduce',
    permissions: ['clipboard-read', 'clipboard-write'],
  })
  context.setDefaultTimeout(10_000)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', ({ message }) => complaints.push(message))
  page.on('console', (message) => {
    // A refusal’s status, which the browser mentions, is how the page knows.
    if (!/^Failed to load resource: the server responded with a status of 40[13]/.test(message.text())) {
      complaints.push(message.text())
    }
  })
  page.on('request', (request) => {
    if (
      !request
        .url()
        .replace(/^blob:/, '')
        .startsWith(url)
    )
      complaints.push(`It asked ${request.url()}.`)
  })
  async function see(colorScheme: 'light' | 'dark'): Promise<void> {
    await page.emulateMedia({ colorScheme })
    await page.locator(`[data-mantine-color-scheme=${colorScheme}]`).waitFor({ state: 'attached' })
  }
  let steps = 0
  async function take(directory: string, step: string): Promise<void> {
    await mkdir(`${pictures}${directory}`, { recursive: true })
    await page.screenshot({ path: `${pictures}${directory}/${String(steps).padStart(2, '0')}-${step}.png` })
  }
  return {
    page,
    complaints,
    async signIn(email) {
      await page.getByLabel('Email address').fill(email)
      await page.locator('input[name=password]').fill(password)
      await page.getByRole('button', { name: 'Sign in' }).click()
    },
    async look(step) {
      await page.evaluate(() => document.fonts.ready)
      steps++
      await take(appearance, step)
      expect({ step, found: await findBarriers(page) }).toEqual({ step, found: [] })
      if (named !== 'desktop') return
      await see('dark')
      await take('dark', step)
      expect({ step, found: await findBarriers(page, ['color-contrast']) }).toEqual({ step, found: [] })
      await see('light')
    },
    [Symbol.asyncDispose]: () => context.close(),
  }
}

/** What axe-core finds, in its words: by all its rules, good practice included, unless some are named. */
export async function findBarriers(page: Page, rules: string[] | null = null): Promise<string[]> {
  // Half a megabyte to be read and compiled: once for each document.
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe.source)
  const options = JSON.stringify({ resultTypes: ['violations'], ...(rules && { runOnly: rules }) })
  const { violations } = await page.evaluate<AxeResults>(`axe.run(document, ${options})`)
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} at ${target.join(' ')}: ${failureSummary}`),
  )
}
