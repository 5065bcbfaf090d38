import type { TestProject } from 'vitest/node'
import { migrateDatabase } from '../server/database/migrate.ts'
import { type OwnPostgres, openOwnPostgres } from './fault-run/own-postgres.ts'

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
  const postgres = await openOwnPostgres()
  await postgres.start()
  await makeTemplate(postgres)
  provide('postgresUrl', postgres.url)
  return () => postgres[Symbol.asyncDispose]()
}

export async function makeTemplate({ url, run }: OwnPostgres): Promise<void> {
  await run(`create database ${templateDatabase}`)
  const template = new URL(url)
  template.pathname = `/${templateDatabase}`
  await migrateDatabase(template.href)
}
