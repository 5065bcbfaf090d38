import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient, paginate } from '@latchkey/sdk'
import { pino } from 'pino'
import type { AuditAction } from '../../server/audit/record-event.ts'
import { migrateDatabase } from '../../server/database/migrate.ts'
import { addService } from '../../server/identity/services.ts'
import { openDependencies } from '../../server/open-dependencies.ts'
import { addMember, createOrganization } from '../../server/organizations/operator.ts'
import { type Availability, checkAvailability, type Fault, type HealthCheck } from './availability.ts'
import { Client, Notebook, type Person } from './client.ts'
import { type Checked, checkHistory, type FinalState, type History, type Verification } from './history.ts'
import { openInstance, runLatchkey } from './instance.ts'
import { type OwnPostgres, openOwnPostgres } from './own-postgres.ts'
import { faultsOf, type Plan, stepsOf } from './plan.ts'
import { askInstance, askVerifier, introspect, openVerifier } from './verifying.ts'

export interface Outcome {
  history: History
  faults: Fault[]
  /** How many of the kills came while the instance worked on a change. */
  killsDuringChanges: number
  checked: Checked
  availability: Availability
  /** What `latchkey audit verify` said, where it did not accept the log. */
  auditComplaint: string | null
  /** What the instances logged as errors. */
  logged: string[]
  seconds: number
}

const password = 'a lantern under the stairs'
const people: Person[] = ['owner', 'one', 'two'].map((name) => ({ email: `${name}@faults.example`, password }))
const guest: Person = { email: 'guest@faults.example', password }

/** Of the verifier on each instance: as it is unless set, and tighter than an outage is long. */
const stalenessBounds = [5_000, 2_000] as const
/** For a machine that runs other tests meanwhile. */
const latenessMilliseconds = 500
const refusalMilliseconds = 1_000
const healthCheckMilliseconds = 200
const wholePollMilliseconds = 50
/** After that nobody waits any more. */
const longestRecoveryMilliseconds = 30_000
const mostReadings = 5
const retryReadingMilliseconds = 2_000
/** A change takes some; so long after one was begun, a kill comes in the middle of it. */
const killDelays = [0, 3, 6, 10, 15, 25]
const beforeFaultMilliseconds = 2_000

