import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import { checkout } from './checkout.ts'

/**
 * What Node.js compiles is kept with the packages, so that the next start takes a quarter less. Nobody but whoever could
 * change the code itself can write there, unlike in the directory for temporary files, where Node.js would keep it. Where
 * this program may not write, either, nothing is kept. What is imported after this module, and not with it, is kept.
 */
enableCompileCache(fileURLToPath(new URL('node_modules/.cache/latchkey', checkout)))
