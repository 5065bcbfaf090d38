import { createServer, type Server } from 'node:http'
import type { Metrics } from './metrics.ts'

/** Answers `GET /metrics` in the text format of Prometheus, and nothing else. It does not listen yet. */
export function createMetricsServer(metrics: Metrics): Server {
  const { registry } = metrics
  metrics.collectProcess()
  return createServer(({ method, url }, response) => {
    const answer = (status: number, type: string, text: string) =>
      response
        .writeHead(status, {
          'content-type': type,
          'content-length': Buffer.byteLength(text),
          'cache-control': 'no-store',
          'x-content-type-options': 'nosniff',
        })
        .end(text)
    const plain = 'text/plain; charset=utf-8'
    if (url?.split('?', 1)[0] !== '/metrics') return void answer(404, plain, 'Only /metrics is here.\n')
    if (method !== 'GET' && method !== 'HEAD') return void answer(405, plain, 'This takes GET.\n')
    registry.metrics().then(
      (text) => answer(200, registry.contentType, text),
      () => answer(500, plain, 'The metrics cannot be collected.\n'),
    )
  })
}
