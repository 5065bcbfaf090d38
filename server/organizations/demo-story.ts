import type { AuditAction } from '../audit/record-event.ts'
import type { RandomBytes } from '../dependencies.ts'
import {
  type AccessTokenId,
  createId,
  type EventId,
  type MemberId,
  type OrganizationId,
  type RoleId,
  type TokenId,
} from '../identifiers.ts'
import type { Origin } from '../identity/principal.ts'
import type { SecretRecord } from '../tokens/secret.ts'
import type { OrganizationRole } from './roles.ts'

export interface DemoMember {
  id: MemberId
  name: string
  email: string
  role: OrganizationRole
  createdAt: Date
  /** Null for a member who never reset theirs. */
  accessToken: { id: AccessTokenId; createdAt: Date } | null
}

export interface DemoSecret {
  record: SecretRecord
  createdAt: Date
  acceptedUntil: Date | null
  lastUsedAt: Date | null
}

export interface DemoToken {
  id: TokenId
  label: string
  description: string | null
  roleId: RoleId
  enabled: boolean
  createdAt: Date
  createdByMemberId: MemberId | null
  expiresAt: Date | null
  lastUsedAt: Date | null
  lastUsedFrom: string | null
  retiredSecretLastUsedAt: Date | null
  secrets: DemoSecret[]
}

export interface DemoEvent {
  id: EventId
  at: Date
  action: AuditAction
  actor: string
  actorId: string | null
  target: string | null
  targetId: string | null
  ipAddress: string | null
  userAgent: string | null
}

/** A year in an organization: its rows as they are at the end, and the events that led there, oldest first. */
export interface DemoStory {
  organization: { id: OrganizationId; name: string; slug: string; createdAt: Date }
  members: DemoMember[]
  tokens: DemoToken[]
  events: DemoEvent[]
}

export interface StorySources {
  slug: string
  /** The same seed tells the same story; ids and secrets differ all the same, since a seed could be guessed. */
  seed: number
  now: Date
  randomBytes: RandomBytes
  issueSecret(): SecretRecord
}

type Choices<T> = readonly [T, ...T[]]

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** Shorter than the retention of expired tokens and retired secrets, which would otherwise be purged within the hour. */
const kept = 80 * day

const operator: Actor = {
  name: 'operator',
  id: null,
  origin: { ipAddress: null, userAgent: 'latchkey command line' },
}
const browsers = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15',
]

/** The days are those on which they joined, counted back from today. */
const cast: readonly { name: string; role: OrganizationRole; joined: number; resets?: readonly number[] }[] = [
  { name: 'Amara Okafor', role: 'OWNER', joined: 364 },
  { name: 'Jonas Lindqvist', role: 'SUPER_ADMIN', joined: 362 },
  { name: 'Priya Raghavan', role: 'SUPER_ADMIN', joined: 355 },
  { name: 'Wei Zhang', role: 'SUPER_ADMIN', joined: 338 },
  { name: 'Mateo Fernández', role: 'POWER_USER', joined: 341, resets: [320, 131] },
  { name: 'Hana Sato', role: 'POWER_USER', joined: 262, resets: [240] },
  { name: 'Chloé Martin', role: 'MEMBER', joined: 336, resets: [300] },
  { name: 'Tomasz Nowak', role: 'MEMBER', joined: 298 },
  { name: 'Leila Haddad', role: 'MEMBER', joined: 214, resets: [97] },
  { name: 'Samuel Mensah', role: 'MEMBER', joined: 122 },
  { name: 'Ingrid Halvorsen', role: 'MEMBER', joined: 58 },
  { name: 'Víctor Almeida', role: 'GUEST', joined: 187 },
  { name: 'Grace Kim', role: 'GUEST', joined: 33 },
]

