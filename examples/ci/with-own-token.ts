/**
 * Runs a command with a CI token of its own, which ends with it:
 *
 *   LATCHKEY_URL=… LATCHKEY_SERVICE_ACCOUNT=… node with-own-token.ts ./send-scan.sh scan.json
 *
 * The token is made by a service account, whose value is the pipeline’s only lasting secret, and which can do nothing else. It
 * expires in an hour whatever happens; it is deleted as soon as the command has ended. The command’s exit code is passed on.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { hostname } from 'node:os'
import { createClient, LatchkeyError, unwrap } from '@latchkey/sdk'

const hour = 3_600_000

const [command, ...commandArguments] = process.argv.slice(2)
const { LATCHKEY_URL: url, LATCHKEY_SERVICE_ACCOUNT: credential, ...environment } = process.env
if (!command || !url || !credential) {
  process.stderr.write('Set LATCHKEY_URL and LATCHKEY_SERVICE_ACCOUNT, and name the command to run.\n')
  process.exit(2)
}

// What the two name a run: a job that is run again has a number of its own.
const run =
  environment.CI_JOB_URL ??
  (environment.GITHUB_RUN_ID &&
    `${environment.GITHUB_REPOSITORY} ${environment.GITHUB_RUN_ID}.${environment.GITHUB_RUN_ATTEMPT}`) ??
  `${hostname()} ${new Date().toISOString()}`

const latchkey = createClient({ url, credential })
try {
  const { token, secret } = unwrap(
    (
      await latchkey.createToken({
        input: {
          label: run.slice(0, 100),
          description: 'For one run of a pipeline; deleted when that ends.',
          roleId: 'role_ci',
          expiresAt: new Date(Date.now() + hour).toISOString(),
          // Asked again after a lost answer, it is the same token.
          idempotencyKey: run,
        },
      })
    ).createToken,
  )
  try {
    const child = spawn(command, commandArguments, {
      env: { ...environment, LATCHKEY_TOKEN: secret },
      stdio: 'inherit',
    })
    const [code] = await once(child, 'exit')
    process.exitCode = typeof code === 'number' ? code : 1
  } finally {
    unwrap((await latchkey.deleteToken({ input: { id: token.id } })).deleteToken)
  }
} catch (error) {
  const reason = error instanceof LatchkeyError ? error.message : `${command} cannot be run.`
  process.stderr.write(`${reason}\n`)
  process.exitCode = 1
}
