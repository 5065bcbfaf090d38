/** `npm run example:ci`: a Latchkey, a scan service and pipelines, from the token to its effect, in this terminal. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, unwrap } from '@latchkey/sdk'
import { createVerifier } from '@latchkey/sdk/verifier'
import { serve, startLatchkey } from '../local-servers.ts'
import { createScanService } from './scan-service.ts'

const here = import.meta.dirname
const say = (text: string) => process.stdout.write(`${text}\n`)

await using opened = new AsyncDisposableStack()
const folder = await mkdtemp(join(tmpdir(), 'latchkey-example-'))
opened.defer(() => rm(folder, { recursive: true }))

say('1. Latchkey starts, with a PostgreSQL of its own.')
const { address, password, serviceSecret } = await startLatchkey(opened, join(folder, 'data'))

say('2. The scan service starts. It knows Latchkey’s address and a service’s secret, and no token.')
const verifier = createVerifier({ url: address, credential: serviceSecret })
opened.defer(() => verifier.close())
const scanService = await serve(opened, createScanService(verifier))

say('3. The owner signs in and makes a CI token for a pipeline, one for Jira, and a service account.')
const stranger = createClient({ url: address })
const { sessionToken } = unwrap((await stranger.signIn({ input: { email: 'owner@example.com', password } })).signIn)
const owner = stranger.with({ credential: sessionToken })
const make = async (label: string, roleId: string) =>
  unwrap((await owner.createToken({ input: { label, roleId } })).createToken)
const pipeline = await make('Jenkins', 'role_ci')
const jira = await make('Jira', 'role_jira')
const account = await make('Pipelines', 'role_service_account')

const scan = { app: 'shop', commit: '4f1c2ab', findings: [{ rule: 'sql-injection', file: 'cart.ts', line: 42 }] }
const result = join(folder, 'scan.json')
await writeFile(result, JSON.stringify(scan))
const environment = { SCAN_SERVICE_URL: scanService }

say('4. The pipeline sends its scan:')
await send({ ...environment, LATCHKEY_TOKEN: pipeline.secret })
say('5. Whoever may read findings sees it, with the token that sent it:')
const findings = await fetch(`${scanService}/findings`, { headers: { authorization: `Bearer ${jira.secret}` } })
say(`   ${await findings.text()}`)

say('6. A pipeline without its secret, with half of it, and with another’s:')
await send(environment)
await send({ ...environment, LATCHKEY_TOKEN: pipeline.secret.slice(0, 40) })
await send({ ...environment, LATCHKEY_TOKEN: jira.secret })

say('7. The owner deletes the pipeline’s token. Its next run:')
unwrap((await owner.deleteToken({ input: { id: pipeline.token.id } })).deleteToken)
await send({ ...environment, LATCHKEY_TOKEN: pipeline.secret })

say('8. With a service account, each run has a token of its own, which is gone with it:')
await sendWith([process.execPath, '--conditions=latchkey-source', join(here, 'with-own-token.ts')], {
  ...environment,
  LATCHKEY_URL: address,
  LATCHKEY_SERVICE_ACCOUNT: account.secret,
  CI_JOB_URL: 'https://gitlab.example.com/shop/-/jobs/1',
})
const { nodes } = (await owner.integrationTokens()).integrationTokens
say(`   Tokens that there are: ${nodes.map(({ label }) => label).join(', ')}`)

function send(given: Record<string, string>): Promise<void> {
  return sendWith([], given)
}

/** Shows what a pipeline’s log would have. */
async function sendWith(before: string[], given: Record<string, string>): Promise<void> {
  const [command = '', ...words] = [...before, join(here, 'send-scan.sh'), result]
  const text = await new Promise<string>((resolve) => {
    execFile(command, words, { env: { PATH: process.env.PATH, ...given } }, (error, stdout, stderr) => {
      resolve(`${stdout}${stderr}${error ? `(exit code ${error.code})` : ''}`)
    })
  })
  say(text.trim().replace(/^/gm, '   '))
}
