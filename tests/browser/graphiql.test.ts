import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, type TestMember, type World } from '../world.ts'
import { openBrowser } from './browser.ts'
import { findBarriers } from './visitor.ts'

let world: World
let browser: Browser
beforeAll(async () => {
  world = await openWorld()
  browser = await openBrowser()
})
afterAll(async () => {
  await browser.close()
  await world[Symbol.asyncDispose]()
})

/** A browser that the member has signed in with. */
async function openContext({ sessionToken }: TestMember): Promise<BrowserContext> {
  const context = await browser.newContext()
  context.setDefaultTimeout(10_000)
  await context.addCookies([{ name: 'latchkey_session', value: sessionToken, url: world.url }])
  return context
}

/** What the page asks for, and what the browser has to say about it. */
function watch(page: Page): { requests: string[]; complaints: string[] } {
  const watched: ReturnType<typeof watch> = { requests: [], complaints: [] }
  page.on('request', (request) => watched.requests.push(request.url()))
  page.on('console', (message) => watched.complaints.push(message.text()))
  page.on('pageerror', (error) => watched.complaints.push(error.message))
  return watched
}

describe('GraphiQL in a browser', () => {
  it('runs its ready queries with the console’s session, from this server alone and within its policy', async () => {
    await using context = await openContext(world.alpha.owner)
    const page = await context.newPage()
    const watched = watch(page)
    await page.goto(`${world.url}/graphql`)
    const answer = page.locator('.graphiql-response')
    const run = async (operation: string) => {
      const name = operation.split(' ').at(-1) ?? ''
      await page.getByRole('button', { name, exact: true }).click()
      await page.locator('.graphiql-query-editor').getByText(operation).waitFor()
      // For a moment after another tab was chosen, GraphiQL still means the operation of the last one, and sends nothing.
      const isSent = async () => {
        const sent = page
          .waitForRequest((request) => request.postData()?.includes(operation) === true, { timeout: 1_000 })
          .then(
            () => true,
            () => false,
          )
        await page.getByRole('button', { name: /^Execute query/ }).click()
        return sent
      }
      await expect.poll(isSent, { timeout: 10_000 }).toBe(true)
    }
    await run('query Viewer')
    await answer.getByText('"owner@alpha.example"').waitFor()
    await run('mutation CreateToken')
    await answer.getByText('"lki_').waitFor()
    await run('query Tokens')
    await answer.getByText('"Jenkins"').waitFor()
    expect(await world.alpha.tokenLabels()).toEqual(['Jenkins'])

    expect(watched.requests.filter((url) => !url.replace(/^blob:/, '').startsWith(`${world.url}/`))).toEqual([])
    expect(watched.complaints).toEqual([])
    // Neither the address nor what the browser keeps holds the new secret.
    expect(page.url()).toBe(`${world.url}/graphql`)
    expect(JSON.stringify(await context.storageState())).not.toContain('lki_')
  })

  it('knows the schema, and completes what is typed', async () => {
    await using context = await openContext(world.alpha.superAdmin)
    const page = await context.newPage()
    const watched = watch(page)
    await page.goto(`${world.url}/graphql`)
    await page.getByRole('button', { name: 'Viewer', exact: true }).click()
    await page.locator('.graphiql-query-editor').click()
    await page.keyboard.press('ControlOrMeta+A')
    await page.keyboard.type('{ integrationTok')
    await page.getByRole('option', { name: /^integrationTokens/ }).waitFor()
    expect(page.url()).toBe(`${world.url}/graphql`)
    expect(watched.complaints).toEqual([])
  })

  it('keeps nobody from using it, light and dark, before and after an answer', async () => {
    await using context = await openContext(world.alpha.owner)
    const page = await context.newPage()
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.goto(`${world.url}/graphql`)
      await page.getByRole('button', { name: 'Tokens', exact: true }).and(page.locator('[aria-current=true]')).waitFor()
      await page.locator('.view-line').first().waitFor()
      expect(await findBarriers(page)).toEqual([])
      await page.getByRole('button', { name: /^Execute query/ }).click()
      await page.locator('.graphiql-response').getByText('"data"').waitFor()
      expect(await findBarriers(page)).toEqual([])
    }
  })

  it('is, for a member who may not have it, a page that anyone can read', async () => {
    await using context = await openContext(world.alpha.powerUser)
    const page = await context.newPage()
    const watched = watch(page)
    await page.goto(`${world.url}/graphql`)
    await page.getByRole('heading', { name: 'GraphiQL is for owners and super admins' }).waitFor()
    expect(await page.getByRole('link').getAttribute('href')).toBe('/')
    // Of the status 403, browsers speak as of a failure.
    expect(watched.complaints.filter((text) => !text.includes('403'))).toEqual([])
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      expect(await findBarriers(page)).toEqual([])
    }
  })
})
