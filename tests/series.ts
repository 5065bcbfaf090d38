import type { Metrics } from '../server/observability/metrics.ts'

/** What an instance tells of itself, each series by its name and labels as Prometheus writes them. */
export async function readSeries({ registry }: Metrics): Promise<Map<string, number>> {
  return parseSeries(await registry.metrics())
}

/** Of the text format of Prometheus. */
export function parseSeries(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ')
      return [line.slice(0, at), Number(line.slice(at + 1))]
    }),
  )
}

/** What has come on top in the meantime, without what has stayed the same. */
export async function changesBy(metrics: Metrics, work: () => Promise<unknown>): Promise<Record<string, number>> {
  const before = await readSeries(metrics)
  await work()
  const after = await readSeries(metrics)
  const changes = [...after].map(([series, value]) => [series, value - (before.get(series) ?? 0)] as const)
  return Object.fromEntries(changes.filter(([, change]) => change !== 0))
}
