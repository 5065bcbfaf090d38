import { resolve } from 'node:path'
import { measure, startLatchkey } from './contender.ts'
import { formatTable, median } from './report.ts'
import type { Entry } from './verification-contenders.ts'
import { serverKey, type TokenDatabase } from './verification-tokens.ts'

const warmUpSeconds = 8

/**
 * This build, and the one in another checkout, on the same database. Both run all the time and are asked for a second in
 * turn, since what else a shared machine does changes its speed by a third within a minute, and what is looked for is a
 * difference of a few hundredths. The order changes with each turn: whoever is second finds warmer caches.
 */
export async function compareBuilds(
  database: TokenDatabase,
  { load }: Entry,
  { against, turns, connections }: { against: string; turns: number; connections: number },
): Promise<string> {
  await using here = await startLatchkey(database.url, serverKey)
  await using there = await startLatchkey(database.url, serverKey, resolve(against, 'dist/main.js'))
  const servers = { here, there }
  const rateOf = async (name: keyof typeof servers, warmUp: number) => {
    const { url } = servers[name]
    return (await measure({ ...load, url, connections, warmUpSeconds: warmUp, seconds: 1 })).perSecond
  }
  await rateOf('here', warmUpSeconds)
  await rateOf('there', warmUpSeconds)
  const rates: { here: number; there: number }[] = []
  for (let turn = 0; turn < turns; turn++) {
    const rate = { here: 0, there: 0 }
    const order = ['here', 'there'] as const
    for (const name of turn % 2 === 0 ? order : order.toReversed()) rate[name] = await rateOf(name, 0.2)
    rates.push(rate)
  }
  const ratios = rates.map((rate) => rate.here / rate.there).sort((one, other) => one - other)
  const at = (share: number) => (ratios[Math.floor(ratios.length * share)] ?? Number.NaN).toFixed(3)
  return formatTable(
    ['', 'this build, a second', 'the other', 'ratio', 'a half of the ratios lie in'],
    [
      [
        'introspection',
        median(rates.map((rate) => rate.here)).toFixed(0),
        median(rates.map((rate) => rate.there)).toFixed(0),
        at(0.5),
        `${at(0.25)}–${at(0.75)}`,
      ],
    ],
  )
}
