import type { IncomingMessage } from 'node:http'
import { isSpanContextValid, type SpanContext, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import type { Outcome, RequestRecord } from '../http/request-log.ts'
import type { Tracing } from './tracing.ts'

/**
 * Runs what answers a request within its span, which belongs to the caller’s trace where `traceparent` names one (W3C Trace
 * Context). `tracestate`, in which a caller could write anything, is left.
 */
export function traceRequest(
  tracing: Tracing,
  { method, headers: { traceparent } }: IncomingMessage,
  record: RequestRecord,
  work: () => Promise<void>,
): Promise<void> {
  const options = {
    kind: SpanKind.SERVER,
    from: readParent(traceparent),
    attributes: { 'latchkey.request.id': record.id },
  }
  return tracing.begin(method ?? 'HTTP', options, (span) => {
    record.trace = span.spanContext().traceId
    return work()
  })
}

/** Of a later version than 00, what is known of this one is taken, as the specification has it. */
const parentForm = /^(?!ff)[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(?:-|$)/

function readParent(header: string | string[] | undefined): SpanContext | null {
  if (typeof header !== 'string') return null
  const [, traceId = '', spanId = '', flags = ''] = parentForm.exec(header) ?? []
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
  return isSpanContextValid(parent) ? parent : null
}

/** The attributes are those of OpenTelemetry’s semantic conventions for HTTP, but for `url.path`: someone may have pasted a secret. */
export function traceRequestEnd(
  tracing: Tracing,
  { method = 'HTTP', route, status }: Outcome,
  { operation, outcome }: { operation: string; outcome: string },
): void {
  const span = tracing.active()
  if (!span) return
  span.updateName(route === null ? method : `${method} ${route}`)
  span.setAttributes({
    'http.request.method': method,
    'url.scheme': 'http',
    'latchkey.operation': operation,
    'latchkey.outcome': outcome,
    ...(route !== null && { 'http.route': route }),
    ...(status !== null && { 'http.response.status_code': status }),
  })
  if (status !== null && status >= 500) {
    span.setAttribute('error.type', String(status))
    span.setStatus({ code: SpanStatusCode.ERROR })
  }
  span.end()
}
