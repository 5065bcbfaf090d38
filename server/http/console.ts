import { existsSync, readdirSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import sirv from 'sirv'
import { checkout } from '../checkout.ts'
import { type Answer, answerFault } from './answer.ts'
import { answerPage, pageHeaders } from './page.ts'

/** Where `npm install` leaves the console. */
export const builtConsole = fileURLToPath(new URL('console/dist', checkout))

export interface ConsoleFiles {
  /** Whether the console has something at this path, compared to the letter. */
  owns(path: string): boolean
  answer(request: IncomingMessage, response: Answer, path: string): void
}

/** The console is one document, which makes a page of its own of each of these. */
const pages = /^\/(sign-in|invitation|account(\/[a-z-]+)?|organizations(\/[a-z0-9_-]+)*)?$/

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/**
 * The files that are in the directory now: one that is built later is served after a restart. Those that are named by their
 * content are kept by browsers for good, all others are asked for again each time.
 */
export function openConsoleFiles(directory: string | undefined): ConsoleFiles {
  const built = directory !== undefined && existsSync(join(directory, 'index.html')) ? directory : null
  const files = new Set(built === null ? [] : listFiles(built))
  const send = built === null ? null : sirv(built, { etag: true, brotli: true, gzip: true, setHeaders: nameCharset })
  const headers = pageHeaders(policy)

  return {
    owns: (path) => pages.test(path) || files.has(path),
    answer(request, response, path) {
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        return answerFault(response, 405, 'This is a page: it takes GET.', { allow: 'GET, HEAD' })
      }
      if (!send) return answerPage(response, 503, notBuilt)
      response.setCommonHeaders()
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
      response.setHeader('vary', 'Accept-Encoding')
      response.setHeader('cache-control', isNamedByContent(path) ? 'public, max-age=31536000, immutable' : 'no-cache')
      // sirv closes a file neither when the browser goes away nor when it cannot be read, which would end the process.
      response.once('pipe', (file) => {
        file.once('error', () => response.destroy())
        response.once('close', () => file.destroy())
      })
      request.url = files.has(path) ? path : '/'
      // What sirv makes of a range that cannot be is no answer, and the files are small.
      delete request.headers.range
      send(request, response)
    },
  }
}

const notBuilt = {
  title: 'The console is not built',
  text: 'Run <code>npm install</code> in Latchkey’s directory, which builds it, and start Latchkey again. The API works without.',
  link: { href: '/', text: 'Try again' },
}

/** All that the build writes is UTF-8; sirv says so of HTML alone. */
function nameCharset(response: ServerResponse, path: string): void {
  const type = textTypes[extname(path)]
  if (type) response.setHeader('content-type', `${type};charset=utf-8`)
}

const textTypes: Record<string, string> = { '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' }

const isNamedByContent = (path: string) => path.startsWith('/assets/')

/** The paths of all files but the document itself, which is at “/”, and the compressed ones, which are sent in the place of others. */
function listFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `/${relative(directory, join(parentPath, name)).split(sep).join('/')}`)
    .filter((path) => path !== '/index.html' && !/\.(br|gz)$|\/\./.test(path))
}
