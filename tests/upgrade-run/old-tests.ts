import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { VersionBefore } from './version-before.ts'

/** What the API does, in a few minutes. Those that the version before does not have are left out. */
const usualTests = [
  'tokens',
  'token-rules',
  'token-list',
  'verification',
  'oauth',
  'invalidation-triggers',
  'identity',
  'sessions',
  'password-change',
  'tenancy',
  'access-matrix',
  'audit-chain',
  'audit-log',
  'scim-groups',
  'scim-protocol',
  'webhooks',
].map((name) => `tests/${name}.test.ts`)

/** All but those of its own migrations, which compare what they make with the tables that are there: they are this version's now. */
const nameOfUsualTests = '^(?!the migrations )'
/** What the tables are to blame for fails every time, and what a busy machine is to blame for does not. */
const attemptsMore = 2

export interface TestsOutcome {
  files: number
  passed: number
  /** What each was called, and the first line of why. */
  failed: { name: string; reason: string }[]
  seconds: number
}

const reportForm = z.object({
  numPassedTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      message: z.string().optional(),
      assertionResults: z.array(
        z.object({ fullName: z.string(), status: z.string(), failureMessages: z.array(z.string()).nullish() }),
      ),
    }),
  ),
})

/** Its own tests, of its own code, on the tables of this version. */
export async function runOldTests({ directory }: VersionBefore, chosen: readonly string[]): Promise<TestsOutcome> {
  const migrateTemplate = fileURLToPath(new URL('migrate-template.ts', import.meta.url))
  const configuration = join(directory, 'vitest.upgrade.config.ts')
  const results = join(directory, 'results.json')
  await writeFile(
    configuration,
    `import { mergeConfig } from 'vitest/config'
import config from './vitest.config.ts'
export default mergeConfig(config, { test: { globalSetup: [${JSON.stringify(migrateTemplate)}], retry: ${attemptsMore} } })
`,
  )
  const tests = chosen.length > 0 ? chosen : usualTests.filter((path) => existsSync(join(directory, path)))
  const began = performance.now()
  const vitest = [join(directory, 'node_modules/vitest/vitest.mjs'), 'run', '--config', configuration]
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${results}`]
  const chosenByName = chosen.length > 0 ? [] : [`--testNamePattern=${nameOfUsualTests}`]
  const words = [...vitest, ...reporters, ...chosenByName, ...tests]
  const child = spawn(process.execPath, words, { cwd: directory, stdio: 'inherit' })
  const [code] = await once(child, 'close')
  const text = await readFile(results, 'utf8').catch(() => null)
  if (text === null) throw new Error(`The tests of the version before did not run: they ended with ${code}.`)
  const { numPassedTests, testResults } = reportForm.parse(JSON.parse(text))
  const failed = testResults.flatMap(({ name, status, message = '', assertionResults }) => {
    const file = name.slice(directory.length + 1)
    const tests = assertionResults
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, failureMessages }) => ({ name: `${file}: ${fullName}`, reason: failureMessages?.[0] ?? '' }))
    // A file whose world does not open has no test that failed.
    return status === 'failed' && tests.length === 0 ? [{ name: file, reason: message }] : tests
  })
  return {
    files: testResults.length,
    passed: numPassedTests,
    failed: failed.map(({ name, reason }) => ({ name, reason: reason.split('\n', 1)[0] ?? '' })),
    seconds: (performance.now() - began) / 1_000,
  }
}
