import type { Logger } from 'pino'
import { isMigrated } from '../database/migrate.ts'
import type { Database } from '../database/pool.ts'
import { isUnavailable, sqlState } from '../database/unavailable.ts'
import { nameError } from '../log.ts'

/** Why an instance should be sent no requests now, in words for its operator that tell a stranger nothing. */
export interface Unreadiness {
  code: 'STOPPING' | 'DATABASE_AWAY' | 'NOT_MIGRATED' | 'DATABASE_REFUSES'
  message: string
}

/** Each reason that there is. */
export const unreadinessMessages: Record<Unreadiness['code'], string> = {
  STOPPING: 'This instance is about to stop. Send requests to another.',
  DATABASE_AWAY: 'The database does not answer.',
  NOT_MIGRATED: 'The database lacks migrations of this version. Run “latchkey migrate”, or start an instance that may.',
  DATABASE_REFUSES: 'The database refuses what it is asked. The log of this instance has its reason.',
}

/** There is no such table, or no such schema. */
const missing = new Set(['42P01', '3F000'])

/** Gives every reason why not, and none where the instance is ready. Answers within the time in which the database does. */
export function createReadiness(
  { database, log }: { database: Pick<Database, 'server'>; log: Logger },
  { isStopping }: { isStopping: () => boolean },
): () => Promise<Unreadiness[]> {
  async function problemOfDatabase(): Promise<Unreadiness['code'] | null> {
    try {
      return (await isMigrated(database.server)) ? null : 'NOT_MIGRATED'
    } catch (error) {
      if (isUnavailable(error)) return 'DATABASE_AWAY'
      if (missing.has(sqlState(error) ?? '')) return 'NOT_MIGRATED'
      log.warn({ error: nameError(error) }, 'not ready: the database refuses what it is asked')
      return 'DATABASE_REFUSES'
    }
  }
  return async () => {
    const problem = await problemOfDatabase()
    const codes = [...(isStopping() ? (['STOPPING'] as const) : []), ...(problem === null ? [] : [problem])]
    return codes.map((code) => ({ code, message: unreadinessMessages[code] }))
  }
}
