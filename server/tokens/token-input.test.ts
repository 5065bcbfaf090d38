import { describe, expect, it } from 'vitest'
import { InvalidInput } from '../refusal.ts'
import { labelKey, newToken, overlap, readInput, searchText, tokenChange } from './token-input.ts'

const created = (input: object) => readInput(newToken, { label: 'Jenkins', roleId: 'role_ci', ...input })

function issuesOf(read: () => unknown): string[] {
  try {
    read()
  } catch (error) {
    if (error instanceof InvalidInput) return error.issues.map(({ path, message }) => `${path}: ${message}`)
    throw error
  }
  throw new Error('The input was taken.')
}

describe('a new token', () => {
  it('has a trimmed label, and null for what was left out, null or blank, but for an expiry that was left out', () => {
    const nothing = { description: null, idempotencyKey: null }
    const given = { label: 'Jenkins', roleId: 'role_ci', ...nothing }
    // That is for the organization’s policy to say.
    expect(created({ label: '  Jenkins\t' })).toStrictEqual(given)
    expect(created({ ...nothing, expiresAt: null, description: '  ' })).toStrictEqual({ ...given, expiresAt: null })
  })

  it('has a label of 1 to 100 characters as a person counts them', () => {
    for (const label of ['x', 'x'.repeat(100), '𝕏'.repeat(100), '💥'.repeat(100), 'é'.repeat(100)]) {
      expect(created({ label }).label).toBe(label)
    }
    for (const label of ['', ' ', '\u00a0\u3000']) {
      expect(issuesOf(() => created({ label }))).toEqual(['label: A label has at least 1 character.'])
    }
    for (const label of ['x'.repeat(101), '𝕏'.repeat(101)]) {
      expect(issuesOf(() => created({ label }))).toEqual(['label: A label has at most 100 characters.'])
    }
    expect(issuesOf(() => created({ label: null }))).toEqual(['label: A label cannot be empty.'])
  })

  it('has a label in which everything can be seen: no control, no line, no turn of direction, nothing invisible', () => {
    const hidden = [
      '\0',
      '\u0007',
      '\t',
      '\n',
      '\r',
      '\u001b',
      '\u007f',
      '\u0085',
      '\u00ad',
      '\u061c',
      '\u200b',
      '\u200e',
      '\u200f',
      '\u2028',
      '\u2029',
      '\u202a',
      '\u202e',
      '\u2060',
      '\u2066',
      '\u2069',
      '\ufeff',
      '\ud800',
      '\udc00',
      '\u{e0001}',
      '\u{e0041}',
    ]
    for (const character of hidden) {
      expect(issuesOf(() => created({ label: `a${character}b` }))).toEqual([
        'label: A label cannot hold control characters, line breaks or invisible ones.',
      ])
    }
    for (const label of ['日本語', 'عربى', 'नी\u200dल', 'می\u200cخواهم', '👩\u200d💻', 'a b', 'naïve', '<b>&"\'`']) {
      expect(created({ label }).label).toBe(label)
    }
  })

  it('has a description of up to 500 characters, in lines if need be, in which everything can be seen', () => {
    for (const description of ['x'.repeat(500), '𝕏'.repeat(500), 'one\r\n\ttwo']) {
      expect(created({ description }).description).toBe(description)
    }
    expect(issuesOf(() => created({ description: 'x'.repeat(501) }))).toEqual([
      'description: A description has at most 500 characters.',
    ])
    for (const character of ['\0', '\u0007', '\u007f', '\u200b', '\u2028', '\u202e', '\ufeff', '\ud800']) {
      expect(issuesOf(() => created({ description: `a${character}b` }))).toEqual([
        'description: A description cannot hold control characters or invisible ones.',
      ])
    }
  })

  it('has an idempotency key of 1 to 255 characters, or none', () => {
    for (const idempotencyKey of ['k', 'k'.repeat(255)])
      expect(created({ idempotencyKey })).toMatchObject({ idempotencyKey })
    for (const idempotencyKey of ['', 'k'.repeat(256)]) {
      expect(issuesOf(() => created({ idempotencyKey }))).toEqual([
        'idempotencyKey: An idempotency key has 1 to 255 characters.',
      ])
    }
  })

  it('is told each field that is wrong, once', () => {
    const wrong = { label: '\u0007'.repeat(101), description: '\u0007'.repeat(501), idempotencyKey: '' }
    expect(issuesOf(() => created(wrong)).map((issue) => issue.split(':')[0])).toEqual([
      'label',
      'description',
      'idempotencyKey',
    ])
  })
})

describe('a change', () => {
  it('leaves what is absent as it is, and clears what is null', () => {
    expect(readInput(tokenChange, {})).toEqual({})
    expect(readInput(tokenChange, { description: null, expiresAt: null })).toEqual({
      description: null,
      expiresAt: null,
    })
    expect(readInput(tokenChange, { description: ' ' })).toEqual({ description: null })
  })

  it('takes no null where null would mean nothing', () => {
    expect(issuesOf(() => readInput(tokenChange, { label: null }))).toEqual(['label: A label cannot be empty.'])
    expect(issuesOf(() => readInput(tokenChange, { enabled: null }))).toEqual([
      'enabled: A token is either enabled or not: give true or false, or leave the field out.',
    ])
  })
})

describe('an overlap', () => {
  it('is 0 seconds to 7 days', () => {
    for (const overlapSeconds of [0, 1, 604_800])
      expect(readInput(overlap, { overlapSeconds })).toEqual({ overlapSeconds })
    for (const overlapSeconds of [-1, 604_801, 2 ** 31 - 1]) {
      expect(issuesOf(() => readInput(overlap, { overlapSeconds }))).toEqual([
        'overlapSeconds: The overlap is 0 to 604800 seconds (7 days).',
      ])
    }
  })
})

describe('labels', () => {
  it('are one label where they look alike to a reader of another case or width, and only there', () => {
    for (const label of ['Jenkins', 'JENKINS', 'Ｊｅｎｋｉｎｓ', 'jenkins']) expect(labelKey(label)).toBe('jenkins')
    expect(labelKey('e\u0301')).toBe(labelKey('\u00e9'))
    expect(labelKey('Straße')).not.toBe(labelKey('Strasse'))
    expect(labelKey('Jenkins 1')).not.toBe(labelKey('Jenkins 2'))
  })

  it('are searched together with their descriptions', () => {
    expect(searchText('CI', 'Nightly BUILD')).toBe('ci\nnightly build')
    expect(searchText('CI', null)).toBe('ci')
  })
})
