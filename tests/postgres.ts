import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { startEmbeddedDatabase } from '../server/database/embedded.ts'
import { migrateDatabase } from '../server/database/migrate.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's address of the PostgreSQL of this test run. */
    postgresUrl: string
  }
}

/** The database that every test's own is copied from: migrated, and empty. */
export const templateDatabase = 'latchkey_template'

/** Starts one real PostgreSQL for the whole run. */
export async function setup({ provide }: TestProject) {
  const directory = await mkdtemp(join(tmpdir(), 'latchkey-tests-'))
  const postgres = await startEmbeddedDatabase({ directory, announce: () => undefined })
  const client = new pg.Client({ connectionString: postgres.url })
  await client.connect()
  await client.query(`create database ${templateDatabase}`)
  await client.end()
  const template = new URL(postgres.url)
  template.pathname = `/${templateDatabase}`
  await migrateDatabase(template.href)
  provide('postgresUrl', postgres.url)
  return async () => {
    await postgres.stop()
    await rm(directory, { recursive: true, force: true })
  }
}
