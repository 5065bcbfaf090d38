import { describe, expect, it } from 'vitest'
import {
  type Attempt,
  checkHistory,
  type FinalState,
  type History,
  type Intent,
  type LoggedEvent,
  type Operation,
  type Outcome,
  type Verification,
  type Violation,
} from './history.ts'

const bounds = { stalenessMilliseconds: [5_000, 2_000], refusalMilliseconds: 1_000 }
const acknowledged: Outcome = { is: 'acknowledged' }
const unknown: Outcome = { is: 'unknown', answered: false }
const refusedAs = (code: string): Outcome => ({ is: 'refused', code })
const at = (began: number, outcome: Outcome = acknowledged, about: Partial<Attempt> = {}): Attempt => ({
  ...{ instance: 0, began, ended: began + 10, credential: null, outcome },
  ...about,
})

/** Which token an operation makes. */
const tokenOf = (operation: string) => (operation === 'create' ? 'tok' : `tok_${operation}`)

/** A history of one token: created at 100, and then whatever the test says. What the end should be is said by the test. */
class Story {
  readonly #operations: Operation[] = []
  readonly #events: LoggedEvent[] = []
  readonly #verifications: Verification[] = []
  readonly #verdicts = new Map<string, string | null>()
  tokens: FinalState['tokens'] = [{ id: 'tok', label: 'Jenkins', roleId: 'role_ci', enabled: true, acceptedSecrets: 1 }]

  constructor() {
    this.does('create', { does: 'createToken', label: 'Jenkins', roleId: 'role_ci' }, [at(100)])
      .logs('create', 'token.created')
      .ends('create', 'Jenkins')
  }

  does(id: string, intent: Intent, attempts: Attempt[], caller: Operation['caller'] = 'administrator'): this {
    const gave = intent.does === 'createToken' ? { tokenId: tokenOf(id) } : {}
    this.#operations.push({ id, intent, caller, attempts, gave })
    return this
  }

  logs(operation: string | null, action: LoggedEvent['action'], targetId = 'tok'): this {
    this.#events.push({ operation, action, targetId })
    return this
  }

  forgets(operation: string): this {
    const index = this.#events.findIndex((event) => event.operation === operation)
    this.#events.splice(index, 1)
    return this
  }

  asks(began: number, as: string | null, about: Partial<Verification> = {}): this {
    const question = { secret: 'create', by: 'introspection', instance: 1, began, ended: began + 5 } as const
    this.#verifications.push({ ...question, answer: { is: 'verdict', as }, ...about })
    return this
  }

  /** What its secret counts as at the end. */
  ends(secret: string, as: string | null): this {
    this.#verdicts.set(secret, as)
    return this
  }

