import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient, unwrap } from '@latchkey/sdk'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { createDatabase } from './world.ts'

const checkout = fileURLToPath(new URL('..', import.meta.url))
const temporary: string[] = []
const running = new Set<ChildProcess>()

afterEach(async () => {
  for (const child of running) child.kill('SIGTERM')
  await Promise.all([...running].map((child) => once(child, 'close')))
})
afterAll(() => {
  for (const directory of temporary) rmSync(directory, { recursive: true, force: true })
})

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'latchkey-start-'))
  temporary.push(directory)
  return directory
}

interface Process {
  child: ChildProcess
  stdout: string
  stderr: string
  /** The exit code, once it has ended and all that it wrote has been read. */
  ended: Promise<number | null>
}

/** With none of the settings of whoever runs the tests. */
function run(file: string, commandArguments: string[], environment: Record<string, string>): Process {
  const child = spawn(process.execPath, [file, ...commandArguments], {
    cwd: checkout,
    env: { PATH: process.env.PATH ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const ended = once(child, 'close').then(([code]) => {
    running.delete(child)
    return typeof code === 'number' ? code : null
  })
  const started: Process = { child, stdout: '', stderr: '', ended }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    started.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    started.stderr += text
  })
  return started
}

/** What `npm start` runs. */
const startServer = (environment: Record<string, string>) => run('dist/main.js', [], { PORT: '0', ...environment })
const serveByCommand = (environment: Record<string, string>) =>
  run('dist/cli.js', ['serve'], { PORT: '0', ...environment })

async function until(started: Process, text: string): Promise<void> {
  const ended = started.ended.then((code) => {
    if (!started.stdout.includes(text))
      throw new Error(`It ended with ${code} before it said “${text}”:\n${started.stdout}${started.stderr}`)
  })
  while (!started.stdout.includes(text)) await Promise.race([delay(20), ended])
}

async function serving(environment: Record<string, string>, by = startServer): Promise<Process & { address: string }> {
  const started = by(environment)
  await until(started, 'Ctrl-C stops it')
  const address = /Latchkey serves at (\S+)/.exec(started.stdout)?.[1] ?? ''
  return Object.assign(started, { address })
}

async function latchkey(commandArguments: string[], environment: Record<string, string>) {
  const ran = run('dist/cli.js', commandArguments, environment)
  const code = await ran.ended
  return { code, stdout: ran.stdout, stderr: ran.stderr }
}

async function stop(started: Process): Promise<number | null> {
  started.child.kill('SIGTERM')
  return started.ended
}

/** The processes of PostgreSQL that work on the directory, whatever files say. */
function postgresOf(directory: string): number[] {
  const data = join(directory, 'postgres', 'data')
  if (process.platform !== 'linux') return existsSync(join(data, 'postmaster.pid')) ? [0] : []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === data
      } catch {
        return false
      }
    })
}

const found = (pattern: RegExp, text: string) => pattern.exec(text)?.[1] ?? ''
const passwordIn = (text: string) => found(/Password +(\S+)/, text)
const serviceSecretIn = (text: string) => found(/(lkv_[0-9A-Za-z]{49})/, text)

async function ownerAt(address: string, password: string) {
  const stranger = createClient({ url: address })
  const input = { email: 'owner@example.com', password }
  return stranger.with({ credential: unwrap((await stranger.signIn({ input })).signIn).sessionToken })
}

async function introspect(address: string, service: string, token: string): Promise<unknown> {
  const response = await fetch(`${address}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${service}` },
    body: new URLSearchParams({ token }),
  })
  return response.ok ? response.json() : response.status
}

