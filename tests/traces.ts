import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace'
import { readConfig, type TracingConfig } from '../server/config.ts'
import { traceTo } from '../server/observability/start-tracing.ts'
import type { Tracing } from '../server/observability/tracing.ts'
import { watchText } from './secret-watch.ts'

/** Traces that are kept here instead of being sent. Every span is looked through for secrets as it ends. */
export interface Traces {
  tracing: Tracing
  /** All that have ended, in that order. */
  spans(): ReadableSpan[]
  forget(): void
  close(): Promise<void>
}

export function openTraces(settings: Partial<TracingConfig> = {}): Traces {
  const { tracing: config } = readConfig({ OTEL_TRACES_EXPORTER: 'otlp' })
  if (!config) throw new Error('The settings switch no tracing on.')
  const exporter = new InMemorySpanExporter()
  const { tracing, close } = traceTo(new SimpleSpanProcessor({ exporter }), { ...config, ...settings })
  return {
    tracing,
    spans: () => exporter.getFinishedSpans(),
    forget: () => exporter.reset(),
    async close() {
      for (const span of exporter.getFinishedSpans()) watchText(`the span ${span.name}`, textOf(span))
      await close()
    },
  }
}

/** All that is exported of it. */
export function textOf(span: ReadableSpan): string {
  const { name, attributes, links, events, status, resource } = span
  const { traceState, ...context } = span.spanContext()
  return JSON.stringify({
    name,
    attributes,
    links,
    events,
    status,
    resource: resource.attributes,
    context,
    state: traceState?.serialize(),
  })
}
