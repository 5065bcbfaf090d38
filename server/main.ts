import './compile-cache.ts'

const { explain } = await import('./explain.ts')
try {
  const [{ readConfig }, { serve }] = await Promise.all([import('./config.ts'), import('./serve.ts')])
  await serve(readConfig(process.env), (text) => process.stdout.write(`${text}\n`))
  process.exit(0)
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  process.exit(1)
}
