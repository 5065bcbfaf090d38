import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { buildSchema, parse, validate } from 'graphql'
import { describe, expect, it } from 'vitest'
import { readPage } from './markdown.ts'

const docs = new URL('../docs/', import.meta.url)
const schema = buildSchema(readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8'))
const pages = readdirSync(docs).filter((name) => name.endsWith('.md'))
const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

describe.each(pages)('the page docs/%s', (name) => {
  it('shows GraphQL that the contract takes', async () => {
    const { blocks } = await readPage(new URL(name, docs))
    for (const { language, text } of blocks) {
      if (language === 'graphql') expect(validate(schema, parse(text)).map(({ message }) => message)).toEqual([])
    }
  })

  it('leads to files, and names commands, that there are', async () => {
    const { text: page } = await readPage(new URL(name, docs))
    const links = [...page.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path = '']) => path)
    expect(links.filter((path) => !existsSync(new URL(path, docs)))).toEqual([])
    const commands = [...page.matchAll(/`npm run ([\w:-]+)/g)].map(([, command = '']) => command)
    expect(commands.filter((command) => !(command in scripts))).toEqual([])
  })
})
