import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { createClient, type Latchkey, unwrap } from '@latchkey/sdk'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCommandLine } from '../server/cli/run.ts'
import { readConfig } from '../server/config.ts'
import { type Running, start } from '../server/start.ts'
import { readPage } from './markdown.ts'

const { text } = await readPage(new URL('../docs/operations.md', import.meta.url))

async function latchkey(words: string[], environment: Record<string, string> = {}) {
  const [input, output, errors] = [new PassThrough(), new PassThrough(), new PassThrough()]
  input.end()
  const code = await runCommandLine(words, { input, output, errors, environment })
  return { code, stdout: String(output.read() ?? ''), stderr: String(errors.read() ?? '') }
}

describe('the page on operations', () => {
  it('names commands that there are', async () => {
    const commands = new Set(
      [...text.matchAll(/npx latchkey ((?:[a-z][a-z-]+ ?)+)/g)].map(([, words = '']) => words.trim()),
    )
    expect(commands.size).toBeGreaterThan(4)
    for (const command of commands) {
      const { code, stdout } = await latchkey([...command.split(' '), '--help'])
      // The third word is what the command is for.
      const usage = `Usage: latchkey ${command.split(' ').slice(0, 2).join(' ')}`
      expect([command, code, stdout]).toEqual([command, 0, expect.stringContaining(usage)])
    }
  })
})

/** As the page says: with owners and modes, without which PostgreSQL does not start. */
const copy = (from: string, to: string) => execFileSync('cp', ['-a', from, to])

describe('the embedded database', { timeout: 90_000 }, () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'latchkey-backup-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('is backed up by copying its directory while it is stopped, and is as it was then once the copy is back', async () => {
    const directory = join(folder, 'data')
    const environment = { DATA_DIRECTORY: directory, PORT: '0' }
    const open = (): Promise<Running> =>
      start(readConfig(environment), { log: pino({ level: 'silent' }), announce: () => undefined })
    const first = await open()
    const { email = '', password = '', service } = first.firstAccess ?? {}
    const signIn = async ({ address }: Running): Promise<Latchkey> => {
      const anyone = createClient({ url: address })
      return anyone.with({
        credential: unwrap((await anyone.signIn({ input: { email, password } })).signIn).sessionToken,
      })
    }
    const isActive = async ({ address }: Running, token: string) => {
      const verifier = createClient({ url: address, credential: service?.secret ?? '' })
      return (await verifier.verifyToken({ token })).verifyToken.active
    }
    const owner = await signIn(first)
    const make = async (by: Latchkey, label: string) =>
      unwrap((await by.createToken({ input: { label, roleId: 'role_ci' } })).createToken)
    const kept = await make(owner, 'In the backup')
    await first.close()
    copy(directory, join(folder, 'copy'))

    const second = await open()
    const later = await make(await signIn(second), 'After the backup')
    unwrap((await (await signIn(second)).deleteToken({ input: { id: kept.token.id } })).deleteToken)
    expect(await isActive(second, kept.secret)).toBe(false)
    await second.close()

    rmSync(directory, { recursive: true })
    copy(join(folder, 'copy'), directory)
    const restored = await open()
    // What the page warns of.
    expect(await isActive(restored, kept.secret)).toBe(true)
    expect(await isActive(restored, later.secret)).toBe(false)
    expect((await (await signIn(restored)).integrationTokens()).integrationTokens.nodes).toMatchObject([
      { label: 'In the backup' },
    ])
    expect(await latchkey(['audit', 'verify'], environment)).toMatchObject({ code: 0 })
    await restored.close()
  })
})
