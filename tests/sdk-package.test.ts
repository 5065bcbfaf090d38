import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openWorld, password, type World } from './world.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')

/** What a consumer's program does, whichever way it loads the package; it prints what it saw. */
const program = `
const [url, credential, label] = process.argv.slice(2)
async function main() {
  const latchkey = createClient({ url, credential })
  const input = { label, roleId: 'role_ci', expiresAt: new Date(Date.now() + 86_400_000) }
  const { token, secret } = unwrap((await latchkey.createToken({ input })).createToken)
  const refusal = await latchkey.createToken({ input }).then((result) => unwrap(result.createToken)).catch((error) => error)
  const labels = []
  for await (const { label } of paginate(latchkey.integrationTokens)) labels.push(label)
  const denied = await latchkey.with({ credential: 'lks_unknown' }).viewer().catch((error) => error)
  console.log(JSON.stringify({
    label: token.label,
    role: token.role.id,
    hasSecret: secret.startsWith('lki_'),
    refusal: refusal instanceof RefusalError && refusal.code,
    listed: labels.includes(label),
    denied: denied instanceof RequestError && [denied.code, denied.status],
  }))
}
main()
`
const names = '{ createClient, paginate, RefusalError, RequestError, unwrap }'
const programs = {
  'program.mjs': `import ${names} from '@latchkey/sdk'\n${program}`,
  // Newer versions of Node load an ES module by require too; version 20 does not.
  'program.cjs': `
    const ${names} = require('@latchkey/sdk')
    if (!/cjs.index.js$/.test(require.resolve('@latchkey/sdk'))) throw new Error('Not the CommonJS build.')
    ${program}`,
}

