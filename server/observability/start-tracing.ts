import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { ExportResultCode } from '@opentelemetry/core'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import type { Logger } from 'pino'
import manifest from '../../package.json' with { type: 'json' }
import type { TracingConfig } from '../config.ts'
import { createTracing, type Tracing } from './tracing.ts'

export interface StartedTracing {
  tracing: Tracing
  /** Sends what is there yet, for a few seconds at most. */
  close(): Promise<void>
}

/** Longer than a collector nearby takes, and shorter than an orchestrator’s patience. */
const closeMilliseconds = 3_000

/**
 * Exports spans by OTLP over HTTP. This file is loaded only where tracing is on: without it, the process has neither the SDK
 * nor a context for each request. Headers, time limits and certificates are OpenTelemetry’s own variables, which its exporter reads.
 */
export function startTracing(config: TracingConfig, { log }: { log: Logger }): StartedTracing {
  const exporter = tellOfFailures(new OTLPTraceExporter({ url: config.endpoint.href }), log)
  return traceTo(new BatchSpanProcessor({ exporter }), config)
}

/** Wherever the spans go. */
export function traceTo(
  processor: SpanProcessor,
  { serviceName, sampler, samplerRatio }: TracingConfig,
): StartedTracing {
  const provider = new TracerProvider({
    resource: detectResources({ detectors: [envDetector] }).merge(
      resourceFromAttributes({ 'service.name': serviceName, 'service.version': manifest.version }),
    ),
    sampler: samplerOf(sampler, samplerRatio),
    spanProcessors: [processor],
  })
  const contexts = new AsyncLocalStorageContextManager().enable()
  return {
    tracing: createTracing({ tracer: provider.getTracer('latchkey', manifest.version), contexts }),
    async close() {
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, closeMilliseconds)
      })
      await Promise.race([provider.shutdown().catch(() => undefined), patience])
      clearTimeout(timer)
      contexts.disable()
    },
  }
}

function samplerOf(name: TracingConfig['sampler'], ratio: number): Sampler {
  const [, isParentBased, kind] = /^(parentbased_)?(.+)$/.exec(name) ?? []
  const root =
    kind === 'always_off'
      ? new AlwaysOffSampler()
      : kind === 'traceidratio'
        ? new TraceIdRatioBasedSampler(ratio)
        : new AlwaysOnSampler()
  return isParentBased ? new ParentBasedSampler({ root }) : root
}

/** Once when it begins to fail, and once when it works again: otherwise nobody would know why there are no traces. */
function tellOfFailures(exporter: SpanExporter, log: Logger): SpanExporter {
  let failing = false
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failed = result.code === ExportResultCode.FAILED
        if (failed && !failing) {
          log.warn(
            { error: result.error?.name ?? 'unknown' },
            'traces cannot be exported; see OTEL_EXPORTER_OTLP_ENDPOINT',
          )
        } else if (!failed && failing) log.info('traces are exported again')
        failing = failed
        done(result)
      })
    },
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
    shutdown: () => exporter.shutdown(),
  }
}
