import { unwrap } from '@latchkey/sdk'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { builtConsole } from '../../server/http/console.ts'
import { addMember } from '../../server/organizations/operator.ts'
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

const newPassword = 'a ladder against the orchard wall'
const firefox = 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'
let made = 0

/** Someone new in both organizations. */
async function addPerson(): Promise<string> {
  const email = `person-${++made}@people.example`
  await addMember(world.dependencies, { organization: 'alpha', role: 'MEMBER', email, password })
  await addMember(world.dependencies, { organization: 'beta', role: 'GUEST', email, password: null })
  return email
}

const signIn = async (email: string, presented = password, organization = 'alpha') =>
  (await world.stranger.signIn({ input: { email, password: presented, organization } })).signIn

/** A session that began elsewhere. */
async function openSession(email: string, from: string, { organization = 'alpha', userAgent = firefox } = {}) {
  const client = world.as(unwrap(await signIn(email, password, organization)).sessionToken)
  const own = (await client.sessions()).sessions.find(({ current }) => current)
  await world.sql(
    `update sessions set ip_address = $2, user_agent = $3, created_at = now() - interval '3 hours' where id = $1`,
    [own?.id, from, userAgent],
  )
  return client
}

const isAccepted = (client: World['stranger']) =>
  client.viewer().then(
    () => true,
    () => false,
  )

/** In a browser of their own, at a page of their account. */
async function visitAs(email: string, path: string): Promise<Visitor> {
  const visitor = await openVisitor(browser, world.url)
  await visitor.page.goto(path)
  await visitor.signIn(email)
  await visitor.page.getByRole('heading', { level: 1, name: 'Your account' }).waitFor()
  return visitor
}

const sessions = '/account/sessions'
const warningOf = (page: Page) => page.getByRole('dialog', { name: 'Warning' })
const rowOf = (page: Page, text: string) => page.getByRole('row').filter({ hasText: text })
const current = (page: Page) => page.getByLabel(/^Current password/)
const next = (page: Page) => page.getByLabel(/^New password/)
const submit = (page: Page) => page.getByRole('button', { name: 'Change Password' })

async function change(page: Page, from: string, to: string): Promise<void> {
  await current(page).fill(from)
  await next(page).fill(to)
  await submit(page).click()
}

/** What is said of a field: its hint, and what is wrong with it. */
const saidOf = (field: Locator) =>
  field.evaluate((element) =>
    (element.getAttribute('aria-describedby') ?? '')
      .split(' ')
      .map((id) => document.getElementById(id)?.textContent ?? '')
      .join(' '),
  )
const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '')

describe('the walk through one’s account', () => {
  it.each(Object.keys(appearances) as (keyof typeof appearances)[])(
    'ends sessions and changes the password: %s',
    async (appearance) => {
      const email = await addPerson()
      await openSession(email, '198.51.100.23')
      await openSession(email, '2001:db8:4f2a:91c0::17', { organization: 'beta', userAgent: 'curl/8.17.0' })
      await openSession(email, '203.0.113.9')
      await using visitor = await openVisitor(browser, world.url, appearance)
      const { page, look } = visitor
      await page.goto('/')
      await visitor.signIn(email)
      await page.getByRole('heading', { level: 1, name: 'Alpha' }).waitFor()
      if (appearance === 'phone') await page.getByRole('button', { name: 'Open the navigation' }).click()
      await page.getByRole('button', { name: /Member$/ }).click()
      await page.getByRole('menuitem', { name: 'Password' }).waitFor()
      await look('account-menu')
      await page.getByRole('menuitem', { name: 'Sessions' }).click()
      await rowOf(page, '198.51.100.23').waitFor()
      await page.getByRole('dialog').waitFor({ state: 'detached' })
      await look('account-sessions')

      await page.getByRole('button', { name: /^End the session from 198/ }).click()
      await warningOf(page).getByText('Whoever uses this session is signed out at once').waitFor()
      await look('account-end-session')
      await warningOf(page).getByRole('button', { name: 'End', exact: true }).click()
      await page.getByRole('status').getByText('The session from 198.51.100.23 has ended.').waitFor()
      await rowOf(page, '198.51.100.23').waitFor({ state: 'detached' })
      await look('account-session-ended')
      await page.getByRole('button', { name: 'End All Others' }).click()
      await warningOf(page).getByText('Every session of yours but this one ends at once').waitFor()
      await look('account-end-others')
      await warningOf(page).getByRole('button', { name: 'End All Others' }).click()
      await page.getByText('The 2 other sessions have ended.').waitFor()
      await page.getByText('You are signed in nowhere else.').waitFor()
      await look('account-only-this-session')

      await page.getByRole('tab', { name: 'Password' }).click()
      await current(page).waitFor()
      await look('account-password')
      await submit(page).click()
      await page.getByText('Choose a new password.').waitFor()
      await look('account-password-missing')
      await change(page, password, 'password1234')
      await page.getByText('among those tried first').waitFor()
      await look('account-password-refused')
      await change(page, 'not the password', newPassword)
      await page.getByText('That is not your current password.').waitFor()
      await look('account-password-wrong')
      await page.getByRole('button', { name: 'Show or hide the new password' }).click()
      await change(page, password, newPassword)
      await page.getByText('Your password is changed').waitFor()
      await look('account-password-changed')

      await page.getByRole('tab', { name: 'Access Token' }).click()
      await look('account-access-token')
      await page.getByRole('button', { name: 'Reset Token' }).click()
      await warningOf(page).getByRole('button', { name: 'Reset Token' }).click()
      await page.locator('[data-secret]').waitFor()
      await expect.poll(() => focused(page)).toBe('Copy')
      await look('account-access-token-once')
      await page.getByRole('button', { name: 'Copy', exact: true }).click()
      await page.getByRole('button', { name: 'Go to sign-in' }).click()
      await page.getByText('Your access token was reset, and every session of yours has ended.').waitFor()
      expect(visitor.complaints).toEqual([])
    },
    60_000,
  )
})

