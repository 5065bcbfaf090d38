import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { createClient, unwrap } from '@latchkey/sdk'
import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Interrupted, openQuestions } from '../server/cli/questions.ts'
import { runCommandLine } from '../server/cli/run.ts'
import { readConfig } from '../server/config.ts'
import { startEmbeddedDatabase } from '../server/database/embedded.ts'
import { authenticate } from '../server/identity/principal.ts'
import { signIn } from '../server/identity/service.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { tellStory } from '../server/organizations/demo-story.ts'
import { createOrganization } from '../server/organizations/operator.ts'
import { start } from '../server/start.ts'
import { createDatabase } from './world.ts'

const checkout = fileURLToPath(new URL('..', import.meta.url))
const serverKey = 'the server key of the command line’s tests'
const origin = { ipAddress: null, userAgent: null }

interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

interface RunOptions {
  /** Standard input, which is closed after it. */
  input?: string
  environment?: Record<string, string>
}

/** Every password and secret that a test has set or been given, to be looked for where it must not be. */
const known: string[] = []
const secretPattern = /lk[ipsv]_[0-9A-Za-z]{49}/g

/** As it is called in the shell, with nothing of the tests' own environment. */
async function latchkey(
  commandArguments: string[],
  { input = '', environment = settings() }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(process.execPath, ['dist/cli.js', ...commandArguments], {
    cwd: checkout,
    env: { PATH: process.env.PATH ?? '', ...environment },
  })
  const ran: Ran = { code: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    ran.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    ran.stderr += text
  })
  child.stdin.end(input)
  const [code] = await once(child, 'close')
  ran.code = typeof code === 'number' ? code : null
  return withoutSecrets(ran)
}

/** The same within this process, in a tenth of the time. */
async function called(
  commandArguments: string[],
  { input: given = '', environment = settings() }: RunOptions = {},
): Promise<Ran> {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
  input.end(given)
  const code = await runCommandLine(commandArguments, { input, output, errors, environment })
  const text = (stream: PassThrough) => String(stream.read() ?? '')
  return withoutSecrets({ code, stdout: text(output), stderr: text(errors) })
}

function withoutSecrets(ran: Ran): Ran {
  for (const secret of [...known, ...(ran.stdout.match(secretPattern) ?? [])]) expect(ran.stderr).not.toContain(secret)
  return ran
}

async function latchkeyJson(commandArguments: string[], options?: RunOptions) {
  const ran = await called([...commandArguments, '--json'], options)
  expect(ran).toMatchObject({ code: 0, stderr: '' })
  return JSON.parse(ran.stdout)
}

let database: Awaited<ReturnType<typeof createDatabase>>
let dependencies: Awaited<ReturnType<typeof openDependencies>>
let superuser: pg.Client

beforeAll(async () => {
  database = await createDatabase()
  dependencies = await openDependencies({
    databaseUrl: database.databaseUrl,
    databaseConnections: 4,
    serverKey,
    tokenPrefix: 'lk',
    log: pino({ level: 'silent' }),
  })
  superuser = new pg.Client(database.databaseUrl)
  await superuser.connect()
})
afterAll(async () => {
  await superuser.end()
  await dependencies.close()
  await database.drop()
})

const settings = () => ({ DATABASE_URL: database.databaseUrl, LATCHKEY_SECRET: serverKey })
const principalOf = (secret: string) => authenticate(dependencies, secret, origin)
const signedIn = async (email: string, password: string, slug: string | null = null) =>
  (await signIn({ ...dependencies, origin }, { email, password, slug })).principal

async function eventsOf(slug: string): Promise<string[]> {
  const { rows } = await superuser.query<{ action: string; actor: string; target: string | null }>(
    `select action, actor, target from audit_events join organizations o on o.id = organization_id where slug = $1 order by at, audit_events.id`,
    [slug],
  )
  return rows.map(({ action, actor, target }) => `${actor} ${action} ${target}`)
}

const commands: Record<string, RegExp> = {
  whoami: /Asks the Latchkey at LATCHKEY_URL about the credential/,
  serve: /Serves until Ctrl-C, SIGINT or SIGTERM/,
  migrate: /prints what was applied/,
  'organization create': /Makes an organization and its one owner/,
  'organization list': /Lists every organization/,
  'organization add-domain': /every email address of the domain is the organization’s to give/,
  'organization remove-domain': /with a password that its person has already/,
  'member add': /Adds a person, new or known from another organization/,
  'member list': /Lists the members of an organization/,
  'member set-password': /Sets a new password for a person/,
  'member deactivate': /Ends every session of the member in the organization/,
  'member activate': /Lets the member sign in again/,
  'service add': /prints its secret, which is shown this once/,
  'service list': /Lists the registered services/,
  'service remove': /Every instance refuses its secret/,
  'secret status': /Counts the secrets and passwords that depend on each server key/,
  'audit verify': /names what was changed, removed or added/,
  demo: /a few hundred tokens in every state/,
}
const unwrapped = (text: string) => text.replace(/\s+/g, ' ')

