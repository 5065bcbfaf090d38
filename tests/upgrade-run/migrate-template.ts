import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'

/** As every version so far has it in tests/postgres.ts. */
const templateDatabase = 'latchkey_template'
const checkout = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Runs in the test run of the version before, after it has migrated the database that each of its tests gets a copy of:
 * brings that one up to this version's tables, by the command that an operator gives.
 */
export async function setup(project: TestProject): Promise<void> {
  const url = new URL(project.getProvidedContext().postgresUrl)
  url.pathname = `/${templateDatabase}`
  const environment = { PATH: process.env.PATH ?? '', DATABASE_URL: url.href, LATCHKEY_SECRET: 'x'.repeat(32) }
  const options = { cwd: checkout, env: environment }
  const { stdout } = await promisify(execFile)(process.execPath, ['dist/cli.js', 'migrate'], options)
  process.stdout.write(`This version's “latchkey migrate”: ${stdout}`)
}
