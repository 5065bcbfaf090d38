import { once } from 'node:events'
import type { Config } from './config.ts'
import { createLog } from './log.ts'
import { type Running, start } from './start.ts'

/** One Ctrl-C can arrive twice: from the terminal, and passed on by npm. */
const sameSignalMilliseconds = 500

/**
 * Serves until SIGINT or SIGTERM, and then finishes what is under way; also where the signal comes while it is still
 * starting. A second signal ends the process at once. `print` writes for the person who started it.
 */
export async function serve(config: Config, print: (text: string) => void): Promise<void> {
  const stopping = listenForSignals(() => print('Finishing what is under way. A second Ctrl-C ends it at once.'))
  if (config.databaseUrl === null) print('Latchkey starts, with a PostgreSQL of its own …')
  // A Ctrl-C reaches the programs that a first start runs, too, and so may be what it fails of.
  const running = await start(config, { log: createLog(config.logLevel), announce: print }).catch((error: unknown) => {
    if (stopping.signal.aborted) return null
    throw error
  })
  if (running) {
    print(welcome(running, config))
    await stopping.asked
    await running.close()
  }
  print('Latchkey has stopped.')
}

function listenForSignals(onFirst: () => void): { asked: Promise<unknown>; signal: AbortSignal } {
  const controller = new AbortController()
  let since = 0
  const onSignal = (signal: 'SIGINT' | 'SIGTERM') => {
    if (!controller.signal.aborted) {
      since = Date.now()
      onFirst()
      controller.abort()
    } else if (Date.now() - since > sameSignalMilliseconds) {
      // What a shell reports of a program that a signal ended.
      process.exit(signal === 'SIGINT' ? 130 : 143)
    }
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return { asked: once(controller.signal, 'abort'), signal: controller.signal }
}

const isOpen = (host: string) => !/^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host)
const exposed =
  'Careful: other machines reach it, and PUBLIC_URL is no https:// address, so that passwords and tokens may travel in plain text.'

function welcome({ address, firstAccess, usage }: Running, config: Config): string {
  const api = config.graphiql ? 'API and GraphiQL' : 'API'
  const unencrypted = isOpen(config.host) && config.publicUrl.protocol === 'http:' ? `\n${exposed}` : ''
  const serves = `Latchkey serves at ${address} (${api}: ${address}/graphql). Ctrl-C stops it.${unencrypted}`
  if (firstAccess) {
    const { email, password, service } = firstAccess
    return `
  Welcome to Latchkey. This is the first start, so it has made an organization, its owner and a service.
  Keep what follows: it is shown this once.

    Sign in at   ${address}/
    Email        ${email}
    Password     ${config.bootstrap ? 'the one in BOOTSTRAP_PASSWORD' : password}

    A service that verifies tokens, “${service.name}”, has the secret
    ${service.secret}

${serves}`
  }
  if (usage === 'empty')
    return `${serves}\nThere is no organization yet. Make the first one, beside this server: npx latchkey organization create`
  if (usage === 'untouched')
    return `${serves}\nNobody has signed in yet. Is the password lost? This sets another one: npx latchkey member set-password`
  return serves
}
