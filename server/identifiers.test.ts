import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createId, isId } from './identifiers.ts'

const kinds = [
  'organization',
  'person',
  'member',
  'token',
  'role',
  'accessToken',
  'session',
  'service',
  'event',
] as const
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const at = (milliseconds: number) => ({ now: () => new Date(milliseconds), randomBytes })
const uuidOf = (id: string) =>
  [...(id.split('_')[1] ?? '')].reduce((value, character) => value * 32n + BigInt(alphabet.indexOf(character)), 0n)

describe('an id', () => {
  it('tells its kind, and is of no other', () => {
    for (const kind of kinds) {
      const id = createId(kind, at(Date.now()))
      expect(kinds.filter((other) => isId(other, id))).toEqual([kind])
    }
  })

  it('is a UUID of version 7 in Crockford’s base32, as the TypeID specification has it', () => {
    const milliseconds = Date.UTC(2026, 10, 24)
    const id = createId('token', at(milliseconds))
    expect(id).toMatch(/^tok_[0-7][0-9a-hjkmnp-tv-z]{25}$/)
    const uuid = uuidOf(id)
    expect(uuid >> 80n).toBe(BigInt(milliseconds))
    expect((uuid >> 76n) & 0xfn).toBe(7n)
    expect((uuid >> 62n) & 0b11n).toBe(0b10n)
    // The example of the specification, to the letter.
    expect(uuidOf('prefix_01h455vb4pex5vsknk084sn02q')).toBe(0x01890a5d_ac96_774b_bcce_b302099a8057n)
  })

  it('sorts in the order of creation, from millisecond to millisecond', () => {
    const times = [0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, Date.UTC(9999, 11, 31)]
    const ids = times.map((time) => createId('event', at(time)))
    expect(ids.toSorted()).toEqual(ids)
  })

  it('is never the same twice, even within one millisecond', () => {
    expect(new Set(Array.from({ length: 20_000 }, () => createId('token', at(0)))).size).toBe(20_000)
  })

  it('is refused in any other form', () => {
    const id = createId('token', at(Date.now()))
    const suffix = id.slice(4)
    const wrong = [
      '',
      'tok_',
      suffix,
      `tok-${suffix}`,
      `TOK_${suffix}`,
      id.toUpperCase(),
      id.slice(0, -1),
      `${id}0`,
      `${id}\n`,
      `${id}\0`,
      ` ${id}`,
      `tok_8${suffix.slice(1)}`,
      `tok_${suffix.slice(0, -1)}u`,
      `tok_${suffix.slice(0, -1)}é`,
      'tok___proto__',
      'tok_ci',
    ]
    expect(wrong.filter((text) => isId('token', text))).toEqual([])
  })

  it('of a managed role is a name', () => {
    for (const id of ['role_ci', 'role_scim', 'role_jira', 'role_service_account']) expect(isId('role', id)).toBe(true)
    for (const id of ['role_', 'role_CI', 'role__ci', 'role_c1', 'role_c i', 'role_ci\n', `role_${'a'.repeat(32)}`]) {
      expect(isId('role', id)).toBe(false)
    }
  })
})
