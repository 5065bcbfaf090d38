import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, unwrap } from '@latchkey/sdk'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { readConfig, settingNames } from '../server/config.ts'
import { isInstalled } from './installed.ts'
import { readPage } from './markdown.ts'
import { startServerProcess } from './server-process.ts'
import { createDatabase, password } from './world.ts'

const root = new URL('../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

const dockerfile = read('Dockerfile')
const balancer = read('deploy/haproxy.cfg')
const balancerSettings = new Set([...balancer.matchAll(/"\$\{(\w+)\}"/g)].map(([, name = '']) => name))
const stopSeconds = 10
const isHelmHere = isInstalled('helm')

describe('the Dockerfile', () => {
  const instructions = dockerfile.replaceAll('\\\n', ' ').split('\n')
  const stages = dockerfile.split(/^FROM /m).slice(1)
  const last = stages.at(-1) ?? ''

  it('copies only what there is, and what .dockerignore lets through', () => {
    const allowed = new Set(
      read('.dockerignore')
        .split('\n')
        .filter((line) => line.startsWith('!'))
        .map((line) => line.slice(1)),
    )
    const copied = instructions
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
      .flatMap((line) => line.split(' ').slice(1, -1))
    expect(copied.length).toBeGreaterThan(5)
    expect(copied.filter((path) => !existsSync(new URL(path, root)))).toEqual([])
    expect(copied.filter((path) => !allowed.has(path.split('/', 1)[0] ?? ''))).toEqual([])
  })

  it('has in the image what the server needs, which is no more than it copies', { timeout: 60_000 }, async () => {
    await using stack = new AsyncDisposableStack()
    const directory = await mkdtemp(join(tmpdir(), 'latchkey-image-'))
    stack.defer(() => rm(directory, { recursive: true, force: true }))
    for (const [, from = '', to = ''] of last.matchAll(/^COPY (?:--from=build \/latchkey\/)?(\S+) (\S+)$/gm)) {
      const target = to === './' ? join(directory, from) : join(directory, to)
      await cp(new URL(from, root), target, { recursive: true })
    }
    const [, program = ''] = /^CMD \["node", "(\S+)"\]$/m.exec(last) ?? []
    const { databaseUrl, drop } = await createDatabase()
    stack.defer(drop)
    const owner = { email: 'owner@image.example', password }
    const environment = {
      BOOTSTRAP_ORGANIZATION: 'Image',
      BOOTSTRAP_EMAIL: owner.email,
      BOOTSTRAP_PASSWORD: owner.password,
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    }
    const { address } = await startServerProcess(stack, { databaseUrl, environment, program: join(directory, program) })

    const stranger = createClient({ url: address })
    const { sessionToken } = unwrap((await stranger.signIn({ input: owner })).signIn)
    const session = stranger.with({ credential: sessionToken })
    unwrap((await session.createToken({ input: { label: 'Jenkins', roleId: 'role_ci' } })).createToken)
    const common = { currentPassword: owner.password, newPassword: 'passwordpassword' }
    expect((await session.changePassword({ input: common })).changePassword).toMatchObject({
      __typename: 'InvalidInput',
    })
    const get = async (path: string) => (await fetch(`${address}${path}`, { headers: { accept: 'text/html' } })).status
    expect([await get('/readyz'), await get('/'), await get('/graphql')]).toEqual([200, 200, 200])
  })

  it('is of the Node.js that the tests run on, as a user who is not root, and sets what exists', () => {
    const { devDependencies } = z
      .object({ devDependencies: z.record(z.string(), z.string()) })
      .parse(JSON.parse(read('package.json')))
    for (const stage of stages) expect(stage.startsWith(`node:${devDependencies.node}-`)).toBe(true)
    expect(last).toMatch(/^USER [1-9]\d*:[1-9]\d*$/m)
    const [environment = ''] = instructions.filter((line) => line.startsWith('ENV '))
    const set = [...environment.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value])
    expect(set.map(([name]) => name).filter((name) => !isSetting(name) && name !== 'NODE_ENV')).toEqual([])
    expect(() => readConfig(Object.fromEntries(set))).not.toThrow()
  })
})

interface Schema {
  type?: string | undefined
  properties?: Record<string, Schema> | undefined
  additionalProperties?: unknown
}

const schemaForm: z.ZodType<Schema> = z.looseObject({
  type: z.string().optional(),
  get properties() {
    return z.record(z.string(), schemaForm).optional()
  },
  additionalProperties: z.unknown().optional(),
})

const service = z.object({
  image: z.string(),
  environment: z.record(z.string(), z.string()),
  read_only: z.boolean().optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).optional(),
  volumes: z.array(z.string()).optional(),
  stop_grace_period: z.string().optional(),
})

