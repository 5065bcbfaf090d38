import { readFile } from 'node:fs/promises'
import { unwrap } from '@latchkey/sdk'
import { buildSchema } from 'graphql'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { verifyChain } from '../server/audit/verify-chain.ts'
import { readNetworks } from '../server/http/client-address.ts'
import { readKeyUse } from '../server/identity/key-use.ts'
import { openDependencies } from '../server/open-dependencies.ts'
import { addDomain, addMember, removeDomain } from '../server/organizations/operator.ts'
import { purge } from '../server/tokens/retention.ts'
import { startDeliveries } from '../server/webhooks/delivery.ts'
import { tellExpiries } from '../server/webhooks/expiry.ts'
import { codes, readPage } from './markdown.ts'
import { openReceiver, type Receiver } from './receiver.ts'
import { provisioner, urns } from './scim.ts'
import { openWorld, password, serve, serverKey, type World } from './world.ts'

/**
 * What may ask across organizations, and why. Everything else is one organization's: an engine that spreads tables by their
 * organization answers it in one place.
 */
const acrossOrganizations = [
  { what: /\) asked\(n\)/, why: 'a presented credential is looked for by its digest, before anyone knows whose it is' },
  { what: /from invitations i\s.*\bi\.digest = any/s, why: 'an invitation is looked for by its digest, likewise' },
  { what: /\) used\(digest, age\)/, why: 'last uses are written for many secrets at once, each by its digest' },
  { what: /^\s*update token_uses .*\bgiven\(/s, why: 'last uses are written for many tokens at once, each by its key' },
  {
    what: /from members m join organizations o .* m\.person_id = \$1/s,
    why: 'who signs in may be a member of several',
  },
  {
    what: /from members where person_id = \$1 and organization_id <> \$2/,
    why: 'a person goes with the last membership',
  },
  { what: /^(update|delete from) "sessions" .*"person_id" = \$\d/, why: 'a session is its person’s, wherever it acts' },
  {
    what: /from sessions s\s+join members m .* s\.person_id = \$1/s,
    why: 'a person’s sessions are listed, wherever they act',
  },
  { what: /^select key_id as "keyId", count/, why: 'an operator asks what depends on a server key' },
  {
    what: /^select organization_id as id, .* from webhook_deliveries/s,
    why: 'whoever has something to send is found first',
  },
  {
    what: /^select distinct organization_id as id from webhooks/,
    why: 'whoever has expiries to be told of is found first',
  },
]

/** What an instance sends to PostgreSQL as one of its roles, each text once. */
const sent = new Set<string>()
const page = await readPage(new URL('../docs/scale.md', import.meta.url))
/** How the page says that tables are laid out. */
const layoutOf = (by: string) =>
  new Set(
    page.table('| laid out by | tables |').flatMap(([how = '', tables]) => (how.startsWith(by) ? codes(tables) : [])),
  )
const layout = {
  organization: layoutOf('`organization_id`'),
  digest: layoutOf('`digest`'),
  everywhere: layoutOf('not at all'),
  key: layoutOf('`key`'),
}
let world: World
let receiver: Receiver

beforeAll(async () => {
  const query = vi.spyOn(pg.Client.prototype, 'query')
  receiver = await openReceiver()
  world = await openWorld({ webhookNetworks: readNetworks(['127.0.0.0/8']) })
  await exercise(world, receiver)
  query.mock.calls.forEach(([given], n) => {
    const parameters: unknown = Reflect.get(query.mock.contexts[n] ?? {}, 'connectionParameters')
    const options = typeof parameters === 'object' && parameters ? String(Reflect.get(parameters, 'options')) : ''
    const text: unknown = typeof given === 'object' && given ? Reflect.get(given, 'text') : given
    if (/role=latchkey_/.test(options) && typeof text === 'string') sent.add(text)
  })
  query.mockRestore()
}, 60_000)
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

