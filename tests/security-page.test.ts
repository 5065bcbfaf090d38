import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const page = readFileSync(new URL('../docs/security.md', import.meta.url), 'utf8')
const root = new URL('../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

/** Each test that the page names: a file, and the names that stand behind it in “…”. */
const namedTests = [...page.matchAll(/`([\w./-]+\.test\.ts)`((?:[:,]?(?: and)? “[^”]+”)+)/g)].flatMap(
  ([, file = '', names = '']) => [...names.matchAll(/“([^”]+)”/g)].map(([, name = '']) => ({ file, name })),
)
const namedFiles = [...page.matchAll(/`((?:server|console\/src|sdk|tests|migrations|bench)\/[\w./-]+\.\w+)`/g)].map(
  ([, file = '']) => file,
)
const states = ['met', 'partly', 'not met', 'the operator’s']

describe('the page on security', () => {
  it('names tests that there are', () => {
    const found = new Set(namedTests.map(({ file }) => file))
    const named = [...page.slice(page.indexOf('## OWASP')).matchAll(/`([\w./-]+\.test\.ts)`/g)].map(([, file]) => file)
    expect(named.filter((file = '') => !found.has(file))).toEqual([])
    const missing = namedTests.filter(
      ({ file, name }) => !existsSync(new URL(file, root)) || !read(file).includes(name),
    )
    expect(missing).toEqual([])
  })

  it('names files that there are', () => {
    expect(namedFiles.filter((file) => !existsSync(new URL(file, root)))).toEqual([])
  })

  it('has every requirement of the standard once, and counts them right', () => {
    const rows = [...page.matchAll(/^\| (\d+\.\d+\.\d+) \|.*?\| (met|partly|not met|the operator’s) \|/gm)]
    const [applying = '', rest = ''] = page.slice(page.indexOf('## OWASP ASVS')).split('### What does not apply')
    const ids = [
      ...applying.matchAll(/^\| (\d+\.\d+\.\d+) \|/gm),
      ...rest.matchAll(/\b(\d+\.\d+\.\d+)\b(?=[,| ])/g),
    ].map(([, id]) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids).toHaveLength(253)
    const counted = states.map((state) => rows.filter(([, , found]) => found === state).length)
    const [met, partly, notMet, operators] = counted
    expect(page).toContain(
      `Of 253 requirements, ${rows.length} apply: ${met} are met, ${partly} partly, ${notMet} not met, and ${operators} are the operator’s. The other ${253 - rows.length} are listed`,
    )
  })
})
