import { pino } from 'pino'
import type { Config, logLevels } from './config.ts'
import type { FirstAccess } from './organizations/bootstrap.ts'
import { start } from './start.ts'

export const createLog = (level: (typeof logLevels)[number]) =>
  pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ dest: 2, sync: true }))

/** Serves until SIGINT or SIGTERM, and then finishes what is under way. `print` writes a line for the person who started it. */
export async function serve(config: Config, print: (line: string) => void): Promise<void> {
  const log = createLog(config.logLevel)
  const running = await start(config, { log, announce: print })
  if (running.firstAccess) print(welcome(running.firstAccess, running.address))
  print(`Latchkey serves at ${running.address} (GraphiQL: ${running.address}/graphql). Ctrl-C stops it.`)
  await new Promise<void>((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
  })
  print('Finishing what is under way …')
  await running.close()
}

function welcome({ email, password, service }: FirstAccess, address: string): string {
  return `
  This is the first start. Keep what follows: it is shown this once.

    Sign in at   ${address}/graphql
    Email        ${email}
    Password     ${password}

    A service that verifies tokens, “${service.name}”, has the secret
    ${service.secret}
`
}