/** Everything that there is to ask, at least once. */
async function exercise(world: World, { url }: Receiver): Promise<void> {
  const { alpha, beta, dependencies, service } = world
  const { owner, powerUser, member } = alpha
  const stop = startDeliveries(dependencies)

  const webhook = unwrap(
    (await owner.createWebhook({ input: { url, eventTypes: ['TOKEN_CREATED', 'TOKEN_DELETED'] } })).createWebhook,
  ).webhook
  const { tokenRole } = unwrap(
    (await owner.createTokenRole({ input: { label: 'Reader', description: 'Reads.', permissions: ['findings:read'] } }))
      .createTokenRole,
  )
  unwrap((await owner.updateTokenRole({ input: { id: tokenRole.id, label: 'Looker', force: true } })).updateTokenRole)
  const idempotencyKey = 'a key of the caller that is long enough'
  const input = { label: 'Jenkins', roleId: tokenRole.id, idempotencyKey }
  const { token, secret } = unwrap((await owner.createToken({ input })).createToken)
  unwrap((await owner.createToken({ input })).createToken)
  const account = unwrap(
    (await owner.createToken({ input: { label: 'Automation', roleId: 'role_service_account' } })).createToken,
  )
  const automation = world.as(account.secret)
  const ofAccount = unwrap((await automation.createToken({ input: { label: 'Made', roleId: 'role_ci' } })).createToken)
  unwrap((await automation.deleteToken({ input: { id: ofAccount.token.id } })).deleteToken)
  await automation.viewer()
  await automation.tokenRoles()

  for (const sort of [
    'CREATED_AT_DESC',
    'CREATED_AT_ASC',
    'LABEL_ASC',
    'LAST_USED_AT_DESC',
    'EXPIRES_AT_ASC',
  ] as const) {
    await owner.integrationTokens({ first: 1, sort, withTotalCount: true })
    await owner.integrationTokens({
      last: 1,
      sort,
      filter: { search: 'jenk', roleIds: [tokenRole.id] },
      withTotalCount: true,
    })
  }
  for (const status of ['ACTIVE', 'DISABLED', 'EXPIRED'] as const)
    await owner.integrationTokens({ filter: { statuses: [status], search: 'j' } })
  await owner.integrationToken({ id: token.id })
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  unwrap((await owner.updateToken({ input: { id: token.id, enabled: false, expiresAt } })).updateToken)
  unwrap((await owner.updateToken({ input: { id: token.id, enabled: true } })).updateToken)
  await world.introspect(secret)
  await service.verifyToken({ token: secret })
  await service.verifyTokenDigests({ digests: ['0'.repeat(64)] })
  unwrap((await owner.regenerateToken({ input: { id: token.id, overlapSeconds: 0 } })).regenerateToken)
  await world.introspect(secret)
  unwrap(
    (await owner.updateTokenPolicy({ input: { longestLifetimeDays: 90, expiryRequired: true } })).updateTokenPolicy,
  )
  await owner.tokenPolicy()
  unwrap(
    (await owner.updateTokenPolicy({ input: { longestLifetimeDays: null, expiryRequired: false } })).updateTokenPolicy,
  )
  await owner.tokenRoles()

  const { secret: accessToken } = unwrap((await member.resetAccessToken()).resetAccessToken)
  await world.as(accessToken).viewer()
  await service.verifyToken({ token: accessToken, usedFrom: '198.51.100.7' })
  const signIn = async () =>
    unwrap((await world.stranger.signIn({ input: { email: powerUser.email, password } })).signIn).sessionToken
  const first = world.as(await signIn())
  await signIn()
  await world.stranger.signIn({ input: { email: powerUser.email, password: 'not the password at all' } })
  await addMember(dependencies, { organization: beta.slug, role: 'MEMBER', email: powerUser.email, password: null })
  const switched = unwrap((await first.switchOrganization({ slug: beta.slug })).switchOrganization)
  const session = world.as(switched.sessionToken)
  const { sessions } = await session.sessions()
  const other = sessions.find(({ current }) => !current)
  unwrap((await session.endSession({ input: { id: other?.id ?? '' } })).endSession)
  unwrap((await session.endOtherSessions()).endOtherSessions)
  const newPassword = `${password} again`
  const changed = unwrap(
    (await session.changePassword({ input: { currentPassword: password, newPassword } })).changePassword,
  )
  await world.as(changed.sessionToken).signOut()

  await owner.organization()
  const { members } = await owner.members({ first: 3, filter: { search: 'guest' } })
  await owner.members({ last: 3 })
  const id = members.nodes[0]?.id ?? ''
  await owner.member({ id })
  unwrap((await owner.setMemberRole({ input: { id, role: 'POWER_USER' } })).setMemberRole)
  unwrap((await owner.setMemberActive({ input: { id, active: false } })).setMemberActive)
  unwrap((await owner.setMemberActive({ input: { id, active: true } })).setMemberActive)

  await addDomain(dependencies, { organization: alpha.slug, domain: 'alpha.example' })
  const invite = async (email: string) =>
    unwrap((await owner.inviteMember({ input: { email, role: 'GUEST' } })).inviteMember)
  const invited = await invite('invited@alpha.example')
  const accepting = { secret: invited.secret, password: `${password} of theirs` }
  await world.stranger.invitationOffer({ secret: invited.secret })
  unwrap((await world.stranger.acceptInvitation({ input: accepting })).acceptInvitation)
  const { invitation } = await invite('nobody@nowhere.example')
  await owner.invitations()
  unwrap((await owner.revokeInvitation({ input: { id: invitation.id } })).revokeInvitation)
  await removeDomain(dependencies, { organization: alpha.slug, domain: 'alpha.example' })

  const scim = await provisioner(world, alpha)
  const user = await scim.user({ userName: 'new@alpha.example', externalId: '7', displayName: 'New' })
  const group = await scim.group({ displayName: 'Admins', externalId: '8', members: [{ value: user }] })
  const { groups } = await owner.groups()
  unwrap((await owner.setGroupRole({ input: { groupId: groups[0]?.id ?? '', role: 'POWER_USER' } })).setGroupRole)
  for (const filter of [
    'userName eq "new@alpha.example"',
    'displayName sw "N" and active eq true',
    'externalId eq "7"',
  ])
    await scim.found('Users', filter)
  await scim.found('Groups', 'displayName eq "Admins"')
  await scim.get(`/Groups?filter=${encodeURIComponent(`members.value eq "${user}"`)}`)
  await scim.get('/Users?sortBy=userName&startIndex=2&count=2')
  await scim.get(`/Users/${user}`)
  await scim.get(`/Groups/${group}`)
  await scim.patch(`/Users/${user}`, [{ op: 'replace', path: 'displayName', value: 'Newer' }])
  await scim.put(`/Users/${user}`, { schemas: [urns.user], userName: 'newer@alpha.example' })
  await scim.patch(`/Groups/${group}`, [{ op: 'remove', path: `members[value eq "${user}"]` }])
  await scim.patch(`/Groups/${group}`, [{ op: 'add', path: 'members', value: [{ value: user }] }])
  await scim.put(`/Groups/${group}`, { schemas: [urns.group], displayName: 'Admins' })
  await scim.remove(`/Groups/${group}`)
  await scim.remove(`/Users/${user}`)

  await owner.webhooks()
  await owner.webhook({ id: webhook.id })
  unwrap((await owner.updateWebhook({ input: { id: webhook.id, description: 'Chat', enabled: false } })).updateWebhook)
  unwrap((await owner.updateWebhook({ input: { id: webhook.id, enabled: true } })).updateWebhook)
  unwrap((await owner.regenerateWebhookSecret({ input: { id: webhook.id } })).regenerateWebhookSecret)
  const { delivery } = unwrap((await owner.testWebhook({ input: { id: webhook.id } })).testWebhook)
  await vi.waitFor(
    async () => {
      const { webhookDeliveries } = await owner.webhookDeliveries({ webhookId: webhook.id })
      expect(webhookDeliveries.nodes[0]?.status).toBe('DELIVERED')
    },
    { timeout: 10_000, interval: 200 },
  )
  await owner.webhookDeliveries({ webhookId: webhook.id, last: 2, filter: { statuses: ['FAILED'] } })
  unwrap((await owner.redeliverWebhook({ input: { deliveryId: delivery.id } })).redeliverWebhook)
  await owner.node({ id: token.id })
  await owner.node({ id: webhook.id })
  await owner.node({ id: delivery.id })
  await owner.node({ id })

  await owner.auditEvents({ first: 2 })
  const { auditEvents } = await owner.auditEvents({ last: 2, filter: { targetId: token.id } })
  await owner.auditEvents({ filter: { actions: ['token.created'] } })
  await owner.node({ id: auditEvents.nodes[0]?.id ?? '' })

  await dependencies.lastUse.flush()
  await tellExpiries(dependencies)
  unwrap((await owner.deleteToken({ input: { id: token.id } })).deleteToken)
  unwrap((await owner.deleteTokenRole({ input: { id: tokenRole.id } })).deleteTokenRole)
  await stop()
  unwrap((await owner.deleteWebhook({ input: { id: webhook.id } })).deleteWebhook)
  await purge(dependencies, { retentionDays: 0 })
  await verifyChain(dependencies, alpha.id)
  await readKeyUse(dependencies)
  // One that was not used yet: whatever was within the minute is taken up later.
  const unused = unwrap((await owner.createToken({ input: { label: 'Unused', roleId: 'role_ci' } })).createToken)
  await useNextServerKey(world, unused.secret)
}

