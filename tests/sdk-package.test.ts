import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
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
  type AuditEvent, type CreateTokenInput, type CreateTokenResult, createClient, type DeleteTokenResult,
  type IntegrationToken, type Latchkey, LatchkeyError, type OrganizationRole, paginate, type RegenerateTokenResult,
  type RefusalCode, RefusalError, RequestError, type SignInResult, type SwitchOrganizationResult, type TokenRole,
  type TokenVerification, type UpdateTokenResult, unwrap, type Viewer,
} from '@latchkey/sdk'

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

export function onRefusal(code: RefusalCode): number {
  switch (code) {
    case 'InvalidInput': return 1
    case 'LabelTaken': return 2
    case 'IdempotencyKeyReused': return 3
    case 'TokenNotFound': return 4
    case 'SignInRefused': return 5
    case 'TooManyAttempts': return 6
    case 'NotAMember': return 7
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
  const secret: string = unwrap((await latchkey.resetAccessToken()).resetAccessToken).secret
  console.log(creator, count, role, verifications, signedOut, secret)
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
`

let project: string
let world: World

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

  it.each([
    ['consumer.mts', 'nodenext', 'nodenext'],
    ['consumer.cts', 'nodenext', 'nodenext'],
    ['consumer.cts', 'node20', 'node16'],
    ['consumer.ts', 'esnext', 'bundler'],
  ])(
    'has exact types, its own declarations checked as well: %s as %s, resolved as %s',
    async (file, module, resolution) => {
      await writeFile(join(project, file), consumer)
      const options = ['--strict', '--noEmit', '--skipLibCheck', 'false', '--exactOptionalPropertyTypes']
      const platform = ['--target', 'es2022', '--lib', 'es2022,dom', '--types', '']
      const modules = ['--module', module, '--moduleResolution', resolution]
      const tsc = join(root, 'node_modules', '.bin', 'tsc')
      const report = await run(tsc, [...options, ...platform, ...modules, file], { cwd: project }).then(
        () => '',
        // tsc reports on stdout; without a report it did not run at all.
        (error: Error & { stdout?: string }) => error.stdout || error.message,
      )
      expect(report).toBe('')
    },
  )

  it('holds what a consumer needs and nothing else', async () => {
    const installed = join(project, 'node_modules', '@latchkey', 'sdk')
    const files = await readdir(installed, { recursive: true, withFileTypes: true })
    const paths = files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name).slice(installed.length + 1))
    const others = paths.filter((path) => !/^dist\/(esm|cjs)\/[a-z-]+(\.d\.ts|\.js)$/.test(path)).sort()
    expect(others).toEqual(['LICENSE', 'README.md', 'dist/cjs/package.json', 'dist/esm/package.json', 'package.json'])
    expect(paths.filter((path) => path.includes('.test.'))).toEqual([])
    for (const path of paths) {
      const content = await readFile(join(installed, path), 'utf8')
      expect(content, path).not.toContain(root)
      expect(content, path).not.toMatch(/workspace:|(from|require\()\s*'node:/)
    }
  })
})
