#!/usr/bin/env node
import { runCommandLine } from './cli/run.ts'

// Whoever reads the output, such as head, may have enough of it before the command has ended.
process.stdout.on('error', () => undefined)
const code = await runCommandLine(process.argv.slice(2), {
  input: process.stdin,
  output: process.stdout,
  errors: process.stderr,
  environment: process.env,
})
process.exit(code)
