import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

/**
 * As whom PostgreSQL's programs run. PostgreSQL refuses to run as root, and an account other than root may be unable to
 * reach the programs or the data, in a home directory for example; that is found out by trying.
 */
export interface Account {
  /** How an error names it. */
  name: string
  /** Whose the files are on the disk. */
  uid: number
  gid: number
  /** What the programs are started through. */
  launcher: readonly string[]
}

/** None of Latchkey's own settings, which hold secrets, and none of the user's PGDATA, PGPORT or locale. */
const environment = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', TZ: 'UTC' }
const overflowUid = 65_534
const initialisingTimeoutMilliseconds = 300_000

/** For data that is yet to be made: the accounts to try, best first. */
export async function accountsToTry(directory: string): Promise<Account[]> {
  const own = ownAccount()
  if (own.uid !== 0) return [own]
  const known = await readKnownAccounts()
  const owners = await Promise.all([directory, dirname(directory)].map(async (path) => (await stat(path)).uid))
  const others = [
    ...known.filter(({ uid }) => owners.includes(uid)),
    ...known.filter(({ name }) => name === 'postgres'),
    ...known.filter(({ name }) => name === 'nobody'),
  ]
  return [...findRootAccount(known), ...new Set(others)]
}

/**
 * For data that is there: its owner, even when root starts Latchkey, so that no file of it ever gets another. A user who
 * is neither finds it closed, since only its owner may enter it.
 */
export async function accountOfOwner(data: string): Promise<Account> {
  const own = ownAccount()
  if (own.uid !== 0) return own
  const { uid, gid } = await stat(data)
  if (uid !== 0) return { name: `uid ${uid}`, uid, gid, launcher: [] }
  const [account] = findRootAccount(await readKnownAccounts())
  const refusal = account ? await runToEnd(account, 'true', []).then(() => null, String) : 'no such account'
  if (account && !refusal) return account
  throw new Error(
    `${data} belongs to root, as which PostgreSQL runs only in a user namespace, and there is none to be had here ` +
      `(${refusal}). Give the files to another account with “chown -R”.`,
  )
}

/** What `spawn` and `execFile` need, to start a program as the account. */
export function commandFor(account: Account, program: string, programArguments: readonly string[]) {
  const [file = program, ...commandArguments] = [...account.launcher, program, ...programArguments]
  return {
    file,
    arguments: commandArguments,
    // The working directory of this process may be one that the account cannot enter.
    options: { uid: account.uid, gid: account.gid, cwd: '/', env: environment },
  }
}

/** Throws an error whose message is what the program itself said. */
export async function runToEnd(account: Account, program: string, programArguments: readonly string[]): Promise<void> {
  const command = commandFor(account, program, programArguments)
  try {
    const options = { ...command.options, timeout: initialisingTimeoutMilliseconds }
    await promisify(execFile)(command.file, command.arguments, options)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : ''
    throw new Error(said || error.message, { cause: error })
  }
}

function ownAccount(): Account {
  return { name: 'this user', uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1, launcher: [] }
}

/**
 * Root itself, under an ordinary number in a user namespace of its own: it needs no system account, the files stay
 * root's, and what only root can reach is reached. Containers often forbid it.
 */
function findRootAccount(known: readonly Account[]): Account[] {
  // initdb wants a number that has a name; the overflow number would make strangers' files look like its own.
  const alias = known.find(({ uid }) => uid !== overflowUid)
  if (process.platform !== 'linux' || !alias) return []
  const launcher = ['unshare', '--user', `--map-user=${alias.uid}`, `--map-group=${alias.gid}`, '--']
  return [{ name: 'root in a user namespace', uid: 0, gid: 0, launcher }]
}

async function readKnownAccounts(): Promise<Account[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n')
  return lines.flatMap((line) => {
    const [name = '', , uid = '', gid = ''] = line.split(':')
    return /^[1-9]\d*$/.test(uid) && /^\d+$/.test(gid)
      ? [{ name, uid: Number(uid), gid: Number(gid), launcher: [] }]
      : []
  })
}
