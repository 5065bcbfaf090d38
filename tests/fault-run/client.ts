import { setTimeout as delay } from 'node:timers/promises'
import { createClient, type Latchkey, RequestError } from '@latchkey/sdk'
import type { Attempt, Intent, Operation, Outcome } from './history.ts'
import type { Step } from './plan.ts'

/** A secret that was given out, named by the operation that gave it. */
export interface KnownSecret {
  operation: string
  kind: 'token' | 'accessToken' | 'session'
  value: string
}

interface KnownToken {
  id: string
  roleId: string
  /** The latest last. */
  secrets: KnownSecret[]
}

/** What all clients of a run know together. */
export class Notebook {
  readonly operations: Operation[] = []
  readonly secrets: KnownSecret[] = []
  readonly tokens: KnownToken[] = []
  /** How many changes each instance is working on. */
  readonly underWay: number[] = []
  acknowledged = 0
  #operations = 0

  nextId(): string {
    this.#operations += 1
    return `operation-${this.#operations}`
  }

  learnSecret(kind: KnownSecret['kind'], operation: string, value: string): KnownSecret {
    const secret = { kind, operation, value }
    this.secrets.push(secret)
    return secret
  }
}

/** A person, whom several clients can be. */
export interface Person {
  email: string
  password: string
}

export interface ClientSettings {
  notebook: Notebook
  urls: readonly string[]
  person: Person
  guest: Client | null
}

type Caller = { credential: KnownSecret | null; as: Operation['caller'] }
type Told = { outcome: Outcome; secret?: string; tokenId?: string }

const acknowledged: Outcome = { is: 'acknowledged' }
const refusedAs = (code: string): Told => ({ outcome: { is: 'refused', code } })
const retryMilliseconds = 250
/** Long after an answer that is late, so that none at all is told from one. */
export const timeoutMilliseconds = 30_000

/** Does one thing after the other, and writes down what it was told. */
export class Client {
  readonly #notebook: Notebook
  readonly #settings: ClientSettings
  /** By instance. */
  readonly #clients: readonly Latchkey[]
  session: KnownSecret | null = null
  #accessToken: KnownSecret | null = null
  readonly #former: KnownSecret[] = []

  constructor(settings: ClientSettings) {
    this.#settings = settings
    this.#notebook = settings.notebook
    this.#clients = settings.urls.map((url) => createClient({ url, timeoutMilliseconds }))
  }

  async take(step: Step): Promise<void> {
    if (step.does === 'signIn') return this.signIn(step.instance)
    if (!this.session) await this.signIn(step.instance)
    const caller = this.#callerOf(step)
    const intent = this.#intentOf(step)
    if (!intent) return
    const operation = this.#begin(intent, caller.as)
    let told = await this.#ask(operation, step.instance, caller.credential)
    // What was not sent goes to the other instance, as a load balancer has it.
    if (isUnsent(told.outcome)) told = await this.#ask(operation, this.#other(step.instance), caller.credential)
    if (told.outcome.is === 'unknown' && intent.does === 'createToken') await this.#askAgain(operation, step, caller)
    if (told.outcome.is === 'refused' && told.outcome.code === 'UNAUTHENTICATED') {
      if (caller.credential === this.session) this.#forget()
      if (caller.credential === this.#accessToken) this.#accessToken = null
    }
    if (told.outcome.is === 'unknown' && (intent.does === 'resetAccessToken' || intent.does === 'signOut'))
      this.#forget()
  }

  /** Until it is told that it is signed in. */
  async signIn(instance: number): Promise<void> {
    this.#forget()
    for (let round = instance; !this.session; round += 1) {
      const operation = this.#begin({ does: 'signIn', member: this.#settings.person.email }, 'administrator')
      await this.#ask(operation, round % this.#clients.length, null)
      if (!this.session) await delay(retryMilliseconds)
    }
  }

  #other(instance: number): number {
    return (instance + 1) % this.#clients.length
  }

