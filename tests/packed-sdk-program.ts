/**
 * Everything that an admin's program does in the life of a token, and what a service makes of the token meanwhile, by the
 * published package alone. Run by sdk-package.test.ts in an empty project; prints what it saw, as JSON.
 */
import { createClient, paginate, RefusalError, RequestError, unwrap } from '@latchkey/sdk'
import { createVerifier, type Verdict } from '@latchkey/sdk/verifier'

const [url = '', email = '', password = '', serviceSecret = ''] = process.argv.slice(2)

interface Introspection {
  active: boolean
  scope?: string
}

async function introspect(token: string): Promise<Introspection> {
  const headers = { authorization: `Bearer ${serviceSecret}` }
  const response = await fetch(`${url}/oauth/introspect`, {
    method: 'POST',
    headers,
    body: new URLSearchParams({ token }),
  })
  return await response.json()
}
const areActive = async (...secrets: string[]) =>
  (await Promise.all(secrets.map(introspect))).map(({ active }) => active)

const verifier = createVerifier({ url, credential: serviceSecret })
/** What a service comes to hear of the token: at once where it had not heard of it, and soon where it had. */
async function hear(secret: string, isExpected: (verdict: Verdict) => boolean): Promise<Verdict> {
  for (const deadline = Date.now() + 5_000; ; ) {
    const verdict = await verifier.verify(secret, { usedFrom: '192.0.2.7' })
    if (isExpected(verdict) || Date.now() > deadline) return verdict
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const anyone = createClient({ url })
const signIn = async () => {
  const { sessionToken } = unwrap((await anyone.signIn({ input: { email, password } })).signIn)
  return anyone.with({ credential: sessionToken })
}

const wrongPassword = await anyone
  .signIn({ input: { email, password: 'not the password' } })
  .then(({ signIn }) => unwrap(signIn))
  .catch((error: unknown) => error instanceof RefusalError && error.code)

const admin = await signIn()
const scopes: Record<string, string | undefined> = {}
for (const { id } of (await admin.tokenRoles()).tokenRoles) {
  const input = { label: `A ${id}`, roleId: id }
  const { secret } = unwrap((await admin.createToken({ input })).createToken)
  scopes[id] = (await introspect(secret)).scope
}

const input = { label: 'Pipeline', description: 'Builds', roleId: 'role_ci', idempotencyKey: crypto.randomUUID() }
const first = unwrap((await admin.createToken({ input })).createToken)
const retried = unwrap((await admin.createToken({ input })).createToken)
const { id } = first.token

const second = unwrap((await admin.regenerateToken({ input: { id, overlapSeconds: 2 } })).regenerateToken)
const duringOverlap = await areActive(first.secret, second.secret)
await new Promise((resolve) => setTimeout(resolve, 2_100))
const afterOverlap = await areActive(first.secret, second.secret)

const heard = await verifier.verify(second.secret)
const disabled = unwrap((await admin.updateToken({ input: { id, enabled: false } })).updateToken).token.status
const whileDisabled = await areActive(second.secret)
const heardWhileDisabled = await hear(second.secret, ({ active }) => !active)
const enabled = unwrap((await admin.updateToken({ input: { id, enabled: true } })).updateToken).token.status
const whileEnabled = await areActive(second.secret)
const heardWhileEnabled = await hear(second.secret, ({ active }) => active)
unwrap((await admin.deleteToken({ input: { id } })).deleteToken)
const heardAfterDeletion = await hear(second.secret, ({ active }) => !active)
const afterDeletion = await areActive(first.secret, second.secret)

const { secret: accessToken } = unwrap((await admin.resetAccessToken()).resetAccessToken)
const sessionAfterReset = await admin.viewer().catch((error: unknown) => error instanceof RequestError && error.code)

const events: { action: string; actor: string; target: string | null }[] = []
for await (const { action, actor, target } of paginate(anyone.with({ credential: accessToken }).auditEvents)) {
  events.unshift({ action, actor, target })
}

const { calls, cachedTokens } = verifier.metrics()
await verifier.close()

process.stdout.write(
  JSON.stringify({
    wrongPassword,
    scopes,
    sameToken: retried.token.id === first.token.id && retried.secret === first.secret,
    duringOverlap,
    afterOverlap,
    disabled,
    whileDisabled,
    enabled,
    whileEnabled,
    afterDeletion,
    sessionAfterReset,
    heard: heard.active && [heard.kind, heard.label, heard.organizationId.slice(0, 4), heard.permissions.join(' ')],
    heardLater: [heardWhileDisabled, heardWhileEnabled, heardAfterDeletion].map(({ active }) => active),
    verifier: [calls > 0, cachedTokens],
    events,
  }),
)
