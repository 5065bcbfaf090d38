import { readConfig } from './config.ts'
import { explain } from './explain.ts'
import { serve } from './serve.ts'

try {
  await serve(readConfig(process.env), (text) => process.stdout.write(`${text}\n`))
  process.exit(0)
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  process.exit(1)
}