describe('npm start, with the embedded database', { timeout: 60_000 }, () => {
  const directory = newDirectory()
  const environment = { DATA_DIRECTORY: directory }
  let password = ''
  let service = ''
  let token = ''

  it('is what these tests run', () => {
    expect(manifest.scripts.start).toMatch(/^(exec )?node dist\/main\.js$/)
    expect(manifest.bin.latchkey).toBe('dist/cli.js')
    expect(readFileSync(join(checkout, 'dist/cli.js'), 'utf8')).toMatch(/^#!\/usr\/bin\/env node\n/)
  })

  it('says at the first start how to sign in, and what it says is true', async () => {
    const first = await serving(environment)
    password = passwordIn(first.stdout)
    service = serviceSecretIn(first.stdout)
    expect(first.stdout).toContain('it is shown this once')
    expect(first.stdout).toContain(`Sign in at   ${first.address}`)
    expect(first.stdout).toContain('owner@example.com')

    const owner = await ownerAt(first.address, password)
    const created = unwrap((await owner.createToken({ input: { label: 'Jenkins', roleId: 'role_ci' } })).createToken)
    token = created.secret
    expect(await introspect(first.address, service, token)).toMatchObject({ active: true, label: 'Jenkins' })

    expect(await stop(first)).toBe(0)
    expect(first.stdout).toContain('Latchkey has stopped.')
    const log = first.stderr.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []))
    const asked = log.filter(({ operations }) => operations)
    expect(asked.map(({ level, operations }) => ({ level, operations }))).toEqual([
      { level: 30, operations: ['signIn'] },
      { level: 30, operations: ['createToken'] },
    ])
    expect(postgresOf(directory)).toEqual([])
  })

  it('prints no secret at a later start, accepts what there was, and refuses a start beside it', async () => {
    const later = await serving(environment)
    expect(later.stdout).not.toMatch(/Password|lkv_|first start/)
    expect(await introspect(later.address, service, token)).toMatchObject({ active: true })
    expect(await (await ownerAt(later.address, password)).viewer()).toMatchObject({
      viewer: { __typename: 'MemberViewer', member: { role: 'OWNER' } },
    })

    // Beside it, another one is refused, and the first goes on.
    const second = startServer(environment)
    expect(await second.ended).toBe(1)
    expect(second.stderr).toContain(`is in use by another Latchkey (process ${later.child.pid})`)
    expect(second.stderr).not.toMatch(/\n {4}at /)
    expect(await introspect(later.address, service, token)).toMatchObject({ active: true })
  })

  it('lets the command line work beside it', async () => {
    const server = await serving(environment)
    const added = await latchkey(['service', 'add', 'beside', '--json'], environment)
    expect(added).toMatchObject({ code: 0, stderr: '' })
    expect(await introspect(server.address, JSON.parse(added.stdout).secret, token)).toMatchObject({ active: true })
    const [listed, migrated, demo] = await Promise.all([
      latchkey(['service', 'list'], environment),
      latchkey(['migrate'], environment),
      latchkey(['demo'], environment),
    ])
    expect(listed).toMatchObject({ code: 0, stderr: '' })
    expect(listed.stdout).toContain('beside')
    expect(migrated).toMatchObject({ code: 0, stderr: '' })
    expect(demo).toMatchObject({ code: 0, stderr: '' })
    const removed = await latchkey(['service', 'remove', 'beside'], environment)
    expect(removed).toMatchObject({ code: 0, stderr: '' })
    expect(await introspect(server.address, JSON.parse(added.stdout).secret, token)).toBe(401)
    expect(await stop(server)).toBe(0)
    expect(postgresOf(directory)).toEqual([])
  })

  it('lets the command line work alone, several at once, and leaves nothing running', async () => {
    const all = await Promise.all(
      ['one', 'two', 'three'].map((name) => latchkey(['service', 'add', name, '--json'], environment)),
    )
    for (const ran of all) expect(ran.code, ran.stderr).toBe(0)
    const listed = await latchkey(['service', 'list', '--json'], environment)
    const names: string[] = JSON.parse(listed.stdout).map(({ name }: { name: string }) => name)
    expect(names).toEqual(['first-service', 'one', 'three', 'two'])
    expect(postgresOf(directory)).toEqual([])
  })

  it('leaves nothing running where the command line is interrupted', async () => {
    const interrupted = run('dist/cli.js', ['organization', 'list'], environment)
    while (postgresOf(directory).length === 0) await delay(5)
    interrupted.child.kill('SIGINT')
    expect(await interrupted.ended).toBe(130)
    expect(postgresOf(directory)).toEqual([])
  })

  it('answers at SIGTERM what is under way, takes nothing new, and ends with 0', async () => {
    const server = await serving(environment)
    const body = new URLSearchParams({ token }).toString()
    const { hostname, port } = new URL(server.address)
    const pending = request({
      ...{ hostname, port, method: 'POST', path: '/oauth/introspect' },
      headers: {
        authorization: `Bearer ${service}`,
        'content-type': 'application/x-www-form-urlencoded',
        'content-length': body.length,
      },
    })
    const answered = once(pending, 'response')
    pending.write(body.slice(0, 10))
    // Another connection, kept alive by its client, must not hold the end up.
    await introspect(server.address, service, token)
    server.child.kill('SIGTERM')
    await until(server, 'Finishing what is under way')
    await expect(fetch(`${server.address}/healthz`)).rejects.toThrow()
    pending.end(body.slice(10))
    const [response] = await answered
    expect(response.statusCode).toBe(200)
    response.resume()
    const since = Date.now()
    expect(await server.ended).toBe(0)
    expect(Date.now() - since).toBeLessThan(5_000)
    expect(postgresOf(directory)).toEqual([])
  })

  it('ends at once at a second signal, and the next start takes over what that leaves', async () => {
    const server = await serving(environment)
    const { hostname, port } = new URL(server.address)
    const pending = request({
      hostname,
      port,
      method: 'POST',
      path: '/oauth/introspect',
      headers: { 'content-length': 9 },
    })
    pending.once('error', () => undefined)
    pending.write('token')
    await delay(100)
    server.child.kill('SIGINT')
    await until(server, 'Finishing what is under way')
    // What arrives so soon after is the same Ctrl-C, passed on by npm.
    server.child.kill('SIGINT')
    await delay(700)
    expect(server.child.exitCode).toBeNull()
    server.child.kill('SIGINT')
    expect(await server.ended).toBe(130)
    const next = await serving(environment)
    expect(next.stdout).toContain('taken over')
    expect(await introspect(next.address, service, token)).toMatchObject({ active: true })
  })

  it('takes over after kill -9, and has lost nothing', async () => {
    const server = await serving(environment)
    const owner = await ownerAt(server.address, password)
    const created = unwrap((await owner.createToken({ input: { label: 'Late', roleId: 'role_ci' } })).createToken)
    server.child.kill('SIGKILL')
    await server.ended
    expect(await latchkey(['service', 'list'], environment)).toMatchObject({ code: 0 })
    const next = await serving(environment)
    expect(await introspect(next.address, service, created.secret)).toMatchObject({ active: true, label: 'Late' })
    expect(await stop(next)).toBe(0)
    expect(postgresOf(directory)).toEqual([])
  })

  it('means the same directory by a relative path, wherever the command line is called', async () => {
    const relative = `node_modules/.latchkey-${process.pid}`
    temporary.push(join(checkout, relative))
    const ran = spawn(process.execPath, [join(checkout, 'dist/cli.js'), 'service', 'list'], {
      cwd: tmpdir(),
      env: { PATH: process.env.PATH ?? '', DATA_DIRECTORY: relative },
    })
    const [code] = await once(ran, 'close')
    expect(code).toBe(0)
    expect(existsSync(join(checkout, relative, 'postgres'))).toBe(true)
    expect(existsSync(join(tmpdir(), relative))).toBe(false)
  })
})

