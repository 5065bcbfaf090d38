import { once } from 'node:events'
import { request as httpRequest, type OutgoingHttpHeaders } from 'node:http'
import { expect } from 'vitest'
import { openWorld, password, type World } from './world.ts'

/** Requests as no well-made client would send them, to a world of their own. */
export interface RawRequests extends AsyncDisposable {
  world: World
  /** What must turn up in no answer and no log line, wherever in a request it was put. Both are names in GraphQL, too. */
  canaries: { secret: string; password: string }
  send(path: string, sending: Sending): Promise<Answer>
  /** As `send`, for what `fetch` would put right: a path, a header, a body in pieces without a length. */
  sendAsIs(path: string, sending: SendingAsIs): Promise<Answer>
  /** A GraphQL request, as alpha's owner unless other headers are given. */
  ask(query: string, variables?: unknown, headers?: Record<string, string>): Promise<Answer>
  /** The body of a GraphQL request, to the letter. */
  post(body: string | Uint8Array<ArrayBuffer>, headers?: Record<string, string>): Promise<Answer>
  asOwner(): Record<string, string>
  asService(): { authorization: string }
  /** All that is stored, but for last uses, counted attempts, and the record of what was refused. */
  stored(): Promise<Record<string, string>>
}

interface Sending {
  method?: string
  headers?: Record<string, string>
  body?: string | Uint8Array<ArrayBuffer>
}

interface SendingAsIs {
  method?: string
  headers?: OutgoingHttpHeaders | readonly string[]
  pieces?: string[]
}

/** Every answer is JSON in plain words, without a trace of a secret or of how the server is made. */
export interface Answer {
  status: number
  headers: Record<string, string>
  text: string
  /** What a person reads. */
  messages: string[]
  /** `extensions.code` of each error, or the error of RFC 6749. */
  codes: string[]
  data: unknown
}

/** Accepting the answers of which GraphQL over HTTP has the status say what went wrong. */
export const json = { 'content-type': 'application/json', accept: 'application/graphql-response+json' }

export async function openRawRequests(): Promise<RawRequests> {
  const world = await openWorld({ corsOrigins: ['https://app.example.com', 'https://admin.example.com'] })
  const canaries = {
    secret: world.dependencies.digester.issue('integrationToken').secret,
    password: 'tr0ub4dor_and_3_canaries',
  }
  const traces = [canaries.secret.slice(4, 30), canaries.secret.slice(-20), canaries.password]
  const asOwner = () => ({ ...json, authorization: `Bearer ${world.alpha.owner.sessionToken}` })

  function readAnswer(status: number, headers: Record<string, string>, text: string): Answer {
    for (const trace of traces) expect(text).not.toContain(trace)
    expect(text).not.toMatch(
      /\bat .+:\d+:\d+|node_modules|file:\/\/|\.ts\b|\bselect\b.+\bfrom\b|\binsert into\b|SQLSTATE|\$1/,
    )
    expect(headers['content-type']).toMatch(/^application\/(json|graphql-response\+json)(;|$)/)
    expect(headers).toMatchObject({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      'x-request-id': expect.stringMatching(/^[0-9a-f]{24}$/),
    })
    const body: unknown = JSON.parse(text)
    const { errors, error, error_description: description, data } = isRecord(body) ? body : {}
    const faults = (Array.isArray(errors) ? errors : []).filter(isRecord)
    const messages = faults.map(({ message }) => String(message))
    const codes = faults.map(({ extensions }) => String(isRecord(extensions) ? extensions.code : undefined))
    if (typeof error === 'string') {
      messages.push(String(description))
      codes.push(error)
    }
    for (const message of messages) expect(message).toMatch(/^(?!.*(undefined|\[object|“”))[A-Z“].+\.$/)
    for (const code of codes) expect(code).toMatch(/^([A-Z_]+|[a-z_]+)$/)
    return { status, headers, text, messages, codes, data }
  }

  async function send(path: string, { method = 'POST', headers = {}, body }: Sending): Promise<Answer> {
    const response = await fetch(`${world.url}${path}`, { method, headers, ...(body !== undefined && { body }) })
    return readAnswer(response.status, Object.fromEntries(response.headers), await response.text())
  }

  return {
    world,
    canaries,
    send,
    asOwner,
    asService: () => ({ ...json, authorization: `Bearer ${world.service.secret}` }),
    ask: (query, variables = {}, headers = asOwner()) =>
      send('/graphql', { headers, body: JSON.stringify({ query, variables }) }),
    post: (body, headers = asOwner()) => send('/graphql', { headers, body }),
    async sendAsIs(path, { method = 'GET', headers = {}, pieces = [] }) {
      const request = httpRequest(world.url, { path, method, headers })
      for (const piece of pieces) request.write(piece)
      request.end()
      const [response] = await once(request, 'response')
      let text = ''
      for await (const chunk of response) text += chunk
      return readAnswer(response.statusCode, response.headers, text)
    },
    async stored() {
      const tables = await world.sql<{ name: string }>(
        `select table_name as name from information_schema.tables where table_schema = 'public' and table_name not in ('audit_heads', 'sign_in_attempts', 'rates') order by 1`,
      )
      const row = `(to_jsonb(t) - '{last_used_at,last_used_from}'::text[])::text`
      const isKept = (name: string) =>
        name === 'audit_events'
          ? `action not in ('access.denied', 'session.sign_in_failed', 'member.password_change_failed')`
          : 'true'
      const rows = await world.sql<{ name: string; content: string }>(
        tables
          .map(
            ({ name }) =>
              `select '${name}' as name, count(*) || ' ' || md5(coalesce(string_agg(${row}, '' order by ${row}), '')) as content from ${name} t where ${isKept(name)}`,
          )
          .join(' union all '),
      )
      return Object.fromEntries(rows.map(({ name, content }) => [name, content]))
    },
    async [Symbol.asyncDispose]() {
      const everything = world.logged.join('\n')
      await world[Symbol.asyncDispose]()
      for (const trace of [...traces, password]) expect(everything).not.toContain(trace)
    },
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