describe('help', () => {
  it('says what every command does and shows an example of it, whatever the settings are', async () => {
    const environment = { DATABASE_URL: 'this is no address', LATCHKEY_SECRET: 'short' }
    for (const [command, sentence] of Object.entries(commands)) {
      const ran = await called([...command.split(' '), '--help'], { environment })
      expect(ran, command).toMatchObject({ code: 0, stderr: '' })
      expect(unwrapped(ran.stdout)).toMatch(sentence)
      expect(ran.stdout).toContain(`Examples:\n  latchkey ${command}`)
      expect(ran.stdout).not.toMatch(/--password </)
    }
  })

  it('lists every command, and where the database and the settings are', async () => {
    const ran = await latchkey(['--help'])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    for (const command of Object.keys(commands)) expect(ran.stdout).toContain(`  ${command.split(' ')[0]} `)
    for (const word of ['DATABASE_URL', 'LATCHKEY_SECRET', 'DATA_DIRECTORY', '--json', 'exit code'])
      expect(ran.stdout).toContain(word)
    expect((await called(['help', 'member'])).stdout).toContain('set-password')
  })

  it('is what a call without a command gets, as an error', async () => {
    for (const call of [[], ['organization'], ['member'], ['service'], ['secret'], ['audit']]) {
      const ran = await called(call)
      expect(ran).toMatchObject({ code: 2, stdout: '' })
      expect(ran.stderr).toContain('Commands:')
    }
  })

  it('tells the version of the package', async () => {
    expect(await latchkey(['--version'])).toEqual({ code: 0, stdout: '0.1.0\n', stderr: '' })
  })
})

describe('npx latchkey', () => {
  it('runs in the checkout with the Node of the project, whichever the machine has, and without a network', async () => {
    const home = mkdtempSync(join(tmpdir(), 'latchkey-npx-'))
    const path = (process.env.PATH ?? '').split(delimiter).filter((directory) => !directory.includes('node_modules'))
    const environment = { PATH: path.join(delimiter), HOME: home, npm_config_offline: 'true', npm_config_cache: home }
    const runHere = (file: string, commandArguments: string[]) =>
      execFileSync(file, commandArguments, {
        cwd: checkout,
        env: environment,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
    expect(runHere('npx', ['latchkey', '--version'])).toBe('0.1.0\n')
    expect(runHere('npm', ['run', '--silent', 'latchkey', '--', '--version'])).toBe('0.1.0\n')
    rmSync(home, { recursive: true, force: true })
  })
})

describe('a call that is not understood', () => {
  it.each([
    [['frobnicate'], 'Unknown command'],
    [['organisation', 'list'], '(Did you mean organization?)'],
    [['serve', '--port', '80'], 'Unknown option'],
    [['service', 'add', 'a', 'b'], 'Too many arguments'],
    [['demo', '--seed', 'x'], 'whole number'],
    [['demo', '--organization'], 'argument missing'],
    [['member', 'add', '--generate-password', '--password-stdin'], 'cannot be used with'],
    [['organization', 'create'], '--name is missing'],
    [['organization', 'create', '--name', 'A'], '--owner-email is missing'],
    [['organization', 'create', '--name', 'A', '--slug', 'A B'], '--slug cannot be used. A slug has 1 to 63'],
    [['organization', 'create', '--name', '株式会社'], '--slug is missing'],
    [['organization', 'create', '--name', 'A', '--owner-email', 'nobody'], 'has the form name@example.com'],
    [
      ['organization', 'create', '--name', 'A', '--owner-email', 'a@a.example'],
      'give --generate-password, or --password-stdin',
    ],
    [
      ['organization', 'create', '--name', 'A', '--owner-email', 'a@a.example', '--password-stdin'],
      'Standard input is empty',
    ],
    [['member', 'add'], '--organization is missing'],
    [['member', 'add', '--organization', 'a'], '--email is missing'],
    [['member', 'add', '--organization', 'a', '--email', 'a@a.example'], '--role is missing'],
    [
      ['member', 'add', '--organization', 'a', '--email', 'a@a.example', '--role', 'boss'],
      'SUPER_ADMIN, POWER_USER, MEMBER, GUEST',
    ],
    [
      ['member', 'add', '--organization', 'a', '--email', 'a@a.example', '--role', 'OWNER'],
      'has its one owner already',
    ],
    [['organization', 'add-domain', '--organization', 'a'], '--domain is missing'],
    [['organization', 'add-domain', '--organization', 'a', '--domain', 'a@a.example'], 'such as acme.example'],
    [['member', 'list'], '--organization is missing'],
    [['member', 'set-password'], '--email is missing'],
    [['member', 'deactivate', '--organization', 'a'], '--email is missing'],
    [['member', 'activate', '--email', 'a@a.example'], '--organization is missing'],
    [['service', 'add'], 'The name of the service is missing'],
    [['service', 'add', 'Not A Name'], 'begins with a letter or a digit'],
  ])('%j ends with code 2 and says what to write: %s', async (call, words) => {
    const ran = await called(call)
    expect(ran).toMatchObject({ code: 2, stdout: '' })
    expect(ran.stderr).toContain(words)
    expect(ran.stderr).not.toMatch(/\n {4}at /)
  })

  it('ends the process with that code, whether the program or the command finds it', async () => {
    for (const call of [['frobnicate'], ['organization', 'create']])
      expect(await latchkey(call)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/\.\n$/) })
  })

  it('takes a password from no argument, and repeats none that was given as one', async () => {
    for (const call of [
      ['member', 'set-password', '--email', 'a@a.example', '--password=do not repeat me'],
      ['member', 'set-password', '--email', 'a@a.example', '--password', 'do not repeat me'],
      ['organization', 'create', '--owner-password=do not repeat me'],
    ]) {
      const ran = await called(call)
      expect(ran).toMatchObject({ code: 2, stdout: '' })
      expect(ran.stderr).toMatch(/Unknown option '--(owner-)?password'/)
      expect(ran.stderr).not.toContain('repeat me')
    }
  })
})

