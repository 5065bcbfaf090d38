import { constants, existsSync } from 'node:fs'
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import brought from '@sparticuz/chromium'
import { type Browser, chromium } from 'playwright-core'
import manifest from '../../package.json' with { type: 'json' }

interface Program {
  executablePath: string
  env?: NodeJS.ProcessEnv
}

/**
 * A real Chromium: the one that is installed, or else the one that an npm package brings, so that a machine without any
 * runs these tests, too. Throws where neither starts, and says what to install.
 */
export async function openBrowser(): Promise<Browser> {
  const reasons: string[] = []
  for (const find of [findInstalled, unpackBrought]) {
    try {
      const program = await find()
      // As root, Chromium does not start with its sandbox.
      if (program) return await chromium.launch({ ...program, chromiumSandbox: process.getuid?.() !== 0 })
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Error(
    `No browser could be started. Install Chromium (on Debian: “apt-get install chromium”) or Google Chrome, where the PATH leads to it.\n${reasons.join('\n')}`,
  )
}

async function findInstalled(): Promise<Program | null> {
  const directories = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  for (const name of ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']) {
    for (const directory of directories) {
      const executablePath = join(directory, name)
      const isThere = await access(executablePath, constants.X_OK).then(
        () => true,
        () => false,
      )
      if (isThere) return { executablePath }
    }
  }
  return null
}

const cache = fileURLToPath(new URL('../../node_modules/.cache/', import.meta.url))

/** Of the machine’s own fonts, and of those that were brought where it has none. */
const fonts = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`

/** Unpacked once, and found whole or not at all: several test files may want it at the same moment. */
async function unpackBrought(): Promise<Program> {
  const directory = join(cache, `chromium-${manifest.devDependencies['@sparticuz/chromium']}`)
  if (!existsSync(directory)) {
    await mkdir(cache, { recursive: true })
    const unfinished = await mkdtemp(`${directory}-`)
    try {
      await unpackTo(unfinished)
      await rename(unfinished, directory).catch((error: unknown) => {
        if (!existsSync(directory)) throw error
      })
    } finally {
      await rm(unfinished, { recursive: true, force: true })
    }
  }
  const [libraries, fontsFile] = [join(directory, 'al2023', 'lib'), join(directory, 'fonts.conf')]
  return {
    executablePath: join(directory, 'chromium'),
    env: { ...process.env, LD_LIBRARY_PATH: libraries, FONTCONFIG_FILE: fontsFile },
  }
}

/** The package unpacks into the directory for temporary files; and the libraries that Chromium needs, only where it runs as it does for AWS. */
async function unpackTo(directory: string): Promise<void> {
  const { TMPDIR, AWS_LAMBDA_JS_RUNTIME } = process.env
  Object.assign(process.env, { TMPDIR: directory, AWS_LAMBDA_JS_RUNTIME: 'nodejs24.x' })
  try {
    await brought.executablePath()
  } finally {
    for (const [name, value] of Object.entries({ TMPDIR, AWS_LAMBDA_JS_RUNTIME })) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
  await writeFile(join(directory, 'fonts.conf'), fonts)
}
