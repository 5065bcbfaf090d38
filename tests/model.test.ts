import { hash } from 'node:crypto'
import { type OrganizationRole, RequestError, type WebhookEventType } from '@latchkey/sdk'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addMember, createOrganization } from '../server/organizations/operator.ts'
import { openWorld, password, type World } from './world.ts'

/** 1,000 in all; as many again for whoever sets more. */
const sequences = Number(process.env.MODEL_SEQUENCES ?? 1_000)
const longestSequence = 12

const organizations = ['alpha', 'beta', 'gamma'] as const
type Organization = (typeof organizations)[number]
const roles = ['OWNER', 'SUPER_ADMIN', 'POWER_USER', 'MEMBER', 'GUEST'] as const satisfies OrganizationRole[]
const tokenRoles = ['role_ci', 'role_scim', 'role_jira', 'role_service_account'] as const
type TokenRole = (typeof tokenRoles)[number]
/** But for the use of a retired secret, which is written behind, and for expiry. */
const eventTypes: WebhookEventType[] = [
  ...(['TOKEN_CREATED', 'TOKEN_UPDATED', 'TOKEN_ENABLED', 'TOKEN_DISABLED'] as const),
  ...(['TOKEN_REGENERATED', 'TOKEN_DELETED'] as const),
]

/** What the model knows of a member: which of the secrets that it ever had are good now. */
interface Member {
  organization: Organization
  role: OrganizationRole
  email: string
  sessions: string[]
  session: string
  accessToken: string
  password: string
}

interface Token {
  id: string
  organization: Organization
  label: string
  role: TokenRole
  enabled: boolean
  deleted: boolean
  /** The service account that made it. */
  maker: Token | null
  /** Every secret that it ever had, the latest last. */
  secrets: { secret: string; accepted: boolean }[]
}

type Caller =
  | { kind: 'stranger' }
  | { kind: 'service' }
  | { kind: 'session' | 'accessToken'; member: number }
  | { kind: 'token'; token: number; secret: number }

type Step =
  | { does: 'createToken'; caller: Caller; label: string; role: TokenRole | 'role_none' }
  | { does: 'updateToken'; caller: Caller; token: number; label: string | null; enabled: boolean | null }
  | { does: 'regenerateToken'; caller: Caller; token: number; overlapSeconds: 0 | 3600 }
  | { does: 'deleteToken'; caller: Caller; token: number }
  | { does: 'resetAccessToken' | 'signOut' | 'endOtherSessions'; caller: Caller }
  | { does: 'changePassword'; caller: Caller; isRight: boolean; to: string }
  | { does: 'switchOrganization'; caller: Caller; to: Organization }
  | { does: 'signIn'; member: number; isRight: boolean }

const memberIndex = fc.nat(organizations.length * roles.length - 1)
/** Counted from the latest, so that most of what is asked for is there. */
const recent = fc.nat(4)
const caller: fc.Arbitrary<Caller> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constantFrom('session' as const, 'accessToken' as const), member: memberIndex }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('session' as const), member: fc.constantFrom(0, 1, 5, 6, 10, 11) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('token' as const), token: recent, secret: recent }) },
  { weight: 1, arbitrary: fc.constantFrom<Caller>({ kind: 'stranger' }, { kind: 'service' }) },
)
const label = fc.constantFrom('one', 'two', 'TWO', 'three', 'four')
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constant('createToken' as const),
      caller,
      label,
      role: fc.constantFrom(...tokenRoles, 'role_none' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('updateToken' as const),
      caller,
      token: recent,
      label: fc.option(label),
      enabled: fc.option(fc.boolean()),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('regenerateToken' as const),
      caller,
      token: recent,
      overlapSeconds: fc.constantFrom(0 as const, 3600 as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('deleteToken' as const), caller, token: recent }) },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constantFrom('resetAccessToken' as const, 'signOut' as const, 'endOtherSessions' as const),
      caller,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant('switchOrganization' as const),
      caller,
      to: fc.constantFrom(...organizations),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constant('changePassword' as const),
      caller,
      isRight: fc.boolean(),
      to: fc.constantFrom('a ladder behind the shed', 'seven kettles on a hill'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant('signIn' as const), member: memberIndex, isRight: fc.boolean() }),
  },
)

