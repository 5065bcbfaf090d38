import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** One series of a counter. Kept by whoever counts, who adds to `value`: the library’s own way would take fifty times as long. */
export interface Count {
  value: number
}

/** One series of a histogram. */
export interface Spread {
  observe(value: number): void
}

type Labels<Label extends string> = Readonly<Record<Label, string>>

/** A counter’s series, made when first asked for, so that each is counted where it is kept. */
export type Counts<Label extends string> = (labels: Labels<Label>) => Count

export interface Description {
  name: string
  help: string
}

export function openCounter<Label extends string>(
  registry: Registry,
  { labelNames, ...description }: Description & { labelNames: readonly Label[] },
): Counts<Label> {
  const series = new Map<string, Count & { labels: Labels<Label> }>()
  new Counter({
    ...description,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const { labels, value } of series.values()) this.inc({ ...labels }, value)
    },
  })
  return (labels) => {
    const key = labelNames.map((name) => labels[name]).join('\n')
    const known = series.get(key)
    if (known) return known
    const made = { labels, value: 0 }
    series.set(key, made)
    return made
  }
}

/** A gauge that is read when it is asked for, by as many readers as it has series. */
export function openGauge<Label extends string>(
  registry: Registry,
  { labelNames, ...description }: Description & { labelNames: readonly Label[] },
): (labels: Labels<Label>, read: () => number) => void {
  const readers: { labels: Labels<Label>; read: () => number }[] = []
  new Gauge({
    ...description,
    labelNames,
    registers: [registry],
    collect() {
      for (const { labels, read } of readers) this.set({ ...labels }, read())
    },
  })
  return (labels, read) => void readers.push({ labels, read })
}

export function openHistogram<Label extends string>(
  registry: Registry,
  description: Description & { labelNames: readonly Label[]; buckets: readonly number[] },
): (labels: Labels<Label>) => Spread {
  const histogram = new PlainHistogram(registry, description)
  return (labels) => histogram.series(labels)
}

/** The library’s, but for where the numbers are kept: an observation finds its bucket and adds to it, and does nothing else. */
class PlainHistogram<Label extends string> extends Histogram<Label> {
  readonly #series = new Map<string, PlainSpread<Label>>()
  readonly #description: Description & { labelNames: readonly Label[]; buckets: readonly number[] }

  constructor(
    registry: Registry,
    description: Description & { labelNames: readonly Label[]; buckets: readonly number[] },
  ) {
    super({ ...description, buckets: [...description.buckets], registers: [registry] })
    this.#description = description
  }

  series(labels: Labels<Label>): Spread {
    const { labelNames, buckets } = this.#description
    const key = labelNames.map((name) => labels[name]).join('\n')
    const known = this.#series.get(key)
    if (known) return known
    const made = new PlainSpread(labels, buckets)
    this.#series.set(key, made)
    return made
  }

  /** What the registry asks each metric for, and `get` as well. */
  getForPromString() {
    const { name, help } = this.#description
    const values = [...this.#series.values()].flatMap((series) => series.values(name))
    return Promise.resolve({ name, help, type: 'histogram', aggregator: 'sum', values })
  }
}

class PlainSpread<Label extends string> implements Spread {
  readonly #labels: Labels<Label>
  readonly #bounds: readonly number[]
  /** How many fell between a bound and the one before, and in the last place how many above all. */
  readonly #counts: number[]
  #sum = 0

  constructor(labels: Labels<Label>, bounds: readonly number[]) {
    this.#labels = labels
    this.#bounds = bounds
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let at = 0
    while (at < bounds.length && value > (bounds[at] ?? 0)) at++
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sum += value
  }

  values(name: string) {
    const sharedLabels = { ...this.#labels }
    let total = 0
    const buckets = this.#counts.map((count, at) => {
      total += count
      const le = this.#bounds[at] ?? '+Inf'
      return { metricName: `${name}_bucket`, labels: { le }, sharedLabels, value: total }
    })
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels: {}, sharedLabels, value: this.#sum },
      { metricName: `${name}_count`, labels: {}, sharedLabels, value: total },
    ]
  }
}