  #forget(): void {
    if (this.session) this.#former.push(this.session)
    this.session = null
  }

  #begin(intent: Intent, caller: Operation['caller']): Operation {
    const operation: Operation = { id: this.#notebook.nextId(), intent, caller, attempts: [], gave: {} }
    this.#notebook.operations.push(operation)
    return operation
  }

  #callerOf({ caller, does, nth }: Step): Caller {
    const own: Caller = { credential: this.session, as: 'administrator' }
    if (does === 'signOut' || does === 'resetAccessToken') return own
    if (caller === 'accessToken') return { credential: this.#accessToken ?? this.session, as: 'administrator' }
    if (caller === 'former') return { credential: this.#former.at(-1 - (nth % 4)) ?? this.session, as: 'administrator' }
    const guest = this.#settings.guest?.session
    if (caller === 'guest' && guest) return { credential: guest, as: 'guest' }
    if (caller === 'serviceAccount' && does === 'createToken') {
      const accounts = this.#notebook.tokens.filter(({ roleId }) => roleId === 'role_service_account')
      const account = accounts.at(-1 - (nth % Math.max(1, accounts.length)))
      const credential = account?.secrets.at(-1 - (nth % 2)) ?? account?.secrets[0]
      if (credential) return { credential, as: 'service account' }
    }
    return own
  }

  #intentOf({ does, caller, nth, roleId, enabled, overlapSeconds }: Step): Intent | null {
    const { email: member } = this.#settings.person
    if (does === 'signIn' || does === 'signOut' || does === 'resetAccessToken') return { does, member }
    const label = `Label ${this.#notebook.operations.length}`
    if (does === 'createToken') return { does, label, roleId: caller === 'serviceAccount' ? 'role_ci' : roleId }
    const tokenId = this.#notebook.tokens.at(-1 - nth)?.id
    if (tokenId === undefined) return null
    if (does === 'renameToken') return { does, tokenId, label }
    if (does === 'setTokenEnabled') return { does, tokenId, enabled }
    if (does === 'regenerateToken') return { does, tokenId, overlapSeconds }
    return { does, tokenId }
  }

  /** With the same idempotency key, until it is told. */
  async #askAgain(operation: Operation, step: Step, { credential, as }: Caller): Promise<void> {
    for (let round = 1; ; round += 1) {
      await delay(retryMilliseconds)
      const instance = round % 2 === 0 ? step.instance : this.#other(step.instance)
      // The key is the person's: whichever of their credentials asks again.
      if (as === 'administrator' && !this.session) await this.signIn(instance)
      const by = as === 'administrator' ? this.session : credential
      const { outcome } = await this.#ask(operation, instance, by)
      const isSignedOut = outcome.is === 'refused' && outcome.code === 'UNAUTHENTICATED' && as === 'administrator'
      if (isSignedOut) this.#forget()
      if (outcome.is !== 'unknown' && !isUnsent(outcome) && !isSignedOut) return
    }
  }

  async #ask(operation: Operation, instance: number, credential: KnownSecret | null): Promise<Told> {
    const { underWay } = this.#notebook
    underWay[instance] = (underWay[instance] ?? 0) + 1
    const began = performance.now()
    const told = await this.#send(operation, instance, credential).catch(explain)
    const ended = performance.now()
    underWay[instance] = (underWay[instance] ?? 0) - 1
    const attempt: Attempt = {
      instance,
      began,
      ended,
      credential: credential?.operation ?? null,
      outcome: told.outcome,
    }
    operation.attempts.push(attempt)
    if (told.outcome.is === 'acknowledged') this.#learn(operation, told)
    return told
  }

  #learn(operation: Operation, { secret, tokenId }: Told): void {
    this.#notebook.acknowledged += 1
    const { id, intent } = operation
    if (tokenId !== undefined) operation.gave.tokenId = tokenId
    if (intent.does === 'signOut') this.#forget()
    if (secret === undefined) return
    if (intent.does === 'signIn') this.session = this.#notebook.learnSecret('session', id, secret)
    else if (intent.does === 'resetAccessToken') {
      if (this.#accessToken) this.#former.push(this.#accessToken)
      this.#forget()
      this.#accessToken = this.#notebook.learnSecret('accessToken', id, secret)
    } else if (intent.does === 'createToken' && tokenId !== undefined) {
      const secrets = [this.#notebook.learnSecret('token', id, secret)]
      this.#notebook.tokens.push({ id: tokenId, roleId: intent.roleId, secrets })
    } else if (intent.does === 'regenerateToken') {
      const known = this.#notebook.tokens.find((token) => token.id === intent.tokenId)
      known?.secrets.push(this.#notebook.learnSecret('token', id, secret))
    }
  }

  async #send({ id, intent }: Operation, instance: number, credential: KnownSecret | null): Promise<Told> {
    const client = this.#clients[instance]?.with({
      credential: credential?.value,
      fetch: (address, request) =>
        fetch(address, {
          ...request,
          headers: { ...Object.fromEntries(new Headers(request?.headers)), 'user-agent': id },
        }),
    })
    if (!client) throw new Error(`There is no instance ${instance}.`)
    switch (intent.does) {
      case 'createToken': {
        const { label, roleId } = intent
        const { createToken } = await client.createToken({ input: { label, roleId, idempotencyKey: id } })
        if (createToken.__typename !== 'CreateTokenPayload') return refusedAs(createToken.__typename)
        return { outcome: acknowledged, secret: createToken.secret, tokenId: createToken.token.id }
      }
      case 'renameToken': {
        const { updateToken } = await client.updateToken({ input: { id: intent.tokenId, label: intent.label } })
        return toldBy(updateToken.__typename, 'UpdateTokenPayload')
      }
      case 'setTokenEnabled': {
        // The description is another each time, so that there is something to record also where it is enabled already.
        const input = { id: intent.tokenId, enabled: intent.enabled, description: id }
        return toldBy((await client.updateToken({ input })).updateToken.__typename, 'UpdateTokenPayload')
      }
      case 'regenerateToken': {
        const { tokenId, overlapSeconds } = intent
        const { regenerateToken } = await client.regenerateToken({ input: { id: tokenId, overlapSeconds } })
        if (regenerateToken.__typename !== 'RegenerateTokenPayload') return refusedAs(regenerateToken.__typename)
        return { outcome: acknowledged, secret: regenerateToken.secret, tokenId: regenerateToken.token.id }
      }
      case 'deleteToken': {
        const { deleteToken } = await client.deleteToken({ input: { id: intent.tokenId } })
        return toldBy(deleteToken.__typename, 'DeleteTokenPayload')
      }
      case 'resetAccessToken': {
        const { resetAccessToken } = await client.resetAccessToken()
        return { outcome: acknowledged, secret: resetAccessToken.secret }
      }
      case 'signIn': {
        const { email, password } = this.#settings.person
        const { signIn } = await client.signIn({ input: { email, password } })
        if (signIn.__typename !== 'SignInPayload') return refusedAs(signIn.__typename)
        return { outcome: acknowledged, secret: signIn.sessionToken }
      }
      case 'signOut': {
        const { signOut } = await client.signOut()
        return signOut.signedOut ? { outcome: acknowledged } : refusedAs('no session')
      }
    }
  }
}

const isUnsent = (outcome: Outcome) => outcome.is === 'refused' && outcome.code === 'unsent'

const toldBy = (typename: string, payload: string): Told =>
  typename === payload ? { outcome: acknowledged } : refusedAs(typename)

/** What was refused, and what nobody knows the outcome of. */
function explain(error: unknown): Told {
  if (!(error instanceof RequestError)) throw error
  const { code, status, message } = error
  if (code === 'UNAVAILABLE' && status === null && message.includes('ECONNREFUSED')) return refusedAs('unsent')
  if (code === 'UNAVAILABLE') return { outcome: { is: 'unknown', answered: status !== null, why: message } }
  // It may have happened all the same, but is to be looked into whatever it was.
  return refusedAs(code)
}