describe('a database that cannot be used', () => {
  it.each([
    [{ DATABASE_URL: 'postgres://127.0.0.1:1/nothing', LATCHKEY_SECRET: serverKey }, 'PostgreSQL cannot be reached'],
    [{ DATABASE_URL: 'postgres://127.0.0.1:1/nothing' }, 'LATCHKEY_SECRET is needed'],
    [{ DATABASE_URL: 'mysql://127.0.0.1/' }, 'DATABASE_URL is not a postgres:// address'],
    [{ DATA_DIRECTORY: '/dev/null' }, 'cannot use the data directory /dev/null'],
  ])('is a failure, code 1, with words and without a stack: %j', async (environment, words) => {
    const ran = await called(['service', 'list'], { environment })
    expect(ran).toMatchObject({ code: 1, stdout: '' })
    expect(ran.stderr).toContain(words)
    expect(ran.stderr).not.toMatch(/\n {4}at /)
  })

  it('is named where its login is wrong, or it is not there, without the password', async () => {
    const wrong = new URL(database.databaseUrl)
    wrong.password = 'not the password'
    const missing = new URL(database.databaseUrl)
    missing.pathname = '/nowhere'
    for (const [url, words] of [
      [wrong, 'Check its user and password'],
      [missing, 'does not exist'],
    ] as const) {
      const ran = await called(['service', 'list'], { environment: { ...settings(), DATABASE_URL: url.href } })
      expect(ran).toMatchObject({ code: 1, stdout: '' })
      expect(ran.stderr).toContain(words)
      expect(ran.stderr).not.toContain(url.password)
    }
  })
})

describe('organization', () => {
  it('is created with an owner who signs in with the generated password, and all of it is in its log', async () => {
    const made = await latchkeyJson([
      'organization',
      'create',
      '--name',
      'Acme Robots',
      '--owner-email',
      'Ada@Acme.example',
      '--generate-password',
    ])
    known.push(made.password)
    expect(made).toEqual({
      id: expect.stringMatching(/^org_/),
      name: 'Acme Robots',
      slug: 'acme-robots',
      owner: { email: 'ada@acme.example', name: 'ada' },
      password: expect.stringMatching(/^([a-z2-9]{5}-){5}[a-z2-9]{5}$/),
    })
    expect(await signedIn('ada@acme.example', made.password)).toMatchObject({ role: 'OWNER', organizationId: made.id })
    expect((await eventsOf('acme-robots')).slice(0, 2)).toEqual([
      'operator organization.created Acme Robots',
      'operator member.added ada@acme.example',
    ])
  })

  it('is created with a password from standard input, which is printed nowhere', async () => {
    known.push('carried in by a pipe')
    const ran = await latchkey(
      [
        ...['organization', 'create', '--name', 'Globex', '--slug', 'gx', '--owner-email', 'hank@globex.example'],
        ...['--owner-name', 'Hank Scorpio', '--password-stdin'],
      ],
      { input: 'carried in by a pipe\r\nand a second line that is no part of it\n' },
    )
    expect(ran).toEqual({
      code: 0,
      stderr: '',
      stdout:
        'The organization Globex (gx) is there. Its owner is hank@globex.example.\n' +
        'hank@globex.example signs in with the password that you have set.\n',
    })
    expect(await signedIn('hank@globex.example', 'carried in by a pipe')).toMatchObject({ role: 'OWNER' })
  })

  it('needs no password for an owner who is known, and refuses one', async () => {
    const create = ['organization', 'create', '--name', 'Globex Two', '--owner-email', 'hank@globex.example']
    const refused = await latchkey([...create, '--password-stdin'], { input: 'another password for hank\n' })
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('is known already, from another organization')
    const made = await latchkeyJson(create)
    expect(made).not.toHaveProperty('password')
    expect(await signedIn('hank@globex.example', 'carried in by a pipe', 'globex-two')).toMatchObject({ role: 'OWNER' })
  })

  it('is refused with code 1 where its slug is taken or the password is weak, and nothing is left of it', async () => {
    const create = ['organization', 'create', '--owner-email', 'new@new.example']
    const taken = await latchkey([...create, '--name', 'acme robots', '--generate-password'])
    expect(taken).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Another organization has this slug. Give another one with --slug.\n',
    })
    const weak = await called([...create, '--name', 'Weak', '--password-stdin'], { input: 'short\n' })
    expect(weak).toMatchObject({ code: 1, stdout: '' })
    expect(weak.stderr).toContain('at least 12 characters')
    const { rows } = await superuser.query(`select from people where email = 'new@new.example'`)
    expect(rows).toHaveLength(0)
  })

  it('has the domains that are confirmed, each of one organization alone, and its log says so', async () => {
    const call = (command: string, organization: string, domain: string) =>
      called(['organization', command, '--organization', organization, '--domain', domain])
    const added = await call('add-domain', 'gx', ' GLOBEX.example')
    expect(added).toMatchObject({ code: 0, stderr: '' })
    expect(added.stdout).toContain('globex.example is a domain of gx.')
    const having = (...domains: string[]) => expect.objectContaining({ slug: 'gx', domains })
    expect(await latchkeyJson(['organization', 'list'])).toContainEqual(having('globex.example'))
    for (const organization of ['gx', 'acme-robots']) {
      const taken = await call('add-domain', organization, 'globex.example')
      expect(taken).toMatchObject({ code: 1, stdout: '' })
      expect(taken.stderr).toContain('has this domain already')
    }
    const foreign = await call('remove-domain', 'acme-robots', 'globex.example')
    expect(foreign).toMatchObject({ code: 1, stdout: '' })
    expect(foreign.stderr).toContain('acme-robots has no domain globex.example')
    expect((await call('add-domain', 'nowhere', 'nowhere.example')).stderr).toContain('no organization with this slug')
    expect(await call('remove-domain', 'gx', 'Globex.Example')).toMatchObject({ code: 0, stderr: '' })
    expect(await latchkeyJson(['organization', 'list'])).toContainEqual(having())
    expect((await eventsOf('gx')).slice(-2)).toEqual([
      'operator organization.domain_added globex.example',
      'operator organization.domain_removed globex.example',
    ])
  })

  it('is listed, in a table and as JSON', async () => {
    const ran = await latchkey(['organization', 'list'])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toMatch(/^NAME +SLUG +OWNER +MEMBERS +DOMAINS +CREATED\n/)
    expect(ran.stdout).toMatch(/^Acme Robots +acme-robots +ada@acme\.example +1 +20\d\d-\d\d-\d\d \d\d:\d\d UTC$/m)
    expect(await latchkeyJson(['organization', 'list'])).toContainEqual({
      name: 'Globex',
      slug: 'gx',
      owner: 'hank@globex.example',
      members: 1,
      domains: [],
      createdAt: expect.stringMatching(/^20.*Z$/),
    })
  })
})