let world: World
const organizationIds = new Map<Organization, string>()
const members: Member[] = []
let tokens: Token[] = []
/** What each organization's webhook is to be told, in this order: of which token, and what has happened to it. */
const events = new Map<Organization, { tokenId: string; type: string }[]>()

beforeAll(async () => {
  world = await openWorld()
  organizationIds.set('alpha', world.alpha.id).set('beta', world.beta.id)
  const gamma = { name: 'Gamma', owner: { email: 'owner@gamma.example', password } }
  organizationIds.set('gamma', (await createOrganization(world.dependencies, gamma)).id)
  for (const organization of organizations) {
    for (const role of roles) {
      const email = `${role.toLowerCase().replace('_', '-')}@${organization}.example`
      if (organization === 'gamma' && role !== 'OWNER') {
        await addMember(world.dependencies, { organization, role, email, password })
      }
      members.push({ organization, role, email, sessions: [], session: '', accessToken: '', password })
    }
  }
  for (const member of members) {
    await signIn(member)
    const { resetAccessToken } = await world.as(member.session).resetAccessToken()
    member.accessToken = resetAccessToken.secret
    member.sessions = []
  }
  for (const { organization, role, accessToken } of members) {
    if (role !== 'OWNER') continue
    const input = { url: 'https://192.31.197.1/hooks', eventTypes }
    const { createWebhook } = await world.as(accessToken).createWebhook({ input })
    expect(createWebhook.__typename).toBe('CreateWebhookPayload')
    events.set(organization, [])
  }
})
afterAll(() => world[Symbol.asyncDispose]())

async function signIn(member: Member): Promise<void> {
  const { signIn } = await world.stranger.signIn({ input: { email: member.email, password: member.password } })
  if (signIn.__typename !== 'SignInPayload') throw new Error(`${member.email} cannot sign in.`)
  member.session = signIn.sessionToken
  member.sessions.push(signIn.sessionToken)
}

describe('every mutation, by whomever, in whatever order', () => {
  it(`does what a small model of it does, in ${sequences} sequences`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: longestSequence }), async (steps) => {
        await begin()
        for (const taken of steps) {
          const { outcome, apply } = predict(taken)
          const answer = await take(taken)
          expect({ taken, outcome: answer.outcome }).toEqual({ taken, outcome })
          apply?.(answer)
          await compareVerdicts()
        }
        await compareTokens()
        await compareOutbox()
      }),
      { numRuns: sequences, endOnFailure: true },
    )
  }, 600_000)
})

async function begin(): Promise<void> {
  await world.sql('delete from integration_tokens')
  await world.sql('delete from sign_in_attempts')
  await world.sql('delete from rates')
  await world.sql('delete from webhook_deliveries')
  tokens = []
  for (const organization of organizations) events.set(organization, [])
  for (const member of members) if (!member.sessions.includes(member.session)) await signIn(member)
}

interface Answer {
  /** The type of what was answered, or the code of the error. */
  outcome: string
  tokenId?: string
  secret?: string
}

