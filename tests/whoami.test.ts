import { createServer } from 'node:http'
import { PassThrough } from 'node:stream'
import { unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommandLine } from '../server/cli/run.ts'
import { openWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await openWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

/** With nothing of the tests' own environment, and no database: it is asked over HTTP alone. */
async function whoami(
  credential: string | undefined,
  { url = world.url, words = [] as string[], input: given = '' } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
  input.end(given)
  const environment = { LATCHKEY_URL: url, ...(credential !== undefined && { LATCHKEY_TOKEN: credential }) }
  const code = await runCommandLine(['whoami', ...words], { input, output, errors, environment })
  const ran = { code, stdout: String(output.read() ?? ''), stderr: String(errors.read() ?? '') }
  if (credential) for (const text of [ran.stdout, ran.stderr]) expect(text).not.toContain(credential)
  return ran
}

const create = async (label: string, roleId: string, expiresAt: string | null = null) =>
  unwrap((await world.alpha.owner.createToken({ input: { label, roleId, expiresAt } })).createToken)

describe('whoami', () => {
  it('says what a token may do, for whom, and until when', async () => {
    const { secret } = await create('Pipeline', 'role_ci', '2099-01-02T03:04:05.000Z')
    const stdout = `The integration token “Pipeline” of Alpha (alpha).
Role      CI Token: apps:read, scans:write, findings:read
Expires   2099-01-02 03:04 UTC
`
    expect(await whoami(secret)).toEqual({ code: 0, stdout, stderr: '' })
    expect(await whoami(`  ${secret}\n`)).toMatchObject({ code: 0, stdout })
    expect(await whoami(undefined, { input: `${secret}\n` })).toMatchObject({ code: 0, stdout })
    expect(await whoami(secret, { url: 'http://127.0.0.1:9', words: ['--url', world.url] })).toMatchObject({ stdout })
  })

  it('says it of tokens without an end, of members and of services, and as JSON', async () => {
    const { secret } = await create('For Jira', 'role_jira')
    expect((await whoami(secret)).stdout).toContain('Expires   never\n')
    const { alpha, service } = world
    const { secret: personal } = (await alpha.powerUser.resetAccessToken()).resetAccessToken
    expect((await whoami(personal)).stdout).toBe(
      'power-user (power-user@alpha.example), POWER_USER of Alpha (alpha).\n',
    )
    expect((await whoami(service.secret)).stdout).toBe('The service “scanner”: tokens:verify.\n')
    expect(JSON.parse((await whoami(secret, { words: ['--json'] })).stdout)).toEqual({
      __typename: 'TokenViewer',
      token: {
        label: 'For Jira',
        expiresAt: null,
        role: { label: 'Jira', permissions: ['apps:read', 'findings:read', 'findings:comment'] },
      },
      organization: { name: 'Alpha', slug: 'alpha' },
    })
  })

  it('says what is wrong with one that is missing, mistyped, expired or not accepted here', async () => {
    const { secret, token } = await create('Short-lived', 'role_ci', '2099-01-01T00:00:00.000Z')
    const mistyped = secret.slice(0, -1) + (secret.endsWith('0') ? '1' : '0')
    for (const given of [mistyped, 'ghp_something_else', `${secret}x`, secret.slice(0, 30)]) {
      expect(await whoami(given)).toEqual({
        code: 1,
        stdout: '',
        stderr:
          'This is no credential of Latchkey, or it was not copied whole: it does not have the form “lki_…”, or its checksum does not fit.\n',
      })
    }
    await world.sql(`update integration_tokens set expires_at = now() where id = $1`, [token.id])
    const expired = await whoami(secret)
    expect(expired).toMatchObject({ code: 1, stdout: '' })
    expect(expired.stderr).toMatch(/^The credential is not accepted\. It may have expired/)
    for (const nothing of ['', undefined]) {
      const missing = await whoami(nothing)
      expect(missing).toMatchObject({ code: 2, stdout: '' })
      expect(missing.stderr).toMatch(/^There is no credential: LATCHKEY_TOKEN is empty/)
    }
    const scim = await whoami((await create('Okta', 'role_scim')).secret)
    expect(scim).toMatchObject({ code: 1, stderr: 'A token of the role SCIM is good at /scim/v2 and nowhere else.\n' })
  })

  it('says so where no Latchkey answers, and sends the credential to nobody else', async () => {
    const { secret } = await create('Elsewhere', 'role_ci')
    const asked: (string | undefined)[] = []
    const elsewhere = createServer(({ headers }, response) => {
      asked.push(headers.authorization)
      response.writeHead(200).end('<html>')
    })
    const redirecting = createServer((_request, response) => {
      const address = elsewhere.address()
      const port = typeof address === 'object' && address ? address.port : 0
      response.writeHead(302, { location: `http://127.0.0.1:${port}/graphql` }).end()
    })
    const addresses = await Promise.all(
      [elsewhere, redirecting].map(
        (server) =>
          new Promise<string>((resolve) => {
            server.listen(0, '127.0.0.1', () => {
              const address = server.address()
              resolve(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`)
            })
          }),
      ),
    )
    const [other = '', leading = ''] = addresses
    expect((await whoami(secret, { url: leading })).stderr).toBe(`There is no Latchkey to be reached at ${leading}.\n`)
    expect(asked).toEqual([])
    expect((await whoami(secret, { url: other })).stderr).toBe(`What answers at ${other} is no Latchkey.\n`)
    for (const server of [elsewhere, redirecting]) server.close().closeAllConnections()
    expect((await whoami(secret, { url: other })).stderr).toBe(`There is no Latchkey to be reached at ${other}.\n`)
    expect(await whoami(secret, { url: 'not an address' })).toMatchObject({ code: 2 })
  })
})
