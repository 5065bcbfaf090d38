import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

// The SDK is tested as it is written, not as it was last built.
const conditions = ['latchkey-source']

export default defineConfig({
  resolve: {
    conditions,
    alias: [
      // Two copies of graphql-js in one process refuse each other's types.
      { find: /^graphql$/, replacement: fileURLToPath(new URL('node_modules/graphql/index.js', import.meta.url)) },
    ],
  },
  ssr: { resolve: { conditions } },
  test: {
    include: ['{server,sdk/src,console/src,tests}/**/*.test.ts'],
    globalSetup: ['tests/built-server.ts', 'tests/postgres.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 30_000,
  },
})