/** Does it, over the SDK. */
async function take(taken: Step): Promise<Answer> {
  if (taken.does === 'signIn') {
    const member = memberAt(taken.member)
    const input = { email: member.email, password: taken.isRight ? member.password : 'not the password' }
    const { signIn } = await world.stranger.signIn({ input })
    return signIn.__typename === 'SignInPayload'
      ? { outcome: signIn.__typename, secret: signIn.sessionToken }
      : { outcome: signIn.__typename }
  }
  const { credential } = identify(taken.caller)
  const client = credential === null ? world.stranger : world.as(credential)
  try {
    switch (taken.does) {
      case 'createToken': {
        const { createToken } = await client.createToken({ input: { label: taken.label, roleId: taken.role } })
        if (createToken.__typename !== 'CreateTokenPayload') return { outcome: createToken.__typename }
        return { outcome: createToken.__typename, tokenId: createToken.token.id, secret: createToken.secret }
      }
      case 'updateToken': {
        const { label, enabled } = taken
        // Whether a SCIM token has been used lately is written behind, and no matter of the model.
        const force = true
        const input = {
          id: idOf(taken.token),
          ...(label !== null && { label }),
          ...(enabled !== null && { enabled }),
          force,
        }
        return { outcome: (await client.updateToken({ input })).updateToken.__typename }
      }
      case 'regenerateToken': {
        const input = { id: idOf(taken.token), overlapSeconds: taken.overlapSeconds }
        const { regenerateToken } = await client.regenerateToken({ input })
        if (regenerateToken.__typename !== 'RegenerateTokenPayload') return { outcome: regenerateToken.__typename }
        return { outcome: regenerateToken.__typename, secret: regenerateToken.secret }
      }
      case 'deleteToken':
        return {
          outcome: (await client.deleteToken({ input: { id: idOf(taken.token), force: true } })).deleteToken.__typename,
        }
      case 'resetAccessToken': {
        const { resetAccessToken } = await client.resetAccessToken()
        return { outcome: resetAccessToken.__typename, secret: resetAccessToken.secret }
      }
      case 'signOut': {
        const { signOut } = await client.signOut()
        return { outcome: `${signOut.__typename} ${signOut.signedOut}` }
      }
      case 'endOtherSessions':
        return { outcome: (await client.endOtherSessions()).endOtherSessions.__typename }
      case 'changePassword': {
        const { who } = identify(taken.caller)
        const known = who?.kind === 'member' ? who.member.password : password
        const input = { currentPassword: taken.isRight ? known : 'not the password', newPassword: taken.to }
        const { changePassword } = await client.changePassword({ input })
        if (changePassword.__typename !== 'ChangePasswordPayload') return { outcome: changePassword.__typename }
        return { outcome: changePassword.__typename, secret: changePassword.sessionToken }
      }
      case 'switchOrganization': {
        const { switchOrganization } = await client.switchOrganization({ slug: taken.to })
        if (switchOrganization.__typename !== 'SignInPayload') return { outcome: switchOrganization.__typename }
        return { outcome: switchOrganization.__typename, secret: switchOrganization.sessionToken }
      }
    }
  } catch (error) {
    if (error instanceof RequestError) return { outcome: error.code }
    throw error
  }
}

interface Prediction {
  outcome: string
  /** What has changed in the model then. */
  apply?: (answer: Answer) => void
}

