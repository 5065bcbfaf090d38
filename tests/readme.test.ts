import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig, settingNames } from '../server/config.ts'
import { permissionsOf } from '../server/organizations/roles.ts'
import { type Running, start } from '../server/start.ts'
import { createDatabase } from './world.ts'

const root = new URL('../', import.meta.url)
const readme = await readFile(new URL('README.md', root), 'utf8')
const run = promisify(execFile)

const blocks = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)].map(([, language = '', text = '']) => ({
  language,
  text,
}))
const block = (language: string, part: string) => {
  const found = blocks.find((candidate) => candidate.language === language && candidate.text.includes(part))
  if (!found) throw new Error(`README.md has no ${language} block with “${part}”.`)
  return found.text
}
/** The rows of the table that has this heading, each cell as its text. */
const table = (heading: string) => {
  const start = readme.indexOf(heading)
  if (start < 0) throw new Error(`README.md has no table headed “${heading}”.`)
  const [lines = ''] = readme.slice(start).split('\n\n', 1)
  return lines
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}
const codes = (cell: string | undefined) => [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code)

const ownerPassword = 'violet umbrella northwards'
let database: Awaited<ReturnType<typeof createDatabase>>
let environment: Record<string, string>
let running: Running

beforeAll(async () => {
  database = await createDatabase()
  environment = {
    DATABASE_URL: database.databaseUrl,
    LATCHKEY_SECRET: 'a server key for the examples of the readme',
    BOOTSTRAP_ORGANIZATION: 'Example',
    BOOTSTRAP_EMAIL: 'owner@example.com',
    BOOTSTRAP_PASSWORD: ownerPassword,
    PORT: '0',
  }
  running = await start(readConfig(environment), { log: pino({ level: 'silent' }), announce: () => undefined })
})
afterAll(async () => {
  await running.close()
  await database.drop()
})

const here = (text: string) => text.replaceAll('http://127.0.0.1:4000', running.address)
const serviceSecret = () => running.firstAccess?.service.secret ?? ''

