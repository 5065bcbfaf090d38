import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** Where Debian has the programs of the oldest PostgreSQL that Latchkey is said to work with. */
export const postgres15 = '/usr/lib/postgresql/15/bin'

/** Where it is not installed, what is tested on it is left out: the tests that count are run where it is. */
export const isPostgres15Here = process.env.CI !== undefined || existsSync(join(postgres15, 'pg_dump'))

/** What its programs, and those that come with it, connect by. */
export function programsEnvironment(databaseUrl: string): Record<string, string> {
  const { hostname, port, username, password } = new URL(databaseUrl)
  return {
    PATH: `${postgres15}:${process.env.PATH ?? ''}`,
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: username,
    PGPASSWORD: decodeURIComponent(password),
  }
}