describe('member', () => {
  it.each([
    ['SUPER_ADMIN', 'SUPER_ADMIN'],
    ['power-user', 'POWER_USER'],
    ['Member', 'MEMBER'],
    ['guest', 'GUEST'],
  ])('is added as %s with a generated password', async (written, role) => {
    const email = `${role.toLowerCase()}@acme.example`
    const ran = await called([
      'member',
      'add',
      '--organization',
      'acme-robots',
      '--email',
      email,
      '--name',
      'Wei Zhang',
      '--role',
      written,
      '--generate-password',
    ])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toContain(`Wei Zhang is a member of acme-robots, as ${role}.`)
    const password = /Password +(\S+)/.exec(ran.stdout)?.[1] ?? ''
    known.push(password)
    expect(ran.stdout).toContain('shown this once')
    expect(await signedIn(email, password)).toMatchObject({ role })
    expect(await eventsOf('acme-robots')).toContain(`operator member.added ${email}`)
  })

  it('is added without a password where the person is known, also with --generate-password', async () => {
    const add = ['member', 'add', '--organization', 'acme-robots', '--email', 'hank@globex.example', '--role', 'MEMBER']
    expect(await latchkeyJson([...add, '--generate-password'])).toEqual({
      organization: 'acme-robots',
      email: 'hank@globex.example',
      name: 'hank',
      role: 'MEMBER',
      active: true,
    })
    expect(await signedIn('hank@globex.example', 'carried in by a pipe', 'acme-robots')).toMatchObject({
      role: 'MEMBER',
    })
    const again = await called(add)
    expect(again).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'The person is a member of this organization already.\n',
    })
  })

  it('is not added to an organization that is not there', async () => {
    const ran = await called([
      'member',
      'add',
      '--organization',
      'nowhere',
      '--email',
      'x@x.example',
      '--role',
      'GUEST',
      '--generate-password',
    ])
    expect(ran).toMatchObject({ code: 1, stdout: '' })
    expect(ran.stderr).toContain('There is no organization with this slug')
  })

  it('is listed with the others by power, and a name cannot command the terminal', async () => {
    await superuser.query(
      `update members set display_name = 'Evil' || chr(27) || '[2J' where person_id = (select id from people where email = 'guest@acme.example')`,
    )
    const ran = await latchkey(['member', 'list', '--organization', 'acme-robots'])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).not.toContain('\u001b')
    const roles = ran.stdout
      .split('\n')
      .flatMap((line) => /(OWNER|SUPER_ADMIN|POWER_USER|MEMBER|GUEST) +active/.exec(line)?.[1] ?? [])
    expect(roles).toEqual(['OWNER', 'SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'MEMBER', 'GUEST'])
    const listed = await latchkeyJson(['member', 'list', '--organization', 'acme-robots'])
    expect(listed[0]).toMatchObject({ email: 'ada@acme.example', role: 'OWNER', active: true })
    const nowhere = await called(['member', 'list', '--organization', 'nowhere'])
    expect(nowhere).toMatchObject({ code: 1, stdout: '' })
  })

  it('gets a new password, which ends every session and is in the log of every organization of theirs', async () => {
    const before = await signIn(
      { ...dependencies, origin },
      { email: 'hank@globex.example', password: 'carried in by a pipe', slug: 'gx' },
    )
    known.push('the second password of hank')
    const ran = await latchkey(['member', 'set-password', '--email', 'HANK@globex.example', '--password-stdin'], {
      input: 'the second password of hank\n',
    })
    expect(ran).toEqual({
      code: 0,
      stdout: 'hank@globex.example has a new password, and every session of theirs has ended.\n',
      stderr: '',
    })
    expect(await principalOf(before.sessionToken)).toBeNull()
    await expect(signedIn('hank@globex.example', 'carried in by a pipe')).rejects.toThrow()
    expect(await signedIn('hank@globex.example', 'the second password of hank')).toBeTruthy()
    for (const slug of ['gx', 'globex-two', 'acme-robots'])
      expect(await eventsOf(slug)).toContain('operator member.password_set hank@globex.example')
  })

  it('gets a generated password, printed once', async () => {
    const ran = await called(['member', 'set-password', '--email', 'ada@acme.example', '--generate-password'])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    const password = /Password +(\S+)/.exec(ran.stdout)?.[1] ?? ''
    known.push(password)
    expect(await signedIn('ada@acme.example', password)).toMatchObject({ role: 'OWNER' })
  })

  it('is out of an organization once deactivated, and in again once activated', async () => {
    const at = ['--organization', 'acme-robots', '--email', 'HANK@globex.example']
    const password = 'the second password of hank'
    const signIns = ['acme-robots', 'globex-two'].map((slug) =>
      signIn({ ...dependencies, origin }, { email: 'hank@globex.example', password, slug }),
    )
    const [here, elsewhere] = await Promise.all(signIns)
    expect(await called(['member', 'deactivate', ...at])).toEqual({
      code: 0,
      stdout:
        'hank@globex.example is deactivated in acme-robots: their sessions have ended, and their access token is refused. What tokens they made stay.\n',
      stderr: '',
    })
    expect(await principalOf(here?.sessionToken ?? '')).toBeNull()
    expect(await principalOf(elsewhere?.sessionToken ?? '')).toMatchObject({ name: 'hank@globex.example' })
    const again = () =>
      signIn({ ...dependencies, origin }, { email: 'hank@globex.example', password, slug: 'acme-robots' })
    await expect(again()).rejects.toThrow()
    expect((await called(['member', 'deactivate', ...at])).stderr).toContain('is deactivated already.')
    expect(await called(['member', 'activate', ...at])).toMatchObject({ code: 0, stderr: '' })
    expect(await principalOf(here?.sessionToken ?? '')).toBeNull()
    expect(await principalOf((await again()).sessionToken)).toMatchObject({ name: 'hank@globex.example' })
    expect((await eventsOf('acme-robots')).filter((event) => /activated/.test(event)).sort()).toEqual([
      'operator member.activated hank@globex.example',
      'operator member.deactivated hank@globex.example',
    ])
  })

  it('is not deactivated as the owner, nor where nobody is', async () => {
    for (const [slug, email, words] of [
      ['acme-robots', 'ada@acme.example', 'The owner of an organization cannot be deactivated.'],
      ['gx', 'ada@acme.example', 'ada@acme.example is no member of gx.'],
      ['nowhere', 'ada@acme.example', 'There is no organization with this slug.'],
      ['gx', 'ghost@acme.example', 'Nobody has the email address'],
    ] as const) {
      const refused = await called(['member', 'deactivate', '--organization', slug, '--email', email])
      expect(refused).toMatchObject({ code: 1, stdout: '' })
      expect(refused.stderr).toContain(words)
    }
  })

  it('gets none where nobody has the address, where it is common or short, and where nobody can be asked', async () => {
    const set = ['member', 'set-password', '--email']
    const nobody = await latchkey([...set, 'ghost@acme.example', '--generate-password'])
    expect(nobody).toMatchObject({ code: 1, stdout: '' })
    expect(nobody.stderr).toContain('Nobody has the email address ghost@acme.example')
    for (const [input, words] of [
      ['password1234\n', 'among those tried first'],
      ['short\n', 'at least 12 characters'],
    ] as const) {
      const refused = await called([...set, 'ada@acme.example', '--password-stdin'], { input })
      expect(refused).toMatchObject({ code: 1, stdout: '' })
      expect(refused.stderr).toContain(words)
    }
    const silent = await called([...set, 'ada@acme.example'], { input: 'a password that nobody asked for\n' })
    expect(silent).toMatchObject({ code: 2, stdout: '' })
    expect(silent.stderr).toContain('give --generate-password, or --password-stdin')
  })
})