/** Compiles only where each result union is exactly what the contract says, and nothing has turned into `any`. */
const consumer = `
import {
  type AuditEvent, type ChangePasswordResult, type CreateTokenInput, type CreateTokenResult, createClient, type DeleteTokenResult,
  type EndSessionResult, type IntegrationToken, type Latchkey, LatchkeyError, type OrganizationRole, paginate, type RegenerateTokenResult,
  type RefusalCode, RefusalError, RequestError, type Session, type SignInResult, type SwitchOrganizationResult, type TokenRole,
  type TokenVerification, type UpdateTokenResult, unwrap, type Viewer,
} from '@latchkey/sdk'
import { requireToken } from '@latchkey/sdk/express'
import {
  createVerifier, type RefusedToken, type Verdict, type VerifiedToken, type Verifier, VerifierCredentialError,
  type VerifierMetrics, type VerifierOptions, type VerifierState, VerifierUnavailableError,
} from '@latchkey/sdk/verifier'

function unreachable(value: never): never {
  throw new Error(String(value))
}

export function onCreate(result: CreateTokenResult): string {
  switch (result.__typename) {
    case 'CreateTokenPayload': return result.secret + result.token.role.permissions.join()
    case 'InvalidInput': return result.issues.map(({ path, message }) => path + message).join()
    case 'LabelTaken': return result.message
    case 'IdempotencyKeyReused': return result.message
    default: return unreachable(result)
  }
}

export function onUpdate(result: UpdateTokenResult): string {
  switch (result.__typename) {
    case 'UpdateTokenPayload': return result.token.label
    case 'ConfirmationNeeded': return result.message
    case 'InvalidInput': return result.issues.map(({ path, message }) => path + message).join()
    case 'LabelTaken': return result.message
    case 'TokenNotFound': return result.message
    default: return unreachable(result)
  }
}

export function onRegenerate(result: RegenerateTokenResult): string {
  switch (result.__typename) {
    case 'RegenerateTokenPayload': return result.secret
    case 'InvalidInput': return result.issues.map(({ path, message }) => path + message).join()
    case 'TokenNotFound': return result.message
    default: return unreachable(result)
  }
}

export function onDelete(result: DeleteTokenResult): string {
  switch (result.__typename) {
    case 'DeleteTokenPayload': return result.deletedTokenId
    case 'ConfirmationNeeded': return result.message
    case 'TokenNotFound': return result.message
    default: return unreachable(result)
  }
}

export function onSignIn(result: SignInResult): string {
  switch (result.__typename) {
    case 'SignInPayload': return result.sessionToken + result.viewer.member.displayName
    case 'SignInRefused': return result.message
    case 'TooManyAttempts': return result.message + result.retryAfterSeconds.toFixed()
    default: return unreachable(result)
  }
}

export function onSwitch(result: SwitchOrganizationResult): string {
  switch (result.__typename) {
    case 'SignInPayload': return result.viewer.organization.slug
    case 'NotAMember': return result.message
    default: return unreachable(result)
  }
}

export function onEndSession(result: EndSessionResult): string {
  switch (result.__typename) {
    case 'EndSessionPayload': return result.endedSessionId
    case 'SessionNotFound': return result.message
    default: return unreachable(result)
  }
}

export function onChangePassword(result: ChangePasswordResult): string {
  switch (result.__typename) {
    case 'ChangePasswordPayload': return result.sessionToken + result.expiresAt
    case 'InvalidInput': return result.issues.map(({ path, message }) => path + message).join()
    case 'WrongPassword': return result.message
    case 'TooManyAttempts': return result.message + result.retryAfterSeconds.toFixed()
    default: return unreachable(result)
  }
}

export function onRefusal(code: RefusalCode): number {
  switch (code) {
    case 'InvalidInput': return 1
    case 'LabelTaken': return 2
    case 'IdempotencyKeyReused': return 3
    case 'TokenNotFound': return 4
    case 'SignInRefused': return 5
    case 'TooManyAttempts': return 6
    case 'NotAMember': return 7
    case 'SessionNotFound': return 8
    case 'WrongPassword': return 9
    case 'GroupNotFound': return 10
    case 'ConfirmationNeeded': return 11
    case 'MemberNotFound': return 12
    case 'OwnerProtected': return 13
    case 'TokenRoleNotFound': return 14
    case 'TokenRoleInUse': return 15
    case 'TooManyTokenRoles': return 16
    case 'WebhookNotFound': return 17
    case 'TooManyWebhooks': return 18
    case 'DeliveryNotFound': return 19
    case 'AlreadyMember': return 20
    case 'InvitationNotFound': return 21
    case 'TooManyInvitations': return 22
    default: return unreachable(code)
  }
}

export function nameOf(viewer: Viewer): string {
  switch (viewer.__typename) {
    case 'MemberViewer': return viewer.member.email
    case 'TokenViewer': return viewer.token.label
    case 'ServiceViewer': return viewer.name
    default: return unreachable(viewer)
  }
}

export function adviceOn(error: unknown): string {
  if (!(error instanceof LatchkeyError)) throw error
  if (error instanceof RefusalError) return error.refusal.__typename === 'InvalidInput' ? error.refusal.message : error.code
  if (!(error instanceof RequestError)) return error.code
  switch (error.code) {
    case 'UNAUTHENTICATED': case 'FORBIDDEN': case 'BAD_REQUEST': case 'INTERNAL': return error.message
    case 'RATE_LIMITED': return String(error.retryAfterSeconds ?? 1)
    case 'UNAVAILABLE': return String(error.status)
    default: return unreachable(error.code)
  }
}

export function aMissedRefusal(result: DeleteTokenResult): string {
  switch (result.__typename) {
    case 'DeleteTokenPayload': return result.deletedTokenId
    case 'ConfirmationNeeded': return result.message
    // @ts-expect-error TokenNotFound is not handled
    default: return unreachable(result)
  }
}

export async function useEverything(latchkey: Latchkey, input: CreateTokenInput): Promise<void> {
  const token: IntegrationToken = unwrap((await latchkey.createToken({ input })).createToken).token
  const creator: { id: string; email: string; displayName: string; role: OrganizationRole } | null = token.createdBy
  const { integrationTokens: { totalCount, nodes } } = await latchkey.integrationTokens({ first: 20, withTotalCount: true })
  const count: number | undefined = totalCount
  const role: TokenRole | undefined = nodes[0]?.role
  const { verifyTokenDigests } = await latchkey.verifyTokenDigests({ digests: ['00'], usedFrom: [null, '::1'] })
  const verifications: TokenVerification[] = verifyTokenDigests
  const events: AuditEvent[] = []
  for await (const event of paginate(latchkey.auditEvents)) events.push(event)
  const { signedOut } = unwrap((await latchkey.signOut()).signOut)
  const sessions: Session[] = (await latchkey.sessions()).sessions
  const current: boolean | undefined = sessions[0]?.current
  const { endedSessions } = unwrap((await latchkey.endOtherSessions()).endOtherSessions)
  const secret: string = unwrap((await latchkey.resetAccessToken()).resetAccessToken).secret
  console.log(creator, count, role, verifications, signedOut, secret, current, endedSessions)
  await latchkey.updateToken({ input: { id: token.id, expiresAt: null, enabled: false, description: undefined } })
  await latchkey.regenerateToken({ input: { id: token.id, overlapSeconds: 3600 } })
  await latchkey.createToken({ input: { label: 'Jenkins', roleId: 'role_ci', expiresAt: new Date() } })
  createClient({ url: new URL('https://tokens.example.com'), credential: async () => undefined, fetch }).with({})

  // @ts-expect-error a token has a role
  await latchkey.createToken({ input: { label: 'Jenkins' } })
  // @ts-expect-error no such field
  await latchkey.createToken({ input: { label: 'Jenkins', roleId: 'role_ci', organizationId: 'org_1' } })
  // @ts-expect-error an answer's instants are strings
  token.createdAt.getTime()
  // @ts-expect-error a refusal has no token
  void (await latchkey.createToken({ input })).createToken.token
  // @ts-expect-error no such sort
  await latchkey.integrationTokens({ sort: 'SECRET_ASC' })
  // @ts-expect-error a stream is not called
  latchkey.tokenInvalidations
  // @ts-expect-error there must be an address
  createClient({})
}

export async function verify(options: VerifierOptions): Promise<VerifiedToken | number> {
  const states: VerifierState[] = []
  const verifier: Verifier = createVerifier({ ...options, credential: undefined, onStateChange: (state) => states.push(state) })
  const metrics: VerifierMetrics = verifier.metrics()
  console.log(metrics.stateSince.getTime(), metrics.hits + metrics.calls, metrics.state satisfies 'live' | 'stale')
  try {
    const verdict: Verdict = await verifier.verify('lki_', { usedFrom: undefined })
    if (verdict.active) return verdict
    const refused: RefusedToken = verdict
    // @ts-expect-error of a token that is refused, nothing is told
    void refused.organizationId
    return 401
  } catch (error) {
    if (error instanceof VerifierUnavailableError) return error.retryAfterSeconds
    if (!(error instanceof VerifierCredentialError)) throw error
    switch (error.code) {
      case 'UNAUTHENTICATED': return 1
      case 'FORBIDDEN': return 2
      default: return unreachable(error.code)
    }
  } finally {
    await verifier.close()
  }
}

export function change(token: VerifiedToken): Date | null {
  // @ts-expect-error it is shared with the next request
  token.permissions.push('tokens:manage')
  // @ts-expect-error and so is this
  token.organizationId = 'org_1'
  return token.expiresAt
}

/** Express's types are not needed for this, only for its routes. */
export const guard = requireToken({ verify: async () => ({ active: false }) }, { permission: ['scans:write'], realm: 'scans' })
`