const repositories = [
  ...['arm-controller', 'motion-planner', 'perception-stack', 'gripper-firmware', 'bootloader', 'fleet-api'],
  ...['fleet-console', 'telemetry-ingest', 'map-server', 'safety-monitor', 'battery-manager', 'charging-dock'],
  ...['warehouse-ui', 'pick-optimizer', 'vision-models', 'simulation', 'calibration-tool', 'robot-os-image'],
  ...['ota-updater', 'release-signing', 'customer-portal', 'billing', 'identity-bridge', 'support-desk'],
  ...['data-lake', 'notebook-images', 'infra-terraform', 'cluster-config', 'docs-site', 'mobile-app'],
  ...['joystick-driver', 'lidar-driver', 'camera-driver', 'route-service', 'task-queue', 'event-bus'],
]
const purposes = ['main', 'pull requests', 'nightly', 'release', 'hotfix', 'dependency updates', 'fuzzing']
const pipelines: Choices<{ system: string; network: string }> = [
  { system: 'GitHub Actions', network: '198.51.100' },
  { system: 'GitLab CI', network: '10.40.12' },
  { system: 'Jenkins', network: '10.20.7' },
  { system: 'Buildkite', network: '10.31.4' },
  { system: 'CircleCI', network: '192.0.2' },
]
const descriptions: Choices<(repository: string, purpose: string) => string | null> = [
  (repository, purpose) => `Runs the scanner for ${repository} (${purpose}).`,
  (repository) => `Uploads the findings of ${repository}. Ask the platform team before deleting.`,
  (repository, purpose) => `${repository}, ${purpose}: kept in the pipeline’s secret store as LATCHKEY_TOKEN.`,
  () => null,
]
const others: readonly { label: string; description: string; roleId: RoleId; network: string }[] = [
  ...['robotics', 'platform', 'web', 'mobile', 'data', 'security', 'hardware', 'support', 'release', 'compliance'].map(
    (team) => ({
      label: `Jira: ${team} project`,
      description: `Files findings as issues in the ${team} project.`,
      roleId: 'role_jira' as const,
      network: '203.0.113',
    }),
  ),
  ...['OneLogin SCIM', 'JumpCloud SCIM', 'Ping SCIM (sandbox)', 'Okta SCIM (sandbox)'].map((label) => ({
    label,
    description: 'Provisions members from the identity provider.',
    roleId: 'role_scim' as const,
    network: '203.0.113',
  })),
  ...['Argo Workflows', 'Crossplane', 'Vault secrets engine', 'Pulumi automation'].map((label) => ({
    label: `${label}: CI tokens`,
    description: 'Creates the CI tokens of new repositories.',
    roleId: 'role_service_account' as const,
    network: '10.10.3',
  })),
]

interface Actor {
  name: string
  id: string | null
  origin: Origin
  /** A person, who has to sign in before. */
  signsIn?: true
}

/** What becomes of a token that nobody wrote a part for. */
type Fate = 'busy' | 'quiet' | 'unused' | 'disabled' | 'expired' | 'expiring' | 'regenerated' | 'deleted' | 'purged'
const fates: readonly [Fate, number][] = [
  ['busy', 40],
  ['quiet', 13],
  ['unused', 9],
  ['disabled', 7],
  ['expired', 7],
  ['expiring', 6],
  ['regenerated', 7],
  ['deleted', 9],
  ['purged', 2],
]

/** Of its members' addresses. */
export const domainOf = (slug: string) => `${slug}.example`

