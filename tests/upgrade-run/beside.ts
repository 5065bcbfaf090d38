import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { type Instance, openInstance, runLatchkey } from '../fault-run/instance.ts'
import { openOwnPostgres } from '../fault-run/own-postgres.ts'
import type { VersionBefore } from './version-before.ts'

export interface BesideOutcome {
  /** What the version before was asked while its tables were migrated. */
  requestsMeanwhile: number
  /** How long the command took, which is mostly its start. */
  migratingMilliseconds: number
  /** What it printed. */
  migrated: string
  checks: number
  /** Everything that is not as promised. */
  problems: string[]
}

const person = { email: 'owner@upgrade.example', password: 'a lantern under the stairs' }
const pauseMilliseconds = 10

/**
 * An upgrade as docs/operations.md has it: the version before serves, its tables are migrated under it, an instance of
 * this version comes beside it, and it comes back once more, as when an upgrade is taken back.
 */
export async function runBeside({ directory }: VersionBefore): Promise<BesideOutcome> {
  await using stack = new AsyncDisposableStack()
  const postgres = stack.use(await openOwnPostgres())
  await postgres.start()
  const settings = { DATABASE_URL: postgres.url, LATCHKEY_SECRET: randomBytes(32).toString('base64url') }
  const environment = { ...settings, TOKEN_CREATION_LIMIT: '0' }
  const owner = { BOOTSTRAP_EMAIL: person.email, BOOTSTRAP_PASSWORD: person.password }
  const old = await openInstance({ ...environment, ...owner, BOOTSTRAP_ORGANIZATION: 'Upgrade' }, directory)
  stack.defer(() => old.kill())
  await old.start()
  const serviceSecret = /lkv_\w{49}/.exec(
    (await runLatchkey(['service', 'add', 'scanner'], settings, directory)).output,
  )
  const session = await signIn(old.url)
  const clientOf = ({ url }: Instance) => new Client(url, session, serviceSecret?.[0] ?? '')
  const byOld = clientOf(old)

  const problems: string[] = []
  let checks = 0
  const expect = (what: string, is: unknown, due: unknown) => {
    checks++
    if (is !== due) problems.push(`${what}: ${String(is)} instead of ${String(due)}`)
  }

  const first = await byOld.create('Before the upgrade')
  const work = keepAsking(byOld, first, problems)
  const began = performance.now()
  const { code, output: migrated } = await runLatchkey(['migrate'], settings)
  const migratingMilliseconds = performance.now() - began
  const requestsMeanwhile = await work.stop()
  expect('“latchkey migrate” of this version', code, 0)
  expect('the version before, after its tables were migrated, is ready', await byOld.isReady(), true)

  const own = await openInstance(environment)
  stack.defer(() => own.kill())
  async function goOn(): Promise<void> {
    await own.start()
    const byOwn = clientOf(own)
    expect('this version is ready', await byOwn.isReady(), true)
    for (const { url } of [old, own]) expect('one signs in', Boolean(await signIn(url)), true)
    const pairs = [
      { maker: byOld, other: byOwn, name: 'the version before' },
      { maker: byOwn, other: byOld, name: 'this version' },
    ]
    for (const { maker, other, name } of pairs) {
      const token = await maker.create(`Of ${name}`)
      const kept = await maker.create(`Also of ${name}`)
      expect(`a token of ${name} is accepted by the other`, await other.isActive(token), true)
      await maker.remove(token)
      expect(`a token that ${name} deleted is accepted by the other`, await other.isActive(token), false)
      await other.remove(kept)
      expect(`a token of ${name} is accepted by it after the other deleted it`, await maker.isActive(kept), false)
    }
    await old.stop()
    expect('a token from before the upgrade is accepted', await byOwn.isActive(first), true)
    const late = await byOwn.create('Before it is taken back')
    await own.stop()
    await old.start()
    expect('the version before, started on the tables of this one, is ready', await byOld.isReady(), true)
    expect('it accepts a token of this version', await byOld.isActive(late), true)
    await byOld.remove(first)
    expect('it accepts a token that it deleted', await byOld.isActive(first), false)
    for (const [name, where] of [
      ['the version before', directory],
      ['this version', undefined],
    ] as const) {
      const verified = await runLatchkey(['audit', 'verify'], settings, where)
      expect(`“latchkey audit verify” of ${name}`, verified.code, 0)
    }
  }
  await goOn().catch((error: unknown) => problems.push(`what then went no further: ${String(error)}`))
  problems.push(...[...old.errors(), ...own.errors()].map((line) => `an instance logged an error: ${line}`))
  return { requestsMeanwhile, migratingMilliseconds, migrated, checks, problems }
}