/** Runs the plan on a PostgreSQL and two instances of its own, and judges what came of it. Leaves nothing running. */
export async function runFaults(plan: Plan, announce: (text: string) => void): Promise<Outcome> {
  const began = performance.now()
  await using stack = new AsyncDisposableStack()
  const postgres = stack.use(await openOwnPostgres())
  await postgres.start()
  const serverKey = randomBytes(32).toString('base64url')
  const serviceSecret = await fill(postgres.url, serverKey)
  const environment = { DATABASE_URL: postgres.url, LATCHKEY_SECRET: serverKey }
  const serverEnvironment = { ...environment, ...limits }
  const instances = await Promise.all(stalenessBounds.map(() => openInstance(serverEnvironment)))
  for (const instance of instances) stack.defer(() => instance.stop())
  await Promise.all(instances.map((instance) => instance.start()))
  const urls = instances.map(({ url }) => url)

  const notebook = new Notebook()
  const guestClient = new Client({ notebook, urls, person: guest, guest: null })
  await guestClient.signIn(0)
  const clients = Array.from({ length: plan.clients }, (_, index) => {
    return new Client({ notebook, urls, person: people[index % people.length] ?? guest, guest: guestClient })
  })
  await Promise.all(clients.map((client, index) => client.signIn(index % urls.length)))
  const verifications: Verification[] = []
  const health: HealthCheck[] = []
  const over = new AbortController()
  const { signal } = over
  const verifiers = urls.map((url, instance) => openVerifier(url, serviceSecret, stalenessBounds[instance] ?? 0))
  for (const verifier of verifiers) stack.defer(() => verifier.close())
  const working = [
    ...clients.map((client, index) => work(client, stepsOf(plan.seed, index), signal)),
    ...urls.flatMap((url, instance) => {
      const settings = { notebook, verifications, url, instance, serviceSecret, signal }
      const verifier = verifiers[instance]
      return Array.from({ length: plan.verifiers }).flatMap(() => [
        askInstance(settings),
        ...(verifier ? [askVerifier(settings, verifier)] : []),
      ])
    }),
    ...urls.map((url, instance) => checkHealth(url, instance, health, signal)),
  ]
  const all = Promise.all(working)
  // A loop that ends with an error ends the run; until then nobody waits for it.
  all.catch(() => over.abort())

  const faults: Fault[] = []
  let killsDuringChanges = 0
  let kills = 0
  const untilAllAreWhole = () =>
    Promise.all(
      instances.map(async ({ url, errors }, index) => {
        if (await isSoonWhole(url, serviceSecret, guestClient)) return
        throw new Error(`Instance ${index} serves no more. What it wrote:\n${errors().join('\n')}`)
      }),
    )
  for (const { kind, pauseMilliseconds } of faultsOf(plan)) {
    await delay(pauseMilliseconds)
    if (signal.aborted) break
    const instance = kind === 'kill' ? kills++ % instances.length : null
    const target = instance === null ? null : instances[instance]
    if (instance !== null && target) {
      await untilChanging(notebook, instance)
      await delay(killDelays[kills % killDelays.length])
      if ((notebook.underWay[instance] ?? 0) > 0) killsDuringChanges += 1
    }
    if (kind === 'crash') await untilAcknowledged(notebook)
    const began = performance.now()
    if (target) {
      await target.kill()
      await delay(awayAfterKill(kills, instance))
      await target.start()
    } else await takeAway(postgres, kind, plan.awayMilliseconds)
    const back = performance.now()
    await untilAllAreWhole()
    faults.push({ kind, instance, began, back, whole: performance.now() })
    announce(
      `${kind}${instance === null ? '' : ` of instance ${instance}`}: ${notebook.operations.length} operations so far`,
    )
  }
  over.abort()
  await all

  const reader = new Client({ notebook, urls, person: people[0] ?? guest, guest: null })
  await reader.signIn(0)
  const readBegan = performance.now()
  const states: FinalState[] = []
  for (const url of urls)
    states.push(await readStateAtLast(url, { notebook, serviceSecret, sessionToken: reader.session?.value ?? '' }))
  const events = await postgres.run<{ action: AuditAction; operation: string | null; targetId: string | null }>(
    'select action, user_agent as operation, target_id as "targetId" from audit_events order by position',
  )
  const verified = await runLatchkey(['audit', 'verify'], environment)
  const history: History = {
    operations: notebook.operations,
    verifications,
    events,
    end: { began: readBegan, instances: states },
  }
  return {
    history,
    faults,
    killsDuringChanges,
    checked: checkHistory(history, {
      stalenessMilliseconds: stalenessBounds.map((bound) => bound + latenessMilliseconds),
      refusalMilliseconds,
    }),
    availability: checkAvailability(history, faults, health),
    auditComplaint: verified.code === 0 ? null : verified.output,
    logged: instances.flatMap(({ errors }) => errors()),
    seconds: (performance.now() - began) / 1_000,
  }
}

/** So high that no client of a run meets them, and counted all the same. */
const limits = {
  SIGN_IN_LIMIT_BY_ACCOUNT: '1000000',
  SIGN_IN_LIMIT_BY_ADDRESS: '1000000',
  TOKEN_CREATION_LIMIT: '1000000',
}

/** An organization with its people. Gives the secret of a service that verifies. */
async function fill(databaseUrl: string, serverKey: string): Promise<string> {
  await migrateDatabase(databaseUrl)
  const log = pino({ level: 'silent' })
  const settings = { databaseUrl, databaseConnections: 4, serverKey, tokenPrefix: 'lk', log }
  const dependencies = await openDependencies(settings)
  try {
    const [owner, ...others] = people
    if (!owner) throw new Error('Nobody is to own the organization.')
    const { slug } = await createOrganization(dependencies, { name: 'Faults', owner })
    for (const person of others) await addMember(dependencies, { organization: slug, role: 'SUPER_ADMIN', ...person })
    await addMember(dependencies, { organization: slug, role: 'GUEST', ...guest })
    return await addService(dependencies, 'scanner')
  } finally {
    await dependencies.close()
  }
}

