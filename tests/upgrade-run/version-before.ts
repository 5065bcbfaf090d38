import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'

const run = promisify(execFile)
const checkout = fileURLToPath(new URL('../..', import.meta.url))
/** The packages of this repository, which are never those of another version. */
const workspaces = ['sdk', 'console']
const installedOptions = { maxBuffer: 2 ** 26 }

/** The code of another version, in a directory of its own, with what it needs installed. */
export interface VersionBefore extends AsyncDisposable {
  directory: string
  /** As git calls it, for a person. */
  name: string
  /** How it came by the packages that it needs. */
  packages: 'linked' | 'installed'
}

/** There is no telling which version is meant. */
export class NoVersion extends Error {}

/** The one that is given; or else the newest tag before what is checked out. Throws `NoVersion` where there is neither. */
export async function findVersionBefore(given: string | undefined): Promise<string> {
  const revision = given ?? (await git(['describe', '--tags', '--abbrev=0', 'HEAD^']).catch(() => null))
  if (revision === null)
    throw new NoVersion(
      'No version is tagged yet. Say which revision is the version before: npm run test:upgrade -- <git revision>',
    )
  // A word that begins with a hyphen would be taken for an option.
  return await git(['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`]).catch(() => {
    throw new NoVersion(`“${revision}” is no revision that git knows here. In a shallow clone, fetch it first.`)
  })
}

/** Leaves nothing behind in the repository, and nothing in the directory once it is disposed of. */
export async function openVersionBefore(commit: string): Promise<VersionBefore> {
  const temporary = await mkdtemp(join(tmpdir(), 'latchkey-version-before-'))
  const dispose = () => rm(temporary, { recursive: true, force: true })
  try {
    const directory = join(temporary, 'latchkey')
    const environment = { ...process.env, GIT_INDEX_FILE: join(temporary, 'index') }
    await git(['read-tree', commit], environment)
    await git(['checkout-index', '--all', `--prefix=${directory}/`], environment)
    const isHere = await hasPackagesOf(directory)
    if (isHere) {
      await linkPackages(directory)
      if (existsSync(join(directory, 'build.ts'))) await run(process.execPath, ['build.ts'], { cwd: directory })
    } else await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: directory, ...installedOptions })
    return {
      directory,
      name: await git(['log', '-1', '--format=%h %s', commit]),
      packages: isHere ? 'linked' : 'installed',
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

async function git(words: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
  return (await run('git', words, { cwd: checkout, env })).stdout.trim()
}

const lockForm = z.object({
  packages: z.record(z.string(), z.object({ version: z.string().optional(), integrity: z.string().optional() })),
})

/** Whether each package that the other version has locked is locked to the same here, whatever else there is by now. */
async function hasPackagesOf(directory: string): Promise<boolean> {
  const read = async (from: string) =>
    lockForm.parse(JSON.parse(await readFile(join(from, 'package-lock.json'), 'utf8'))).packages
  const [theirs, ours] = [await read(directory), await read(checkout)]
  return Object.entries(theirs)
    .filter(([path]) => path.includes('node_modules/'))
    .every(([path, { version, integrity }]) => {
      const our = ours[path]
      return our && our.version === version && our.integrity === integrity
    })
}

/** Each package by itself, so that the workspaces among them are the other version's own. */
async function linkPackages(directory: string): Promise<void> {
  const installed = join(checkout, 'node_modules')
  const linked = join(directory, 'node_modules')
  await mkdir(join(linked, '@latchkey'), { recursive: true })
  for (const name of await readdir(installed)) {
    // Names that begin with a dot are what tools keep for one checkout, but for the programs.
    if (name !== '@latchkey' && (name === '.bin' || !name.startsWith('.')))
      await symlink(join(installed, name), join(linked, name))
  }
  for (const name of workspaces) {
    await symlink(join(directory, name), join(linked, '@latchkey', name))
    const own = join(checkout, name, 'node_modules')
    if ((await readdir(own).catch(() => [])).length > 0) await symlink(own, join(directory, name, 'node_modules'))
  }
}
