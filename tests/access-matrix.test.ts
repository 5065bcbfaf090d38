import { hash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Latchkey, unwrap } from '@latchkey/sdk'
import {
  type GraphQLField,
  type GraphQLObjectType,
  type GraphQLOutputType,
  getNamedType,
  isAbstractType,
  isInterfaceType,
  isObjectType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { buildSchema } from '../server/graphql/schema.ts'
import { createId } from '../server/identifiers.ts'
import { signIn } from '../server/identity/service.ts'
import { addService } from '../server/identity/services.ts'
import { addDomain, addMember } from '../server/organizations/operator.ts'
import { openWorld, password, type TestMember, type TestOrganization, type World } from './world.ts'

/**
 * Who may do what, said independently of the schema's directives. `own` asks with ids of the caller's organization,
 * `foreign` with another's. Where two answers stand, the first is for a session and the second for an access token.
 *
 *   ok      answers                                     none   no credential
 *   null    answers that there is nothing               dead   malformed, deleted, disabled or expired
 *   401     UNAUTHENTICATED, with that HTTP status      OWNER… a member, by session and by access token
 *   403     FORBIDDEN, with that HTTP status            ci…    an integration token of each managed role
 *   gone    refuses as …NotFound                        acct   … of the role Service Account
 *   bad     refuses as InvalidInput                     role   … of a role that the organization defined
 *   away    refuses as NotAMember                       svc    a service that verifies tokens
 *   wrong   refuses as SignInRefused, WrongPassword     idle   a service without any permission
 */
const matrix = `
Query                        none  dead  OWNER  SUPER  POWER  MEMBER GUEST  ci   scim jira acct role svc  idle
viewer own                 : 401   401   ok     ok     ok     ok     ok     ok   403  ok   ok   ok   ok   ok
organization own           : 401   401   ok     ok     ok     ok     ok     ok   403  ok   ok   ok   403  403
node own token             : 401   401   ok     ok     null   null   null   null 403  null null null null null
node own event             : 401   401   ok     ok     null   null   null   null 403  null null null null null
node own webhook           : 401   401   ok     ok     null   null   null   null 403  null null null null null
node own delivery          : 401   401   ok     ok     null   null   null   null 403  null null null null null
node own role              : 401   401   ok     ok     null   null   null   null 403  null null null null null
node own managed role      : 401   401   ok     ok     null   null   null   null 403  null ok   null null null
node own member            : 401   401   ok     ok     ok     ok     null   null 403  null null null null null
node own organization      : 401   401   ok     ok     ok     ok     ok     ok   403  ok   ok   ok   null null
node foreign token         : 401   401   null   null   null   null   null   null 403  null null null null null
node foreign event         : 401   401   null   null   null   null   null   null 403  null null null null null
node foreign webhook       : 401   401   null   null   null   null   null   null 403  null null null null null
node foreign delivery      : 401   401   null   null   null   null   null   null 403  null null null null null
node foreign role          : 401   401   null   null   null   null   null   null 403  null null null null null
node foreign member        : 401   401   null   null   null   null   null   null 403  null null null null null
node foreign organization  : 401   401   null   null   null   null   null   null 403  null null null null null
member own                 : 401   401   ok     ok     ok     ok     403    403  403  403  403  403  403  403
member foreign             : 401   401   null   null   null   null   403    403  403  403  403  403  403  403
members own                : 401   401   ok     ok     ok     ok     403    403  403  403  403  403  403  403
members foreign            : 401   401   ok     ok     ok     ok     403    403  403  403  403  403  403  403
invitations own            : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
invitationOffer own        : ok    ok    ok     ok     ok     ok     ok     ok   403  ok   ok   ok   ok   ok
invitationOffer foreign    : ok    ok    ok     ok     ok     ok     ok     ok   403  ok   ok   ok   ok   ok
groups own                 : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
sessions own               : 401   401   ok     ok     ok     ok     ok     403  403  403  403  403  403  403
integrationTokens own      : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
integrationTokens foreign  : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
integrationToken own       : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
integrationToken foreign   : 401   401   null   null   403    403    403    403  403  403  403  403  403  403
tokenRoles own             : 401   401   ok     ok     403    403    403    403  403  403  ok   403  403  403
tokenPolicy own            : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
auditEvents own            : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
auditEvents foreign        : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
webhooks own               : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
webhook own                : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
webhook foreign            : 401   401   null   null   403    403    403    403  403  403  403  403  403  403
webhookDeliveries own      : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
webhookDeliveries foreign  : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
verifyToken own            : 401   401   403    403    403    403    403    403  403  403  403  403  ok   403
verifyToken foreign        : 401   401   403    403    403    403    403    403  403  403  403  403  ok   403
verifyTokenDigests own     : 401   401   403    403    403    403    403    403  403  403  403  403  ok   403
verifyTokenDigests foreign : 401   401   403    403    403    403    403    403  403  403  403  403  ok   403

Mutation                     none  dead  OWNER  SUPER  POWER  MEMBER GUEST  ci   scim jira acct role svc  idle
signIn own                 : ok    ok    ok     ok     ok     ok     ok     ok   403  ok   ok   ok   ok   ok
signIn foreign             : wrong wrong wrong  wrong  wrong  wrong  wrong  wrong 403 wrong wrong wrong wrong wrong
signOut own                : 401   401   ok     ok     ok     ok     ok     ok   403  ok   ok   ok   ok   ok
switchOrganization own     : 401   401   ok/403 ok/403 ok/403 ok/403 ok/403 403  403  403  403  403  403  403
switchOrganization foreign : 401   401 away/403 away/403 away/403 away/403 away/403 403 403 403 403 403 403 403
endSession own             : 401   401   ok     ok     ok     ok     ok     403  403  403  403  403  403  403
endSession own colleague   : 401   401   gone   gone   gone   gone   gone   403  403  403  403  403  403  403
endSession foreign         : 401   401   gone   gone   gone   gone   gone   403  403  403  403  403  403  403
endOtherSessions own       : 401   401   ok     ok     ok     ok     ok     403  403  403  403  403  403  403
changePassword own         : 401   401   ok/403 ok/403 ok/403 ok/403 ok/403 403  403  403  403  403  403  403
changePassword foreign     : 401   401 wrong/403 wrong/403 wrong/403 wrong/403 wrong/403 403 403 403 403 403 403 403
createToken own            : 401   401   ok     ok     403    403    403    403  403  403  ok   403  403  403
createToken own role       : 401   401   ok     ok     403    403    403    403  403  403  bad  403  403  403
createToken foreign role   : 401   401   bad    bad    403    403    403    403  403  403  bad  403  403  403
updateToken own            : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
updateToken foreign        : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
regenerateToken own        : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
regenerateToken foreign    : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
deleteToken own            : 401   401   ok     ok     403    403    403    403  403  403  gone 403  403  403
deleteToken foreign        : 401   401   gone   gone   403    403    403    403  403  403  gone 403  403  403
setMemberRole own          : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
setMemberRole foreign      : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
setMemberActive own        : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
setMemberActive foreign    : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
inviteMember own           : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
inviteMember foreign       : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
revokeInvitation own       : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
revokeInvitation foreign   : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
acceptInvitation own       : ok    ok    ok     ok     ok     ok     ok     ok   403  ok   ok   ok   ok   ok
acceptInvitation foreign   : wrong wrong wrong  wrong  wrong  wrong  wrong  wrong 403 wrong wrong wrong wrong wrong
updateTokenPolicy own      : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
updateTokenPolicy foreign  : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
createTokenRole own        : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
createTokenRole foreign    : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
updateTokenRole own        : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
updateTokenRole foreign    : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
deleteTokenRole own        : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
deleteTokenRole foreign    : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
setGroupRole own           : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
setGroupRole foreign       : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
createWebhook own          : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
createWebhook foreign      : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
updateWebhook own          : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
updateWebhook foreign      : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
regenerateWebhookSecret own : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
regenerateWebhookSecret foreign : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
deleteWebhook own          : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
deleteWebhook foreign      : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
testWebhook own            : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
testWebhook foreign        : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
redeliverWebhook own       : 401   401   ok     ok     403    403    403    403  403  403  403  403  403  403
redeliverWebhook foreign   : 401   401   gone   gone   403    403    403    403  403  403  403  403  403  403
resetAccessToken own       : 401   401   ok     ok     ok     ok     ok     403  403  403  403  403  403  403

Subscription                 none  dead  OWNER  SUPER  POWER  MEMBER GUEST  ci   scim jira acct role svc  idle
tokenInvalidations own     : 401   401   403    403    403    403    403    403  403  403  403  403  ok   403
`

const outcomes = ['ok', 'null', '401', '403', 'gone', 'bad', 'away', 'wrong'] as const
const refusals = new Map<string, (typeof outcomes)[number]>([
  ['TokenNotFound', 'gone'],
  ['SessionNotFound', 'gone'],
  ['GroupNotFound', 'gone'],
  ['MemberNotFound', 'gone'],
  ['InvitationNotFound', 'gone'],
  ['TokenRoleNotFound', 'gone'],
  ['WebhookNotFound', 'gone'],
  ['DeliveryNotFound', 'gone'],
  ['InvalidInput', 'bad'],
  ['NotAMember', 'away'],
  ['SignInRefused', 'wrong'],
  ['WrongPassword', 'wrong'],
])
const columns = [
  ...['none', 'dead', 'OWNER', 'SUPER', 'POWER', 'MEMBER', 'GUEST'],
  ...['ci', 'scim', 'jira', 'acct', 'role', 'svc', 'idle'],
]

interface Row {
  /** `Query.node`. */
  field: string
  /** `own`, `foreign`, `own token`. */
  asked: string
  /** What is asked for, where a field has several rows. */
  what: string
  foreign: boolean
  cells: Map<string, string>
}

const rows = readMatrix(matrix)

function readMatrix(text: string): Row[] {
  let root = ''
  return text.split('\n').flatMap((line) => {
    const [label = '', answers] = line.split(' : ')
    const words = label.trim().split(/ +/)
    if (answers === undefined) {
      const [type = '', ...header] = words
      if (type !== '' && header.join() !== columns.join()) throw new Error(`A header names other columns: ${line}`)
      root = type || root
      return []
    }
    const [name = '', whose = '', ...what] = words
    const cells = answers.trim().split(/ +/)
    const known = cells.every((cell) => cell.split('/').every((outcome) => outcomes.some((one) => one === outcome)))
    if (cells.length !== columns.length || !known || !/^(own|foreign)$/.test(whose))
      throw new Error(`A row cannot be read: ${line}`)
    return {
      field: `${root}.${name}`,
      asked: [whose, ...what].join(' '),
      what: what.join(' '),
      foreign: whose === 'foreign',
      cells: new Map(columns.map((column, index) => [column, cells[index] ?? ''])),
    }
  })
}

/** Someone who asks. */
interface Caller {
  name: string
  column: string
  credential: string | null
  /** What `viewer` shows of them. */
  self: string
  /** As whom their organization's audit log knows them; null for whoever acts in none. */
  actorId: string | null
  by?: 'session' | 'access token'
  /** Another session of theirs. */
  otherSessionId?: string
  renew?: () => Promise<void>
}

/** What is asked for: rows of one organization. */
interface Target {
  organizationId: string
  slug: string
  memberId: string
  tokenId: string
  secret: string
  label: string
  eventId: string
  /** Of someone who is no caller. */
  sessionId: string
  /** That someone. */
  bystanderId: string
  roleId: string
  groupId: string
  webhookId: string
  deliveryId: string
  /** May be deleted. */
  victimWebhookId: string
  victimRoleId: string
  /** May be withdrawn and accepted. */
  invitation: { id: string; secret: string; email: string }
  /** Places in the organization's lists before which its own rows stand; null for the beginning. */
  tokensCursor: string | null
  membersCursor: string | null
  eventsCursor: string | null
  deliveriesCursor: string | null
  /** A token that may be changed and deleted. */
  victimId: string
}

interface Question {
  variables: Record<string, unknown>
  /** What an answer about the caller's own organization contains. */
  shows: string
}

let made = 0
/** What each row asks, by the field's name and what is asked for. */
const questions: Record<string, (target: Target, caller: Caller) => Question> = {
  viewer: (_, { self }) => ({ variables: {}, shows: self }),
  organization: ({ organizationId }) => ({ variables: {}, shows: organizationId }),
  'node token': ({ tokenId }) => ({ variables: { id: tokenId }, shows: tokenId }),
  'node event': ({ eventId }) => ({ variables: { id: eventId }, shows: eventId }),
  'node webhook': ({ webhookId }) => ({ variables: { id: webhookId }, shows: webhookId }),
  'node delivery': ({ deliveryId }) => ({ variables: { id: deliveryId }, shows: deliveryId }),
  'node role': ({ roleId }) => ({ variables: { id: roleId }, shows: roleId }),
  'node managed role': () => ({ variables: { id: 'role_ci' }, shows: 'role_ci' }),
  'node member': ({ memberId }) => ({ variables: { id: memberId }, shows: memberId }),
  'node organization': ({ organizationId }) => ({ variables: { id: organizationId }, shows: organizationId }),
  member: ({ memberId }) => ({ variables: { id: memberId }, shows: memberId }),
  integrationTokens: ({ label, roleId, tokenId, tokensCursor }) => ({
    variables: { after: tokensCursor, filter: { search: label, roleIds: [roleId, 'role_ci'] } },
    shows: tokenId,
  }),
  integrationToken: ({ tokenId }) => ({ variables: { id: tokenId }, shows: tokenId }),
  tokenRoles: () => ({ variables: {}, shows: 'role_ci' }),
  auditEvents: ({ tokenId, eventId, eventsCursor }) => ({
    variables: { after: eventsCursor, filter: { targetId: tokenId } },
    shows: eventId,
  }),
  verifyToken: ({ secret, tokenId }) => ({ variables: { token: secret }, shows: tokenId }),
  verifyTokenDigests: ({ secret, tokenId }) => ({
    variables: { digests: [hash('sha256', secret, 'hex')] },
    shows: tokenId,
  }),
  signIn: ({ slug }) => ({
    variables: { input: { email: world.alpha.member.email, password, organization: slug } },
    shows: world.alpha.member.email,
  }),
  signOut: (_, { by }) => ({ variables: {}, shows: `"signedOut":${by === 'session'}` }),
  switchOrganization: ({ slug, organizationId }) => ({ variables: { slug }, shows: organizationId }),
  members: ({ memberId, membersCursor }) => ({ variables: { first: 100, after: membersCursor }, shows: memberId }),
  setMemberRole: ({ bystanderId }) => ({
    variables: { input: { id: bystanderId, role: ++made % 2 === 0 ? 'POWER_USER' : 'GUEST' } },
    shows: bystanderId,
  }),
  setMemberActive: ({ bystanderId }) => ({
    variables: { input: { id: bystanderId, active: ++made % 2 === 0 } },
    shows: bystanderId,
  }),
  invitations: ({ invitation }) => ({ variables: {}, shows: invitation.id }),
  invitationOffer: ({ invitation }) => ({ variables: { secret: invitation.secret }, shows: invitation.email }),
  inviteMember: () => {
    const email = `invited-${++made}@people.example`
    return { variables: { input: { email, role: 'GUEST' } }, shows: email }
  },
  revokeInvitation: ({ invitation }) => ({ variables: { input: { id: invitation.id } }, shows: invitation.id }),
  acceptInvitation: ({ invitation }) => ({
    variables: { input: { secret: invitation.secret, password } },
    shows: invitation.email,
  }),
  tokenPolicy: () => ({ variables: {}, shows: '"tokensOutside":' }),
  updateTokenPolicy: () => {
    const longestLifetimeDays = 1_000 + ++made
    return { variables: { input: { longestLifetimeDays } }, shows: String(longestLifetimeDays) }
  },
  createTokenRole: () => {
    const label = `Role ${++made}`
    return { variables: { input: { label, permissions: ['findings:read'] } }, shows: label }
  },
  updateTokenRole: ({ roleId }) => ({
    variables: { input: { id: roleId, description: `Changed ${++made}` } },
    shows: `"Changed ${made}"`,
  }),
  deleteTokenRole: ({ victimRoleId }) => ({ variables: { input: { id: victimRoleId } }, shows: victimRoleId }),
  groups: ({ groupId }) => ({ variables: {}, shows: groupId }),
  setGroupRole: ({ groupId }) => ({ variables: { input: { groupId, role: 'GUEST' } }, shows: groupId }),
  webhooks: ({ webhookId }) => ({ variables: {}, shows: webhookId }),
  webhook: ({ webhookId }) => ({ variables: { id: webhookId }, shows: webhookId }),
  webhookDeliveries: ({ webhookId, deliveryId, deliveriesCursor, tokenId }) => ({
    variables: { webhookId, after: deliveriesCursor, filter: { tokenId, statuses: ['PENDING'] } },
    shows: deliveryId,
  }),
  createWebhook: () => ({
    variables: { input: { url: `https://192.31.197.1/${++made}`, eventTypes: ['TOKEN_DELETED'] } },
    shows: `/${made}`,
  }),
  updateWebhook: ({ webhookId }) => ({
    variables: { input: { id: webhookId, description: `Changed ${++made}` } },
    shows: `"Changed ${made}"`,
  }),
  regenerateWebhookSecret: ({ webhookId }) => ({ variables: { input: { id: webhookId } }, shows: '"secret":"whsec_' }),
  deleteWebhook: ({ victimWebhookId }) => ({ variables: { input: { id: victimWebhookId } }, shows: victimWebhookId }),
  testWebhook: ({ webhookId }) => ({ variables: { input: { id: webhookId } }, shows: webhookId }),
  redeliverWebhook: ({ deliveryId, tokenId }) => ({ variables: { input: { deliveryId } }, shows: tokenId }),
  sessions: ({ organizationId }) => ({ variables: {}, shows: organizationId }),
  endSession: ({ sessionId }, { otherSessionId }) => {
    const id = sessionId === foreign.sessionId ? sessionId : (otherSessionId ?? '')
    return { variables: { input: { id } }, shows: id }
  },
  'endSession colleague': ({ sessionId }) => ({ variables: { input: { id: sessionId } }, shows: sessionId }),
  endOtherSessions: () => ({ variables: {}, shows: '"endedSessions":' }),
  changePassword: ({ slug }) => ({
    variables: {
      input: { currentPassword: slug === own.slug ? password : 'the password of another', newPassword: password },
    },
    shows: '"sessionToken":"lks_',
  }),
  createToken: () => newToken('role_ci'),
  'createToken role': ({ roleId }) => newToken(roleId),
  updateToken: ({ victimId }) => ({
    variables: { input: { id: victimId, description: `Changed ${++made}`, enabled: true } },
    shows: `"Changed ${made}"`,
  }),
  regenerateToken: ({ victimId }) => ({ variables: { input: { id: victimId } }, shows: victimId }),
  deleteToken: ({ victimId }) => ({ variables: { input: { id: victimId } }, shows: victimId }),
  resetAccessToken: () => ({ variables: {}, shows: '"secret":"lkp_' }),
  tokenInvalidations: () => ({ variables: {}, shows: '"everything":true' }),
}

function newToken(roleId: string): Question {
  const label = `Made ${++made}`
  return { variables: { input: { label, roleId } }, shows: label }
}

const schema = buildSchema()
const rootFields = new Map<string, GraphQLField<unknown, unknown>>(
  [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.values(type?.getFields() ?? {}).map((field) => [`${type?.name}.${field.name}`, field] as const),
  ),
)

let world: World
let own: Target
let foreign: Target
let callers: Caller[]
/** Names and ids that only the other organization has. */
let foreignNames: string[]

beforeAll(async () => {
  world = await openWorld()
  const { alpha, beta } = world
  await addDomain(world.dependencies, { organization: 'alpha', domain: 'invited.example' })
  own = await prepare(alpha, 'Pipeline')
  foreign = await prepare(beta, 'Canary pipeline')
  const newest = {
    tokens: (await beta.owner.integrationTokens({ first: 1 })).integrationTokens.pageInfo.endCursor,
    events: (await beta.owner.auditEvents({ first: 1 })).auditEvents.pageInfo.endCursor,
    members: (await beta.owner.members({ first: 1 })).members.pageInfo.endCursor,
    deliveries: (await beta.owner.webhookDeliveries({ webhookId: foreign.webhookId, first: 1 })).webhookDeliveries
      .pageInfo.endCursor,
  }
  foreign = {
    ...foreign,
    slug: 'canary-company',
    tokensCursor: newest.tokens ?? null,
    eventsCursor: newest.events ?? null,
    deliveriesCursor: newest.deliveries ?? null,
    membersCursor: newest.members ?? null,
  }
  await world.sql(`update organizations set name = 'Canary Company', slug = $2 where id = $1`, [beta.id, foreign.slug])
  await world.sql(`update members set display_name = 'Canary ' || role where organization_id = $1`, [beta.id])
  callers = await prepareCallers(alpha)
  const identified = (await listTables()).filter(({ isTenant, hasId }) => isTenant && hasId)
  const ids = await world.sql<{ id: string }>(
    identified.map(({ name }) => `select id from ${name} where organization_id = '${beta.id}'`).join(' union all '),
  )
  foreignNames = ['Canary ', 'canary-company', '@beta.example', beta.id, foreign.secret, ...ids.map(({ id }) => id)]
})
afterAll(() => world[Symbol.asyncDispose]())

describe('the matrix', { timeout: 60_000 }, () => {
  it('has rows for every root field of the schema, own and foreign where it takes arguments, and for no other', () => {
    expect(new Set(rows.map(({ field }) => field))).toEqual(new Set(rootFields.keys()))
    for (const [name, { args }] of rootFields) {
      const told = new Set(rows.filter(({ field }) => field === name).map((row) => row.foreign))
      expect([name, told]).toEqual([name, new Set(args.length > 0 ? [false, true] : [false])])
    }
    expect(new Set(callers.map(({ column }) => column))).toEqual(new Set(columns))
  })

  it('has rows for every type that “node” finds, own and foreign', () => {
    const node = schema.getType('Node')
    const types = isInterfaceType(node) ? schema.getPossibleTypes(node).map(({ name }) => name) : []
    const words = new Map([
      ['Organization', 'organization'],
      ['Member', 'member'],
      ['TokenRole', 'role'],
      ['IntegrationToken', 'token'],
      ['AuditEvent', 'event'],
      ['Webhook', 'webhook'],
      ['WebhookDelivery', 'delivery'],
    ])
    const asked = rows.filter(({ field }) => field === 'Query.node').map((row) => row.asked)
    const due = types.flatMap((type) => ['own', 'foreign'].map((whose) => `${whose} ${words.get(type)}`))
    expect(asked).toEqual(expect.arrayContaining(due))
  })

  it('asks for what is there: the other organization’s own owner gets it', async () => {
    const owner = nobody('OWNER', 'the other owner', world.beta.owner.sessionToken)
    const withheld: string[] = []
    for (const row of rows.filter((one) => one.foreign && expected(one, owner) !== '403')) {
      if (!row.field.startsWith('Query.')) continue
      const { variables, shows } = questionOf(row, owner)
      const { text } = await ask(row.field, variables, owner.credential)
      if (!text.includes(shows)) withheld.push(`${row.field}, ${row.asked}: ${text}`)
    }
    expect(withheld).toEqual([])
  })

  it.each(rows)('answers $field, asked for $asked, as its row says', async (row) => {
    const { field } = row
    const outcomes: Record<string, string> = {}
    let before = await fingerprint()
    for (const caller of callers) {
      const { variables, shows } = questionOf(row, caller)
      const answer = await ask(field, variables, caller.credential)
      const outcome = outcomeOf(field, answer)
      const shown = outcome !== 'ok' || row.foreign || answer.text.includes(shows)
      outcomes[caller.name] = shown ? outcome : `ok, but without ${shows}: ${answer.text}`

      // A service verifies the tokens of every organization, and an invitation tells whoever holds its secret whose it is.
      const tellsOfAny = /^Query\.(verifyToken|invitationOffer)/
      const sees = outcome === 'ok' && tellsOfAny.test(field) ? [] : foreignNames
      const leaked = sees.filter((name) => answer.text.includes(name))
      expect({ caller: caller.name, leaked }).toEqual({ caller: caller.name, leaked: [] })

      const after = await fingerprint()
      const changes = outcome === 'ok' && field.startsWith('Mutation.')
      expect({ caller: caller.name, ...after.foreign }).toEqual({ caller: caller.name, ...before.foreign })
      if (!changes) expect({ caller: caller.name, ...after.all }).toEqual({ caller: caller.name, ...before.all })
      const counts = /^Mutation\.(signIn|acceptInvitation)$/.test(field)
      before = changes || counts ? await restore(field, caller) : after
    }
    expect(outcomes).toEqual(Object.fromEntries(callers.map((caller) => [caller.name, expected(row, caller)])))
  })

  it('leaves an event in the caller’s own organization for every denied attempt, and none for nobody’s', async () => {
    const unrecorded: string[] = []
    let last = await readEvents(null)
    for (const row of rows) {
      for (const caller of callers.filter((one) => /^40[13]$/.test(expected(row, one)))) {
        await ask(row.field, questionOf(row, caller).variables, caller.credential)
        const events = await readEvents(last)
        const denied = { organization_id: own.organizationId, action: 'access.denied', actor_id: caller.actorId }
        const due = caller.actorId === null ? [] : [denied]
        if (!isDeepStrictEqual(events.recent, due)) {
          unrecorded.push(`${caller.name}: ${row.field}, ${row.asked}: ${JSON.stringify(events.recent)}`)
        }
        last = events
      }
    }
    expect(unrecorded).toEqual([])
  })
})

describe('ids that the caller makes up', () => {
  const mutations = [...rootFields.keys()].filter((name) => name.startsWith('Mutation.'))
  /** Every name under which some server has taken an id for a proof, with the owner's ids. */
  async function forge(): Promise<{ headers: Record<string, string>; fields: Record<string, string> }> {
    const { owner } = world.alpha
    const [ids] = await world.sql<{ memberId: string; personId: string }>(
      'select m.id as "memberId", p.id as "personId" from members m join people p on p.id = m.person_id where p.email = $1',
      [owner.email],
    )
    const { memberId = '', personId = '' } = ids ?? {}
    const fields = {
      ...{ userId: personId, user_id: personId, personId, memberId, actorId: memberId, createdByMemberId: memberId },
      ...{ organizationId: own.organizationId, organization_id: own.organizationId, tenantId: own.organizationId },
      ...{ email: owner.email, role: 'OWNER', principal: memberId },
    }
    const headers = {
      ...{ 'x-user-id': personId, 'x-person-id': personId, 'x-member-id': memberId, 'x-user': owner.email },
      ...{ 'x-organization-id': own.organizationId, 'x-tenant-id': own.organizationId, 'x-role': 'OWNER' },
      ...{
        'x-forwarded-user': owner.email,
        'x-remote-user': owner.email,
        'remote-user': owner.email,
        from: owner.email,
      },
      cookie: `latchkey_session=${memberId}; __Host-latchkey_session=${personId}; userId=${personId}; user=${owner.email}`,
    }
    return { headers, fields }
  }

  it('stand for no credential: with those of an owner, every mutation is refused', async () => {
    const { headers, fields } = await forge()
    const before = await fingerprint()
    expect(mutations).toHaveLength(
      rows.filter(({ field, asked }) => field.startsWith('Mutation.') && asked === 'own').length,
    )
    for (const name of mutations.filter((mutation) => !/^Mutation\.(signIn|acceptInvitation)$/.test(mutation))) {
      const { variables } = questionOf({ ...rowOf(name), foreign: false }, nobody('none', 'nobody', null))
      for (const send of [
        { variables },
        { variables: { ...variables, ...fields } },
        { variables, extensions: { ...fields, headers } },
        { variables, search: `?${new URLSearchParams(fields)}` },
      ]) {
        const answer = await askAs(name, headers, send)
        expect([name, outcomeOf(name, answer)]).toEqual([name, '401'])
      }
      if (!('input' in variables) || typeof variables.input !== 'object' || variables.input === null) continue
      for (const [field, value] of Object.entries(fields)) {
        const answer = await askAs(name, headers, { variables: { input: { ...variables.input, [field]: value } } })
        // What the input has of its own, it may be given, and proves nothing either.
        const due = field in variables.input ? /^(UNAUTHENTICATED|BAD_REQUEST)$/ : /^BAD_REQUEST$/
        expect(answer.errors?.[0]?.extensions.code, `${name} ${field}`).toMatch(due)
      }
    }
    expect(await fingerprint()).toEqual(before)
  })

  it('sign nobody in, and raise nobody who has a credential of their own', async () => {
    const { headers, fields } = await forge()
    const { owner, guest } = world.alpha
    const wrong = { email: owner.email, password: 'the password of another' }
    const refused = await askAs('Mutation.signIn', headers, { variables: { input: wrong }, extensions: fields })
    expect(outcomeOf('Mutation.signIn', refused)).toBe('wrong')
    for (const field of ['userId', 'personId', 'memberId', 'organizationId', 'role']) {
      const answer = await askAs('Mutation.signIn', headers, {
        variables: { input: { ...wrong, [field]: own.memberId } },
      })
      expect([field, answer.errors?.[0]?.extensions.code]).toEqual([field, 'BAD_REQUEST'])
    }
    await world.dependencies.limits.signInsByAccount.reset(owner.email)

    const authorization = `Bearer ${await openSession(guest.email)}`
    const asGuest = { ...headers, authorization }
    expect((await askAs('Query.viewer', asGuest, { variables: {}, extensions: fields })).text).toContain(guest.email)
    for (const name of mutations) {
      const row = rowOf(name)
      if (row.cells.get('GUEST') !== '403') continue
      const { variables } = questionOf(row, nobody('GUEST', 'a guest', null))
      const answer = await askAs(name, asGuest, { variables: { ...variables, ...fields }, extensions: fields })
      expect([name, outcomeOf(name, answer)]).toEqual([name, '403'])
    }
  })

  const rowOf = (name: string): Row => {
    const row = rows.find(({ field, asked }) => field === name && asked === 'own')
    if (!row) throw new Error(`There is no row for ${name}.`)
    return row
  }

  /** As `ask`, but with whatever headers, and anything beside the document. */
  async function askAs(
    name: string,
    headers: Record<string, string>,
    {
      search = '',
      variables,
      ...rest
    }: { variables: Record<string, unknown>; extensions?: Record<string, unknown>; search?: string },
  ): Promise<Answer> {
    const response = await fetch(`${world.url}/graphql${search}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', ...headers },
      body: JSON.stringify({ query: writeDocument(name, Object.keys(variables)), variables, ...rest }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, ...answerBody.parse(JSON.parse(text)) }
  }
})

describe('a person in two organizations', () => {
  const email = 'both@people.example'
  beforeAll(async () => {
    const member = { email, role: 'SUPER_ADMIN' } as const
    await addMember(world.dependencies, { ...member, organization: own.slug, password })
    await addMember(world.dependencies, { ...member, organization: foreign.slug, password: null })
  })

  it('reaches nothing of the other one, whose name the session’s viewer and list of sessions alone tell them', async () => {
    await openSession(email, foreign.slug)
    expect(await leaksTo(await openSession(email, own.slug))).toEqual(['Query.viewer, own', 'Query.sessions, own'])
  })

  it('is told nothing at all of the other one by an access token', async () => {
    const { data } = await ask('Mutation.resetAccessToken', {}, await openSession(email, own.slug))
    const { secret } = z.object({ secret: z.string() }).parse(data?.resetAccessToken)
    await openSession(email, foreign.slug)
    expect(await leaksTo(secret)).toEqual([])
  })

  it('acts in the other one alone once the session is switched', async () => {
    const before = await openSession(email, own.slug)
    const { data } = await ask('Mutation.switchOrganization', { slug: foreign.slug }, before)
    const { sessionToken } = z.object({ sessionToken: z.string() }).parse(data?.switchOrganization)
    expect((await ask('Query.organization', {}, before)).status).toBe(401)
    expect((await ask('Query.organization', {}, sessionToken)).data?.organization).toMatchObject({
      id: foreign.organizationId,
    })
    expect((await ask('Query.integrationToken', { id: foreign.tokenId }, sessionToken)).text).toContain(foreign.tokenId)
    expect((await ask('Query.integrationToken', { id: own.tokenId }, sessionToken)).data).toEqual({
      integrationToken: null,
    })
  })

  it('reads nothing of the other one by a token of any role that they have created', async () => {
    const admin = world.as(await openSession(email, own.slug))
    const roles = ['role_ci', 'role_scim', 'role_jira', 'role_service_account', own.roleId]
    for (const roleId of roles) {
      const { secret } = await createToken(admin, `By someone of two, ${roleId}`, roleId)
      const answers = await Promise.all(
        rows
          .filter(({ field }) => field.startsWith('Query.') && field !== 'Query.invitationOffer')
          .map(async (row) => {
            const { text } = await ask(row.field, questionOf(row, nobody('SUPER', email, secret)).variables, secret)
            return { asked: `${row.field}, ${row.asked}`, told: foreignNames.filter((name) => text.includes(name)) }
          }),
      )
      expect(answers.length).toBeGreaterThan(20)
      expect([roleId, answers.filter(({ told }) => told.length > 0)]).toEqual([roleId, []])
    }
  })

  /** The queries whose answers hold anything of the other organization; what an invitation tells, it tells anyone. */
  async function leaksTo(credential: string): Promise<string[]> {
    const leaks: string[] = []
    const queries = rows.filter(({ field }) => field.startsWith('Query.') && field !== 'Query.invitationOffer')
    for (const row of queries) {
      const { text } = await ask(row.field, questionOf(row, nobody('SUPER', email, credential)).variables, credential)
      if (foreignNames.some((name) => text.includes(name))) leaks.push(`${row.field}, ${row.asked}`)
    }
    return leaks
  }
})

/** Makes what is asked for; each organization has another token, newer than the one that cursors begin at. */
async function prepare(organization: TestOrganization, label: string): Promise<Target> {
  const { id: organizationId, slug, owner } = organization
  const roleId = createId('role', world.dependencies)
  await world.sql(
    `insert into token_roles (id, organization_id, label, label_key, description, permissions) values ($1, $2, $3, $3, $3, '{findings:read}')`,
    [roleId, organizationId, `${label} role`],
  )
  const groupId = createId('group', world.dependencies)
  await world.sql('insert into groups (id, organization_id, display_name, name_key) values ($1, $2, $3, $3)', [
    groupId,
    organizationId,
    `${label} group`,
  ])
  const webhookId = await createWebhook(owner, 'https://192.31.197.1/hooks')
  const victimWebhookId = await createWebhook(owner, 'https://192.31.197.1/victim')
  const token = await createToken(owner, label, 'role_ci')
  const [delivery] = (await owner.webhookDeliveries({ webhookId })).webhookDeliveries.nodes
  const victim = await createToken(owner, `${label} victim`, 'role_ci')
  const [event] = (await owner.auditEvents({ filter: { targetId: token.id } })).auditEvents.nodes
  const email = `bystander@${slug}.example`
  await addMember(world.dependencies, { organization: slug, role: 'MEMBER', email, password })
  const { id: sessionId } = await openSessionOf(email)
  return {
    ...{
      organizationId,
      slug,
      label,
      roleId,
      groupId,
      webhookId,
      victimWebhookId,
      victimRoleId: await createRole(owner, `${label} role to delete`),
      deliveryId: delivery?.id ?? '',
      invitation: await invite(owner, label),
      deliveriesCursor: null,
      memberId: await memberId(organization.member),
      eventId: event?.id ?? '',
      sessionId,
    },
    bystanderId: await memberId({ email }),
    membersCursor: null,
    ...{ tokenId: token.id, secret: token.secret, victimId: victim.id, tokensCursor: null, eventsCursor: null },
  }
}

async function createToken(admin: Latchkey, label: string, roleId: string) {
  const { token, secret } = unwrap((await admin.createToken({ input: { label, roleId } })).createToken)
  return { id: token.id, secret }
}

async function createRole(admin: Latchkey, label: string): Promise<string> {
  const input = { label, permissions: ['findings:read'] }
  return unwrap((await admin.createTokenRole({ input })).createTokenRole).tokenRole.id
}

async function createWebhook(admin: Latchkey, url: string): Promise<string> {
  const input = { url, eventTypes: ['TOKEN_CREATED' as const] }
  return unwrap((await admin.createWebhook({ input })).createWebhook).webhook.id
}

/** Of somebody who is new, and is known by nothing but the address. */
async function invite(admin: Latchkey, name: string): Promise<Target['invitation']> {
  const email = `${name.toLowerCase().replaceAll(' ', '-')}-${++made}@invited.example`
  const { invitation, secret } = unwrap((await admin.inviteMember({ input: { email, role: 'GUEST' } })).inviteMember)
  return { id: invitation.id, secret, email }
}

async function memberId({ email }: { email: string }): Promise<string> {
  const [member] = await world.sql<{ id: string }>(
    'select m.id from members m join people p on p.id = m.person_id where p.email = $1',
    [email],
  )
  return member?.id ?? ''
}

async function prepareCallers(organization: TestOrganization): Promise<Caller[]> {
  const { owner, superAdmin, powerUser, member, guest } = organization
  const members: [string, TestMember][] = [
    ['OWNER', owner],
    ['SUPER', superAdmin],
    ['POWER', powerUser],
    ['MEMBER', member],
    ['GUEST', guest],
  ]
  const tokens: [string, string][] = [
    ['ci', 'role_ci'],
    ['scim', 'role_scim'],
    ['jira', 'role_jira'],
    ['acct', 'role_service_account'],
    ['role', own.roleId],
  ]
  const issue = (label: string, roleId: string) => createToken(owner, label, roleId)
  const deleted = await issue('Deleted', 'role_ci')
  const disabled = await issue('Disabled', 'role_ci')
  const expired = await issue('Expired', 'role_ci')
  await owner.deleteToken({ input: { id: deleted.id } })
  await owner.updateToken({ input: { id: disabled.id, enabled: false } })
  await world.sql(`update integration_tokens set expires_at = now() - interval '1 second' where id = $1`, [expired.id])
  const idle = await addService(world.dependencies, 'idle-service')
  await world.sql(`update services set permissions = '{}' where name = 'idle-service'`)

  const issued = await Promise.all(
    tokens.map(async ([column, roleId]) => {
      const { id, secret } = await issue(`Caller ${column}`, roleId)
      return { column, name: `${column} token`, credential: secret, self: id, actorId: id }
    }),
  )
  const signedIn = await Promise.all(members.map(([column, who]) => prepareMember(column, who)))
  return [
    nobody('none', 'no credential', null),
    nobody('dead', 'a malformed credential', `lki_${'0'.repeat(49)}`),
    nobody('dead', 'a deleted token', deleted.secret),
    nobody('dead', 'a disabled token', disabled.secret),
    nobody('dead', 'an expired token', expired.secret),
    ...signedIn.flat(),
    ...issued,
    { ...nobody('svc', 'a service', world.service.secret), self: 'scanner' },
    { ...nobody('idle', 'a service without permissions', idle), self: 'idle-service' },
  ]
}

const nobody = (column: string, name: string, credential: string | null): Caller => {
  return { column, name, credential, self: '', actorId: null }
}

/** The member twice, by session and by access token. What ends either makes both anew. */
async function prepareMember(column: string, { email }: TestMember): Promise<Caller[]> {
  const id = await memberId({ email })
  const known = { column, self: id, actorId: id, credential: null }
  const session: Caller = { ...known, name: `${column} by session`, by: 'session', renew }
  const accessToken: Caller = { ...known, name: `${column} by access token`, by: 'access token', renew }
  async function renew() {
    const before = await openSession(email)
    const answer = await ask('Mutation.resetAccessToken', {}, before)
    accessToken.credential = z.object({ secret: z.string() }).parse(answer.data?.resetAccessToken).secret
    session.credential = await openSession(email)
    session.otherSessionId = accessToken.otherSessionId = (await openSessionOf(email)).id
  }
  await renew()
  return [session, accessToken]
}

async function openSession(email: string, slug: string | null = null): Promise<string> {
  return (await openSessionOf(email, slug)).sessionToken
}

async function openSessionOf(email: string, slug: string | null = null): Promise<{ id: string; sessionToken: string }> {
  const origin = { ipAddress: '192.0.2.1', userAgent: 'tests' }
  const { sessionToken, principal } = await signIn({ ...world.dependencies, origin }, { email, password, slug })
  return { id: 'session' in principal.by ? principal.by.session : '', sessionToken }
}

const answerBody = z.object({
  data: z.record(z.string(), z.unknown()).nullish(),
  errors: z.array(z.object({ message: z.string(), extensions: z.object({ code: z.string() }) })).optional(),
})

interface Answer extends z.output<typeof answerBody> {
  status: number
  headers: Headers
  text: string
}

/** Over plain HTTP, so that no client hides anything of the answer. */
async function ask(name: string, variables: Record<string, unknown>, credential: string | null): Promise<Answer> {
  const subscribes = name.startsWith('Subscription.')
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: subscribes ? 'text/event-stream' : 'application/json',
      ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
    },
    body: JSON.stringify({ query: writeDocument(name, Object.keys(variables)), variables }),
  })
  const { status, headers } = response
  const streams = headers.get('content-type')?.startsWith('text/event-stream')
  const text = streams ? await readFirstMessage(response) : await response.text()
  return { status, headers, text, ...answerBody.parse(JSON.parse(text)) }
}

async function readFirstMessage({ body }: Response): Promise<string> {
  let text = ''
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk
    const message = /^data: ?(\{.*\})\n\n/m.exec(text)?.[1]
    if (message) return message
  }
  throw new Error(`The stream ended without a message: ${text}`)
}

/** An operation on the one root field that asks for all there is to be had, however deep. */
function writeDocument(name: string, given: string[]): string {
  const field = rootFields.get(name)
  if (!field) throw new Error(`There is no field ${name}.`)
  const asked = field.args.filter((argument) => given.includes(argument.name))
  const list = (items: string[]) => (items.length > 0 ? `(${items.join(', ')})` : '')
  const declared = list(asked.map(({ name, type }) => `$${name}: ${type}`))
  const passed = list(asked.map(({ name }) => `${name}: $${name}`))
  const [operation] = name.toLowerCase().split('.', 1)
  return `${operation}${declared} { ${field.name}${passed} ${select(field.type)} }`
}

function select(of: GraphQLOutputType): string {
  const type = getNamedType(of)
  if (isObjectType(type)) return `{ __typename ${selectFields(type)} }`
  if (!isAbstractType(type)) return ''
  const members = schema.getPossibleTypes(type)
  // Two members may not answer a field of the same name with different types: such fields get an alias each.
  const typesOf = (field: string) =>
    new Set(members.flatMap((member) => member.getFields()[field]?.type.toString() ?? []))
  const fragments = members.map(
    (member) => `... on ${member.name} { ${selectFields(member, (field) => typesOf(field).size > 1)} }`,
  )
  return `{ __typename ${fragments.join(' ')} }`
}

function selectFields(of: GraphQLObjectType, needsAlias = (_field: string) => false): string {
  return Object.values(of.getFields())
    .map(({ name, type }) => `${needsAlias(name) ? `${name}Of${of.name}: ` : ''}${name} ${select(type)}`)
    .join(' ')
}

/** The word of the matrix for an answer; the answer itself where there is none. */
function outcomeOf(name: string, { status, headers, data, errors, text }: Answer): string {
  const value = data?.[fieldOf(name)]
  const code = errors?.length === 1 && !value ? errors[0]?.extensions.code : undefined
  if (status === 401 && code === 'UNAUTHENTICATED' && headers.get('www-authenticate')?.startsWith('Bearer '))
    return '401'
  if (status === 403 && code === 'FORBIDDEN') return '403'
  if (status !== 200 || errors || value === undefined) return `${status} ${text}`
  if (value === null) return 'null'
  const named = z.object({ __typename: z.string() }).safeParse(value).data?.__typename ?? ''
  return refusals.get(named) ?? (isRefusal(named) ? named : 'ok')
}

function isRefusal(name: string): boolean {
  const type = schema.getType(name)
  return isObjectType(type) && type.getInterfaces().some((of) => of.name === 'Refusal')
}

const fieldOf = (name: string) => name.split('.')[1] ?? ''

function expected({ cells }: Row, { column, by }: Caller): string {
  const [bySession = '', byAccessToken = bySession] = (cells.get(column) ?? '').split('/')
  return by === 'access token' ? byAccessToken : bySession
}

function questionOf({ field, what, foreign: isForeign }: Row, caller: Caller): Question {
  const question = questions[`${fieldOf(field)} ${what}`.trim()]
  if (!question) throw new Error(`There is no question for ${field} ${what}.`)
  return question(isForeign ? foreign : own, caller)
}

interface Fingerprint {
  all: Record<string, string>
  foreign: Record<string, string>
}

/** A digest for each table of what no request changes that is not meant to; and for each, of the other organization's rows. */
async function fingerprint(): Promise<Fingerprint> {
  // Last uses are written behind, some time after the request.
  const row = `(to_jsonb(t) - '{last_used_at,last_used_from,retired_secret_last_used_at}'::text[])::text`
  const digest = (name: string, isForeign: boolean) =>
    `select '${name}' as name, ${isForeign} as "isForeign", md5(coalesce(string_agg(${row}, ',' order by ${row}), '')) as digest
     from ${name} t ${isForeign ? `where organization_id = '${foreign.organizationId}'` : ''}`
  const tables = await listTables()
  // A refusal may be recorded, and what is refused is counted.
  const compared = tables.filter(
    ({ name }) => !['audit_events', 'audit_heads', 'sign_in_attempts', 'rates'].includes(name),
  )
  const tenants = tables.filter(({ isTenant }) => isTenant)
  const digests = await world.sql<{ name: string; isForeign: boolean; digest: string }>(
    [...compared.map(({ name }) => digest(name, false)), ...tenants.map(({ name }) => digest(name, true))].join(
      ' union all ',
    ),
  )
  const of = (wanted: boolean) =>
    Object.fromEntries(digests.flatMap(({ name, isForeign, digest }) => (isForeign === wanted ? [[name, digest]] : [])))
  return { all: of(false), foreign: of(true) }
}

interface Table {
  name: string
  isTenant: boolean
  hasId: boolean
}

function listTables(): Promise<Table[]> {
  const has = (column: string) =>
    `exists (select from pg_attribute where attrelid = c.oid and attname = '${column}' and not attisdropped)`
  return world.sql<Table>(
    `select relname as name, ${has('organization_id')} as "isTenant", ${has('id')} as "hasId"
     from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')`,
  )
}

/** Gives back what a mutation took from those who ask after it. */
async function restore(field: string, { renew }: Caller): Promise<Fingerprint> {
  if (
    /^Mutation\.(signOut|switchOrganization|endSession|endOtherSessions|changePassword|resetAccessToken)$/.test(field)
  )
    await renew?.()
  if (field === 'Mutation.signIn') await world.dependencies.limits.signInsByAccount.reset(world.alpha.member.email)
  if (field === 'Mutation.deleteToken') {
    const owner = world.as(callers.find(({ name }) => name === 'OWNER by session')?.credential ?? '')
    own = { ...own, victimId: (await createToken(owner, `Another victim ${++made}`, 'role_ci')).id }
  }
  if (field === 'Mutation.deleteTokenRole') {
    const owner = world.as(callers.find(({ name }) => name === 'OWNER by session')?.credential ?? '')
    own = { ...own, victimRoleId: await createRole(owner, `Role to delete ${++made}`) }
  }
  if (/^Mutation\.(revokeInvitation|acceptInvitation)$/.test(field)) {
    const owner = world.as(callers.find(({ name }) => name === 'OWNER by session')?.credential ?? '')
    own = { ...own, invitation: await invite(owner, 'Another') }
    await world.dependencies.limits.signInsByAccount.reset(foreign.invitation.email)
  }
  // No token of the other rows is to be refused for it.
  if (field === 'Mutation.updateTokenPolicy')
    await world.sql('update organizations set longest_token_lifetime_days = null where id = $1', [own.organizationId])
  if (field === 'Mutation.deleteWebhook') {
    const owner = world.as(callers.find(({ name }) => name === 'OWNER by session')?.credential ?? '')
    own = { ...own, victimWebhookId: await createWebhook(owner, `https://192.31.197.1/victim/${++made}`) }
  }
  // An organization has ten of them at most.
  if (field === 'Mutation.createWebhook')
    await world.sql(`delete from webhooks where url like '%.1/%' and id <> all($1)`, [
      [own, foreign].flatMap(({ webhookId, victimWebhookId }) => [webhookId, victimWebhookId]),
    ])
  return fingerprint()
}

/** The events since an earlier reading. */
async function readEvents(since: { count: number } | null) {
  const recent = await world.sql<{ organization_id: string; action: string; actor_id: string | null }>(
    'select organization_id, action, actor_id from audit_events order by at, id offset $1',
    [since?.count ?? 0],
  )
  return { recent, count: (since?.count ?? 0) + recent.length }
}