describe('the list of sessions', () => {
  it('has those in every organization, and says which one is this', async () => {
    const email = await addPerson()
    await openSession(email, '198.51.100.23', { organization: 'beta' })
    await openSession(email, '203.0.113.9')
    await using visitor = await visitAs(email, sessions)
    const { page } = visitor
    await rowOf(page, '198.51.100.23').getByRole('cell', { name: 'Beta' }).waitFor()
    await rowOf(page, '198.51.100.23').getByText('Firefox/145.0').waitFor()
    await rowOf(page, '198.51.100.23').getByText('3 hours ago').waitFor()
    const own = rowOf(page, 'This session')
    expect(await own.count()).toBe(1)
    expect(await page.getByRole('row').nth(1).getAttribute('aria-current')).toBe('true')
    await own.getByRole('cell', { name: 'Alpha' }).waitFor()
    await own.getByText('127.0.0.1').waitFor()
  })

  it('ends another session, which is signed out at its next request, and no third one', async () => {
    const email = await addPerson()
    const kept = await openSession(email, '203.0.113.9')
    await using there = await visitAs(email, '/account/password')
    await world.sql(
      `update sessions set ip_address = '198.51.100.23' where ip_address = '127.0.0.1' and person_id = (select id from people where email = $1)`,
      [email],
    )
    await using here = await visitAs(email, sessions)
    const { page } = here
    await page.getByRole('button', { name: /^End the session from 198/ }).click()
    await warningOf(page).getByRole('button', { name: 'Cancel' }).click()
    await there.page.getByRole('tab', { name: 'Sessions' }).click()
    await rowOf(there.page, '203.0.113.9').waitFor()
    await there.page.getByRole('tab', { name: 'Password' }).click()
    await page.getByRole('button', { name: /^End the session from 198/ }).click()
    await warningOf(page).getByRole('button', { name: 'End', exact: true }).click()
    await page.getByRole('status').getByText('The session from 198.51.100.23 has ended.').waitFor()
    await rowOf(page, '198.51.100.23').waitFor({ state: 'detached' })
    await rowOf(page, '203.0.113.9').waitFor()

    await there.page.getByRole('tab', { name: 'Sessions' }).click()
    await there.page.getByText('Your session has ended.').waitFor()
    expect(await isAccepted(kept)).toBe(true)
    await page.reload()
    await rowOf(page, 'This session').waitFor()
    expect(await page.getByRole('row').count()).toBe(1 + 2)
    expect([...here.complaints, ...there.complaints]).toEqual([])
  })

  it('ends all others and keeps this one, and says so where there is none', async () => {
    const email = await addPerson()
    const others = [
      await openSession(email, '198.51.100.23'),
      await openSession(email, '203.0.113.9', { organization: 'beta' }),
    ]
    await using visitor = await visitAs(email, sessions)
    const { page } = visitor
    await page.getByRole('button', { name: 'End All Others' }).click()
    await warningOf(page).getByRole('button', { name: 'End All Others' }).click()
    await page.getByRole('status').getByText('The 2 other sessions have ended.').waitFor()
    await page.getByText('You are signed in nowhere else.').waitFor()
    expect(await page.getByRole('button', { name: 'End All Others' }).count()).toBe(0)
    expect(await Promise.all(others.map(isAccepted))).toEqual([false, false])
    await page.reload()
    await rowOf(page, 'This session').waitFor()
    expect(await page.getByRole('row').count()).toBe(1 + 1)
    expect(visitor.complaints).toEqual([])
  })

  it('ends the very session that asks, which is to sign out', async () => {
    const email = await addPerson()
    const other = await openSession(email, '198.51.100.23')
    await using visitor = await visitAs(email, sessions)
    const { page } = visitor
    await page.getByRole('button', { name: 'End this session' }).click()
    await warningOf(page).getByText('You are signed out here,').waitFor()
    await visitor.look('account-end-this-session')
    await warningOf(page).getByRole('button', { name: 'End and Sign Out' }).click()
    await page.getByText('You are signed out.').waitFor()
    expect(await page.context().cookies()).toEqual([])
    expect(await isAccepted(other)).toBe(true)
    await page.goto(sessions)
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })

  it('says why where a session had ended by itself, and is read anew', async () => {
    const email = await addPerson()
    const other = await openSession(email, '198.51.100.23')
    await using visitor = await visitAs(email, sessions)
    const { page } = visitor
    await page.getByRole('button', { name: /^End the session from 198/ }).click()
    await other.signOut()
    await warningOf(page).getByRole('button', { name: 'End', exact: true }).click()
    await warningOf(page).getByRole('alert').getByText('There is no such session').waitFor()
    await rowOf(page, '198.51.100.23').waitFor({ state: 'detached' })
    await page.keyboard.press('Escape')
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('content')
  })

  it('is used by keyboard alone, and the focus goes where it came from', async () => {
    const email = await addPerson()
    await openSession(email, '198.51.100.23')
    await using visitor = await visitAs(email, '/account/password')
    const { page } = visitor
    const tabTo = async (name: RegExp) => {
      for (let steps = 0; steps < 40 && !name.test(await focused(page)); steps++) await page.keyboard.press('Tab')
      expect(await focused(page)).toMatch(name)
    }
    await tabTo(/Member$/)
    await page.keyboard.press('Enter')
    await page.getByRole('menuitem', { name: 'Sessions' }).waitFor()
    while ((await focused(page)) !== 'Sessions') await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Enter')
    await rowOf(page, '198.51.100.23').waitFor()
    await tabTo(/^End the session from 198/)
    const name = await focused(page)
    await page.keyboard.press('Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await page.keyboard.press('Escape')
    await expect.poll(() => focused(page)).toBe(name)
    await page.keyboard.press('Enter')
    await expect.poll(() => focused(page)).toBe('Cancel')
    await tabTo(/^End$/)
    await page.keyboard.press('Enter')
    await rowOf(page, '198.51.100.23').waitFor({ state: 'detached' })
    // What it came from is gone: on from the page’s beginning.
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('content')
  })
})

describe('changing the password', () => {
  it('ends every other session, and goes on here; the old one no longer signs in, and the access token stays', async () => {
    const email = await addPerson()
    const { secret } = (await (await openSession(email, '198.51.100.23')).resetAccessToken()).resetAccessToken
    const program = await openSession(email, '203.0.113.9', { organization: 'beta' })
    await using there = await visitAs(email, '/account/password')
    await using here = await visitAs(email, '/account/password')
    const { page } = here
    await change(page, password, newPassword)
    await page.getByRole('status').getByText('Every other session of yours has ended, and this one goes on.').waitFor()
    expect(await isAccepted(program)).toBe(false)
    expect(await world.introspect(secret)).toMatchObject({ active: true })
    await there.page.getByRole('tab', { name: 'Sessions' }).click()
    await there.page.getByText('Your session has ended.').waitFor()
    await there.signIn(email)
    await there.page.getByRole('alert').getByText('do not fit together').waitFor()
    await there.page.locator('input[name=password]').fill(newPassword)
    await there.page.getByRole('button', { name: 'Sign in' }).click()
    await rowOf(there.page, 'This session').waitFor()

    await page.getByRole('tab', { name: 'Sessions' }).click()
    await rowOf(page, 'This session').waitFor()
    await page.reload()
    await rowOf(page, 'This session').waitFor()
    expect([...here.complaints, ...there.complaints]).toEqual([])
  })

  it('shows what is refused at its field, in the API’s words, and changes nothing', async () => {
    const email = await addPerson()
    const other = await openSession(email, '198.51.100.23')
    await using visitor = await visitAs(email, '/account/password')
    const { page } = visitor
    expect(await saidOf(next(page))).toContain('12 to 128 characters')
    await change(page, 'not the password', newPassword)
    await expect.poll(() => saidOf(current(page))).toContain('That is not your current password.')
    expect(await saidOf(next(page))).not.toContain('That is not your current password.')
    expect(await current(page).getAttribute('aria-invalid')).toBe('true')
    await expect.poll(() => current(page).evaluate((field) => field === document.activeElement)).toBe(true)
    for (const [bad, words] of [
      ['short', 'A password has at least 12 characters'],
      ['password1234', 'among those tried first'],
    ] as const) {
      await change(page, password, bad)
      await expect.poll(() => saidOf(next(page))).toContain(words)
      expect(await saidOf(current(page))).toBe('')
      await expect.poll(() => next(page).evaluate((field) => field === document.activeElement)).toBe(true)
    }
    expect(await isAccepted(other)).toBe(true)
    expect((await signIn(email)).__typename).toBe('SignInPayload')
    expect(visitor.complaints).toEqual([])
  })

  it('is refused after too many attempts, in words that say for how long', async () => {
    const email = await addPerson()
    await using visitor = await visitAs(email, '/account/password')
    const { page } = visitor
    for (let attempt = 0; attempt < 10; attempt++) await signIn(email, `guess ${attempt}, which is wrong`)
    await change(page, password, newPassword)
    await page
      .getByRole('alert')
      .getByText(/Too many attempts with a wrong password. Try again in \d+ minutes/)
      .waitFor()
    await expect.poll(() => focused(page)).toBe('Change Password')
    await visitor.look('account-password-too-many-attempts')
    expect(visitor.complaints).toEqual([])
  })

  it('is ready for a password manager, and keeps what was typed nowhere', async () => {
    const email = await addPerson()
    await using visitor = await visitAs(email, '/account/password')
    const { page } = visitor
    expect(await page.locator('form input[autocomplete=username]').inputValue()).toBe(email)
    expect(await current(page).getAttribute('autocomplete')).toBe('current-password')
    expect(await next(page).getAttribute('autocomplete')).toBe('new-password')
    expect(await Promise.all([current(page), next(page)].map((field) => field.getAttribute('type')))).toEqual([
      'password',
      'password',
    ])

    const typed = () => Promise.all([current(page), next(page)].map((field) => field.inputValue()))
    await current(page).fill(password)
    await next(page).fill(newPassword)
    await page.getByRole('tab', { name: 'Sessions' }).click()
    await rowOf(page, 'This session').waitFor()
    await page.goBack()
    expect(await typed()).toEqual(['', ''])

    await page.getByRole('button', { name: 'Show or hide the new password' }).click()
    await change(page, password, newPassword)
    await page.getByText('Your password is changed').waitFor()
    expect(await typed()).toEqual(['', ''])
    expect(await next(page).getAttribute('type')).toBe('password')
    await expect.poll(() => focused(page)).toBe('Change Password')
    const kept = await page.evaluate(() =>
      JSON.stringify([
        { ...localStorage },
        { ...sessionStorage },
        history.state,
        location.href,
        document.documentElement.outerHTML,
        document.cookie,
      ]),
    )
    for (const secret of [password, newPassword, 'lks_']) expect(kept).not.toContain(secret)
    expect(visitor.complaints).toEqual([])
  })

  it('from a session that has ended leads to the sign-in page, which says so', async () => {
    const email = await addPerson()
    await using visitor = await visitAs(email, '/account/password')
    const { page } = visitor
    await world.sql('delete from sessions where person_id = (select id from people where email = $1)', [email])
    await change(page, password, newPassword)
    await page.getByText('Your session has ended.').waitFor()
    expect((await signIn(email)).__typename).toBe('SignInPayload')
  })

  it('says that it may have happened where the answer is lost', async () => {
    const email = await addPerson()
    await using visitor = await visitAs(email, '/account/password')
    const { page } = visitor
    await page.route('**/graphql', (route) =>
      route.request().postData()?.includes('"changePassword"') ? route.abort('connectionreset') : route.continue(),
    )
    await change(page, password, newPassword)
    await page.getByRole('alert').getByText('No answer came').waitFor()
    await page.unroute('**/graphql')
    await submit(page).click()
    await page.getByText('Your password is changed').waitFor()
  })
})

describe('an address of one’s account', () => {
  it('leads there after signing in; the shortest to the first page, and one that there is not, to a page that says so', async () => {
    await using visitor = await visitAs(world.alpha.guest.email, sessions)
    const { page } = visitor
    await rowOf(page, 'This session').waitFor()
    await page.goto('/account')
    await page.getByRole('tab', { name: 'Access Token', selected: true }).waitFor()
    await page.getByText('Your own credential to Alpha').waitFor()
    await page.goto('/account/nothing')
    await page.getByRole('heading', { name: 'There is nothing at this address' }).waitFor()
    expect(visitor.complaints).toEqual([])
  })
})
