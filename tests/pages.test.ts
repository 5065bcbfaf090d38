import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { buildSchema, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'

const docs = new URL('../docs/', import.meta.url)
const schema = buildSchema(readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'))
const pages = readdirSync(docs).filter((name) => name.endsWith('.md'))
const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

describe.each(pages)('the page docs/%s', (name) => {
  const page = readFileSync(new URL(name, docs), 'utf8')

  it('shows GraphQL that the contract takes', () => {
    for (const [, text = ''] of page.matchAll(/```graphql\n([\s\S]*?)```/g)) {
      expect(validate(schema, parse(text)).map(({ message }) => message)).toEqual([])
    }
  })

  it('leads to files, and names commands, that there are', () => {
    const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path = '']) => path)
    expect(links.filter((path) => !existsSync(new URL(path, docs)))).toEqual([])
    const commands = [...page.matchAll(/`npm run ([\w:-]+)/g)].map(([, command = '']) => command)
    expect(commands.filter((command) => !(command in scripts))).toEqual([])
  })
})