/** What is used under a former server key is taken up by the next. From here on, the world has the wrong one. */
async function useNextServerKey(world: World, secret: string): Promise<void> {
  const rotated = await openDependencies({
    databaseUrl: world.databaseUrl,
    databaseConnections: 8,
    serverKey: 'the next server key of the tests which is long enough',
    formerServerKeys: [serverKey],
    tokenPrefix: 'lk',
    passwordCost: 4,
    log: world.dependencies.log,
  })
  const { url, close } = await serve(rotated)
  expect(await world.introspect(secret, { url })).toMatchObject({ active: true })
  await close()
  await rotated.close()
}

const root = new URL('../', import.meta.url)

describe('the statements of an instance', () => {
  it('are those of every field of the API', async () => {
    const asked = new Set(world.logged.flatMap((line): string[] => JSON.parse(line).operations ?? []))
    const schema = buildSchema(await readFile(new URL('schema.graphql', root), 'utf8'))
    const fields = [schema.getQueryType(), schema.getMutationType()].flatMap((type) =>
      Object.keys(type?.getFields() ?? {}),
    )
    expect(fields.filter((field) => !asked.has(field))).toEqual([])
  })

  const ofOrganizations = new Set([
    ...layout.organization,
    ...layout.digest,
    'organization_domains',
    'members',
    'invitations',
    'groups',
    'group_members',
    'sessions',
    'access_tokens',
  ])

  it('keep to one organization, which each names as a value and joins by, but for those that have to cross', async () => {
    expect(sent.size).toBeGreaterThan(150)
    const wrong: string[] = []
    const crossing = new Set<string>()
    for (const text of statements()) {
      const scans = (await scansOf(text)).filter(({ table }) => ofOrganizations.has(table))
      const confined =
        scans.every(({ condition }) => /\borganization_id = /.test(condition)) &&
        (scans.length === 0 || scans.some(({ condition }) => /\borganization_id = (\(?\$\d+|')/.test(condition)))
      const reason = acrossOrganizations.find(({ what }) => what.test(text))
      if (reason && !confined) crossing.add(reason.why)
      if (!reason && !confined) wrong.push(text)
    }
    expect(wrong).toEqual([])
    // None is excepted that need not be.
    expect([...crossing].sort()).toEqual(acrossOrganizations.map(({ why }) => why).sort())
  })

  it('join no table that is laid out by digest with one that is laid out by organization', async () => {
    const joining: string[] = []
    for (const text of statements()) {
      const tables = (await scansOf(text)).map(({ table }) => table)
      if (tables.some((table) => layout.digest.has(table)) && tables.some((table) => layout.organization.has(table)))
        joining.push(text)
    }
    expect(joining).toEqual([])
  })

  it('lock rows in one place', async () => {
    const locking = statements().filter((text) => /\bfor (update|no key update|share|key share)\b/i.test(text))
    expect(locking.length).toBeGreaterThan(5)
    for (const text of locking) {
      for (const { table, condition } of await scansOf(text)) {
        if (layout.organization.has(table)) expect(condition, text).toMatch(/\borganization_id = \(?\$\d+/)
        if (layout.digest.has(table)) expect(condition, text).toMatch(/\bdigest = \$\d+/)
      }
    }
  })

  it('never change what a row is laid out by', () => {
    const assignment = /(?:^|[\s,])"?(\w+)"? = /g
    const clause =
      /(?:^|\s)(?:update\s+"?(\w+)"?(?:\s+\w+)?|insert into\s+"?(\w+)"?.*?do update)\s+set\s+(.*?)(?:\s(?:where|from|returning)\s|$)/gis
    const changed = statements().flatMap((text) =>
      [...text.matchAll(clause)].flatMap(([, updated, inserted, sets = '']) =>
        [...` ${sets}`.matchAll(assignment)].map(([, column]) => `${updated ?? inserted}.${column}`),
      ),
    )
    expect(new Set(changed).size).toBeGreaterThan(40)
    const places = [
      ...[...layout.organization].map((table) => `${table}.organization_id`),
      ...[...layout.digest].map((table) => `${table}.digest`),
    ]
    expect(changed.filter((column) => places.includes(column))).toEqual([])
  })

  it('ask for nothing that holds in one server only, but for LISTEN and NOTIFY in their one place', () => {
    const local =
      /\b(listen|unlisten|pg_notify|notify|pg_advisory\w*|lock table|declare|prepare|temp|temporary|currval|ctid)\b/i
    const found = [...sent].map((text) => text.trim()).filter((text) => local.test(text))
    expect(found.sort()).toEqual([
      'listen latchkey_invalidations',
      "select pg_notify('latchkey_invalidations', 'heartbeat')",
    ])
  })

  it('are about tables that have each a place in the layout', async () => {
    const rows = await world.sql<{ name: string }>(
      `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by 1`,
    )
    expect(
      Object.values(layout)
        .flatMap((tables) => [...tables])
        .sort(),
    ).toEqual(rows.map(({ name }) => name))
  })
})

const statements = () =>
  [...sent].filter(
    (text) =>
      !/^\s*(begin|commit|rollback|set |select set_config|listen|select pg_notify|select pg_backend_pid)/.test(text),
  )

interface Scan {
  table: string
  condition: string
}

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Index Cond'?: string
  'Recheck Cond'?: string
  Filter?: string
  Plans?: PlanNode[]
}

/** What PostgreSQL itself knows of the rows of each table: whatever follows from the statement's conditions and joins. */
async function scansOf(text: string): Promise<Scan[]> {
  const [row] = await world.sql<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    `explain (generic_plan, verbose, costs off, format json) ${text}`,
  )
  const walk = (node: PlanNode): Scan[] => [
    ...(node['Relation Name'] && node['Node Type'] !== 'ModifyTable'
      ? [{ table: node['Relation Name'], condition: conditionsOf(node) }]
      : []),
    ...(node.Plans ?? []).flatMap(walk),
  ]
  return row ? walk(row['QUERY PLAN'][0].Plan) : []
}

/** What holds for every row, and so nothing of which there is an alternative. */
const conditionsOf = (node: PlanNode) =>
  [node['Index Cond'], node['Recheck Cond'], node.Filter]
    .flatMap((condition) => condition?.split(' AND ') ?? [])
    .filter((condition) => !condition.includes(' OR '))
    .join(' AND ')
