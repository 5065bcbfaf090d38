import { parseArgs } from 'node:util'
import { runBeside } from './beside.ts'
import { runOldTests } from './old-tests.ts'
import { problemsOf, report } from './report.ts'
import { findVersionBefore, NoVersion, openVersionBefore } from './version-before.ts'

const { positionals } = parseArgs({ allowPositionals: true })
const [revision, ...chosenTests] = positionals
const print = (text: string) => process.stdout.write(`${text}\n`)

try {
  await using version = await openVersionBefore(await findVersionBefore(revision))
  print(`The version before: ${version.name} (its packages are ${version.packages})`)
  const beside = await runBeside(version)
  const tests = await runOldTests(version, chosenTests)
  print(report({ beside, tests }))
  process.exitCode = problemsOf({ beside, tests }).length === 0 ? 0 : 1
} catch (error) {
  if (!(error instanceof NoVersion)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
