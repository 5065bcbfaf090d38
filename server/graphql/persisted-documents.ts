import { hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { parse, print, separateOperations } from 'graphql'

const operations = new URL('../../sdk/operations/', import.meta.url)

/**
 * The operations of the SDK of this version, by the hash that the SDK sends in their place: the SHA-256 of their
 * definitions, printed and in order. An SDK of another version is told that its hash is unknown, and sends the document.
 */
export function readPersistedDocuments(): ReadonlyMap<string, string> {
  const files = readdirSync(operations).filter((name) => name.endsWith('.graphql'))
  const text = files.map((name) => readFileSync(new URL(name, operations), 'utf8')).join('\n')
  const documents = Object.values(separateOperations(parse(text)))
  return new Map(
    documents.map((document) => {
      const definitions = document.definitions.map(print).sort().join('\n\n')
      return [hash('sha256', definitions), definitions]
    }),
  )
}
