import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createClient, unwrap } from '@latchkey/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig, settingNames } from '../server/config.ts'
import { permissionsOf } from '../server/organizations/roles.ts'
import { type Running, start } from '../server/start.ts'
import { codes, readPage } from './markdown.ts'
import { firstAnswer, freePort, writeProgram } from './shown-program.ts'
import { createDatabase } from './world.ts'

const root = new URL('../', import.meta.url)
const { text: readme, blocks, block, table } = await readPage(new URL('README.md', root))
const run = promisify(execFile)

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
    const asked: string[] = []
    const browse: typeof fetch = async (url, { headers, ...rest } = {}) => {
      const sent = { ...Object.fromEntries(new Headers(headers)), cookie, origin: running.address }
      const response = await fetch(url, { ...rest, headers: sent, redirect: 'manual' })
      cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? cookie
      return response
    }
    async function ask(query: string, variables = {}) {
      asked.push(query)
      const headers = { 'content-type': 'application/json' }
      const body = JSON.stringify({ query, variables })
      const { data } = await (await browse(`${running.address}/graphql`, { method: 'POST', headers, body })).json()
      return data
    }
    const open = async (path: string) =>
      (await browse(`${running.address}${path}`, { headers: { accept: 'text/html' } })).status
    // As the console does it.
    const page = createClient({ url: running.address, fetch: browse })
    unwrap((await page.signIn({ input: { email: 'owner@example.com', password: ownerPassword } })).signIn)
    expect(await open('/graphql')).toBe(200)
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
    expect(asked).toEqual(blocks.filter(({ language }) => language === 'graphql').map(({ text }) => text))
  })

  it('uses the SDK as it says, and prints what it says', async () => {
    await using program = await writeProgram(here(block('ts', 'createClient')))
    expect(await program.faults()).toBe('')
    const environment = { OWNER_PASSWORD: ownerPassword, SERVICE_SECRET: serviceSecret() }
    expect(await program.output(environment)).toBe(block('text', 'true Deploy'))
  })

  it('guards a service’s route as it says, and shows what the service answers', async () => {
    const port = await freePort()
    const move = (text: string) => here(text).replaceAll('3000', String(port))
    await using program = await writeProgram(move(block('ts', 'requireToken')))
    expect(await program.faults()).toBe('')
    const service = program.start({ SERVICE_SECRET: serviceSecret() })
    const refused = await firstAnswer(() => fetch(move('http://127.0.0.1:3000/scans'), { method: 'POST' }))
    expect(refused.status).toBe(401)

    const anyone = createClient({ url: running.address })
    const signIn = { input: { email: 'owner@example.com', password: ownerPassword } }
    const owner = anyone.with({ credential: unwrap((await anyone.signIn(signIn)).signIn).sessionToken })
    const { viewer } = await owner.viewer()
    const shown = JSON.parse(block('json', 'scansFor'))
    const input = { label: shown.startedBy, roleId: 'role_ci' }
    const { token, secret } = unwrap((await owner.createToken({ input })).createToken)
    const ask = () => run('bash', ['-c', move(block('sh', '/scans'))], { env: { ...process.env, TOKEN: secret } })
    expect(JSON.parse((await ask()).stdout)).toEqual({
      ...shown,
      scansFor: viewer.__typename === 'MemberViewer' && viewer.organization.id,
    })
    unwrap((await owner.deleteToken({ input: { id: token.id } })).deleteToken)
    await expect.poll(async () => JSON.parse((await ask()).stdout).error, { timeout: 2_000 }).toBe('invalid_token')
    expect(await service.stop()).toBe('')
  })

  it('shows command lines that work', async () => {
    for (const line of block('sh', 'npx latchkey').trim().split('\n')) {
      const command = line.replace(/^npx latchkey/, `${process.execPath} dist/cli.js`)
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
    const traced = readConfig({ OTEL_TRACES_EXPORTER: 'otlp' }).tracing
    expect(traced?.endpoint.href).toBe('http://localhost:4318/v1/traces')
    const shown = Object.fromEntries(rows.map(([name, value]) => [codes(name)[0], codes(value)[0]]))
    expect(shown).toMatchObject({
      HOST: defaults.host,
      PORT: String(defaults.port),
      DATABASE_CONNECTIONS: String(defaults.databaseConnections),
      GRAPHIQL: defaults.graphiql ? 'on' : 'off',
      LOG_LEVEL: defaults.logLevel,
      TOKEN_PREFIX: defaults.tokenPrefix,
      SIGN_IN_LIMIT_BY_ACCOUNT: String(defaults.rateLimits.signInsByAccount),
      SIGN_IN_LIMIT_BY_ADDRESS: String(defaults.rateLimits.signInsByAddress),
      TOKEN_CREATION_LIMIT: String(defaults.rateLimits.secrets),
      VERIFICATION_LIMIT: String(defaults.rateLimits.verifications),
      EXPIRED_TOKEN_RETENTION_DAYS: String(defaults.expiredTokenRetentionDays),
      DATA_DIRECTORY: defaults.dataDirectory,
      SHUTDOWN_DELAY_SECONDS: String(defaults.shutdownDelaySeconds),
      OTEL_TRACES_SAMPLER: traced?.sampler,
      OTEL_TRACES_SAMPLER_ARG: String(traced?.samplerRatio),
      OTEL_SERVICE_NAME: traced?.serviceName,
    })
  })

  it('lists addresses that answer', async () => {
    const addresses = table('| address | what |').flatMap(([address]) => codes(address))
    expect(addresses).toEqual(['/', '/graphql', '/oauth/introspect', '/scim/v2', '/healthz', '/readyz'])
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
