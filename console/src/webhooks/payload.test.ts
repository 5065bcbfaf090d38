import { describe, expect, it } from 'vitest'
import { labelIn, layOut } from './payload.ts'

const payload = '{"type":"token.created","data":{"label":"Jenkins"}}'

describe('a message’s payload', () => {
  it('is laid out for people, and says how its token was called', () => {
    expect(layOut(payload)).toBe('{\n  "type": "token.created",\n  "data": {\n    "label": "Jenkins"\n  }\n}')
    expect(labelIn(payload)).toBe('Jenkins')
  })

  it('that is of another form is shown as it is, and names no token', () => {
    expect(layOut('not JSON')).toBe('not JSON')
    for (const other of ['not JSON', 'null', '{}', '{"data":null}', '{"data":{"label":7}}']) {
      expect(labelIn(other)).toBeNull()
    }
  })
})
