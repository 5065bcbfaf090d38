import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import { addService } from '../../server/identity/services.ts'
import { openDependencies } from '../../server/open-dependencies.ts'
import { createOrganization } from '../../server/organizations/operator.ts'
import { openInstance } from '../fault-run/instance.ts'
import { type Balancer, openBalancer } from './balancer.ts'
import { type LoadOutcome, stalenessBoundMilliseconds, startLoad } from './load.ts'

export interface RollingPlan {
  requestsPerSecond: number
  seconds: number
  restartEverySeconds: number
  /** Has to be longer than the load balancer may take to notice, which deploy/haproxy.cfg says. */
  shutdownDelaySeconds: number
}

/** One instance's, in milliseconds since the signal that asked it to stop. */
export interface Restart {
  instance: number
  /** After it was due: the other instance had to be back first, as in any rolling restart. */
  lateMilliseconds: number
  endedAfter: number
  servedAfter: number
  /** Until the load balancer used it again. */
  usedAfter: number
}

export interface RollingOutcome {
  plan: RollingPlan
  load: LoadOutcome
  restarts: Restart[]
  /** What the instances logged as errors. */
  logged: string[]
  /** Of requests that something went wrong with between the load balancer and an instance, and of the load balancer itself. */
  balancerLines: string[]
  seconds: number
}

const person = { email: 'owner@rolling.example', password: 'a lantern under the stairs' }
const pollMilliseconds = 50
const longestWaitMilliseconds = 30_000
const mostFailures = 100

/** Two instances on a migrated, empty database, behind a load balancer, restarted in turn under load. Leaves nothing running. */
export async function runRolling(
  plan: RollingPlan,
  databaseUrl: string,
  announce: (text: string) => void,
): Promise<RollingOutcome> {
  await using stack = new AsyncDisposableStack()
  const serverKey = randomBytes(32).toString('base64url')
  const serviceSecret = await fill(databaseUrl, serverKey)
  const environment = {
    DATABASE_URL: databaseUrl,
    LATCHKEY_SECRET: serverKey,
    TRUST_PROXY: '127.0.0.1',
    SHUTDOWN_DELAY_SECONDS: String(plan.shutdownDelaySeconds),
    TOKEN_CREATION_LIMIT: '0',
  }
  const instances = [await openInstance(environment), await openInstance(environment)] as const
  // Killed, so that a run that failed is over at once.
  for (const instance of instances) stack.defer(() => instance.kill())
  await Promise.all(instances.map((instance) => instance.start()))
  const balancer = stack.use(await openBalancer([instances[0].url, instances[1].url]))
  for (const index of instances.keys()) await untilUsed(balancer, index)

  const load = await startLoad({ ...plan, url: balancer.url, serviceSecret, person })
  const began = performance.now()
  const restarts: Restart[] = []
  for (let dueAt = plan.restartEverySeconds; dueAt < plan.seconds; dueAt += plan.restartEverySeconds) {
    await delay(Math.max(0, began + dueAt * 1_000 - performance.now()))
    // What follows would tell nothing more, and go on for long where the machine is what cannot keep up.
    if (load.failureCount() > mostFailures) break
    const index = restarts.length % instances.length
    const instance = instances[index]
    if (!instance) break
    const askedAt = performance.now()
    const lateMilliseconds = askedAt - began - dueAt * 1_000
    await instance.stop()
    const endedAfter = performance.now() - askedAt
    await instance.start()
    const servedAfter = performance.now() - askedAt
    await untilUsed(balancer, index)
    const usedAfter = performance.now() - askedAt
    restarts.push({ instance: index, lateMilliseconds, endedAfter, servedAfter, usedAfter })
    announce(`instance ${index} restarted, and used again after ${usedAfter.toFixed(0)} ms`)
  }
  await delay(Math.max(0, began + plan.seconds * 1_000 - performance.now()))
  const seconds = (performance.now() - began) / 1_000
  return {
    plan,
    load: await load.stop(),
    restarts,
    logged: instances.flatMap(({ errors }) => errors()),
    balancerLines: balancer.lines(),
    seconds,
  }
}

