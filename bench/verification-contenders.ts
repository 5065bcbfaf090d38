import { createClient, type Latchkey } from '@latchkey/sdk'
import { type Contender, type Load, runPeer, startLatchkey, startPeer } from './contender.ts'
import { openDatabase, serverKey, type TokenDatabase } from './verification-tokens.ts'

/** One of those that are measured in turn: how it is started, and what it is asked. */
export interface Entry {
  name: string
  start(): Promise<Contender>
  load: Pick<Load, 'path' | 'headers' | 'bodies' | 'expected'>
  /** How many tokens one request is about. */
  tokensEach: number
}

const digestsEach = 100
/** Fifty for each connection. The generator makes its requests beforehand, and more of them would take its time, not ours. */
const presentedByAll = 3_200
const json = { 'content-type': 'application/json' }

export function introspection(
  database: TokenDatabase,
  { name = 'introspection', presented = presentedByAll } = {},
): Entry {
  return {
    name,
    start: () => startLatchkey(database.url, serverKey),
    load: {
      path: '/oauth/introspect',
      headers: {
        authorization: `Bearer ${database.serviceSecret}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      bodies: database.secrets.slice(0, presented).map((token) => String(new URLSearchParams({ token }))),
      expected: '"active":true',
    },
    tokensEach: 1,
  }
}

/** Everyone who takes part, on as many tokens or keys each. */
export async function allEntries(
  database: TokenDatabase,
  options: { postgresUrl: string; tokens: number; announce: (text: string) => void },
): Promise<Entry[]> {
  const introspected = introspection(database)
  const answer = await answerOf(introspected)
  const chunks = Array.from({ length: database.secrets.length / digestsEach }, (_, nth) =>
    database.hashes.slice(nth * digestsEach, (nth + 1) * digestsEach),
  )
  const start = () => startLatchkey(database.url, serverKey)
  const graphql = (calls: ((client: Latchkey) => Promise<unknown>)[]) => sentBySdk(database.serviceSecret, calls)
  return [
    {
      ...introspected,
      name: 'bare node:http',
      start: () => startPeer('bare.ts', { ANSWER: answer }),
    },
    introspected,
    {
      name: 'single look-ups',
      start: () => startPeer('single-lookup.ts', { DATABASE_URL: database.url }),
      load: { path: '/', headers: json, bodies: database.digests.slice(0, presentedByAll), expected: '"active":true' },
      tokensEach: 1,
    },
    await betterAuth(options),
    {
      name: 'Yoga hello',
      start: () => startPeer('yoga-hello.ts'),
      load: { path: '/graphql', headers: json, bodies: ['{"query":"{ hello }"}'], expected: 'Hello from Yoga!' },
      tokensEach: 1,
    },
    {
      name: 'mercurius hello',
      start: () => startPeer('mercurius-hello.ts'),
      load: { path: '/graphql', headers: json, bodies: ['{"query":"{ add(x: 2, y: 2) }"}'], expected: '"add":4' },
      tokensEach: 1,
    },
    {
      name: 'verifyToken',
      start,
      load: await graphql(
        database.secrets.slice(0, presentedByAll).map(
          (token) =>
            ({ verifyToken }) =>
              verifyToken({ token }),
        ),
      ),
      tokensEach: 1,
    },
    {
      name: 'verifyTokenDigests',
      start,
      load: await graphql(
        chunks.map(
          (digests) =>
            ({ verifyTokenDigests }) =>
              verifyTokenDigests({ digests }),
        ),
      ),
      tokensEach: digestsEach,
    },
  ]
}

/** Asked once, of a server that is stopped again. */
async function answerOf({ start, load: { path, headers, bodies } }: Entry): Promise<string> {
  await using server = await start()
  const response = await fetch(server.url + path, { method: 'POST', headers, body: bodies[0] ?? '' })
  return response.text()
}

/** The SDK's own requests, as its `fetch` is given them. */
async function sentBySdk(
  credential: string,
  calls: ((client: Latchkey) => Promise<unknown>)[],
): Promise<Entry['load']> {
  let sent: RequestInit = {}
  const client = createClient({
    url: 'http://127.0.0.1',
    credential,
    fetch: async (_url, init = {}) => {
      sent = init
      return Response.json({ data: {} })
    },
  })
  const bodies: string[] = []
  for (const call of calls) {
    await call(client)
    bodies.push(String(sent.body))
  }
  return {
    path: '/graphql',
    headers: Object.fromEntries(new Headers(sent.headers)),
    bodies,
    expected: '"active":true',
  }
}

/** Keys are shown only when they are made, so that they are kept in the database beside their digests. */
async function betterAuth({
  postgresUrl,
  tokens,
  announce,
}: {
  postgresUrl: string
  tokens: number
  announce: (text: string) => void
}): Promise<Entry> {
  const url = await openDatabase(postgresUrl, `better_auth_${tokens}`, async (databaseUrl) => {
    announce(`Filling better-auth’s with ${tokens.toLocaleString('en')} keys …`)
    await runPeer('better-auth.ts', ['fill', String(tokens), String(presentedByAll)], { DATABASE_URL: databaseUrl })
  })
  const keys: unknown = JSON.parse(await runPeer('better-auth.ts', ['keys'], { DATABASE_URL: url }))
  if (!Array.isArray(keys)) throw new Error('better-auth’s part gave no keys.')
  return {
    name: 'better-auth',
    start: () => startPeer('better-auth.ts', { DATABASE_URL: url }),
    load: {
      path: '/',
      headers: json,
      bodies: keys.map((key) => JSON.stringify({ key })),
      expected: '"valid":true',
    },
    tokensEach: 1,
  }
}
