import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'

process.chdir(import.meta.dirname)
rmSync('dist', { recursive: true, force: true })
for (const [format, type] of [
  ['esm', 'module'],
  ['cjs', 'commonjs'],
]) {
  execFileSync('tsc', ['--project', `tsconfig.${format}.json`], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  // Node and TypeScript read a file's module format from the package.json nearest to it.
  writeFileSync(`dist/${format}/package.json`, `${JSON.stringify({ type })}\n`)
}