describe('docker-compose.yml', () => {
  const text = read('docker-compose.yml')
  const { services } = z.object({ services: z.record(z.string(), service) }).parse(parse(text, { merge: true }))
  const example = read('.env.example')
  const given = Object.fromEntries(
    example
      .split('\n')
      .filter((line) => /^\w+=/.test(line))
      .map((line) => line.split(/=(.*)/s).slice(0, 2)),
  )

  it('starts PostgreSQL, two instances and the load balancer, all confined', () => {
    expect(Object.keys(services)).toEqual(['postgres', 'latchkey-1', 'latchkey-2', 'balancer'])
    for (const [name, { read_only, cap_drop, security_opt }] of Object.entries(services)) {
      expect({ read_only, cap_drop, security_opt }, name).toEqual({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      })
    }
  })

  it('gives both instances the same settings, which exist and are good, and time enough to stop', () => {
    const { 'latchkey-1': one, 'latchkey-2': other } = services
    expect(one).toEqual(other)
    const environment = Object.fromEntries(
      Object.entries(one?.environment ?? {}).map(([name, value]) => [
        name,
        value.replaceAll(/\$\{\w+(?::\?[^}]*|:-([^}]*))\}/g, (_, fallback?: string) => fallback ?? 'x'.repeat(32)),
      ]),
    )
    expect(Object.keys(environment).filter((name) => !isSetting(name))).toEqual([])
    const { shutdownDelaySeconds, trustedProxies } = readConfig(environment)
    expect(Number.parseInt(one?.stop_grace_period ?? '', 10)).toBeGreaterThan(shutdownDelaySeconds + stopSeconds)
    expect(shutdownDelaySeconds).toBeGreaterThanOrEqual(2)
    const [, subnet = ''] = /subnet: ([\d./]+)/.exec(text) ?? []
    expect(environment.TRUST_PROXY).toBe(subnet)
    expect(trustedProxies.rules).toHaveLength(1)
  })

  it('takes what is secret from .env, whose example holds none, and which is not committed', () => {
    const asked = new Set([...text.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name))
    expect(Object.keys(given).sort()).toEqual([...asked].sort())
    expect(Object.entries(given).filter(([name, value]) => /PASSWORD|SECRET/.test(name) && value !== '')).toEqual([])
    expect(read('.gitignore').split('\n')).toContain('.env')
  })

  it('gives the load balancer what its configuration asks for', () => {
    expect(Object.keys(services.balancer?.environment ?? {}).sort()).toEqual([...balancerSettings].sort())
    const [mounted = ''] = services.balancer?.volumes?.[0]?.split(':') ?? []
    expect(existsSync(new URL(mounted, root))).toBe(true)
    expect(services.balancer?.environment.INSTANCE_1).toBe(`latchkey-1:${/PORT=(\d+)/.exec(dockerfile)?.[1]}`)
  })
})

