import { parseArgs } from 'node:util'
import { runFaults } from './fault-run.ts'
import { fullPlan } from './plan.ts'
import { problemsOf, report } from './report.ts'

const { values } = parseArgs({ options: { seed: { type: 'string' } } })
const seed = values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : Number(values.seed)
if (!Number.isSafeInteger(seed)) throw new TypeError('--seed takes a whole number.')

const print = (text: string) => process.stdout.write(`${text}\n`)
print(`Seed ${seed}; “npm run test:faults -- --seed ${seed}” takes the same steps and faults again.`)
const outcome = await runFaults({ ...fullPlan, seed }, print)
print(report(outcome))
process.exit(problemsOf(outcome).length === 0 ? 0 : 1)
