import { parseArgs } from 'node:util'
import { migrateDatabase } from '../../server/database/migrate.ts'
import { openOwnPostgres } from '../fault-run/own-postgres.ts'
import { problemsOf, report, runRolling } from './rolling-run.ts'

const { values } = parseArgs({ options: { rate: { type: 'string' }, seconds: { type: 'string' } } })
const wholeNumber = (name: 'rate' | 'seconds', fallback: number): number => {
  const number = values[name] === undefined ? fallback : Number(values[name])
  if (!Number.isSafeInteger(number) || number < 1) throw new TypeError(`--${name} takes a whole number above 0.`)
  return number
}
const plan = {
  requestsPerSecond: wholeNumber('rate', 500),
  seconds: wholeNumber('seconds', 60),
  restartEverySeconds: 5,
  shutdownDelaySeconds: 2,
}

await using postgres = await openOwnPostgres()
await postgres.start()
await migrateDatabase(postgres.url)
const print = (text: string) => process.stdout.write(`${text}\n`)
const outcome = await runRolling(plan, postgres.url, print)
print(report(outcome))
process.exitCode = problemsOf(outcome).length === 0 ? 0 : 1
