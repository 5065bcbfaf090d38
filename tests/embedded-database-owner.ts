import pg from 'pg'
import { DataDirectoryInUse, startEmbeddedDatabase } from '../server/database/embedded.ts'

/**
 * A process of its own that owns an embedded database, for the tests to kill. It says what happens on standard output, a
 * line each: `announced …`, `ready <origin> <url>`, `row <number>` once that row is committed, `refused …`, `failed …`.
 */
const [directory = '', task = 'hold'] = process.argv.slice(2)

function say(line: string): void {
  process.stdout.write(`${line.replaceAll('\n', ' ')}\n`)
}

try {
  const database = await startEmbeddedDatabase({ directory, announce: (message) => say(`announced ${message}`) })
  process.once('SIGTERM', () => database.stop())
  say(`ready ${database.origin} ${database.url}`)
  if (task === 'stop') await database.stop()
  if (task === 'write') await writeForEver(database.url)
} catch (error) {
  say(`${error instanceof DataDirectoryInUse ? 'refused' : 'failed'} ${error instanceof Error ? error.message : error}`)
}

async function writeForEver(url: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query('create table written (number integer primary key)')
  for (let number = 1; ; number += 1) {
    await client.query('insert into written values ($1)', [number])
    say(`row ${number}`)
  }
}