function predict(taken: Step): Prediction {
  if (taken.does === 'signIn') {
    const member = memberAt(taken.member)
    if (!taken.isRight) return { outcome: 'SignInRefused' }
    return { outcome: 'SignInPayload', apply: ({ secret = '' }) => beginSession(member, secret) }
  }
  const { who } = identify(taken.caller)
  if (!who) return { outcome: 'UNAUTHENTICATED' }
  if (who.kind === 'token' && who.token.role === 'role_scim') return { outcome: 'FORBIDDEN' }

  switch (taken.does) {
    case 'createToken': {
      if (!isAdmin(who) && !isServiceAccount(who)) return { outcome: 'FORBIDDEN' }
      const { role } = taken
      if (role === 'role_none' || (isServiceAccount(who) && role !== 'role_ci')) return { outcome: 'InvalidInput' }
      const organization = organizationOf(who)
      if (isTaken(organization, taken.label, null)) return { outcome: 'LabelTaken' }
      return {
        outcome: 'CreateTokenPayload',
        apply: ({ tokenId = '', secret = '' }) => {
          const secrets = [{ secret, accepted: true }]
          const maker = who.kind === 'token' ? who.token : null
          const { label } = taken
          tokens.push({ id: tokenId, organization, label, role, enabled: true, deleted: false, maker, secrets })
          events.get(organization)?.push({ tokenId, type: 'token.created' })
        },
      }
    }
    case 'updateToken': {
      if (!isAdmin(who)) return { outcome: 'FORBIDDEN' }
      const token = findToken(taken.token, who)
      if (!token) return { outcome: 'TokenNotFound' }
      const { label, enabled } = taken
      if (label !== null && isTaken(token.organization, label, token)) return { outcome: 'LabelTaken' }
      return {
        outcome: 'UpdateTokenPayload',
        apply: () => {
          if (label !== null && label !== token.label) tell(token, 'token.updated')
          if (enabled !== null && enabled !== token.enabled) tell(token, enabled ? 'token.enabled' : 'token.disabled')
          Object.assign(token, { label: label ?? token.label, enabled: enabled ?? token.enabled })
        },
      }
    }
    case 'regenerateToken': {
      if (!isAdmin(who)) return { outcome: 'FORBIDDEN' }
      const token = findToken(taken.token, who)
      if (!token) return { outcome: 'TokenNotFound' }
      return {
        outcome: 'RegenerateTokenPayload',
        apply: ({ secret = '' }) => {
          const current = token.secrets.at(-1)
          for (const old of token.secrets) old.accepted = old === current && taken.overlapSeconds > 0
          token.secrets.push({ secret, accepted: true })
          tell(token, 'token.regenerated')
        },
      }
    }
    case 'deleteToken': {
      if (!isAdmin(who) && !isServiceAccount(who)) return { outcome: 'FORBIDDEN' }
      const token = findToken(taken.token, who)
      if (!token || (who.kind === 'token' && token.maker !== who.token)) return { outcome: 'TokenNotFound' }
      return {
        outcome: 'DeleteTokenPayload',
        apply: () => {
          token.deleted = true
          tell(token, 'token.deleted')
        },
      }
    }
    case 'resetAccessToken': {
      if (who.kind !== 'member') return { outcome: 'FORBIDDEN' }
      const apply = ({ secret = '' }) => Object.assign(who.member, { accessToken: secret, sessions: [] })
      return { outcome: 'ResetAccessTokenPayload', apply }
    }
    case 'signOut': {
      if (who.kind !== 'member' || !who.bySession) return { outcome: 'SignOutPayload false' }
      return { outcome: 'SignOutPayload true', apply: () => endSession(who.member) }
    }
    case 'endOtherSessions': {
      if (who.kind !== 'member') return { outcome: 'FORBIDDEN' }
      const { member, bySession } = who
      const apply = () => Object.assign(member, { sessions: bySession ? [member.session] : [] })
      return { outcome: 'EndOtherSessionsPayload', apply }
    }
    case 'changePassword': {
      if (who.kind !== 'member' || !who.bySession) return { outcome: 'FORBIDDEN' }
      if (!taken.isRight) return { outcome: 'WrongPassword' }
      const apply = ({ secret = '' }) =>
        Object.assign(who.member, { password: taken.to, session: secret, sessions: [secret] })
      return { outcome: 'ChangePasswordPayload', apply }
    }
    case 'switchOrganization': {
      if (who.kind !== 'member' || !who.bySession) return { outcome: 'FORBIDDEN' }
      if (taken.to !== who.member.organization) return { outcome: 'NotAMember' }
      const apply = ({ secret = '' }) => {
        endSession(who.member)
        beginSession(who.member, secret)
      }
      return { outcome: 'SignInPayload', apply }
    }
  }
}

type Who =
  | { kind: 'member'; member: Member; bySession: boolean }
  | { kind: 'token'; token: Token }
  | { kind: 'service' }

/** What the caller presents, and who that is; null where it is good no more. */
function identify(caller: Caller): { credential: string | null; who: Who | null } {
  if (caller.kind === 'stranger') return { credential: null, who: null }
  if (caller.kind === 'service') return { credential: world.service.secret, who: { kind: 'service' } }
  if (caller.kind === 'token') {
    const token = tokens.at(-1 - caller.token)
    const secret = token?.secrets.at(-1 - caller.secret) ?? token?.secrets[0]
    if (!token || !secret) return { credential: null, who: null }
    return { credential: secret.secret, who: isAccepted(token, secret) ? { kind: 'token', token } : null }
  }
  const member = memberAt(caller.member)
  const bySession = caller.kind === 'session'
  const isGood = !bySession || member.sessions.includes(member.session)
  return {
    credential: bySession ? member.session : member.accessToken,
    who: isGood ? { kind: 'member', member, bySession } : null,
  }
}

