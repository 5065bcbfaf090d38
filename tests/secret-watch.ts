import type { IncomingMessage, ServerResponse } from 'node:http'
import type { HttpServer } from '../server/app.ts'
import type { Dependencies } from '../server/dependencies.ts'

// One for all worlds of a test file: a secret that one of them has issued is to turn up nowhere in another either.
const secrets = new Set<string>()
const passwords = new Set<string>()
const found: string[] = []

/** The same dependencies, which from now on remember every secret that they issue and every password that is set. */
export function watchIssuing<D extends Dependencies>(dependencies: D): D {
  const { digester, passwords: hashing, signingSecrets } = dependencies
  const remember = <T extends { secret: string }>(issued: T): T => {
    secrets.add(issued.secret)
    return issued
  }
  return {
    ...dependencies,
    digester: {
      ...digester,
      issue: (...given) => remember(digester.issue(...given)),
      derive: (...given) => remember(digester.derive(...given)),
    },
    passwords: {
      ...hashing,
      hash(password) {
        passwords.add(password)
        return hashing.hash(password)
      },
    },
    signingSecrets: {
      ...signingSecrets,
      issue() {
        const secret = signingSecrets.issue()
        const text = secret.slice('whsec_'.length)
        // Of random bytes in base64, which the search for the other secrets would not know: as text, and as the bytes.
        passwords.add(text).add(Buffer.from(text, 'base64').toString('latin1'))
        return secret
      },
    },
  }
}

/** Looks through every answer of the server as it goes out, but for the places where a secret is shown once. */
export function watchAnswers(server: HttpServer): void {
  server.prependListener('request', ({ method, url }: IncomingMessage, response: ServerResponse) => {
    const pieces: Buffer[] = []
    const keep = (piece: unknown) => {
      if (typeof piece === 'string' || piece instanceof Uint8Array) pieces.push(Buffer.from(piece))
    }
    const { write, end, writeHead } = response
    Object.assign(response, {
      write(...given: unknown[]) {
        keep(given[0])
        return Reflect.apply(write, response, given)
      },
      end(...given: unknown[]) {
        keep(given[0])
        const place = `the answer to ${method} ${url?.split('?', 1)}`
        search(place, withoutShownSecrets(Buffer.concat(pieces).toString()))
        return Reflect.apply(end, response, given)
      },
      writeHead(...given: unknown[]) {
        search(`a header of the answer to ${method} ${url?.split('?', 1)}`, withoutCookies(JSON.stringify(given)))
        return Reflect.apply(writeHead, response, given)
      },
    })
  })
}

/** Looks through a line of the log as it is written. */
export function watchLine(line: string): void {
  search('the log', line)
}

/** Looks through anything else that leaves the server, such as its metrics and its spans. */
export function watchText(place: string, text: string): void {
  search(place, text)
}

/** Throws where a secret or a password stands in a table, or stood in what was logged or answered so far. */
export async function searchForSecrets({
  sql,
}: {
  sql<Row extends Record<string, unknown>>(text: string): Promise<Row[]>
}): Promise<void> {
  const tables = await sql<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
     where schemaname not in ('pg_catalog', 'information_schema')`,
  )
  for (const { name } of tables) {
    const rows = await sql<{ row: string }>(`select to_jsonb(t)::text as row from ${name} t`)
    const text = rows.map(({ row }) => row).join('\n')
    search(`the table ${name}`, text)
    // A value of bytes is written in hexadecimal, which would hide a text that was stored as such.
    const bytes = [...text.matchAll(/\\\\x([0-9a-f]+)/g)].map(([, hexadecimal = '']) => hexadecimal)
    search(`the bytes in ${name}`, bytes.map((value) => Buffer.from(value, 'hex').toString('latin1')).join('\n'))
  }
  if (found.length > 0) throw new Error(`Secrets were found:\n${[...new Set(found)].join('\n')}`)
}

function search(place: string, text: string): void {
  for (const [secret] of text.matchAll(/[a-z]{2,10}[a-z]_[0-9A-Za-z]{40,}/g)) {
    if (secrets.has(secret)) found.push(`a secret, ${secret.slice(0, 8)}…, in ${place}`)
  }
  for (const password of passwords) if (text.includes(password)) found.push(`a password in ${place}`)
}

/** The fields of the contract that show a new secret, this once. */
const showing = new Set(['secret', 'sessionToken', 'link'])

function withoutShownSecrets(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), (name, value: unknown) => (showing.has(name) ? undefined : value))
  } catch {
    return text
  }
}

/** A session’s secret goes to the browser as a cookie. */
const withoutCookies = (text: string) => text.replaceAll(/latchkey_session=\w+/g, '')