describe('a start that does not succeed', { timeout: 60_000 }, () => {
  const used = newDirectory()

  it('stops its database where the port is taken, and the password is shown by the start that succeeds', async () => {
    const directory = used
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const refused = startServer({ DATA_DIRECTORY: directory, PORT: String(port) })
    expect(await refused.ended).toBe(1)
    expect(refused.stderr).toContain(`Port ${port} is taken by another program.`)
    expect(refused.stderr).not.toMatch(/\n {4}at /)
    expect(refused.stdout).not.toContain('Password')
    expect(postgresOf(directory)).toEqual([])
    other.close()
    const next = await serving({ DATA_DIRECTORY: directory })
    expect(await ownerAt(next.address, passwordIn(next.stdout))).toBeTruthy()
  })

  it('is stopped by a Ctrl-C, and leaves nothing running', async () => {
    const directory = newDirectory()
    const starting = startServer({ DATA_DIRECTORY: directory })
    await until(starting, 'Latchkey starts')
    starting.child.kill('SIGINT')
    expect(await starting.ended).toBe(0)
    expect(starting.stdout).toContain('Latchkey has stopped.')
    expect(postgresOf(directory)).toEqual([])
  })

  it.each([
    [{ HOST: '192.0.2.1' }, '192.0.2.1 is no address of this machine'],
    [{ HOST: 'no.such.host.invalid' }, 'is no address of this machine'],
    [{ PORT: '70000' }, 'The setting PORT'],
  ])('names the setting that is wrong: %j', async (settings, words) => {
    const refused = startServer({ DATA_DIRECTORY: used, ...settings })
    expect(await refused.ended).toBe(1)
    expect(refused.stderr).toContain(words)
    expect(refused.stderr).not.toMatch(/\n {4}at /)
    expect(postgresOf(used)).toEqual([])
  })
})

