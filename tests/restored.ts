import { execFile } from 'node:child_process'
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createClient, type Latchkey, unwrap } from '@latchkey/sdk'
import pg from 'pg'
import { pino } from 'pino'
import { expect } from 'vitest'
import { runCommandLine } from '../server/cli/run.ts'
import { readConfig } from '../server/config.ts'
import { type Running, start } from '../server/start.ts'
import { readPage } from './markdown.ts'
import { serverKey } from './world.ts'

export const page = await readPage(new URL('../docs/operations.md', import.meta.url))
const owner = { email: 'owner@backup.example', password: 'a lantern under the stairs' }
export const pauseMilliseconds = 15
const longestWaitMilliseconds = 20_000

/** What was acknowledged to whoever created and deleted tokens, until some moment. */
export interface Acknowledged {
  live: Token[]
  deleted: Token[]
}

export interface Token {
  id: string
  secret: string
}

/** Credentials that have to be good still once the database is another. */
export interface Credentials {
  serviceSecret: string
  sessionToken: string
}

const settingsFor = (databaseUrl: string) => ({ LATCHKEY_SECRET: serverKey, DATABASE_URL: databaseUrl })

/** On an empty database: makes everything that it needs, and whom it belongs to. */
export async function startFirst(
  databaseUrl: string,
): Promise<{ latchkey: Running; credentials: Credentials; admin: Latchkey }> {
  const latchkey = await startLatchkey({
    ...settingsFor(databaseUrl),
    TOKEN_CREATION_LIMIT: '0',
    BOOTSTRAP_ORGANIZATION: 'Backup',
    BOOTSTRAP_EMAIL: owner.email,
    BOOTSTRAP_PASSWORD: owner.password,
  })
  const stranger = createClient({ url: latchkey.address })
  const { sessionToken } = unwrap((await stranger.signIn({ input: owner })).signIn)
  const serviceSecret = latchkey.firstAccess?.service?.secret ?? ''
  return { latchkey, credentials: { serviceSecret, sessionToken }, admin: stranger.with({ credential: sessionToken }) }
}

export const startRestored = (databaseUrl: string) => startLatchkey(settingsFor(databaseUrl))

async function startLatchkey(environment: Record<string, string>): Promise<Running> {
  const config = readConfig({ ...environment, PORT: '0' })
  const said: string[] = []
  const running = await start(config, {
    log: pino({ level: 'silent' }),
    announce: (text) => said.push(text),
  })
  if (!environment.BOOTSTRAP_EMAIL) expect(said, 'it is migrated already').toEqual([])
  return running
}

/** All of the first are accepted, and none of the second. */
export async function expectVerdicts(
  { address }: Running,
  { serviceSecret }: Credentials,
  { live, deleted }: Acknowledged,
): Promise<void> {
  const service = createClient({ url: address, credential: serviceSecret })
  const acceptedOf = async (tokens: readonly Token[]) => {
    const verdicts = await Promise.all(tokens.map(({ secret: token }) => service.verifyToken({ token })))
    return tokens.filter((_token, index) => verdicts[index]?.verifyToken.active)
  }
  expect(await acceptedOf(live)).toEqual(live)
  expect(await acceptedOf(deleted)).toEqual([])
}

/** Goes on with the session of before, is confined by row-level security, and nobody has touched the audit log. */
export async function expectToBeWhole(
  databaseUrl: string,
  { address }: Running,
  { sessionToken }: Credentials,
): Promise<void> {
  expect((await fetch(`${address}/readyz`)).ok).toBe(true)
  const admin = createClient({ url: address, credential: sessionToken })
  unwrap((await admin.createToken({ input: { label: 'After the restoration', roleId: 'role_ci' } })).createToken)
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const isThereAny = async () =>
    (await client.query<{ some: boolean }>('select count(*) > 0 as some from integration_tokens')).rows[0]?.some
  try {
    expect(await isThereAny()).toBe(true)
    await client.query('set role latchkey_server')
    expect(await isThereAny()).toBe(false)
  } finally {
    await client.end()
  }
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
  input.end()
  const environment = settingsFor(databaseUrl)
  const code = await runCommandLine(['audit', 'verify'], { input, output, errors, environment })
  expect([code, String(output.read())]).toEqual([0, expect.stringContaining('None was changed, removed or added.')])
}

/** What the page has for a shell, where the backup is. As the given account, where it matters whose the files are. */
export async function shell(
  script: string,
  options: { backup: string; environment: Record<string, string>; account?: { uid: number; gid: number } },
): Promise<string> {
  const { backup, environment, account } = options
  const commands = script.replaceAll('/backup/', `${backup}/`)
  const { stdout } = await promisify(execFile)('sh', ['-euc', commands], {
    env: { PATH: process.env.PATH ?? '', ...environment },
    cwd: '/',
    ...account,
  })
  return stdout
}

export async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + longestWaitMilliseconds
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('It does not come to be in time.')
    await delay(pauseMilliseconds)
  }
}

/** Creates tokens, and deletes every other one of them later, one after the other. */
export function startWork(admin: Latchkey) {
  const live: Token[] = []
  const deleted: Token[] = []
  let isPaused = false
  let count = 0
  let failure: unknown = null

  async function step(): Promise<void> {
    const oldest = count % 3 === 2 ? live[0] : undefined
    if (oldest) {
      unwrap((await admin.deleteToken({ input: { id: oldest.id } })).deleteToken)
      live.shift()
      deleted.push(oldest)
    } else {
      const input = { label: `Token ${count}`, roleId: 'role_ci' }
      const { token, secret } = unwrap((await admin.createToken({ input })).createToken)
      live.push({ id: token.id, secret })
    }
    count++
  }
  let working = go()
  async function go(): Promise<void> {
    try {
      for (; !isPaused; await delay(pauseMilliseconds)) await step()
    } catch (error) {
      failure = error
    }
  }
  return {
    /** Until as many more changes were acknowledged. */
    async untilDone(more: number): Promise<void> {
      for (const due = count + more; count < due; await delay(pauseMilliseconds)) if (failure) throw failure
    },
    async pause(): Promise<Acknowledged> {
      isPaused = true
      await working
      if (failure) throw failure
      return { live: [...live], deleted: [...deleted] }
    },
    resume(): void {
      isPaused = false
      working = go()
    },
  }
}