  check() {
    const history: History = {
      operations: this.#operations,
      verifications: this.#verifications,
      events: this.#events,
      end: { began: 60_000, instances: [{ tokens: this.tokens, verdicts: this.#verdicts }] },
    }
    return checkHistory(history, bounds)
  }

  rules(): Violation['rule'][] {
    return [...new Set(this.check().violations.map(({ rule }) => rule))]
  }
}

const rename: Intent = { does: 'renameToken', tokenId: 'tok', label: 'Deploy' }
const disable: Intent = { does: 'setTokenEnabled', tokenId: 'tok', enabled: false }
const enable: Intent = { does: 'setTokenEnabled', tokenId: 'tok', enabled: true }
const regenerate: Intent = { does: 'regenerateToken', tokenId: 'tok', overlapSeconds: 0 }
const overlap: Intent = { does: 'regenerateToken', tokenId: 'tok', overlapSeconds: 3_600 }
const remove: Intent = { does: 'deleteToken', tokenId: 'tok' }

/** Deleted at 200, wholly. */
const deleted = () => {
  const story = new Story()
    .does('delete', remove, [at(200)])
    .logs('delete', 'token.deleted')
    .ends('create', null)
  story.tokens = []
  return story
}

/** A creation whose first answer was lost. */
const askedAgain = () => {
  const intent = { does: 'createToken', label: 'Again', roleId: 'role_ci' } as const
  const story = new Story().does('again', intent, [at(200, unknown), at(300)])
  story.tokens.push({ id: 'tok_again', label: 'Again', roleId: 'role_ci', enabled: true, acceptedSecrets: 1 })
  return story.logs('again', 'token.created', 'tok_again')
}

describe('a history in which everything is as it should be', () => {
  it('has no violations', () => {
    const story = new Story()
      .does('rename', rename, [at(200)])
      .logs('rename', 'token.updated')
      .does('disable', disable, [at(300)])
      .logs('disable', 'token.updated')
      .logs('disable', 'token.disabled')
      .does('enable', enable, [at(400)])
      .logs('enable', 'token.updated')
      .logs('enable', 'token.enabled')
      .does('overlap', overlap, [at(500)])
      .logs('overlap', 'token.regenerated')
      .does('regenerate', regenerate, [at(600)])
      .logs('regenerate', 'token.regenerated')
      .logs(null, 'token.retired_secret_used')
      .does('signIn', { does: 'signIn', member: 'owner' }, [at(700)])
      .logs('signIn', 'session.signed_in')
      .does('reset', { does: 'resetAccessToken', member: 'owner' }, [at(800, acknowledged, { credential: 'signIn' })])
      .logs('reset', 'access_token.reset')
      .does('late', rename, [at(900, refusedAs('UNAUTHENTICATED'), { credential: 'signIn' })])
      .does('guest', remove, [at(950, refusedAs('FORBIDDEN'))], 'guest')
      .logs('guest', 'access.denied')
      .asks(150, 'Jenkins')
      .asks(205, 'Jenkins')
      .asks(250, 'Deploy')
      .asks(350, null)
      .asks(550, 'Deploy')
      .asks(650, null)
      .ends('create', null)
      .ends('overlap', null)
      .ends('regenerate', 'Deploy')
      .ends('reset', 'accessToken')
    story.tokens = [{ id: 'tok', label: 'Deploy', roleId: 'role_ci', enabled: true, acceptedSecrets: 1 }]
    expect(story.check()).toEqual({ violations: [], longestStaleAnswerMilliseconds: 0 })
  })

  it('may have operations of which nobody knows the outcome, done or not', () => {
    expect(new Story().does('delete', remove, [at(200, unknown)]).rules()).toEqual([])
    const done = new Story().does('delete', remove, [at(200, unknown)]).logs('delete', 'token.deleted')
    done.tokens = []
    // Nobody was told, so that either answer is right until the end.
    expect(done.asks(300, 'Jenkins').asks(9_000, 'Jenkins').ends('create', null).rules()).toEqual([])
  })

  it('may have a creation that was asked for again until it was answered', () => {
    expect(askedAgain().ends('again', 'Again').rules()).toEqual([])
  })
})

describe('what was acknowledged and is lost', () => {
  it('is found where a creation is in neither the log nor the state', () => {
    const story = new Story().forgets('create').ends('create', null)
    story.tokens = []
    expect(story.rules()).toEqual(['acknowledged, but not recorded'])
  })

  it('is found where the log has the creation and the state has not', () => {
    const story = new Story().ends('create', null)
    story.tokens = []
    expect(story.rules()).toEqual(['not in the final state'])
  })

  it('is found where a label is the one from before', () => {
    const story = new Story()
      .does('rename', rename, [at(200)])
      .logs('rename', 'token.updated')
      .ends('create', 'Deploy')
    expect(story.rules()).toEqual(['not in the final state'])
    expect(new Story().does('rename', rename, [at(200)]).rules()).toEqual(['acknowledged, but not recorded'])
  })

  it('is found where a deleted token is there again', () => {
    const story = deleted().ends('create', 'Jenkins')
    story.tokens = new Story().tokens
    expect(story.rules()).toEqual(['not in the final state'])
  })

  it('is found where the secret that a retry gave does not work', () => {
    expect(askedAgain().ends('again', null).rules()).toEqual(['not in the final state'])
  })

  it('is found where a retry made a second token', () => {
    const story = askedAgain().logs('again', 'token.created', 'tok_second').ends('again', 'Again')
    story.tokens.push({ id: 'tok_second', label: 'Again', roleId: 'role_ci', enabled: true, acceptedSecrets: 1 })
    expect(story.rules()).toEqual(['recorded otherwise than done', 'not in the final state'])
  })
})

describe('what was refused and is accepted', () => {
  it('is found where a verification that began after a deletion says active', () => {
    expect(deleted().asks(205, 'Jenkins').rules()).toEqual([])
    expect(deleted().asks(211, 'Jenkins').rules()).toEqual(['answered wrongly'])
  })

  it('is found where a disabled token is accepted, and where an enabled one is not', () => {
    const story = () =>
      new Story()
        .does('disable', disable, [at(200)])
        .logs('disable', 'token.updated')
        .logs('disable', 'token.disabled')
        .does('enable', enable, [at(300)])
        .logs('enable', 'token.updated')
        .logs('enable', 'token.enabled')
    expect(story().asks(250, null).asks(305, 'Jenkins').rules()).toEqual([])
    expect(story().asks(250, 'Jenkins').rules()).toEqual(['answered wrongly'])
    expect(story().asks(311, null).rules()).toEqual(['answered wrongly'])
  })

  it('is found where both secrets are accepted after a regeneration without an overlap', () => {
    const story = new Story()
      .does('regenerate', regenerate, [at(200)])
      .logs('regenerate', 'token.regenerated')
      .ends('regenerate', 'Jenkins')
    expect(story.rules()).toEqual(['not in the final state'])
    expect(story.ends('create', null).rules()).toEqual([])
    story.tokens = story.tokens.map((token) => ({ ...token, acceptedSecrets: 2 }))
    expect(story.rules()).toEqual(['not in the final state'])
  })

  it('is found where a verification knows an old label', () => {
    const story = new Story()
      .does('rename', rename, [at(200)])
      .logs('rename', 'token.updated')
      .ends('create', 'Deploy')
    story.tokens = [{ id: 'tok', label: 'Deploy', roleId: 'role_ci', enabled: true, acceptedSecrets: 1 }]
    expect(story.asks(300, 'Deploy').rules()).toEqual([])
    expect(story.asks(300, 'Jenkins').rules()).toEqual(['answered wrongly'])
  })

  it('is found where a session that has ended still acts, or one that stands does not', () => {
    const story = (began: number, outcome: Outcome) =>
      new Story()
        .does('signIn', { does: 'signIn', member: 'owner' }, [at(200)])
        .logs('signIn', 'session.signed_in')
        .does('reset', { does: 'resetAccessToken', member: 'owner' }, [at(300)])
        .logs('reset', 'access_token.reset')
        .does('act', remove, [at(began, outcome, { credential: 'signIn' })])
    expect(story(400, refusedAs('UNAUTHENTICATED')).rules()).toEqual([])
    expect(story(250, refusedAs('UNAUTHENTICATED')).rules()).toEqual(['refused without a reason'])
    const acts = story(400, acknowledged).logs('act', 'token.deleted').ends('create', null)
    acts.tokens = []
    expect(acts.rules()).toEqual(['accepted without a right to it'])
  })

  it('is found where a guest changes something, or what was refused happened all the same', () => {
    const story = (outcome: Outcome) => {
      const told = new Story().does('rename', rename, [at(200, outcome)], 'guest').logs('rename', 'token.updated')
      told.tokens = [{ id: 'tok', label: 'Deploy', roleId: 'role_ci', enabled: true, acceptedSecrets: 1 }]
      return told.ends('create', 'Deploy')
    }
    expect(story(acknowledged).rules()).toEqual(['accepted without a right to it'])
    expect(story(refusedAs('FORBIDDEN')).rules()).toEqual(['refused, but recorded'])
  })
})

describe('a verifier of the SDK', () => {
  it('may go on with what it knows for its bound, and no longer', () => {
    const story = (began: number, instance: number) => deleted().asks(began, 'Jenkins', { by: 'verifier', instance })
    expect(story(2_200, 1).check()).toEqual({ violations: [], longestStaleAnswerMilliseconds: 1_990 })
    expect(story(2_211, 1).rules()).toEqual(['trusted for too long'])
    expect(story(5_200, 0).rules()).toEqual([])
    expect(story(5_211, 0).rules()).toEqual(['trusted for too long'])
  })

  it('never accepts what never was', () => {
    expect(new Story().asks(300, 'Another', { by: 'verifier' }).rules()).toEqual(['trusted for too long'])
  })

  it('may keep a refusal for a second', () => {
    const story = (began: number) =>
      new Story()
        .does('disable', disable, [at(200)])
        .logs('disable', 'token.updated')
        .logs('disable', 'token.disabled')
        .does('enable', enable, [at(300)])
        .logs('enable', 'token.updated')
        .logs('enable', 'token.enabled')
        .asks(began, null, { by: 'verifier' })
    expect(story(1_300).rules()).toEqual([])
    expect(story(1_311).rules()).toEqual(['answered wrongly'])
  })
})

describe('the audit log', () => {
  it('has no event without an operation', () => {
    expect(new Story().logs('nobody', 'token.updated').rules()).toEqual(['recorded without an operation'])
    expect(new Story().logs(null, 'token.retired_secret_used').rules()).toEqual(['recorded without an operation'])
  })

  it('has no operation twice', () => {
    expect(new Story().logs('create', 'token.created').rules()).toEqual(['recorded otherwise than done'])
  })

  it('has the whole of an operation', () => {
    const story = new Story()
      .does('disable', disable, [at(200)])
      .logs('disable', 'token.updated')
      .ends('create', null)
    story.tokens = story.tokens.map((token) => ({ ...token, enabled: false }))
    expect(story.rules()).toEqual(['recorded otherwise than done'])
    expect(story.logs('disable', 'token.disabled').rules()).toEqual([])
  })

  it('has what was acknowledged before what began after', () => {
    const story = new Story()
      .does('late', rename, [at(300)])
      .does('early', { ...rename, label: 'Early' }, [at(200)])
      .logs('late', 'token.updated')
      .logs('early', 'token.updated')
      .ends('create', 'Early')
    story.tokens = story.tokens.map((token) => ({ ...token, label: 'Early' }))
    expect(story.rules()).toEqual(['recorded out of order'])
  })

  it('has each denied attempt', () => {
    const story = new Story().does('guest', remove, [at(200, refusedAs('FORBIDDEN'))], 'guest')
    expect(story.rules()).toEqual(['acknowledged, but not recorded'])
  })
})

describe('a refusal', () => {
  it('has a reason', () => {
    const story = (code: string) => new Story().does('rename', rename, [at(200, refusedAs(code))])
    for (const code of ['TokenNotFound', 'FORBIDDEN', 'INTERNAL', 'LabelTaken', 'RATE_LIMITED'])
      expect(story(code).rules()).toContain('refused without a reason')
    expect(
      deleted()
        .does('rename', rename, [at(300, refusedAs('TokenNotFound'))])
        .rules(),
    ).toEqual([])
    expect(story('unsent').rules()).toEqual([])
  })
})