const isAccepted = ({ enabled, deleted }: Token, { accepted }: Token['secrets'][number]) =>
  enabled && !deleted && accepted

function isAdmin(who: Who): boolean {
  return who.kind === 'member' && (who.member.role === 'OWNER' || who.member.role === 'SUPER_ADMIN')
}

const isServiceAccount = (who: Who) => who.kind === 'token' && who.token.role === 'role_service_account'

function organizationOf(who: Who): Organization {
  if (who.kind === 'service') throw new Error('A service belongs to no organization.')
  return who.kind === 'member' ? who.member.organization : who.token.organization
}

function isTaken(organization: Organization, label: string, except: Token | null): boolean {
  return tokens.some(
    (token) =>
      token !== except &&
      !token.deleted &&
      token.organization === organization &&
      token.label.toLowerCase() === label.toLowerCase(),
  )
}

function idOf(nth: number): string {
  return tokens.at(-1 - nth)?.id ?? 'tok_01k00000000000000000000000'
}

function findToken(nth: number, who: Who): Token | null {
  const token = tokens.at(-1 - nth)
  return token && !token.deleted && token.organization === organizationOf(who) ? token : null
}

function tell({ id, organization }: Token, type: string): void {
  events.get(organization)?.push({ tokenId: id, type })
}

function memberAt(index: number): Member {
  const member = members[index]
  if (!member) throw new Error('There is no such member.')
  return member
}

function beginSession(member: Member, secret: string): void {
  member.session = secret
  member.sessions.push(secret)
}

function endSession(member: Member): void {
  member.sessions = member.sessions.filter((session) => session !== member.session)
}

/** Of every secret that was ever shown in the sequence, and of every access token: accepted or not, for which organization, as what. */
async function compareVerdicts(): Promise<void> {
  const integration = tokens.flatMap((token) =>
    token.secrets.map((secret) => ({
      secret: secret.secret,
      due: isAccepted(token, secret)
        ? {
            active: true,
            organizationId: organizationIds.get(token.organization),
            tokenId: token.id,
            roleId: token.role,
            label: token.label,
          }
        : { active: false },
    })),
  )
  const personal = members.map(({ accessToken, organization, role }) => ({
    secret: accessToken,
    due: { active: true, organizationId: organizationIds.get(organization), organizationRole: role },
  }))
  const asked = [...integration, ...personal]
  const digests = asked.map(({ secret }) => hash('sha256', secret))
  const { verifyTokenDigests } = await world.service.verifyTokenDigests({ digests })
  expect(verifyTokenDigests).toMatchObject(asked.map(({ due }) => due))
}

async function compareTokens(): Promise<void> {
  const rows = await world.sql<{ organization_id: string; label: string; role_id: string; enabled: boolean }>(
    'select organization_id, label, role_id, enabled from integration_tokens order by id',
  )
  const due = tokens
    .filter(({ deleted }) => !deleted)
    .map(({ id, organization, label, role, enabled }) => ({
      id,
      organization_id: organizationIds.get(organization),
      label,
      role_id: role,
      enabled,
    }))
    .sort((one, other) => (one.id < other.id ? -1 : 1))
    .map(({ id: _id, ...row }) => row)
  expect(rows).toEqual(due)
}

/** Every change is in the outbox of its own organization and in no other, in order, and nothing else is. */
async function compareOutbox(): Promise<void> {
  const rows = await world.sql<{ organization_id: string; tokenId: string; type: string }>(
    'select organization_id, token_id as "tokenId", event_type as type from webhook_deliveries order by sequence',
  )
  for (const [organization, due] of events) {
    const own = rows.filter((row) => row.organization_id === organizationIds.get(organization))
    expect(own.map(({ tokenId, type }) => ({ tokenId, type }))).toEqual(due)
  }
}
