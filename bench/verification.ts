import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startEmbeddedDatabase } from '../server/database/embedded.ts'
import { drawChart } from './chart.ts'
import { installPeers, type Measured, measure } from './contender.ts'
import { formatTable, median, writeResults } from './report.ts'
import { compareBuilds } from './verification-builds.ts'
import { allEntries, type Entry, introspection } from './verification-contenders.ts'
import { openTokenDatabase } from './verification-tokens.ts'
import { measureInvalidation, measureVerifier } from './verification-verifier.ts'

const help = `How fast tokens are verified, and beside what. Every server is a process of its own, and the only one that runs while
it is measured.

  --tokens=<number>     how many the database holds; 1,000,000 unless set
  --rounds=<number>     how often each is measured, in turn; 5 unless set
  --seconds=<number>    for how long each time, after a warm-up of 6 seconds; 4 unless set
  --sizes               instead: introspection among 10,000,000 tokens, and among 10,000
  --against=<checkout>  instead: introspection by this build and by the one in that checkout, in turns of a second
                        while both run
  --turns=<number>      how many of those; 40 unless set
  --keep=<directory>    leave the filled databases there, and use those that are there
`

/** The medians, and each round's figures, of one contender. */
interface Result {
  name: string
  /** Tokens where a request is about many. */
  perSecond: number
  medianMilliseconds: number
  slowestMilliseconds: number
  rounds: number[]
}

interface Target {
  what: string
  measured: number
  wanted: string
  met: boolean
}

const connections = 64
const warmUpSeconds = 6
const chart = new URL('../docs/benchmarks.svg', import.meta.url)
const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