describe('npm start, on a PostgreSQL of one’s own', { timeout: 60_000 }, () => {
  const secret = 'the server key of the tests of starting'
  const ownerPassword = 'a password for the first owner'

  it('makes the first organization from BOOTSTRAP_*, once, and repeats no password', async () => {
    const { databaseUrl, drop } = await createDatabase()
    const environment = {
      DATABASE_URL: databaseUrl,
      LATCHKEY_SECRET: secret,
      BOOTSTRAP_ORGANIZATION: 'Example',
      BOOTSTRAP_EMAIL: 'owner@example.com',
      BOOTSTRAP_PASSWORD: ownerPassword,
    }
    const weak = startServer({ ...environment, BOOTSTRAP_PASSWORD: 'short' })
    expect(await weak.ended).toBe(1)
    expect(weak.stderr).toMatch(/BOOTSTRAP_PASSWORD\. A password has at least 12 characters/)

    const first = await serving(environment)
    expect(first.stdout).toContain('the one in BOOTSTRAP_PASSWORD')
    const service = serviceSecretIn(first.stdout)
    const second = await serving(environment, serveByCommand)
    expect(second.stdout).not.toMatch(/lkv_|BOOTSTRAP/)
    const owner = await ownerAt(second.address, ownerPassword)
    const created = unwrap((await owner.createToken({ input: { label: 'Both', roleId: 'role_ci' } })).createToken)
    for (const { address } of [first, second])
      expect(await introspect(address, service, created.secret)).toMatchObject({ active: true })
    expect(await stop(first)).toBe(0)
    expect(await introspect(second.address, service, created.secret)).toMatchObject({ active: true })
    expect(await stop(second)).toBe(0)
    for (const { stdout, stderr } of [weak, first, second]) expect(stdout + stderr).not.toContain(ownerPassword)
    await drop()
  })

  it('says how to make the first organization where nobody has', async () => {
    const { databaseUrl, drop } = await createDatabase()
    const environment = { DATABASE_URL: databaseUrl, LATCHKEY_SECRET: secret }
    const server = await serving(environment)
    expect(server.stdout).toContain('There is no organization yet')
    expect(server.stdout).toContain('npx latchkey organization create')
    expect(await stop(server)).toBe(0)
    await drop()
  })
})
