import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where a program is not installed, its own tests are left out: those that count are run where it is. */
export const isInstalled = (program: string, searchPath = process.env.PATH ?? '') =>
  process.env.CI !== undefined || searchPath.split(delimiter).some((folder) => existsSync(join(folder, program)))
