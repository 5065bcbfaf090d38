import journal from '../../migrations/meta/_journal.json' with { type: 'json' }
import { migrateDatabase } from '../database/migrate.ts'
import { countMigrations, isUpToDate, openDatabaseServer } from '../open-configured.ts'
import type { Work } from './work.ts'

export async function migrate(work: Work): Promise<void> {
  const { url, close } = await openDatabaseServer(work.config, { announce: work.announce, beside: true })
  try {
    const applied = (await isUpToDate(url)) ? 0 : await migrateDatabase(url)
    if (applied === 0) return work.print('The database is up to date: there was nothing to apply.')
    const names = journal.entries.slice(-applied).map(({ tag }) => `  ${tag}`)
    work.print([`The database is up to date: ${countMigrations(applied)}.`, ...names].join('\n'))
  } finally {
    await close()
  }
}
