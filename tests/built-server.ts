import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Whatever a test starts as a process of its own is what `npm start` runs, and so has to be built of what is tested. */
export async function setup(): Promise<void> {
  await promisify(execFile)(process.execPath, ['build.ts'], { cwd: fileURLToPath(new URL('..', import.meta.url)) })
}
