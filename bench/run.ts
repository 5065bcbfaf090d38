/** `npm run bench [name …]`: the named benchmarks, or all of them, one after the other. */
const benchmarks: Record<string, () => Promise<unknown>> = {
  console: () => import('./console.ts').then(({ measureConsole }) => measureConsole()),
  storage: () => import('./storage.ts').then(({ measureStorage }) => measureStorage()),
  'token-list': () => import('./token-list.ts').then(({ measureTokenList }) => measureTokenList()),
  verification: () => import('./verification.ts').then(({ measureVerification }) => measureVerification()),
}

const names = process.argv.slice(2).filter((word) => !word.startsWith('-'))
const unknown = names.filter((name) => !(name in benchmarks))
if (unknown.length > 0) {
  process.stderr.write(
    `There is no benchmark “${unknown.join(', ')}”. There are: ${Object.keys(benchmarks).join(', ')}.\n`,
  )
  process.exit(2)
}
for (const [name, run] of Object.entries(benchmarks)) if (names.length === 0 || names.includes(name)) await run()