describe('the Helm chart', () => {
  const chart = 'deploy/helm/latchkey/'
  const templates = readdirSync(new URL(`${chart}templates`, root)).map((name) => ({
    name,
    text: read(`${chart}templates/${name}`),
  }))
  const all = templates.map(({ text }) => text).join('\n')
  const values: unknown = parse(read(`${chart}values.yaml`))
  const schema: Schema = schemaForm.parse(JSON.parse(read(`${chart}values.schema.json`)))

  it('is a chart, of this version', () => {
    const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')))
    expect(parse(read(`${chart}Chart.yaml`))).toMatchObject({
      apiVersion: 'v2',
      name: 'latchkey',
      type: 'application',
      version,
      appVersion: version,
    })
  })

  it('reads every value that there is, and no other, and its schema knows each', () => {
    const named = pathsOf(values)
    const used = new Set([...all.matchAll(/\.Values\.([\w.]+)/g)].map(([, path = '']) => path))
    // A value that is read as a whole stands for what is in it.
    const reads = (path: string) => [...used].some((one) => path === one || path.startsWith(`${one}.`))
    expect(named.filter((path) => !reads(path))).toEqual([])
    expect([...used].filter((path) => !named.some((one) => one === path || one.startsWith(`${path}.`)))).toEqual([])
    expect(differencesOf(values, schema)).toEqual([])
  })

  it('sets nothing but settings, of which the rest can be given in `settings`, and secrets never', () => {
    const set = [...all.matchAll(/- name: ([A-Z_]+)$/gm)].map(([, name = '']) => name)
    const ranged = [...all.matchAll(/range list ((?:"[A-Z_]+" ?)+)/g)].flatMap(([, names = '']) =>
      [...names.matchAll(/"(\w+)"/g)].map(([, name = '']) => name),
    )
    const free = Object.keys(schema.properties?.settings?.properties ?? {})
    expect(ranged).toEqual([
      'DATABASE_URL',
      'LATCHKEY_SECRET',
      'BOOTSTRAP_ORGANIZATION',
      'BOOTSTRAP_EMAIL',
      'BOOTSTRAP_PASSWORD',
    ])
    // There is no embedded PostgreSQL in the image.
    expect([...set, ...ranged, ...free, 'DATA_DIRECTORY'].sort()).toEqual([...settingNames].sort())
  })

  it('confines the container, asks after both kinds of health, and gives time enough to stop', () => {
    const [deployment] = templates.filter(({ name }) => name === 'deployment.yaml')
    const { text = '' } = deployment ?? {}
    for (const line of [
      'runAsNonRoot: true',
      'readOnlyRootFilesystem: true',
      'allowPrivilegeEscalation: false',
      'drop: [ALL]',
      'automountServiceAccountToken: false',
      'maxUnavailable: 0',
    ]) {
      expect(text).toContain(line)
    }
    expect(text).toMatch(/livenessProbe:\s+httpGet:\s+path: \/healthz\n/)
    expect(text).toMatch(/startupProbe:\s+httpGet:\s+path: \/healthz\n/)
    expect(text).toMatch(/readinessProbe:\s+httpGet:\s+path: \/readyz\n/)
    const [, more] =
      /terminationGracePeriodSeconds: \{\{ add \.Values\.shutdownDelaySeconds (\d+) \}\}/.exec(text) ?? []
    expect(Number(more)).toBeGreaterThan(stopSeconds)
    const [, user] = /^USER (\d+):/m.exec(dockerfile) ?? []
    expect(text).toContain(`runAsUser: ${user}\n`)
  })

  it.runIf(isHelmHere)('is linted by Helm, and renders what the page shows, everything switched on', async () => {
    const { blocks } = await readPage(new URL('docs/deployment.md', root))
    const shown = blocks.find(({ text }) => text.includes('existingSecret:'))?.text ?? ''
    const everything = [
      'autoscaling.enabled=true',
      'networkPolicy.enabled=true',
      'podDisruptionBudget.maxUnavailable=1',
    ]
    const given = ['--values', '-', ...everything.flatMap((value) => ['--set', value])]
    const helm = (...words: string[]) =>
      execFileSync('helm', [...words, ...given], { cwd: root, input: shown, encoding: 'utf8' })
    expect(helm('lint', '--strict', chart)).toContain('1 chart(s) linted, 0 chart(s) failed')
    const made = z.looseObject({ kind: z.string(), metadata: z.looseObject({ name: z.string() }) })
    const objects = helm('template', 'latchkey', chart)
      .split(/^---$/m)
      .flatMap((text) => (/^\w/m.test(text) ? [made.parse(parse(text))] : []))
    expect(objects.map(({ kind }) => kind).sort()).toEqual([
      ...['Deployment', 'HorizontalPodAutoscaler', 'Ingress', 'NetworkPolicy', 'PodDisruptionBudget'],
      ...['Service', 'ServiceAccount'],
    ])
    expect(JSON.stringify(objects.find(({ kind }) => kind === 'Deployment'))).toContain(
      '{"name":"LOG_LEVEL","value":"warn"}',
    )
    // Without what it needs, it says so.
    expect(() => execFileSync('helm', ['template', 'latchkey', chart], { cwd: root, stdio: 'pipe' })).toThrow(
      /Set publicUrl to where browsers reach Latchkey/,
    )
  })

  it('opens and closes every block of its templates', () => {
    for (const { name, text } of templates) {
      const actions = [...text.matchAll(/\{\{-? *(\w+)/g)].map(([, word = '']) => word)
      const opened = actions.filter((word) => ['if', 'with', 'range', 'define'].includes(word))
      expect(opened.length, name).toBe(actions.filter((word) => word === 'end').length)
      const defined = [...all.matchAll(/define "([\w.]+)"/g)].map(([, one = '']) => one)
      for (const [, included = ''] of text.matchAll(/include "([\w.]+)"/g)) expect(defined, name).toContain(included)
    }
  })
})

describe('docs/deployment.md', () => {
  it('shows settings and values that there are', async () => {
    const { blocks } = await readPage(new URL('docs/deployment.md', root))
    const shown = blocks.flatMap(({ text }) => [...text.matchAll(/\b([A-Z]+(?:_[A-Z0-9]+)+)(?==|:)/g)])
    const known = new Set([...settingNames, ...balancerSettings, 'POSTGRES_PASSWORD'])
    expect(shown.map(([, name = '']) => name).filter((name) => !known.has(name))).toEqual([])
    expect(shown.length).toBeGreaterThan(0)
  })
})

const isSetting = (name: string | undefined) => name !== undefined && settingNames.includes(name)

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Of each value that is no map of others; an empty map is one. */
function pathsOf(values: unknown, prefix = ''): string[] {
  if (!isMap(values) || Object.keys(values).length === 0) return [prefix]
  return Object.entries(values).flatMap(([name, value]) => pathsOf(value, prefix ? `${prefix}.${name}` : name))
}

/** Where values and their schema do not have the same names, or where it would take one that has no meaning. */
function differencesOf(values: unknown, schema: Schema, prefix = 'values'): string[] {
  const { properties } = schema
  if (!properties || !isMap(values)) return []
  // A chart that has this one in it passes `global` to all; and settings are none unless they are set.
  const names = Object.keys(properties).filter((name) => name !== 'global' && prefix !== 'values.settings')
  return [
    ...(schema.additionalProperties === false ? [] : [`${prefix} takes anything`]),
    ...names.filter((name) => !(name in values)).map((name) => `${prefix}.${name} is in the schema alone`),
    ...Object.entries(values).flatMap(([name, value]) => {
      const known = properties[name]
      return known ? differencesOf(value, known, `${prefix}.${name}`) : [`${prefix}.${name} is not in the schema`]
    }),
  ]
}