const { values: options } = parseArgs({
  allowPositionals: true,
  options: {
    tokens: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    sizes: { type: 'boolean', default: false },
    against: { type: 'string' },
    turns: { type: 'string', default: '40' },
    keep: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

export async function measureVerification(): Promise<void> {
  if (options.help) return print(help)
  await installPeers(print)
  const directory = options.keep ?? (await mkdtemp(join(tmpdir(), 'latchkey-bench-')))
  try {
    const postgres = await startEmbeddedDatabase({ directory, announce: print })
    try {
      if (options.sizes) await compareSizes(postgres.url)
      else if (options.against !== undefined) await compareWith(options.against, postgres.url)
      else await compareContenders(postgres.url)
    } finally {
      await postgres.stop()
    }
  } finally {
    if (options.keep === undefined) await rm(directory, { recursive: true })
  }
}

async function compareContenders(postgresUrl: string): Promise<void> {
  const tokens = Number(options.tokens)
  const database = await openTokenDatabase(postgresUrl, tokens, print)
  const entries = await allEntries(database, { postgresUrl, tokens, announce: print })
  const conditions = describeConditions()
  const measured = await measureInTurn(entries)
  print('Measuring the verifier …')
  const { warm, cold } = await measureVerifier(database)
  const delays = (await measureInvalidation(database)).sort((one, other) => one - other)

  const verifier = {
    warmPerSecond: median(warm),
    coldPerSecond: median(cold),
    invalidationMedianMilliseconds: median(delays),
    invalidation99thMilliseconds: delays[Math.floor(delays.length * 0.99)] ?? Number.NaN,
  }
  const targets = [
    atLeast('introspection : bare node:http', ratio(measured, 'introspection', 'bare node:http'), 0.45),
    atLeast('introspection : better-auth', ratio(measured, 'introspection', 'better-auth'), 18),
    atLeast('verifyToken : Yoga hello', ratio(measured, 'verifyToken', 'Yoga hello'), 1.3),
    atLeast('verifyTokenDigests : introspection', ratio(measured, 'verifyTokenDigests', 'introspection'), 3),
    atLeast('verifier, warm, a second', verifier.warmPerSecond, 1_000_000),
    atLeast('verifier, cold, 64 callers, a second', verifier.coldPerSecond, 25_000),
    below('deletion to refusal elsewhere, median, ms', verifier.invalidationMedianMilliseconds, 10),
    below('deletion to refusal elsewhere, 99th of 100, ms', verifier.invalidation99thMilliseconds, 50),
  ]
  report(measured, targets, conditions)
  await writeResults('verification', { conditions, contenders: measured, verifier, targets })

  const rate = (name: string) => measured.find((result) => result.name === name)?.perSecond ?? 0
  const bar = (label: string, name: string, ours = false) => ({ label, value: rate(name), ours })
  await mkdir(new URL('.', chart), { recursive: true })
  await writeFile(
    chart,
    drawChart({
      title: 'Verifications a second',
      groups: [
        {
          heading: 'Over HTTP, one token a request',
          bars: [
            bar('node:http that does nothing', 'bare node:http'),
            bar('Latchkey, introspection', 'introspection', true),
            bar('one look-up a request', 'single look-ups'),
            bar('better-auth, verifyApiKey', 'better-auth'),
          ],
        },
        {
          heading: 'Over GraphQL',
          bars: [
            bar('Latchkey, verifyToken', 'verifyToken', true),
            bar('Yoga, hello world', 'Yoga hello'),
            bar('mercurius, hello world', 'mercurius hello'),
          ],
        },
        {
          heading: 'Many at once',
          bars: [
            bar('Latchkey, verifyTokenDigests', 'verifyTokenDigests', true),
            { label: 'The SDK’s verifier, nothing cached', value: verifier.coldPerSecond, ours: true },
          ],
        },
      ],
      notes: [
        `From its cache the SDK’s verifier answers ${Math.round(verifier.warmPerSecond).toLocaleString('en')} a second: too long a bar for this page.`,
        `${tokens.toLocaleString('en')} tokens in PostgreSQL, ${connections} connections; ${conditions.machine} for client, server and database.`,
      ],
    }),
  )
}

async function compareWith(against: string, postgresUrl: string): Promise<void> {
  const database = await openTokenDatabase(postgresUrl, Number(options.tokens), print)
  const turns = Number(options.turns)
  print(`\n${await compareBuilds(database, introspection(database), { against, turns, connections })}`)
}

/** Whether introspection keeps its rate among a thousand times as many tokens. */
async function compareSizes(postgresUrl: string): Promise<void> {
  const sized = async (tokens: number) => {
    const name = `${tokens.toLocaleString('en')} tokens`
    return introspection(await openTokenDatabase(postgresUrl, tokens, print), { name, presented: 10_000 })
  }
  const few = await sized(10_000)
  const many = await sized(10_000_000)
  const conditions = describeConditions()
  const measured = await measureInTurn([few, many])
  const targets = [atLeast('10,000,000 : 10,000 tokens', ratio(measured, many.name, few.name), 0.9)]
  report(measured, targets, conditions)
  await writeResults('verification-sizes', { conditions, contenders: measured, targets })
}

/** A B C A B C …, so that what else the machine does strikes all of them alike. */
async function measureInTurn(entries: Entry[]): Promise<Result[]> {
  const rounds = Number(options.rounds)
  const measured = new Map<string, Measured[]>(entries.map(({ name }) => [name, []]))
  // The first is not counted: a PostgreSQL that has just been started, or filled, reads its tables from the disk, and writes
  // back what was filled.
  for (let round = 0; round <= rounds; round++) {
    print(round === 0 ? 'A round to warm up …' : `Round ${round} of ${rounds} …`)
    for (const { name, start, load, tokensEach } of entries) {
      await using server = await start()
      const seconds = Number(options.seconds)
      const { perSecond, ...times } = await measure({ ...load, url: server.url, connections, warmUpSeconds, seconds })
      if (round > 0) measured.get(name)?.push({ ...times, perSecond: perSecond * tokensEach })
      print(`  ${name}: ${figure(perSecond * tokensEach)} a second`)
    }
  }
  return Array.from(measured, ([name, all]) => ({
    name,
    perSecond: median(all.map(({ perSecond }) => perSecond)),
    medianMilliseconds: median(all.map(({ medianMilliseconds }) => medianMilliseconds)),
    slowestMilliseconds: median(all.map(({ slowestMilliseconds }) => slowestMilliseconds)),
    rounds: all.map(({ perSecond }) => perSecond),
  }))
}

/** The median of the rounds' own ratios: what was measured within a minute of each other is compared. */
function ratio(measured: Result[], name: string, base: string): number {
  const rounds = (wanted: string) => measured.find((result) => result.name === wanted)?.rounds ?? []
  const bases = rounds(base)
  return median(rounds(name).map((rate, round) => rate / (bases[round] ?? Number.NaN)))
}

function atLeast(what: string, measured: number, bound: number): Target {
  return { what, measured, wanted: `≥ ${bound.toLocaleString('en')}`, met: measured >= bound }
}

function below(what: string, measured: number, bound: number): Target {
  return { what, measured, wanted: `< ${bound.toLocaleString('en')}`, met: measured < bound }
}

function describeConditions() {
  const cores = availableParallelism()
  return {
    machine: `${cores} ${cores === 1 ? 'core' : 'cores'} (${cpus()[0]?.model.trim() ?? 'unknown'})`,
    node: process.version,
    tokens: options.sizes ? undefined : Number(options.tokens),
    connections,
    rounds: Number(options.rounds),
    seconds: Number(options.seconds),
    /** Of the minute before: above 0, others share the machine. */
    load: Number(loadavg()[0]?.toFixed(1)),
  }
}

function report(measured: Result[], targets: Target[], { machine, node, load }: ReturnType<typeof describeConditions>) {
  print(`
${machine}, Node ${node}, load ${load} before the first round; ${connections} connections. Medians of the rounds.
The load comes from autocannon for all alike. It runs on the same cores, and as it is written for Node it takes more of them
than a generator written in C would, which would show the bare handler faster than here.
`)
  printTable(
    ['', 'a second', 'median ms', '99th of 100, ms', 'rounds'],
    measured.map(({ name, perSecond, medianMilliseconds, slowestMilliseconds, rounds }) => [
      name,
      figure(perSecond),
      figure(medianMilliseconds),
      figure(slowestMilliseconds),
      rounds.map(figure).join('  '),
    ]),
  )
  printTable(
    ['', 'measured', 'wanted', ''],
    targets.map(({ what, measured, wanted, met }) => [what, figure(measured), wanted, met ? 'met' : 'NOT MET']),
  )
}

function printTable(headings: string[], rows: string[][]): void {
  print(`${formatTable(headings, rows)}\n`)
}

function figure(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 2 : 0 })
}