describe('the README', () => {
  it('makes, verifies, lists and deletes a first token in the browser as it says', async () => {
    let cookie = ''
    async function ask(query: string, variables = {}) {
      const headers = { 'content-type': 'application/json', cookie, origin: running.address }
      const response = await fetch(`${running.address}/graphql`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ query, variables }),
      })
      cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie
      const { data } = await response.json()
      return data
    }
    expect(await ask(block('graphql', 'SignIn'), { email: 'owner@example.com', password: ownerPassword })).toEqual({
      signIn: { viewer: { member: { email: 'owner@example.com', role: 'OWNER' }, organization: { name: 'Example' } } },
    })
    const { createToken } = await ask(block('graphql', 'mutation CreateToken'))
    const shown = JSON.parse(block('json', '"active"'))
    const { stdout } = await run('bash', ['-c', here(block('sh', 'introspect'))], {
      env: { ...process.env, SERVICE_SECRET: serviceSecret(), TOKEN: createToken.secret },
    })
    const { sub, client_id, iat, organization_id, ...rest } = JSON.parse(stdout)
    expect({ ...shown, ...rest }).toEqual(shown)
    expect(Object.keys(JSON.parse(stdout))).toEqual(Object.keys(shown))
    expect([sub, client_id]).toEqual([createToken.token.id, createToken.token.id])
    expect([typeof iat, organization_id.slice(0, 4)]).toEqual(['number', 'org_'])
    expect((await ask(block('graphql', 'query Tokens'))).integrationTokens.nodes).toMatchObject([
      { label: 'Jenkins', status: 'ACTIVE' },
    ])
    const deleted = await ask(block('graphql', 'DeleteToken'), { id: createToken.token.id })
    expect(deleted).toEqual({ deleteToken: { deletedTokenId: createToken.token.id } })
    const again = await run('bash', ['-c', here(block('sh', 'introspect'))], {
      env: { ...process.env, SERVICE_SECRET: serviceSecret(), TOKEN: createToken.secret },
    })
    expect(again.stdout).toBe('{"active":false}')
  })

  it('uses the SDK as it says, and prints what it says', async () => {
    const file = new URL(`tests/readme-example-${process.pid}.ts`, root)
    await writeFile(file, here(block('ts', 'createClient')))
    try {
      const { stdout } = await run(process.execPath, ['--conditions=latchkey-source', fileURLToPath(file)], {
        env: { ...process.env, OWNER_PASSWORD: ownerPassword, SERVICE_SECRET: serviceSecret() },
      })
      expect(stdout).toBe(block('text', 'true Deploy'))
    } finally {
      await rm(file)
    }
  })

  it('shows command lines that work', async () => {
    for (const line of block('sh', 'npx latchkey').trim().split('\n')) {
      const command = line.replace(/^npx latchkey/, `${process.execPath} server/cli.ts`)
      const { stdout } = await run('bash', ['-c', command], {
        cwd: fileURLToPath(root),
        env: { ...process.env, ...environment },
      })
      expect(stdout.length, line).toBeGreaterThan(0)
    }
  })

  it('starts and tests with two commands, and names only scripts that there are', async () => {
    const { scripts } = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
    expect(blocks.filter(({ text }) => text.startsWith('npm install && ')).map(({ text }) => text.trim())).toEqual([
      'npm install && npm start',
      'npm install && npm test',
    ])
    for (const [, script] of readme.matchAll(/npm run ([\w:]+)/g)) expect(Object.keys(scripts)).toContain(script)
    const ci = await readFile(new URL('.ci/run', root), 'utf8')
    expect(ci).toContain('npm install && npm test')
  })

  it('lists every setting that there is, with its default, and no other', () => {
    const rows = table('| setting | default |')
    expect(rows.flatMap(([names]) => codes(names)).sort()).toEqual([...settingNames].sort())
    const defaults = readConfig({})
    const shown = Object.fromEntries(rows.map(([name, value]) => [codes(name)[0], codes(value)[0]]))
    expect(shown).toMatchObject({
      HOST: defaults.host,
      PORT: String(defaults.port),
      DATABASE_CONNECTIONS: String(defaults.databaseConnections),
      LOG_LEVEL: defaults.logLevel,
      TOKEN_PREFIX: defaults.tokenPrefix,
      EXPIRED_TOKEN_RETENTION_DAYS: String(defaults.expiredTokenRetentionDays),
      DATA_DIRECTORY: defaults.dataDirectory,
    })
  })

  it('lists addresses that answer', async () => {
    const addresses = table('| address | what |').flatMap(([address]) => codes(address))
    expect(addresses).toEqual(['/', '/graphql', '/oauth/introspect', '/healthz', '/readyz'])
    for (const address of addresses) {
      const { status } = await fetch(`${running.address}${address}`, { redirect: 'manual' })
      expect(status, address).not.toBe(404)
    }
  })

  it('says of each role what it may do', async () => {
    const { default: pg } = await import('pg')
    const client = new pg.Client({ connectionString: database.databaseUrl })
    await client.connect()
    const { rows } = await client.query('select id, label, permissions from token_roles order by id')
    await client.end()
    const managed = table('| id | label | permissions | for |').map(([id, label, permissions]) => ({
      id: codes(id)[0],
      label,
      permissions: codes(permissions),
    }))
    expect(managed.sort((a, b) => ((a.id ?? '') < (b.id ?? '') ? -1 : 1))).toEqual(rows)

    const members = Object.fromEntries(
      table('| role | may do |').map(([role, , permissions]) => [codes(role)[0] ?? '', codes(permissions)]),
    )
    let below: string[] = []
    for (const role of ['GUEST', 'MEMBER', 'POWER_USER', 'SUPER_ADMIN'] as const) {
      below = [...below, ...(members[role] ?? [])]
      expect([...permissionsOf[role]].sort(), role).toEqual([...below].sort())
    }
    expect(permissionsOf.OWNER).toEqual(permissionsOf.SUPER_ADMIN)
  })
})
