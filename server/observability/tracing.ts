import {
  type Context,
  type ContextManager,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { sqlState } from '../database/unavailable.ts'

/** Someone who waits for an answer that one statement brings to many. */
export interface Asking {
  readonly span: Span
  /** With the reason, where there was no answer. Further times it does nothing. */
  end(reason?: unknown): void
}

/**
 * The spans of this instance. What is in them is the code’s own words, and ids: nothing that a caller wrote, no value of a
 * statement’s parameters, and no error’s message, which might quote one.
 */
export interface Tracing {
  /** Runs a request’s work within a span of its own, which goes on from the caller’s where one is given. */
  begin<T>(name: string, options: SpanOptions & { from: SpanContext | null }, work: (span: Span) => T): T
  /** Runs work within a span below that of whoever asks. Without one there is none: nobody looks for it. */
  within<T>(name: string, options: SpanOptions, work: (span: Span) => Promise<T>): Promise<T>
  /** A span below that of whoever asks, for something that is called back; null without one. To be ended. */
  open(name: string, options: SpanOptions): Span | null
  /** The span of whoever asks. */
  active(): Span | null
  /** The same function, which then runs for whoever asks now, whoever calls it. */
  bind<F>(work: F): F
  ask(): Asking | null
  /** Runs work that is for many: below the span of one of them, and linked with those of the others. */
  gather<T>(asking: ReadonlySet<Asking>, work: () => Promise<T>): Promise<T>
}

/** As many as the specification lets a span have. */
const mostLinks = 128

export function createTracing({ tracer, contexts }: { tracer: Tracer; contexts: ContextManager }): Tracing {
  const active = () => trace.getSpan(contexts.active()) ?? null
  const isSampled = (span: Span) => (span.spanContext().traceFlags & TraceFlags.SAMPLED) !== 0

  function open(name: string, options: SpanOptions): Span | null {
    const context = contexts.active()
    return trace.getSpan(context) ? tracer.startSpan(name, options, context) : null
  }

  async function runIn<T>(context: Context, span: Span, work: () => Promise<T>): Promise<T> {
    try {
      return await contexts.with(trace.setSpan(context, span), work)
    } catch (error) {
      markFailed(span, error)
      throw error
    } finally {
      span.end()
    }
  }

  return {
    active,
    open,
    begin(name, { from, ...options }, work) {
      const context = from ? trace.setSpanContext(ROOT_CONTEXT, from) : ROOT_CONTEXT
      const span = tracer.startSpan(name, options, context)
      return contexts.with(trace.setSpan(context, span), () => work(span))
    },
    async within(name, options, work) {
      const context = contexts.active()
      const span = open(name, options)
      return span ? runIn(context, span, () => work(span)) : work(noSpan)
    },
    bind: (work) => contexts.bind(contexts.active(), work),
    ask() {
      const span = open('look up credentials', { kind: SpanKind.INTERNAL })
      if (!span) return null
      return {
        span,
        end(reason) {
          if (!span.isRecording()) return
          if (reason !== undefined) markFailed(span, reason)
          span.end()
        },
      }
    },
    async gather(asking, work) {
      const spans = [...asking].flatMap(({ span }) => (isSampled(span) ? [span] : []))
      const [first, ...others] = spans
      if (!first) return contexts.with(ROOT_CONTEXT, work)
      const links: Link[] = others.slice(0, mostLinks).map((span) => ({ context: span.spanContext() }))
      const context = trace.setSpan(ROOT_CONTEXT, first)
      const options = { kind: SpanKind.INTERNAL, links, attributes: { 'latchkey.lookup.askers': asking.size } }
      const span = tracer.startSpan('gathered look-up', options, context)
      // From each request's own trace, the way to the statement that answered it.
      for (const other of others) other.addLink({ context: span.spanContext() })
      return runIn(context, span, work)
    },
  }
}

const noSpan = trace.wrapSpanContext({ traceId: '0'.repeat(32), spanId: '0'.repeat(16), traceFlags: TraceFlags.NONE })

/** By its kind alone: a message may quote what was sent. */
export function markFailed(span: Span, error: unknown): void {
  const state = sqlState(error)
  if (state !== null) span.setAttribute('db.response.status_code', state)
  span.setAttribute('error.type', state ?? (error instanceof Error ? error.name : 'unknown'))
  span.setStatus({ code: SpanStatusCode.ERROR })
}
