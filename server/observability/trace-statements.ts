import { type Span, SpanKind } from '@opentelemetry/api'
import type { Pool, PoolClient } from 'pg'
import type { Tracing } from './tracing.ts'
import { markFailed } from './tracing.ts'

/** A span for each statement of a request, by OpenTelemetry’s semantic conventions for databases. Parameters are in none. */
export function traceStatements(pool: Pool, tracing: Tracing): void {
  const { connect } = pool
  Object.assign(pool, {
    connect(...given: unknown[]): unknown {
      // Whoever waits for a connection is called back by whoever gives theirs back.
      return Reflect.apply(
        connect,
        pool,
        given.map((one) => tracing.bind(one)),
      )
    },
  })
  pool.on('connect', (client) => traceClient(client, tracing))
}

function traceClient(client: PoolClient, tracing: Tracing): void {
  const { query } = client
  Object.assign(client, {
    query(...given: unknown[]): unknown {
      const span = openSpan(tracing, textOf(given[0]))
      if (!span) return Reflect.apply(query, client, given)
      const callback = given.at(-1)
      if (typeof callback === 'function') {
        const answered = (error: unknown, ...rest: unknown[]): unknown => {
          end(span, error)
          return Reflect.apply(callback, null, [error, ...rest])
        }
        return Reflect.apply(query, client, [...given.slice(0, -1), tracing.bind(answered)])
      }
      const answer: unknown = Reflect.apply(query, client, given)
      if (answer instanceof Promise) {
        answer.then(
          () => end(span, null),
          (error: unknown) => end(span, error),
        )
      } else span.end()
      return answer
    },
  })
}

function openSpan(tracing: Tracing, text: string): Span | null {
  const operation = (/^\s*(\w+)/.exec(text)?.[1] ?? 'statement').toUpperCase()
  return tracing.open(operation, {
    kind: SpanKind.CLIENT,
    attributes: {
      'db.system.name': 'postgresql',
      'db.operation.name': operation,
      'db.query.text': withoutValues(text),
    },
  })
}

function end(span: Span, error: unknown): void {
  if (error) markFailed(span, error)
  span.end()
}

function textOf(statement: unknown): string {
  if (typeof statement === 'string') return statement
  const isConfig = typeof statement === 'object' && statement !== null && 'text' in statement
  return isConfig && typeof statement.text === 'string' ? statement.text : ''
}

const longestText = 2_000

/** Statements are the code’s own, with placeholders; the few that write a value out show a question mark in its place. */
export function withoutValues(text: string): string {
  return text
    .replace(/E?'(?:[^']|'')*'/g, '?')
    .replace(/(?<![\w$."])\d+(?:\.\d+)?\b/g, '?')
    .slice(0, longestText)
}