describe('service', () => {
  it('is added with a secret that is shown this once and is good at once, listed, and removed', async () => {
    const ran = await latchkey(['service', 'add', 'scanner'])
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toContain('shown this once')
    const [secret = ''] = ran.stdout.match(secretPattern) ?? []
    known.push(secret)
    expect(await principalOf(secret)).toMatchObject({ kind: 'service', name: 'scanner' })

    const other = await latchkeyJson(['service', 'add', 'gateway'])
    expect(other).toEqual({ name: 'gateway', secret: expect.stringMatching(/^lkv_/) })
    expect(await principalOf(other.secret)).toMatchObject({ kind: 'service', name: 'gateway' })

    const listed = await latchkey(['service', 'list'])
    expect(listed).toMatchObject({ code: 0, stderr: '' })
    expect(listed.stdout).toMatch(new RegExp(`^scanner +…${secret.slice(-4)} +20.* UTC +(never|20.* UTC)$`, 'm'))
    expect(listed.stdout).not.toContain(secret)
    expect(await latchkeyJson(['service', 'list'])).toMatchObject([
      { name: 'gateway', hint: other.secret.slice(-4) },
      { name: 'scanner', hint: secret.slice(-4) },
    ])

    expect(await latchkey(['service', 'remove', 'scanner'])).toEqual({
      code: 0,
      stdout: 'The service scanner is removed. Its secret is refused from now on.\n',
      stderr: '',
    })
    expect(await principalOf(secret)).toBeNull()
    expect(await principalOf(other.secret)).not.toBeNull()
  })

  it('is refused where its name is taken, and not removed where there is none', async () => {
    const taken = await latchkey(['service', 'add', 'gateway'])
    expect(taken).toMatchObject({ code: 1, stdout: '' })
    expect(taken.stderr).toContain('Another service has this name')
    const missing = await latchkey(['service', 'remove', 'nobody'])
    expect(missing).toMatchObject({ code: 1, stdout: '' })
    expect(missing.stderr).toContain('There is no service of this name')
  })
})