/** Pure but for its sources. Every instant lies between a year ago and `now`, save for what is yet to expire. */
export function tellStory({ slug, seed, now, randomBytes, issueSecret }: StorySources): DemoStory {
  const random = createRandom(seed)
  const events: Omit<DemoEvent, 'id'>[] = []
  const tokens: DemoToken[] = []
  const id = <K extends 'organization' | 'member' | 'accessToken' | 'token' | 'event'>(kind: K, at: Date) =>
    createId(kind, { now: () => at, randomBytes })

  const pick = <T>(choices: Choices<T>): T => choices[Math.floor(random() * choices.length)] ?? choices[0]
  const between = (least: number, most: number) => least + random() * (most - least)
  const whole = (least: number, most: number) => Math.floor(between(least, most + 1))
  const before = (milliseconds: number) => new Date(Math.floor(now.getTime() - milliseconds))
  const after = (instant: Date, milliseconds: number) => new Date(Math.floor(instant.getTime() + milliseconds))
  const address = (network: string) => `${network}.${whole(2, 250)}`

  /** In the working hours of a weekday, so many days ago or just before. */
  function workingDay(daysAgo: number): Date {
    const midnight = Math.floor(now.getTime() / day) * day - Math.ceil(daysAgo) * day
    const weekday = new Date(midnight).getUTCDay()
    const weekend = weekday === 6 ? 1 : weekday === 0 ? 2 : 0
    return new Date(Math.floor(midnight - weekend * day + between(7.5, 16.5) * hour))
  }
  /** The same, at least some minutes after what came before it. */
  function workingDayAfter(previous: Date, daysAgo: number): Date {
    const instant = workingDay(daysAgo)
    return instant > previous ? instant : after(previous, between(4, 50) * minute)
  }

  function tell(
    at: Date,
    action: AuditAction,
    { name, id, origin }: Actor,
    target?: { name: string; id: string | null },
  ) {
    events.push({
      at,
      action,
      actor: name,
      actorId: id,
      target: target?.name ?? null,
      targetId: target?.id ?? null,
      ipAddress: origin.ipAddress,
      userAgent: origin.userAgent,
    })
  }

  const createdAt = workingDay(364)
  const name = slug.replace(
    /(^|-)([a-z])/g,
    (_, hyphen: string, letter: string) => (hyphen && ' ') + letter.toUpperCase(),
  )
  const organization = { id: id('organization', createdAt), name, slug, createdAt }
  tell(createdAt, 'organization.created', operator, { name, id: organization.id })

  const members = cast.map(({ name, role, joined, resets = [] }, position) => {
    const joinedAt = role === 'OWNER' ? after(createdAt, 5) : workingDayAfter(createdAt, joined)
    const plain = name.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().replace(' ', '.')
    const member: DemoMember = {
      id: id('member', joinedAt),
      name,
      email: `${plain}@${domainOf(slug)}`,
      role,
      createdAt: joinedAt,
      accessToken: null,
    }
    tell(joinedAt, 'member.added', operator, { name: member.email, id: member.id })
    const actor: Actor = {
      name: member.email,
      id: member.id,
      signsIn: true,
      origin: {
        ipAddress: position % 4 === 3 ? `2001:db8:40:${position}::${whole(2, 99)}` : `203.0.113.${20 + position}`,
        userAgent: browsers[position % browsers.length] ?? null,
      },
    }
    return { ...member, actor, resets }
  })
  const admins = members.filter(({ role }) => role === 'OWNER' || role === 'SUPER_ADMIN')
  const [owner] = admins
  if (!owner) throw new Error('The cast has no owner.')
  const stranger: Actor = {
    ...owner.actor,
    origin: { ipAddress: '192.0.2.66', userAgent: 'python-requests/2.32.3' },
  }
  const adminAt = (at: Date) => pick([owner, ...admins.filter((admin) => after(admin.createdAt, day) < at)])

  /** What an admin did, for which they had signed in before. */
  const deeds: { at: Date; actor: Actor }[] = []
  function act(at: Date, action: AuditAction, target: { name: string; id: string | null }, actor = adminAt(at).actor) {
    tell(at, action, actor, target)
    if (actor.signsIn) deeds.push({ at, actor })
  }

  const secretFrom = (createdAt: Date): DemoSecret => ({
    record: issueSecret(),
    createdAt,
    acceptedUntil: null,
    lastUsedAt: null,
  })

  function create(
    at: Date,
    token: Pick<DemoToken, 'label' | 'description' | 'roleId'> & { expiresAt?: Date },
    by?: { actor: Actor },
  ): DemoToken {
    const admin = by ? null : adminAt(at)
    const created: DemoToken = {
      id: id('token', at),
      ...token,
      enabled: true,
      createdAt: at,
      createdByMemberId: admin?.id ?? null,
      expiresAt: token.expiresAt ?? null,
      lastUsedAt: null,
      lastUsedFrom: null,
      retiredSecretLastUsedAt: null,
      secrets: [secretFrom(at)],
    }
    act(at, 'token.created', { name: created.label, id: created.id }, by?.actor ?? admin?.actor)
    tokens.push(created)
    return created
  }
  /** By its current secret. */
  function use(token: DemoToken, at: Date, from: string) {
    const [secret] = token.secrets
    if (at < token.createdAt || !secret) return
    secret.lastUsedAt = at
    token.lastUsedAt = at
    token.lastUsedFrom = from
  }
  function regenerate(token: DemoToken, at: Date, overlap: number) {
    act(at, 'token.regenerated', { name: token.label, id: token.id })
    const [current] = token.secrets
    if (current) {
      current.acceptedUntil = after(at, overlap)
      current.lastUsedAt = latest(current.lastUsedAt, after(at, -between(0.2, 3) * minute))
    }
    token.secrets.unshift(secretFrom(at))
  }
  /** The log's words for it are those of the server. */
  function useRetired(token: DemoToken, at: Date, from: string) {
    const retired = token.secrets.find(({ acceptedUntil }) => acceptedUntil && acceptedUntil < at)
    if (!retired) return
    retired.lastUsedAt = at
    token.retiredSecretLastUsedAt = at
    const actor = { name: `a retired secret (…${retired.record.hint})`, id: null }
    tell(
      at,
      'token.retired_secret_used',
      { ...actor, origin: { ipAddress: from, userAgent: null } },
      {
        name: token.label,
        id: token.id,
      },
    )
  }
  function disable(token: DemoToken, at: Date) {
    act(at, 'token.disabled', { name: token.label, id: token.id })
    token.enabled = false
  }
  function enable(token: DemoToken, at: Date) {
    act(at, 'token.enabled', { name: token.label, id: token.id })
    token.enabled = true
  }
  function remove(token: DemoToken, at: Date) {
    act(at, 'token.deleted', { name: token.label, id: token.id })
    tokens.splice(tokens.indexOf(token), 1)
  }

  function tellOfNamedTokens(): DemoToken[] {
    const okta = create(workingDay(351), {
      label: 'Okta SCIM',
      description: 'Provisions members from Okta. Owned by the IT team.',
      roleId: 'role_scim',
    })
    use(okta, before(2 * minute), '203.0.113.180')
    const entra = create(workingDay(289), {
      label: 'Entra ID SCIM (trial)',
      description: 'From the trial of Entra ID; Okta was kept.',
      roleId: 'role_scim',
    })
    use(entra, workingDay(212), '203.0.113.77')
    disable(entra, workingDay(203))
    const jira = create(workingDay(347), {
      label: 'Jira Cloud: security findings',
      description: 'The Jira app that files findings as issues in SEC.',
      roleId: 'role_jira',
    })
    use(jira, before(4 * minute), '198.51.100.61')
    const jiraServer = create(workingDay(345), {
      label: 'Jira Data Center',
      description: 'Replaced by Jira Cloud.',
      roleId: 'role_jira',
    })
    use(jiraServer, workingDay(154), '10.20.9.14')
    disable(jiraServer, workingDay(150))

    const overlapping = create(workingDay(233), {
      label: 'GitHub Actions: perception-stack deploy',
      description: 'Regenerated with an overlap; the runners take the new secret one by one.',
      roleId: 'role_ci',
    })
    regenerate(overlapping, before(3 * hour), 7 * day)
    const [current, previous] = overlapping.secrets
    use(overlapping, before(1 * minute), '198.51.100.143')
    if (current && previous) previous.lastUsedAt = before(6 * minute)

    const forgotten = create(workingDay(301), {
      label: 'Jenkins: nightly firmware build',
      description: 'One agent in the lab still has the old secret.',
      roleId: 'role_ci',
    })
    regenerate(forgotten, workingDay(20), 1 * day)
    use(forgotten, before(7 * hour), '10.20.7.31')
    for (const daysAgo of [12, 5, 2]) useRetired(forgotten, before(daysAgo * day + 3 * hour), '10.20.7.88')
    useRetired(forgotten, before(2 * hour), '10.20.7.88')

    const ending = create(workingDay(178), {
      label: 'Buildkite: release candidates',
      description: 'Ends with the contract of the build farm.',
      roleId: 'role_ci',
      expiresAt: after(now, 3 * day),
    })
    use(ending, before(11 * minute), '10.31.4.18')
    const ended = create(workingDay(99), {
      label: 'Contractor: Northwind integration',
      description: 'For the engagement that has ended.',
      roleId: 'role_ci',
      expiresAt: before(9 * day),
    })
    use(ended, before(10 * day), '192.0.2.211')
    const restored = create(workingDay(260), {
      label: 'GitLab CI: safety-monitor certification',
      description: 'Disabled for a day, to see who needs it; somebody did.',
      roleId: 'role_ci',
    })
    disable(restored, workingDay(47))
    enable(restored, workingDay(46))
    use(restored, before(26 * minute), '10.40.12.9')
    create(workingDay(2), {
      label: 'Azure Pipelines: evaluation',
      description: 'Not set up yet.',
      roleId: 'role_ci',
    })

    return ['Terraform: CI tokens', 'Backstage: new services'].map((label, position) =>
      create(workingDay(340 - position * 40), {
        label,
        description: 'Creates the CI tokens of new repositories.',
        roleId: 'role_service_account',
      }),
    )
  }

  function tellOfTheRest(serviceAccounts: DemoToken[]) {
    const rest = [
      ...others,
      ...repositories.flatMap((repository) => {
        const { system, network } = pick(pipelines)
        return purposes.map((purpose) => ({
          label: `${system}: ${repository} ${purpose}`,
          description: pick(descriptions)(repository, purpose),
          roleId: 'role_ci' as const,
          network,
        }))
      }),
    ]
    for (const { network, ...token } of rest) {
      const fate = chooseFate(random())
      const age = fate === 'purged' ? between(200, 330) : fate === 'expired' ? between(85, 300) : between(1, 330)
      const at = workingDay(age)
      const minted = token.roleId === 'role_ci' && serviceAccounts.length > 0 && random() < 0.15
      const account = minted ? serviceAccounts.find(({ createdAt }) => after(createdAt, 2 * day) < at) : undefined
      const from = address(network)
      const expiresAt = expiryOf(fate, at)
      const created = create(at, { ...token, ...(expiresAt && { expiresAt }) }, account && { actor: robot(account) })
      if (account) use(account, latest(account.lastUsedAt, at), robot(account).origin.ipAddress ?? '')
      befall(created, fate, from)
    }
    for (const account of serviceAccounts) use(account, latest(account.lastUsedAt, before(70 * minute)), '10.10.3.5')
  }

  function robot({ label, id }: DemoToken): Actor {
    return { name: label, id, origin: { ipAddress: '10.10.3.5', userAgent: 'ci-token-provisioner/2.4' } }
  }

  function expiryOf(fate: Fate, createdAt: Date): Date | null {
    if (fate === 'expired') return before(between(1 * day, kept))
    if (fate === 'expiring') return after(now, between(0.2, 13) * day)
    if (fate === 'purged') return after(createdAt, between(30, 80) * day)
    return fate === 'busy' && random() < 0.3 ? after(now, between(40, 300) * day) : null
  }

  function befall(token: DemoToken, fate: Fate, from: string) {
    const age = (now.getTime() - token.createdAt.getTime()) / day
    const recently = () => before(random() < 0.3 ? between(1, 59) * minute : between(1, 60) * hour)
    switch (fate) {
      case 'busy':
      case 'expiring':
        use(token, recently(), from)
        if (random() < 0.12 && age > 3)
          act(workingDayAfter(token.createdAt, age * between(0.1, 0.9)), 'token.updated', {
            name: token.label,
            id: token.id,
          })
        break
      case 'quiet':
        use(token, workingDayAfter(token.createdAt, age * between(0.2, 0.9)), from)
        break
      case 'unused':
        break
      case 'disabled': {
        const disabledAt = workingDayAfter(token.createdAt, age * between(0.05, 0.7))
        use(token, after(disabledAt, -between(1, 10) * minute), from)
        disable(token, disabledAt)
        break
      }
      case 'expired':
        if (token.expiresAt) use(token, after(token.expiresAt, -between(2 * minute, 4 * day)), from)
        break
      case 'regenerated': {
        if (age > 4)
          regenerate(token, workingDayAfter(token.createdAt, Math.min(age - 3, between(1, 75))), pick([0, day]))
        use(token, before(between(0.1, 20) * hour), from)
        break
      }
      case 'deleted':
        remove(token, workingDayAfter(token.createdAt, age * between(0.02, 0.9)))
        break
      case 'purged': {
        const ended = token.expiresAt ?? now
        const purgedAt = after(ended, 90 * day + between(2, 58) * minute)
        tokens.splice(tokens.indexOf(token), 1)
        tell(
          purgedAt,
          'token.purged',
          { name: 'Latchkey', id: null, origin: nowhere },
          { name: token.label, id: token.id },
        )
      }
    }
  }

  function tellOfSessions() {
    const firstOfDay = new Map<string, { at: Date; actor: Actor }>()
    for (const deed of deeds) {
      const key = `${deed.actor.name} ${deed.at.toISOString().slice(0, 10)}`
      const first = firstOfDay.get(key)
      if (!first || deed.at < first.at) firstOfDay.set(key, deed)
    }
    for (const { at, actor } of firstOfDay.values()) {
      const signedInAt = after(at, -between(1, 12) * minute)
      if (random() < 0.06) tell(after(signedInAt, -between(8, 40) * 1_000), 'session.sign_in_failed', actor)
      tell(signedInAt, 'session.signed_in', actor)
    }
    for (const member of members) {
      const { actor, role, resets, createdAt } = member
      const age = (now.getTime() - createdAt.getTime()) / day
      const every = role === 'GUEST' ? 45 : 16
      for (let daysAgo = age - 1; daysAgo > 1; daysAgo -= between(every * 0.5, every * 1.5)) {
        const at = workingDayAfter(createdAt, daysAgo)
        tell(at, 'session.signed_in', actor)
        if (role !== 'OWNER' && role !== 'SUPER_ADMIN' && random() < 0.12) {
          const field = pick(['integrationTokens', 'auditEvents', 'createToken'])
          tell(after(at, between(20, 200) * 1_000), 'access.denied', actor, { name: field, id: null })
        }
        if (random() < 0.4) tell(after(at, between(6, 100) * minute), 'session.signed_out', actor)
      }
      for (const daysAgo of resets) {
        const at = workingDayAfter(createdAt, daysAgo)
        tell(at, 'session.signed_in', actor)
        const resetAt = after(at, between(1, 4) * minute)
        member.accessToken = { id: id('accessToken', resetAt), createdAt: resetAt }
        tell(resetAt, 'access_token.reset', actor, { name: member.email, id: member.accessToken.id })
      }
    }
    const forgetful = members.find(({ name }) => name === 'Tomasz Nowak')
    if (forgetful) {
      const at = workingDay(76)
      for (const seconds of [0, 14, 41]) tell(after(at, seconds * 1_000), 'session.sign_in_failed', forgetful.actor)
      tell(after(at, 21 * minute), 'member.password_set', operator, { name: forgetful.email, id: forgetful.id })
      tell(after(at, 24 * minute), 'session.signed_in', forgetful.actor)
    }
    const night = before(16 * day + 2 * hour)
    for (let guess = 0; guess < 9; guess += 1) tell(after(night, guess * 1_900), 'session.sign_in_failed', stranger)
  }

  tellOfTheRest(tellOfNamedTokens())
  tellOfSessions()
  events.sort((one, other) => one.at.getTime() - other.at.getTime())
  return {
    organization,
    members: members.map(({ actor: _actor, resets: _resets, ...member }) => member),
    tokens,
    events: events.map((event) => ({ id: id('event', event.at), ...event })),
  }
}

const nowhere: Origin = { ipAddress: null, userAgent: null }

const latest = (one: Date | null, other: Date) => (one && one > other ? one : other)

function chooseFate(random: number): Fate {
  let left = random * fates.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [fate, weight] of fates) {
    left -= weight
    if (left < 0) return fate
  }
  return 'busy'
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). Good for stories and for nothing secret. */
function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
