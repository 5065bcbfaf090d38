import { pino } from 'pino'
import { expect, it } from 'vitest'
import { createRetried } from './log.ts'

it('tells of the first failure in a row, and that it works again', () => {
  const logged: string[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => logged.push(line.trim()) })
  const retried = createRetried(log, { failed: 'not done', succeeded: 'done again' })
  const failure = new Error('connect ECONNREFUSED')
  retried.succeeded()
  retried.failed(failure)
  retried.failed(failure)
  retried.failed('no error')
  retried.succeeded()
  retried.succeeded()
  retried.failed(failure)
  const failed = '{"level":40,"error":"Error: connect ECONNREFUSED","msg":"not done"}'
  expect(logged).toEqual([failed, '{"level":30,"failures":3,"msg":"done again"}', failed])
})
