import { pino } from 'pino'
import type { Config } from './config.ts'

/** A line of JSON for each entry, on standard error: standard output is for what a person, or a script, reads. */
export const createLog = (level: Config['logLevel']) =>
  pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }))
