import { readFile } from 'node:fs/promises'
import { paginate, unwrap } from '@latchkey/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { codes, readPage } from './markdown.ts'
import { firstAnswer, freePort, writeProgram } from './shown-program.ts'
import { openWorld, password, type World } from './world.ts'

const { text, blocks, block, table } = await readPage(new URL('../sdk/README.md', import.meta.url))

let world: World
let ciToken: string
let jiraToken: string
beforeAll(async () => {
  world = await openWorld()
  const create = async (label: string, roleId: string) =>
    unwrap((await world.alpha.superAdmin.createToken({ input: { label, roleId } })).createToken).secret
  ciToken = await create('Scanner', 'role_ci')
  jiraToken = await create('Tracker', 'role_jira')
})
afterAll(() => world[Symbol.asyncDispose]())

const here = (code: string) => code.replaceAll('https://tokens.example.com', world.url)
const creation = block('ts', 'const verifier = createVerifier')

describe('the SDK’s README', () => {
  it('shows four programs of a client, three of a verifier and one for each framework, which are tried here, and no others', () => {
    const programs = blocks.filter(({ language }) => language === 'ts')
    expect(programs).toHaveLength(4 + 3 + 5)
    expect(blocks.filter(({ language }) => language !== 'ts').map((other) => other.text)).toEqual([
      'npm install @latchkey/sdk\n',
    ])
  })

  it('makes a token, tells refusals apart, signs in and reads pages as it says', async () => {
    await using program = await writeProgram(`
      ${here(block('ts', 'createClient({'))}
      const [email, password] = [process.env.EMAIL ?? '', process.env.PASSWORD ?? '']
      const seen: string[] = []
      const show = (secret: string) => void seen.push(secret.slice(0, 4))
      const warn = (message: string) => void seen.push(message)
      const mark = (issues: readonly { path: string }[]) => void seen.push(issues.map(({ path }) => path).join())
      async function create(input: { label: string; roleId: string }): Promise<void> {
        ${block('ts', 'switch (')}
      }
      for (const label of ['A pipeline in CI', 'a PIPELINE in CI', '']) await create({ label, roleId: 'role_ci' })
      ${block('ts', 'latchkey.signIn')}
      ${block('ts', 'paginate(')}
      console.log(JSON.stringify([token.label, secret.slice(0, 4), viewer.__typename, ...seen]))
    `)
    expect(await program.faults()).toBe('')
    const { email, sessionToken } = world.alpha.superAdmin
    const output = await program.output({ LATCHKEY_TOKEN: sessionToken, EMAIL: email, PASSWORD: password })
    const lines = output.trim().split('\n')
    expect(JSON.parse(lines.pop() ?? '')).toEqual([
      ...['Jenkins', 'lki_', 'MemberViewer', 'lki_'],
      ...['Another token is already called “a PIPELINE in CI”. Choose another label.', 'label'],
    ])
    const events = []
    for await (const { at, action } of paginate(world.alpha.superAdmin.auditEvents)) events.push(`${at} ${action}`)
    expect(lines).toEqual(['A pipeline in CI null', ...events])
  })

  it('verifies a token, shows what the verifier counts, and ends with its process, as it says', async () => {
    await using program = await writeProgram(`
      ${here(creation)}
      const secret = process.env.TOKEN ?? ''
      const startScan = (organizationId: string) => console.log(organizationId)
      ${block('ts', 'verifier.verify(')}
      ${block('ts', 'verifier.metrics(')}
      process.kill(process.pid, 'SIGTERM')
    `)
    expect(await program.faults()).toBe('')
    const output = await program.output({ LATCHKEY_SERVICE_SECRET: world.service.secret, TOKEN: ciToken })
    expect(output).toMatch(
      new RegExp(`^${world.alpha.id}\n(live|stale) since [\\d-]+T[\\d:.]+Z: 0 from the cache, 1 asked, in 1 calls\n$`),
    )
  })

  it.each(['express', 'fastify', 'hono', 'node', 'yoga'])(
    'guards a route as it says, and answers as it says: %s',
    async (framework) => {
      const port = await freePort()
      const example = block('ts', `@latchkey/sdk/${framework}'`).replaceAll('3000', String(port))
      await using program = await writeProgram(`${here(creation)}\n${example}`)
      expect(await program.faults()).toBe('')
      const service = program.start({ LATCHKEY_SERVICE_SECRET: world.service.secret })
      const url = `http://localhost:${port}/${framework === 'yoga' ? 'graphql?query={scansFor}' : 'scans'}`
      const ask = (...credentials: string[]) => {
        const headers = new Headers()
        for (const credential of credentials) headers.append('authorization', credential)
        return fetch(url, { method: framework === 'yoga' ? 'GET' : 'POST', headers })
      }
      await firstAnswer(ask)

      const accepted = await (await ask(`Bearer ${ciToken}`)).json()
      expect(framework === 'yoga' ? accepted.data : accepted).toEqual({ scansFor: world.alpha.id })
      const answers = []
      for (const response of [
        ...[await ask(), await ask('Basic eDp5'), await ask('Bearer lki_unknown'), await ask(`Bearer ${jiraToken}`)],
        ...[await ask(`Bearer ${ciToken}`, `Bearer ${ciToken}`), await ask('Bearer')],
      ]) {
        const { error } = await response.json()
        answers.push([String(response.status), error, response.headers.get('www-authenticate')?.slice(0, 18)])
      }
      const [none, unaccepted, lacking, unreadable] = table('| the request').map(([, status, error]) => [
        status,
        codes(error)[0],
        'Bearer realm="api"',
      ])
      expect(answers).toEqual([none, none, unaccepted, lacking, unreadable, unreadable])
      expect((await ask()).headers.get('www-authenticate')).toBe(codes(text.match(/A challenge to .+/)?.[0])[0])
      expect(await service.stop()).toBe('')
    },
  )

  it('says what is answered while Latchkey cannot be asked, and where it does not accept the service', async () => {
    const [, , , , unavailable, unaccepted] = table('| the request').map(([, status, error]) => [status, error])
    async function ask(address: string, secret: string) {
      const port = await freePort()
      const example = block('ts', `@latchkey/sdk/node'`).replaceAll('3000', String(port))
      await using program = await writeProgram(
        `${creation.replaceAll('https://tokens.example.com', address)}\n${example}`,
      )
      const service = program.start({ LATCHKEY_SERVICE_SECRET: secret })
      const headers = { authorization: `Bearer ${ciToken}` }
      const response = await firstAnswer(() => fetch(`http://localhost:${port}/scans`, { method: 'POST', headers }))
      return { response, error: (await response.json()).error, complaints: await service.stop() }
    }
    const refused = await ask(world.url, 'lkv_unknown')
    expect([String(refused.response.status), 'as the framework answers']).toEqual(unaccepted)
    expect(refused.complaints).toContain('VerifierCredentialError')

    const { response, error, complaints } = await ask(`http://127.0.0.1:${await freePort()}`, world.service.secret)
    expect([String(response.status), `\`${error}\``]).toEqual(unavailable)
    expect([response.headers.get('retry-after'), response.headers.get('www-authenticate')]).toEqual(['1', null])
    expect(complaints).toBe('')
  })

  it('lists every option that there is, and all that a verifier counts', async () => {
    /** The fields of an interface, as they are written. */
    async function fieldsOf(file: string, name: string): Promise<string[]> {
      const source = await readFile(new URL(`../sdk/src/${file}.ts`, import.meta.url), 'utf8')
      const [, body = ''] = new RegExp(`^export interface ${name} .*\\{\n([\\s\\S]*?)^\\}`, 'm').exec(source) ?? []
      return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, field = '']) => field)
    }
    const rows = [...text.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name)
    const options = await fieldsOf('verifier', 'VerifierOptions')
    expect(rows.join()).toContain(options.join())
    expect(rows.join()).toContain([...(await fieldsOf('bearer', 'RequireTokenOptions')), 'usedFrom', 'onError'].join())
    expect(await fieldsOf('hono', 'HonoRequireTokenOptions')).toEqual(['usedFrom'])
    expect(await fieldsOf('yoga', 'YogaRequireTokenOptions')).toEqual(['usedFrom'])
    expect(await fieldsOf('node', 'NodeRequireTokenOptions')).toEqual(['usedFrom', 'onError'])
    for (const name of await fieldsOf('verifier', 'VerifierMetrics'))
      expect(text).toMatch(new RegExp(`[ \`]${name}[,\` ]`))
  })
})