async function work(client: Client, steps: ReturnType<typeof stepsOf>, signal: AbortSignal): Promise<void> {
  for (const step of steps) {
    if (signal.aborted) return
    await client.take(step)
    await delay(step.pauseMilliseconds)
  }
}

async function checkHealth(url: string, instance: number, checks: HealthCheck[], signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const began = performance.now()
    const isAlive = await fetch(`${url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isAlive) checks.push({ instance, began, ended: performance.now() })
    await delay(healthCheckMilliseconds)
  }
}

/** Gives PostgreSQL back when it takes connections again. */
async function takeAway(postgres: OwnPostgres, kind: Fault['kind'], awayMilliseconds: number): Promise<void> {
  if (kind === 'freeze') {
    await postgres.freeze()
    await delay(awayMilliseconds)
    await postgres.thaw()
    return
  }
  await postgres.stop(kind === 'crash' ? 'immediate' : 'fast')
  if (kind !== 'restart') await delay(awayMilliseconds)
  await postgres.start()
}

/** One kill of three lasts longer than the verifier on the instance may go on without hearing from it. */
function awayAfterKill(kills: number, instance: number | null): number {
  return kills % 3 === 2 ? (stalenessBounds[instance ?? 0] ?? 0) + latenessMilliseconds + 1_000 : 0
}

/** So that what a crash would lose is there to be lost. */
async function untilAcknowledged(notebook: Notebook): Promise<void> {
  const before = notebook.acknowledged
  const deadline = performance.now() + beforeFaultMilliseconds
  while (notebook.acknowledged === before && performance.now() < deadline) await delay(1)
}

async function untilChanging({ underWay }: Notebook, instance: number): Promise<void> {
  const deadline = performance.now() + beforeFaultMilliseconds
  while ((underWay[instance] ?? 0) === 0 && performance.now() < deadline) await delay(1)
}

/** Verifying, reading and being ready, all in the same moment. False where it never comes to that. */
async function isSoonWhole(url: string, serviceSecret: string, { session }: Client): Promise<boolean> {
  const asGuest = createClient({ url, credential: session?.value ?? '' })
  const deadline = performance.now() + longestRecoveryMilliseconds
  while (performance.now() < deadline) {
    const [verdict, organization, ready] = await Promise.all([
      introspect(url, serviceSecret, session?.value ?? ''),
      asGuest.organization().then(
        () => true,
        () => false,
      ),
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      ),
    ])
    if (verdict.is === 'verdict' && organization && ready) return true
    await delay(wholePollMilliseconds)
  }
  return false
}

type Reading = { notebook: Notebook; serviceSecret: string; sessionToken: string }

/** A machine that is busy with other things may need several attempts. Throws what the last one did. */
async function readStateAtLast(url: string, reading: Reading): Promise<FinalState> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await readState(url, reading)
    } catch (error) {
      if (attempt === mostReadings) throw error
      await delay(retryReadingMilliseconds)
    }
  }
}

/** What the instance tells of all tokens, and of all secrets that were ever given out. */
async function readState(url: string, { notebook, serviceSecret, sessionToken }: Reading): Promise<FinalState> {
  const owner = createClient({ url, credential: sessionToken })
  const tokens: FinalState['tokens'] = []
  for await (const { id, label, role, status, secrets } of paginate((page) => owner.integrationTokens(page))) {
    tokens.push({ id, label, roleId: role.id, enabled: status === 'ACTIVE', acceptedSecrets: secrets.length })
  }
  const verdicts: FinalState['verdicts'] = new Map()
  const secrets = notebook.secrets.filter(({ kind }) => kind !== 'session').values()
  const askOneAfterTheOther = async () => {
    for (const { operation, value } of secrets) {
      const answer = await introspect(url, serviceSecret, value)
      if (answer.is === 'verdict') verdicts.set(operation, answer.as)
      else throw new Error('A secret could not be introspected at the end.')
    }
  }
  await Promise.all(Array.from({ length: 8 }, askOneAfterTheOther))
  return { tokens, verdicts }
}
