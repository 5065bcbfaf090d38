import { addService, listServices, removeService, serviceNameProblem } from '../identity/services.ts'
import { formatInstant, formatTable } from './output.ts'
import { requireValue, type Work } from './work.ts'

export async function add(work: Work, given: string | undefined, options: { json?: boolean }): Promise<void> {
  const name = await requireName(work, given)
  const secret = await addService(await work.open(), name)
  if (options.json) return work.printJson({ name, secret })
  work.print(`The service ${name} may verify tokens of every organization. Its secret, shown this once:

  ${secret}

It goes into that program’s own settings, as the credential of the SDK’s verifier or of POST /oauth/introspect.`)
}

export async function list(work: Work, options: { json?: boolean }): Promise<void> {
  const services = await listServices(await work.open())
  if (options.json) return work.printJson(services)
  if (services.length === 0) {
    work.print('No service is registered yet. “latchkey service add <name>” registers the first one.')
    return
  }
  work.print(
    formatTable(
      ['NAME', 'SECRET', 'REGISTERED', 'LAST USED'],
      services.map(({ name, hint, createdAt, lastUsedAt }) => [
        name,
        `…${hint}`,
        formatInstant(createdAt),
        formatInstant(lastUsedAt),
      ]),
    ),
  )
}

export async function remove(work: Work, given: string | undefined): Promise<void> {
  const name = await requireName(work, given)
  await removeService(await work.open(), name)
  work.print(`The service ${name} is removed. Its secret is refused from now on.`)
}

function requireName(work: Work, given: string | undefined): Promise<string> {
  return requireValue(work, given, {
    option: 'The name of the service',
    question: 'Name of the service',
    problem: serviceNameProblem,
  })
}