/** An organization with an owner. Gives the secret of a service that verifies. */
async function fill(databaseUrl: string, serverKey: string): Promise<string> {
  const log = pino({ level: 'silent' })
  const settings = { databaseUrl, databaseConnections: 4, serverKey, tokenPrefix: 'lk', log }
  const dependencies = await openDependencies(settings)
  try {
    await createOrganization(dependencies, { name: 'Rolling', owner: person })
    return await addService(dependencies, 'scanner')
  } finally {
    await dependencies.close()
  }
}

async function untilUsed(balancer: Balancer, instance: number): Promise<void> {
  const deadline = performance.now() + longestWaitMilliseconds
  while (!(await balancer.isUp(instance))) {
    if (performance.now() > deadline)
      throw new Error(`The load balancer does not use instance ${instance}:\n${balancer.lines().join('\n')}`)
    await delay(pollMilliseconds)
  }
}

/** Everything that is not as promised. */
export function problemsOf({ load, logged }: RollingOutcome): string[] {
  const { failures, deletedAccepted, verifier } = load
  return [
    ...failures,
    ...(deletedAccepted > 0 ? [`${deletedAccepted} deleted tokens were accepted`] : []),
    ...(verifier.longestStaleMilliseconds > stalenessBoundMilliseconds
      ? [`a verifier accepted a token ${verifier.longestStaleMilliseconds.toFixed(0)} ms after its deletion`]
      : []),
    ...logged.map((line) => `an instance logged an error: ${line}`),
  ]
}

const mostShown = 20

/** What a run did and found, for a person. */
export function report(outcome: RollingOutcome): string {
  const { plan, load, restarts, balancerLines, seconds } = outcome
  const { sent, failures, milliseconds, deletedAccepted, deletedAsked, verifier } = load
  const all = Object.values(sent).reduce((sum, count) => sum + count, 0)
  const longest = (of: (restart: Restart) => number) => Math.max(0, ...restarts.map(of)).toFixed(0)
  const problems = problemsOf(outcome)
  return [
    '',
    `${all} requests in ${seconds.toFixed(0)} s, ${(all / seconds).toFixed(0)}/s of ${plan.requestsPerSecond}/s asked for: ${Object.entries(
      sent,
    )
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ')}`,
    `failures            ${failures.length}`,
    `deleted accepted    ${deletedAccepted} of ${deletedAsked} verifications that began after the deletion`,
    `latency             median ${percentile(milliseconds, 0.5)} ms, 99th ${percentile(milliseconds, 0.99)} ms, longest ${percentile(milliseconds, 1)} ms, from when the request was due`,
    `restarts            ${restarts.length}; longest until ended ${longest((restart) => restart.endedAfter)} ms, serving ${longest((restart) => restart.servedAfter)} ms, used ${longest((restart) => restart.usedAfter)} ms; late by up to ${longest((restart) => restart.lateMilliseconds)} ms`,
    `the SDK's verifier  ${verifier.verifications} verifications, ${verifier.reconnections} reconnections, longest stale answer ${verifier.longestStaleMilliseconds.toFixed(0)} ms`,
    `load balancer       ${balancerLines.length} lines`,
    ...counted(balancerLines.map(withoutWhatVaries)),
    `problems            ${problems.length}`,
    ...counted(problems),
  ].join('\n')
}

/** Each once, with how often it came. */
function counted(lines: readonly string[]): string[] {
  return [...Map.groupBy(lines, (line) => line)]
    .map(([line, group]) => `  ${group.length} × ${line}`)
    .slice(0, mostShown)
}

const withoutWhatVaries = (line: string) =>
  line
    .replace(/\(\d+\) : /, '')
    .replace(/\d+ ?ms/, '… ms')
    .replace(/\d+ (active|backup|sessions|requeued|remaining|total)/g, '… $1')

function percentile(ascending: readonly number[], share: number): string {
  return (ascending[Math.max(0, Math.ceil(ascending.length * share) - 1)] ?? 0).toFixed(0)
}