describe('migrate', () => {
  const names = readdirSync(join(checkout, 'migrations')).flatMap((name) => /^(\d{4}_\w+)\.sql$/.exec(name)?.[1] ?? [])

  it('prints what it applied, then that there is nothing to apply, and needs no server key', async () => {
    const empty = await createEmptyDatabase()
    const environment = { DATABASE_URL: empty.href }
    const first = await latchkey(['migrate'], { environment })
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout.split('\n').slice(1, -1)).toEqual(names.map((name) => `  ${name}`))
    expect(await called(['migrate'], { environment })).toEqual({
      code: 0,
      stdout: 'The database is up to date: there was nothing to apply.\n',
      stderr: '',
    })
    await superuser.query(`drop database ${empty.pathname.slice(1)} with (force)`)
  })

  it('is all that a login which may create nothing waits for', async () => {
    const empty = await createEmptyDatabase()
    const owner = empty.href
    await superuser.query(`drop role if exists serving`)
    await superuser.query(`create role serving login password 'serving-password'`)
    await superuser.query('grant latchkey_server, latchkey_lookup to serving')
    const serving = Object.assign(new URL(owner), { username: 'serving', password: 'serving-password' }).href
    const environment = { DATABASE_URL: serving, LATCHKEY_SECRET: serverKey }
    const early = await latchkey(['service', 'list'], { environment })
    expect(early).toMatchObject({ code: 1, stdout: '' })
    expect(early.stderr).toContain('Run “latchkey migrate” once with a login that owns the database')
    expect(await latchkey(['migrate'], { environment: { DATABASE_URL: owner } })).toMatchObject({ code: 0 })
    expect(await latchkey(['service', 'add', 'scanner'], { environment })).toMatchObject({ code: 0, stderr: '' })
    await superuser.query(`drop database ${empty.pathname.slice(1)} with (force)`)
    await superuser.query(`drop role serving`)
  })

  it('works with a login that owns the database and may create roles, on a server that knows nothing of Latchkey', {
    timeout: 60_000,
  }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'latchkey-cluster-'))
    const cluster = await startEmbeddedDatabase({ directory, announce: () => undefined })
    try {
      const client = new pg.Client(cluster.url)
      await client.connect()
      await client.query(`create role operations login createrole password 'operations-password'`)
      await client.query('create database latchkey owner operations')
      await client.end()
      const login = { username: 'operations', password: 'operations-password', pathname: '/latchkey' }
      const environment = { DATABASE_URL: Object.assign(new URL(cluster.url), login).href, LATCHKEY_SECRET: serverKey }
      const migrated = await latchkey(['migrate'], { environment })
      expect(migrated).toMatchObject({ code: 0, stderr: '' })
      expect(migrated.stdout).toContain(`${names.length} migrations applied`)
      expect(await latchkey(['service', 'add', 'scanner'], { environment })).toMatchObject({ code: 0, stderr: '' })
    } finally {
      await cluster.stop()
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

async function createEmptyDatabase(): Promise<URL> {
  const name = `empty_${process.pid}_${Math.random().toString(36).slice(2)}`
  await superuser.query(`create database ${name}`)
  return Object.assign(new URL(inject('postgresUrl')), { pathname: `/${name}` })
}

describe('demo', () => {
  it('fills an organization within ten seconds, whose members sign in, and does nothing the second time', async () => {
    const before = Date.now()
    const ran = await latchkey(['demo'])
    expect(Date.now() - before).toBeLessThan(10_000)
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    expect(ran.stdout).toContain('The organization Acme Robotics (acme-robotics) is there')
    const password = /Password +(\S+)/.exec(ran.stdout)?.[1] ?? ''
    known.push(password)
    const addresses = [...ran.stdout.matchAll(/^(\S+@\S+) .* (OWNER|SUPER_ADMIN|POWER_USER|MEMBER|GUEST)$/gm)]
    expect(new Set(addresses.map(([, , role]) => role)).size).toBe(5)

    const environment = { ...settings(), PORT: '0', LOG_LEVEL: 'silent' }
    const running = await start(readConfig(environment), { log: pino({ level: 'silent' }), announce: () => undefined })
    try {
      const [, email = ''] = addresses[0] ?? []
      const stranger = createClient({ url: running.address })
      const { sessionToken } = unwrap((await stranger.signIn({ input: { email, password } })).signIn)
      const owner = stranger.with({ credential: sessionToken })
      const { nodes } = (await owner.integrationTokens({ first: 50, filter: { search: 'jira' } })).integrationTokens
      expect(nodes.length).toBeGreaterThan(5)
      expect(nodes.some(({ role }) => role.id === 'role_jira')).toBe(true)
      const { auditEvents } = await owner.auditEvents({ first: 5 })
      expect(auditEvents.nodes[0]).toMatchObject({ action: 'session.signed_in', actor: email })
    } finally {
      await running.close()
    }

    const count = async () => (await superuser.query('select count(*) from audit_events')).rows
    const counted = await count()
    const again = await latchkey(['demo'])
    expect(again).toMatchObject({ code: 0, stderr: '' })
    expect(again.stdout).toContain('is there already, and stays as it is')
    expect(await count()).toEqual(counted)
  })

  it('fills another organization of a name of one’s own, as JSON', async () => {
    const made = await latchkeyJson(['demo', '--organization', 'initech', '--seed', '7'])
    expect(made).toMatchObject({ created: true, slug: 'initech', name: 'Initech' })
    known.push(made.password)
    expect(await latchkeyJson(['demo', '--organization', 'initech'])).toEqual({ created: false, slug: 'initech' })
    const refused = await called(['demo', '--organization', 'No Slug'])
    expect(refused).toMatchObject({ code: 1, stdout: '' })
  })

  it('stores a year of tokens in every state, under row-level security, with their events', async () => {
    const { rows } = await superuser.query<Record<string, number>>(
      `select count(*)::int as tokens, count(distinct role_id)::int as roles,
         count(*) filter (where not enabled)::int as disabled, count(*) filter (where expires_at <= now())::int as expired,
         count(*) filter (where expires_at between now() and now() + interval '14 days')::int as expiring,
         count(*) filter (where last_used_at is null)::int as unused,
         count(*) filter (where last_used_at > now() - interval '10 minutes' and last_used_from is not null)::int as just_used,
         count(*) filter (where retired_secret_last_used_at is not null)::int as retired_use,
         (select count(*) from token_secrets s where s.organization_id = t.organization_id and accepted_until > now())::int as overlapping,
         extract(day from now() - min(t.created_at))::int as days
       from integration_tokens t join token_uses u on u.token_id = t.id
       join organizations o on o.id = t.organization_id where slug = 'acme-robotics' group by t.organization_id`,
    )
    const [seen = {}] = rows
    expect(seen.tokens).toBeGreaterThan(200)
    expect(seen.days).toBeGreaterThan(300)
    expect(seen.roles).toBe(4)
    for (const state of ['disabled', 'expired', 'expiring', 'unused', 'just_used', 'retired_use', 'overlapping'])
      expect(seen[state], state).toBeGreaterThan(0)
  })

  it('tells one story for a seed, and others for others', () => {
    const told = (seed: number, now = new Date('2026-11-24T04:00:00Z')) => {
      const { tokens, events } = tellStory({
        slug: 'acme',
        seed,
        now,
        randomBytes: (size) => Buffer.alloc(size, 7),
        issueSecret: () => ({ digest: Buffer.alloc(32), keyId: 'key', hint: 'hint' }),
      })
      return JSON.stringify({ tokens, events })
    }
    expect(told(1)).toBe(told(1))
    expect(told(1)).not.toBe(told(2))
    expect(told(1)).not.toBe(told(1, new Date('2026-11-25T04:00:00Z')))
  })

  it.each([1, 2, 3, 4, 5])('tells a story in which everything happens in order, with seed %i', (seed) => {
    const now = new Date(Date.UTC(2026, 10, 20 + seed, 5 * seed - 5))
    const { members, tokens, events } = tellStory({
      slug: 'acme',
      seed,
      now,
      randomBytes: (size) => Buffer.from(crypto.getRandomValues(new Uint8Array(size))),
      issueSecret: () => ({ digest: Buffer.alloc(32), keyId: 'key', hint: 'hint' }),
    })
    expect(events.filter(({ at }) => at > now)).toEqual([])
    expect(events.map(({ at }) => at.getTime())).toEqual(events.map(({ at }) => at.getTime()).sort((a, b) => a - b))

    const addedAt = new Map(members.map(({ id, createdAt }) => [id as string, createdAt]))
    const sessions = new Set<string>()
    for (const { action, actor, actorId, at } of events) {
      if (action === 'session.signed_in') sessions.add(actor)
      const joined = addedAt.get(actorId ?? '')
      if (!joined) continue
      expect(at > joined, `${actor} ${action}`).toBe(true)
      if (action !== 'session.sign_in_failed') expect(sessions.has(actor), `${actor} ${action}`).toBe(true)
    }

    const ofToken = Map.groupBy(
      events.filter(({ action }) => action.startsWith('token.')),
      ({ targetId }) => targetId,
    )
    for (const [id, [first, ...rest]] of ofToken) {
      expect(first?.action).toBe('token.created')
      const token = tokens.find((candidate) => candidate.id === id)
      const last = rest.at(-1)?.action ?? ''
      expect(token === undefined).toBe(['token.deleted', 'token.purged'].includes(last))
      expect(
        rest.slice(0, -1).some(({ action }) => ['token.created', 'token.deleted', 'token.purged'].includes(action)),
      ).toBe(false)
      if (token) {
        expect(token.createdAt).toEqual(first?.at)
        const switched = rest.filter(({ action }) => ['token.disabled', 'token.enabled'].includes(action)).at(-1)
        expect(token.enabled).toBe(switched?.action !== 'token.disabled')
        expect(token.secrets).toHaveLength(1 + rest.filter(({ action }) => action === 'token.regenerated').length)
      }
    }
    expect(ofToken.size).toBeGreaterThan(tokens.length)
    for (const { label, createdAt, lastUsedAt, expiresAt, secrets, retiredSecretLastUsedAt } of tokens) {
      expect(ofToken.size, label).toBeGreaterThan(0)
      const used = [lastUsedAt, retiredSecretLastUsedAt, ...secrets.map((secret) => secret.lastUsedAt)]
      for (const instant of used) if (instant) expect(instant >= createdAt && instant <= now, label).toBe(true)
      if (lastUsedAt && expiresAt) expect(lastUsedAt < expiresAt, label).toBe(true)
      const [current] = secrets
      if (current?.lastUsedAt) expect(current.lastUsedAt >= current.createdAt, label).toBe(true)
      // Otherwise the first purge would take it away.
      if (expiresAt) expect(now.getTime() - expiresAt.getTime()).toBeLessThan(85 * 86_400_000)
    }
    expect(new Set(tokens.map(({ label }) => label.toLowerCase())).size).toBe(tokens.length)
  })
})

describe('questions', () => {
  /** A keyboard and a screen that are no real ones. */
  function openTerminal() {
    const input = new PassThrough()
    const output = new PassThrough({ encoding: 'utf8' })
    let screen = ''
    output.on('data', (text: string) => {
      screen += text
    })
    return {
      questions: openQuestions({ input, output }),
      type: (keys: string) => input.write(keys),
      screen: () => screen,
    }
  }

  it('shows what is typed, and nothing of a hidden answer, also where both are pasted at once', async () => {
    const { questions, type, screen } = openTerminal()
    type('ada@acme.example\rsecret one\rsecret two\rAda\r')
    expect(await questions.ask('Email')).toBe('ada@acme.example')
    expect(await questions.askHidden('Password')).toBe('secret one')
    expect(await questions.askHidden('Again')).toBe('secret two')
    expect(await questions.ask('Name')).toBe('Ada')
    expect(screen()).toContain('Password: \nAgain: \nName: Ada\n')
    expect(screen()).not.toContain('secret')
    questions.close()
  })

  it('takes a correction, and asks again until the answer will do', async () => {
    const { questions, type, screen } = openTerminal()
    const hidden = questions.askHidden('Password', { problem: (text) => (text === 'right' ? null : 'Not that.') })
    type('wrong\r')
    await delay(50)
    type('righx\u007ft\r')
    expect(await hidden).toBe('right')
    const named = questions.ask('Role', { problem: (text) => (text === 'GUEST' ? null : 'No such role.') })
    type('\rboss\rGUEST\r')
    expect(await named).toBe('GUEST')
    const other = questions.ask('Name', { fallback: 'ada' })
    type('\r')
    expect(await other).toBe('ada')
    expect(screen()).toContain('Not that.')
    expect(screen()).toContain('An answer is needed here.')
    expect(screen()).toContain('No such role.')
    expect(screen()).toContain('Name [ada]: ')
    expect(screen()).not.toMatch(/wrong|right|righx/)
    questions.close()
  })

  it('ends on Ctrl-C and on Ctrl-D', async () => {
    for (const key of ['\u0003', '\u0004']) {
      const { questions, type } = openTerminal()
      const asked = questions.askHidden('Password')
      type(key)
      await expect(asked).rejects.toBeInstanceOf(Interrupted)
    }
  })

  /** A real terminal, as util-linux makes one. The answers are typed when their questions have come. */
  async function onTerminal(command: string, answers: [question: string, keys: string][]) {
    const environment = { PATH: process.env.PATH ?? '', TERM: 'xterm', ...settings() }
    const child = spawn('script', ['-qec', `${process.execPath} dist/cli.js ${command}`, '/dev/null'], {
      cwd: checkout,
      env: environment,
    })
    let screen = ''
    let seen = 0
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
      const [next] = answers
      const at = next ? screen.indexOf(next[0], seen) : -1
      if (!next || at < 0) return
      seen = at + next[0].length
      answers.shift()
      child.stdin.write(next[1])
    })
    const [code] = await once(child, 'close')
    return { code, screen: screen.replaceAll('\r', '') }
  }

  const person = { email: 'known@typed.example', password: 'known before anyone is asked' }
  beforeAll(async () => {
    await createOrganization(dependencies, { name: 'Questions', owner: person })
  })

  const hasScript = process.platform === 'linux' && isInstalled('script')

  it.runIf(hasScript)(
    'asks at a terminal for all that is missing, and does not show the password',
    { timeout: 30_000 },
    async () => {
      const typed = 'typed where nobody looks'
      const { code, screen } = await onTerminal('organization create', [
        ['Name of the organization: ', 'Typed Incorporated\r'],
        ['[typed-incorporated]: ', '\r'],
        ['Email address of its owner: ', 'tess@typed.example\r'],
        ['Name of the owner [tess]: ', 'Tess\r'],
        ['(not shown): ', 'short\r'],
        ['(not shown): ', `${typed}\r`],
        ['again: ', 'something else\r'],
        ['(not shown): ', `${typed}\r`],
        ['again: ', `${typed}\r`],
      ])
      expect(code, screen).toBe(0)
      expect(screen).toContain('at least 12 characters')
      expect(screen).toContain('The two are not the same.')
      expect(screen).toContain('The organization Typed Incorporated (typed-incorporated) is there.')
      expect(screen).not.toMatch(/typed where|short\n|something else/)
      expect(await signedIn('tess@typed.example', typed)).toMatchObject({ role: 'OWNER' })
    },
  )

  it.runIf(hasScript)('stops at Ctrl-C with code 130, and has changed nothing', { timeout: 30_000 }, async () => {
    const { code, screen } = await onTerminal('member set-password', [
      ['Email address: ', `${person.email}\r`],
      ['(not shown): ', 'half a passw\u0003'],
    ])
    expect(code, screen).toBe(130)
    expect(screen).not.toContain('half a')
  })

  it.runIf(hasScript)(
    'refuses to read a password from the keyboard as if it were a pipe',
    { timeout: 30_000 },
    async () => {
      const { code, screen } = await onTerminal(`member set-password --email ${person.email} --password-stdin`, [])
      expect(code).toBe(2)
      expect(screen).toContain('At a terminal, leave it out')
    },
  )
})

function isInstalled(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
