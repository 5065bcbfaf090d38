import type { IncomingMessage } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { recordDenial } from '../audit/record-denial.ts'
import { isUnavailable } from '../database/unavailable.ts'
import type { Dependencies } from '../dependencies.ts'
import { unavailable } from '../fault.ts'
import type { Answer } from '../http/answer.ts'
import { readPageSession, type SessionCookies } from '../http/credential.ts'
import { answerPage, pageHeaders, sourceHash } from '../http/page.ts'
import { authenticate, type RequestOrigin } from '../identity/principal.ts'
import { mayExplore } from './exploring.ts'
import { readyQueries } from './ready-queries.ts'

/** A browser that opens the address: programs do not ask for HTML. */
export const asksForPage = ({ method, headers }: IncomingMessage) =>
  method === 'GET' && headers.accept?.includes('text/html') === true

/** GraphiQL for owners and super admins, signed in by the console’s session; for everyone else, a page that says why not. */
export function createGraphiQL(
  dependencies: Dependencies,
  { isOn, cookies }: { isOn: boolean; cookies: SessionCookies },
): (request: IncomingMessage, response: Answer, origin: RequestOrigin) => Promise<void> {
  let rendered: Promise<RenderedPage> | null = null

  async function answer(request: IncomingMessage, response: Answer, origin: RequestOrigin): Promise<void> {
    if (!isOn) return answerPage(response, 404, switchedOff)
    const secret = readPageSession(request, cookies)
    const principal = secret === null ? null : await authenticate(dependencies, secret, origin)
    if (!principal) {
      response.setCommonHeaders().writeHead(302, { location: '/sign-in?next=%2Fgraphql' }).end()
      return
    }
    if (!mayExplore(principal)) {
      await recordDenial({ ...dependencies, principal, origin }, 'GraphiQL')
      return answerPage(response, 403, notForYou)
    }
    rendered ??= renderPage()
    const { html, gzipped, policy } = await rendered
    const compressed = /\bgzip\b/.test(String(request.headers['accept-encoding']))
    response.setCommonHeaders().writeHead(200, {
      ...pageHeaders(policy),
      'content-type': 'text/html; charset=utf-8',
      ...(compressed && { 'content-encoding': 'gzip' }),
      vary: 'Accept-Encoding',
      'content-length': (compressed ? gzipped : html).length,
    })
    response.end(compressed ? gzipped : html)
  }

  return async (request, response, origin) => {
    try {
      await answer(request, response, origin)
    } catch (error) {
      if (!isUnavailable(error)) throw error
      answerPage(response, 503, away, { 'retry-after': '1' })
    }
  }
}

const toConsole = { href: '/', text: 'Go to the console' }
const switchedOff = {
  title: 'GraphiQL is switched off',
  text: 'This is the address of the API, which takes POST. The contract is in schema.graphql, in Latchkey’s repository.',
  link: toConsole,
}
const notForYou = {
  title: 'GraphiQL is for owners and super admins',
  text: 'You are signed in as neither. Ask an owner or a super admin of the organization, or sign in as another member.',
  link: toConsole,
}
const away = {
  title: 'GraphiQL cannot be opened at the moment',
  text: unavailable().message,
  link: { href: '/graphql', text: 'Try again' },
}

interface RenderedPage {
  html: Buffer
  gzipped: Buffer
  policy: string
}

/** Nine megabytes, so not before somebody wants it, and once. */
async function renderPage(): Promise<RenderedPage> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const page = renderGraphiQL(options)
    .replace('</head>', `<style>${styles}</style><script>${mends}</script></head>`)
    .replace('<div id="root">', '<main><h1>GraphiQL</h1><div id="root">')
    .replace('</body>', '</main></body>')
  const scripts = [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, script = '']) => sourceHash(script))
  const html = Buffer.from(page)
  return {
    html,
    gzipped: await promisify(gzip)(html),
    policy: `default-src 'none'; script-src ${scripts.join(' ')}; worker-src blob:; style-src 'unsafe-inline'; img-src data:; font-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  }
}

/**
 * Where there are several tabs from the start, GraphiQL moves them from under the pointer: the click goes to another. And
 * its colours fall short of the contrast that WCAG 2.2 AA asks for.
 */
const styles = `
.graphiql-tab{transform:none!important}
h1{position:absolute;width:1px;height:1px;margin:0;overflow:hidden;clip-path:inset(50%)}
.graphiql-logo span{color:#4b5568}
.graphiql-dark .graphiql-logo span{color:#b7c2d7}
.graphiql-dark .line-numbers{color:#a3abba!important}
.graphiql-dark .mtk8{color:#93c47d!important}
@media (prefers-color-scheme:dark){
body:not(.graphiql-light) .graphiql-logo span{color:#b7c2d7}
body:not(.graphiql-light) .line-numbers{color:#a3abba!important}
body:not(.graphiql-light) .mtk8{color:#93c47d!important}
}`

/**
 * GraphiQL calls each tab a tab with its closing button in it, which screen readers then do not find: a list has room for
 * both. And of the tabs that it keeps in the browser, it would open one more, empty, with each visit.
 */
const mends = `
localStorage.removeItem('graphiql:tabState')
new MutationObserver(() => {
  for (const tab of document.querySelectorAll('.graphiql-tab[aria-selected]')) {
    tab.firstElementChild?.setAttribute('aria-current', tab.getAttribute('aria-selected'))
    tab.removeAttribute('aria-selected')
  }
  for (const named of document.querySelectorAll('.graphiql-tab[role], .graphiql-tabs[role]')) named.removeAttribute('role')
}).observe(document, { subtree: true, childList: true, attributeFilter: ['role', 'aria-selected'] })`

const options = {
  title: 'Latchkey',
  defaultTabs: [...readyQueries],
  credentials: 'same-origin' as const,
  shouldPersistHeaders: false,
  // It would write what is typed into the page’s address, which browsers keep and proxies log.
  onEditQuery: null,
}
