import { readConfig } from './config.ts'
import { explain } from './explain.ts'
import { serve } from './serve.ts'

const print = (line: string) => process.stdout.write(`${line}\n`)

try {
  await serve(readConfig(process.env), print)
  process.exit(0)
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  process.exit(1)
}
