import { hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { type GraphQLSchema, getOperationAST, parse, print, separateOperations } from 'graphql'
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit'
import type { Plugin } from 'graphql-yoga'
import { checkout } from '../checkout.ts'

const operations = new URL('sdk/operations/', checkout)

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

/** What is asked millions of times for every other operation. */
export type Verification = 'verifyToken' | 'verifyTokenDigests'

/** The SDK's verifications, and their documents' texts. */
export interface Verifications {
  /** Null for every other document. */
  nameOf(text: string | null | undefined): Verification | null
  /** Has Yoga execute them by code that is compiled from them. */
  plugin: Plugin
}

/**
 * Compiles them once: a verdict then takes a third of the interpreter's time and a fraction of its memory. No document of a
 * caller's own is compiled, and no other operation: a compiler is trusted with what a test compares, answer by answer,
 * with the interpreter.
 */
export function compileVerifications(schema: GraphQLSchema, persisted: ReadonlyMap<string, string>): Verifications {
  const verifications = new Map<string, { name: Verification; operation: CompiledQuery }>()
  for (const name of ['verifyToken', 'verifyTokenDigests'] as const) {
    const text = [...persisted.values()].find((text) => getOperationAST(parse(text))?.name?.value === name)
    const operation = text === undefined ? null : compileQuery(schema, parse(text))
    if (text === undefined || !operation || !isCompiledQuery(operation)) {
      throw new Error(`The SDK’s operation ${name} cannot be compiled.`)
    }
    verifications.set(text, { name, operation })
  }
  return {
    nameOf: (text) => verifications.get(text ?? '')?.name ?? null,
    plugin: {
      onExecute({ context: { params }, setExecuteFn }) {
        const operation = verifications.get(params.query ?? '')?.operation
        if (!operation) return
        setExecuteFn(({ rootValue, contextValue, variableValues }) =>
          operation.query(rootValue, contextValue, variableValues),
        )
      },
    },
  }
}
