import fc from 'fast-check'
import type { Fault } from './availability.ts'
import type { Intent } from './history.ts'

/** How much is done, and how often what is done to the machinery. */
export interface Plan {
  /** Of everything that is drawn by lot. */
  seed: number
  /** `kill -9` of an instance, one and the other in turn. */
  kills: number
  /** PostgreSQL ends as a shutdown ends it, and stays away for a while. */
  stops: number
  /** PostgreSQL ends as a crash ends it, and stays away for a while. */
  crashes: number
  /** PostgreSQL stands still for a while. */
  freezes: number
  /** PostgreSQL ends, and starts again at once. */
  restarts: number
  awayMilliseconds: number
  clients: number
  /** Loops that ask each instance, and as many for its verifier of the SDK. */
  verifiers: number
}

export const fullPlan: Plan = {
  seed: 1,
  kills: 20,
  stops: 3,
  crashes: 3,
  freezes: 3,
  restarts: 3,
  awayMilliseconds: 4_000,
  clients: 6,
  verifiers: 1,
}

/** The same in half a minute. A stop is left out: a restart has one, and a crash is the harder way to be away. */
export const shortPlan: Plan = {
  ...fullPlan,
  kills: 3,
  stops: 0,
  crashes: 1,
  freezes: 1,
  restarts: 1,
  awayMilliseconds: 2_500,
}

/** What a client does next. Which token that is, and whether the credential is still good, shows when it does it. */
export interface Step {
  does: Intent['does']
  caller: 'session' | 'accessToken' | 'former' | 'guest' | 'serviceAccount'
  instance: number
  /** Counted from the latest, so that most of what is asked for is there. */
  nth: number
  roleId: string
  enabled: boolean
  overlapSeconds: number
  pauseMilliseconds: number
}

const weighted = <Value>(weights: readonly (readonly [Value, number])[]) =>
  fc.oneof(...weights.map(([value, weight]) => ({ arbitrary: fc.constant(value), weight })))

const step: fc.Arbitrary<Step> = fc.record({
  does: weighted<Intent['does']>([
    ['createToken', 30],
    ['renameToken', 14],
    ['setTokenEnabled', 18],
    ['regenerateToken', 18],
    ['deleteToken', 14],
    ['resetAccessToken', 2],
    ['signIn', 1],
    ['signOut', 1],
  ]),
  caller: weighted<Step['caller']>([
    ['session', 50],
    ['accessToken', 25],
    ['former', 8],
    ['guest', 6],
    ['serviceAccount', 11],
  ]),
  instance: fc.nat(1),
  nth: fc.nat(40),
  roleId: weighted([
    ['role_ci', 3],
    ['role_jira', 1],
    ['role_service_account', 2],
  ]),
  enabled: fc.boolean(),
  overlapSeconds: fc.constantFrom(0, 3_600),
  pauseMilliseconds: fc.nat(80),
})

const stepsAtOnce = 500

/** Without an end; the same ones for the same seed and client. */
export function* stepsOf(seed: number, client: number): Generator<Step, never> {
  for (let round = 0; ; round += 1) {
    yield* fc.sample(step, { seed: seed + 1_000 * client + 1_000_000 * round, numRuns: stepsAtOnce })
  }
}

/** Every fault of the plan, in an order drawn by lot, each with the pause before it. */
export function faultsOf(plan: Plan): { kind: Fault['kind']; pauseMilliseconds: number }[] {
  const kinds: Fault['kind'][] = [
    ...Array<Fault['kind']>(plan.kills).fill('kill'),
    ...Array<Fault['kind']>(plan.stops).fill('stop'),
    ...Array<Fault['kind']>(plan.crashes).fill('crash'),
    ...Array<Fault['kind']>(plan.freezes).fill('freeze'),
    ...Array<Fault['kind']>(plan.restarts).fill('restart'),
  ]
  const order = fc.shuffledSubarray(kinds, { minLength: kinds.length, maxLength: kinds.length })
  const pauses = fc.array(fc.integer({ min: 300, max: 1_500 }), { minLength: kinds.length, maxLength: kinds.length })
  const [drawn] = fc.sample(fc.tuple(order, pauses), { seed: plan.seed, numRuns: 1 })
  const [kindsInOrder = [], pausesInOrder = []] = drawn ?? []
  return kindsInOrder.map((kind, index) => ({ kind, pauseMilliseconds: pausesInOrder[index] ?? 0 }))
}