/** Verifications and creations by one after the other, of which none may fail, until it is stopped. */
function keepAsking(client: Client, token: Token, problems: string[]): { stop(): Promise<number> } {
  let isOver = false
  let count = 0
  const asking = (async () => {
    while (!isOver) {
      try {
        if (!(await client.isActive(token))) throw new Error('a good token is refused')
        await client.create(`Meanwhile ${count}`)
        if (!(await client.isReady())) throw new Error('it is not ready')
      } catch (error) {
        problems.push(`the version before, while its tables were migrated: ${String(error)}`)
      }
      count += 3
      await delay(pauseMilliseconds)
    }
  })()
  return {
    async stop() {
      isOver = true
      await asking
      return count
    },
  }
}

interface Token {
  id: string
  secret: string
}

/** Asks for nothing that came later than the first tokens, so that any version can be asked. */
class Client {
  readonly #url: string
  readonly #session: string
  readonly #serviceSecret: string

  constructor(url: string, session: string, serviceSecret: string) {
    this.#url = url
    this.#session = session
    this.#serviceSecret = serviceSecret
  }

  async isReady(): Promise<boolean> {
    return (await fetch(`${this.#url}/readyz`)).ok
  }

  async isActive({ secret }: Token): Promise<boolean> {
    const response = await fetch(`${this.#url}/oauth/introspect`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#serviceSecret}` },
      body: new URLSearchParams({ token: secret }),
    })
    if (!response.ok) throw new Error(`introspection answered ${response.status}`)
    return z.object({ active: z.boolean() }).parse(await response.json()).active
  }

  async create(label: string): Promise<Token> {
    const form = z.object({ createToken: z.object({ secret: z.string(), token: z.object({ id: z.string() }) }) })
    const query = `mutation ($label: String!) { createToken(input: { label: $label, roleId: "role_ci" }) {
      ... on CreateTokenPayload { secret token { id } } ... on Refusal { message } } }`
    const { createToken } = form.parse(await ask(this.#url, query, { label }, this.#session))
    return { id: createToken.token.id, secret: createToken.secret }
  }

  async remove({ id }: Token): Promise<void> {
    const form = z.object({ deleteToken: z.object({ deletedTokenId: z.string() }) })
    const query = `mutation ($id: ID!) { deleteToken(input: { id: $id }) {
      ... on DeleteTokenPayload { deletedTokenId } ... on Refusal { message } } }`
    form.parse(await ask(this.#url, query, { id }, this.#session))
  }
}

async function signIn(url: string): Promise<string> {
  const form = z.object({ signIn: z.object({ sessionToken: z.string() }) })
  const query = `mutation ($input: SignInInput!) { signIn(input: $input) {
    ... on SignInPayload { sessionToken } ... on Refusal { message } } }`
  return form.parse(await ask(url, query, { input: person })).signIn.sessionToken
}

async function ask(url: string, query: string, variables: object, credential?: string): Promise<unknown> {
  const response = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(credential !== undefined && { authorization: `Bearer ${credential}` }),
    },
    body: JSON.stringify({ query, variables }),
  })
  if (!response.ok) throw new Error(`GraphQL answered ${response.status}`)
  return z.object({ data: z.unknown() }).parse(await response.json()).data
}
