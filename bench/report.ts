import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Columns under headings: the first to the left, figures to the right. */
export function formatTable(headings: string[], rows: string[][]): string {
  const widths = headings.map((_, column) =>
    Math.max(...[headings, ...rows].map((cells) => cells[column]?.length ?? 0)),
  )
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
  return [headings, ...rows].map(line).join('\n')
}

/** Keeps a run's figures, with the machine that they are of. */
export async function writeResults(name: string, results: object): Promise<void> {
  const directory = new URL('results/', import.meta.url)
  await mkdir(directory, { recursive: true })
  const machine = { cores: cpus().length, gibibytes: Math.round(totalmem() / 2 ** 30), node: process.version }
  const text = JSON.stringify({ at: new Date().toISOString(), machine, ...results }, null, 2)
  await writeFile(fileURLToPath(new URL(`${name}.json`, directory)), `${text}\n`)
}