/** How a consumer's compiler may find the types: the file's extension, the module's kind, the way of resolving. */
const resolutions = [
  ['mts', 'nodenext', 'nodenext'],
  ['cts', 'nodenext', 'nodenext'],
  ['cts', 'node20', 'node16'],
  ['ts', 'esnext', 'bundler'],
] as const
const frameworks = ['express', 'fastify', 'hono', 'node', 'yoga']

let project: string
let world: World

/** Of what the compiler has to say, all but what it finds in other packages' declarations. */
const withoutOthers = (report: string) =>
  report
    .split(/^(?=\S)/m)
    .filter((fault) => !/^[^(]*node_modules\/(?!@latchkey\/)/.test(fault))
    .join('')

const installed = () => join(project, 'node_modules', '@latchkey', 'sdk')

/** What the compiler has to say; nothing, where all is well. */
async function compile(cwd: string, file: string, module: string, resolution: string, others: string[]) {
  const options = ['--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--lib', 'es2022,dom']
  const modules = ['--module', module, '--moduleResolution', resolution]
  const tsc = join(root, 'node_modules', '.bin', 'tsc')
  return await run(tsc, [...options, ...modules, ...others, file], { cwd }).then(
    () => '',
    // tsc reports on stdout; without a report it did not run at all.
    (error: Error & { stdout?: string }) => error.stdout || error.message,
  )
}

/**
 * A project that has the frameworks as well, as they are installed here. The package is copied: by a link, Node and the
 * compiler would look for the frameworks where it really is.
 */
async function openFrameworks(): Promise<string> {
  const folder = join(project, 'frameworks')
  for (const name of [
    ...['express', 'fastify', 'hono', '@hono/node-server', 'graphql-yoga', 'graphql'],
    ...['@types/node', '@types/express'],
  ]) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, 'node_modules', name), link, 'junction')
  }
  await cp(installed(), join(folder, 'node_modules', '@latchkey', 'sdk'), { recursive: true })
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer-of-frameworks', private: true }))
  return folder
}

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'latchkey-consumer-'))
  const packed = await run('npm', ['pack', '-w', 'sdk', '--json', '--pack-destination', project], { cwd: root })
  expect(packed.stderr).not.toContain('ERR!')
  const tarball = (await readdir(project)).find((name) => name.endsWith('.tgz')) ?? ''
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
  const quick = ['--prefer-offline', '--no-audit', '--no-fund']
  // npm tells the scripts that it runs about its own project; without --prefix it would install there.
  await run('npm', ['install', ...quick, '--prefix', project, join(project, tarball)], { cwd: project })
  world = await openWorld()
}, 120_000)

afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await rm(project, { recursive: true, force: true })
})

describe('the published package', () => {
  it.each(Object.entries(programs))('works in an empty project: %s', async (file, source) => {
    await writeFile(join(project, file), source)
    const label = `Packed, ${file}`
    const { stdout, stderr } = await run(
      process.execPath,
      [file, world.url, world.alpha.superAdmin.sessionToken, label],
      {
        cwd: project,
        // Shorter than a call's own timeout: nothing that is left of a call may keep the program from ending.
        timeout: 8_000,
      },
    )
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({
      label,
      role: 'role_ci',
      hasSecret: true,
      refusal: 'LabelTaken',
      listed: true,
      denied: ['UNAUTHENTICATED', 401],
    })
  })

  it('is enough for the whole life of a token: made, verified, regenerated, disabled, deleted, and read back', async () => {
    const file = 'packed-sdk-program.ts'
    await copyFile(join(import.meta.dirname, file), join(project, file))
    const { email } = world.beta.owner
    const { stdout } = await run(process.execPath, [file, world.url, email, password, world.service.secret], {
      cwd: project,
    })
    const { events, ...seen } = JSON.parse(stdout)
    expect(seen).toEqual({
      wrongPassword: 'SignInRefused',
      scopes: {
        role_ci: 'apps:read scans:write findings:read',
        role_jira: 'apps:read findings:read findings:comment',
        role_scim: 'scim:provision',
        role_service_account: 'tokens:create-ci',
      },
      sameToken: true,
      duringOverlap: [true, true],
      afterOverlap: [false, true],
      disabled: 'DISABLED',
      whileDisabled: [false],
      enabled: 'ACTIVE',
      whileEnabled: [true],
      afterDeletion: [false, false],
      sessionAfterReset: 'UNAUTHENTICATED',
      heard: ['INTEGRATION_TOKEN', 'Pipeline', 'org_', 'apps:read scans:write findings:read'],
      heardLater: [false, true, false],
      verifier: [true, 0],
    })
    // What the world itself did comes before.
    const own = events.slice(events.findIndex(({ action }: { action: string }) => action === 'session.sign_in_failed'))
    expect(own.map(({ action, target }: { action: string; target: string | null }) => [action, target])).toEqual([
      ['session.sign_in_failed', null],
      ['session.signed_in', null],
      ['token.created', 'A role_ci'],
      ['token.created', 'A role_jira'],
      ['token.created', 'A role_scim'],
      ['token.created', 'A role_service_account'],
      ['token.created', 'Pipeline'],
      ['token.regenerated', 'Pipeline'],
      ['token.disabled', 'Pipeline'],
      ['token.enabled', 'Pipeline'],
      ['token.deleted', 'Pipeline'],
      ['access_token.reset', email],
    ])
    expect(new Set(own.map(({ actor }: { actor: string }) => actor))).toEqual(new Set([email]))
  })

  it.each(resolutions)(
    'has exact types, its own declarations checked as well: consumer.%s as %s, resolved as %s',
    async (extension, module, resolution) => {
      const file = `consumer.${extension}`
      await writeFile(join(project, file), consumer)
      expect(await compile(project, file, module, resolution, ['--noEmit', '--types', ''])).toBe('')
    },
  )

  it('can be loaded whole, by import and by require, where no framework is installed', async () => {
    const { exports } = JSON.parse(await readFile(join(installed(), 'package.json'), 'utf8'))
    expect(await readdir(join(project, 'node_modules'))).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(express|fastify|hono|graphql-yoga|@hono|@types)$/)]),
    )
    const specifiers = Object.keys(exports).map((path) => path.replace(/^\./, '@latchkey/sdk'))
    const show = (load: string) => `
      const loaded = {}
      for (const specifier of ${JSON.stringify(specifiers)}) loaded[specifier] = Object.keys(${load}).sort()
      console.log(JSON.stringify(loaded))`
    await writeFile(join(project, 'load.mjs'), show('await import(specifier)'))
    // Newer versions of Node add a name of their own to what they give of an ES module, which the CommonJS build is not.
    await writeFile(join(project, 'load.cjs'), show('require(specifier)'))
    const names = {
      '@latchkey/sdk': ['LatchkeyError', 'RefusalError', 'RequestError', 'createClient', 'paginate', 'unwrap'],
      '@latchkey/sdk/verifier': [
        'LatchkeyError',
        'VerifierCredentialError',
        'VerifierUnavailableError',
        'createVerifier',
      ],
      ...Object.fromEntries(frameworks.map((framework) => [`@latchkey/sdk/${framework}`, ['requireToken']])),
    }
    for (const file of ['load.mjs', 'load.cjs']) {
      const { stdout } = await run(process.execPath, [file], { cwd: project })
      expect(JSON.parse(stdout), file).toEqual(names)
    }
    for (const [path, { import: esm, require: cjs }] of Object.entries<Record<string, string>>(exports)) {
      const name = path === '.' ? 'index' : path.slice(2)
      expect([esm, cjs]).toEqual([`./dist/esm/${name}.js`, `./dist/cjs/${name}.js`])
    }
  })

  describe('beside the frameworks', () => {
    const file = 'packed-middleware-program'
    let folder: string
    beforeAll(async () => {
      folder = await openFrameworks()
    })

    it.each([
      ['mts', 'mjs'],
      ['cts', 'cjs'],
    ])('guards a route in each of them, with its types: a program in .%s', async (extension, compiled) => {
      await copyFile(join(import.meta.dirname, `${file}.ts`), join(folder, `${file}.${extension}`))
      const report = await compile(folder, `${file}.${extension}`, 'nodenext', 'nodenext', ['--types', 'node'])
      expect(withoutOthers(report)).toBe('')
      const source = await readFile(join(folder, `${file}.${compiled}`), 'utf8')
      expect(source.includes('require("@latchkey/sdk/express")')).toBe(compiled === 'cjs')

      const create = async (roleId: string) =>
        unwrap(
          (await world.alpha.superAdmin.createToken({ input: { label: `${roleId}, ${extension}`, roleId } }))
            .createToken,
        ).secret
      const secrets = ['lki_unknown', await create('role_jira'), await create('role_ci')]
      const given = [`${file}.${compiled}`, world.url, world.service.secret, ...secrets]
      const { stdout, stderr } = await run(process.execPath, given, { cwd: folder, timeout: 15_000 })
      expect(stderr).toBe('')
      const answers = [401, 401, 403, world.alpha.id]
      expect(JSON.parse(stdout)).toEqual({
        Express: answers,
        Fastify: answers,
        Hono: answers,
        Node: answers,
        Yoga: [...answers.slice(0, -1), { data: { organizationId: world.alpha.id } }],
      })
    })

    it.each(resolutions)(
      'has exact types for what is let in: a program in .%s as %s, resolved as %s',
      async (extension, module, resolution) => {
        await copyFile(join(import.meta.dirname, `${file}.ts`), join(folder, `typed.${extension}`))
        const report = await compile(folder, `typed.${extension}`, module, resolution, ['--noEmit', '--types', 'node'])
        expect(withoutOthers(report)).toBe('')
      },
    )
  })

  it('holds what a consumer needs and nothing else', async () => {
    const files = await readdir(installed(), { recursive: true, withFileTypes: true })
    const paths = files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name).slice(installed().length + 1))
    const others = paths.filter((path) => !/^dist\/(esm|cjs)\/[a-z-]+(\.d\.ts|\.js)$/.test(path)).sort()
    expect(others).toEqual(['LICENSE', 'README.md', 'dist/cjs/package.json', 'dist/esm/package.json', 'package.json'])
    expect(paths.filter((path) => path.includes('.test.'))).toEqual([])
    const needed = { programs: new Set<string>(), types: new Set<string>() }
    for (const path of paths) {
      const content = await readFile(join(installed(), path), 'utf8')
      expect(content, path).not.toContain(root)
      expect(content, path).not.toMatch(/workspace:/)
      for (const [, specifier = ''] of content.matchAll(/(?:from |require\(|import\()['"]([^.'"][^'"]*)['"]/g)) {
        if (path.endsWith('.js')) needed.programs.add(specifier)
        if (path.endsWith('.d.ts')) needed.types.add(`${path.slice('dist/esm/'.length)}: ${specifier}`)
      }
    }
    const { dependencies } = JSON.parse(await readFile(join(installed(), 'package.json'), 'utf8'))
    expect([...needed.programs].sort()).toEqual(Object.keys(dependencies).sort())
    const typesOfOthers = [...needed.types].filter((type) => !Object.hasOwn(dependencies, type.replace(/^.+: /, '')))
    expect(typesOfOthers.sort()).toEqual([
      'fastify.d.ts: fastify',
      'hono.d.ts: hono',
      'node.d.ts: node:http',
      'yoga.d.ts: graphql-yoga',
    ])
  })
})
