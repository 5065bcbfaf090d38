import type { Dependencies } from '../dependencies.ts'
import { createId } from '../identifiers.ts'
import { naming, OperatorError } from '../organizations/operator.ts'

export interface Service {
  name: string
  hint: string
  createdAt: Date
  lastUsedAt: Date | null
}

/** Registers a service that may verify tokens; its secret is shown this once. Throws `OperatorError`. */
export async function addService(dependencies: Dependencies, name: string): Promise<string> {
  const problem = serviceNameProblem(name)
  if (problem) throw new OperatorError(problem)
  const { secret, record } = dependencies.digester.issue('service')
  await naming(() =>
    dependencies.database.server.query(
      `insert into services (id, name, permissions, digest, key_id, hint) values ($1, $2, '{tokens:verify}', $3, $4, $5)`,
      [createId('service', dependencies), name, record.digest, record.keyId, record.hint],
    ),
  )
  dependencies.log.debug({ service: name }, 'a service was registered')
  return secret
}

/** What is wrong with the name, in words for the operator; null if nothing. */
export function serviceNameProblem(name: string): string | null {
  return /^[a-z0-9][a-z0-9._-]{0,62}$/.test(name)
    ? null
    : 'The name of a service has 1 to 63 lower-case letters, digits, dots, hyphens and underscores, and begins with a letter or a digit.'
}

export async function listServices({ database }: Dependencies): Promise<Service[]> {
  const { rows } = await database.server.query<Service>(
    `select name, hint, created_at as "createdAt", last_used_at as "lastUsedAt" from services order by name`,
  )
  return rows
}

/** The service is refused from this moment on. Throws `OperatorError`. */
export async function removeService({ database, log }: Dependencies, name: string): Promise<void> {
  const { rowCount } = await database.server.query('delete from services where name = $1', [name])
  if (!rowCount)
    throw new OperatorError('There is no service of this name. “latchkey service list” shows those that there are.')
  log.debug({ service: name }, 'a service was removed')
}
