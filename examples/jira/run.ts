/** `npm run example:jira`: a Latchkey, a scan service, a stand-in for Jira and the Jira app, from the token to its effect. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { createClient, unwrap } from '@latchkey/sdk'
import { createVerifier } from '@latchkey/sdk/verifier'
import { createScanService, type Scan } from '../ci/scan-service.ts'
import { serve, startLatchkey } from '../local-servers.ts'
import { createJiraApp } from './jira-app.ts'
import { createJiraStandIn } from './jira-stand-in.ts'

const say = (text: string) => process.stdout.write(`${text}\n`)
const log = (line: string) => say(`   ${line}`)
const newSecret = () => randomBytes(24).toString('base64url')

await using opened = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'latchkey-example-'))
opened.defer(() => rm(folder, { recursive: true }))

say('1. Latchkey starts, with a PostgreSQL of its own, and a scan service that asks it about tokens.')
const { address, password, serviceSecret } = await startLatchkey(opened, join(folder, 'data'))
const verifier = createVerifier({ url: address, credential: serviceSecret })
opened.defer(() => verifier.close())
const scanServiceUrl = await serve(opened, createScanService(verifier))

say('2. The owner signs in and makes a token for a pipeline, with the role CI Token, and one with the role Jira.')
const stranger = createClient({ url: address })
const { sessionToken } = unwrap((await stranger.signIn({ input: { email: 'owner@example.com', password } })).signIn)
const owner = stranger.with({ credential: sessionToken })
const make = async (label: string, roleId: string) =>
  unwrap((await owner.createToken({ input: { label, roleId } })).createToken)
const pipelineToken = await make('Jenkins', 'role_ci')
const jiraToken = await make('Jira', 'role_jira')

say('3. The Jira app starts, with the Jira token and an account in Jira. What is Jira here is a stand-in for it.')
const account = { email: 'latchkey@example.com', apiToken: newSecret(), projectKey: 'SEC' }
const webhookSecret = newSecret()
const jira = createJiraStandIn(account)
const { app, sync } = createJiraApp({
  scanServiceUrl,
  latchkeyToken: jiraToken.secret,
  jiraUrl: await serve(opened, jira.app),
  jiraEmail: account.email,
  jiraApiToken: account.apiToken,
  projectKey: account.projectKey,
  issueType: 'Task',
  webhookSecret,
  fetch,
  wait,
  log,
})
const webhookUrl = `${await serve(opened, app)}/jira/webhook`
jira.registerWebhook(webhookUrl, webhookSecret)

say('4. The pipeline sends a scan, and the app files what it reads:')
await send({
  app: 'shop',
  commit: '4f1c2ab',
  findings: [
    { rule: 'sql-injection', file: 'cart.ts', line: 42 },
    { rule: 'hard-coded-secret', file: 'mail.ts', line: 7 },
  ],
})
await sync()

say('5. A person closes SEC-1, though nothing was mended. Jira’s webhook tells the app:')
jira.moveByHand('SEC-1', 'done')
await jira.delivered()

say('6. In the next scan, one finding is on another line, and one is gone:')
await send({ app: 'shop', commit: '9d0e1f2', findings: [{ rule: 'sql-injection', file: 'cart.ts', line: 57 }] })
await sync()
await jira.delivered()

say('7. A person asks, in a comment to SEC-1:')
jira.write('SEC-1', '/recheck')
await jira.delivered()

say('8. What there is to see in Jira now:')
for (const key of jira.keys()) {
  const { status, description, comments } = jira.look(key)
  log([`${key} (${status}): ${description}`, ...comments].join('\n      '))
}

say('9. Someone who does not know the webhook’s secret sends one:')
const headers = { 'x-hub-signature': `sha256=${'0'.repeat(64)}` }
const forged = await fetch(webhookUrl, { method: 'POST', headers, body: '{"webhookEvent":"jira:issue_updated"}' })
log(`${forged.status} ${await forged.text()}`)

say('10. The owner deletes the Jira token. The next synchronization:')
const { invalidations } = verifier.metrics()
unwrap((await owner.deleteToken({ input: { id: jiraToken.token.id } })).deleteToken)
while (verifier.metrics().invalidations === invalidations) await wait(5)
await sync().catch((error: unknown) => log(error instanceof Error ? error.message : 'It failed.'))

/** As a pipeline does it; `npm run example:ci` shows that in full. */
async function send(scan: Scan): Promise<void> {
  const headers = { authorization: `Bearer ${pipelineToken.secret}`, 'content-type': 'application/json' }
  const { status } = await fetch(`${scanServiceUrl}/scans`, { method: 'POST', headers, body: JSON.stringify(scan) })
  if (status !== 201) throw new Error(`The scan service answered ${status} to a scan.`)
}
