import type { TokenRole } from '@latchkey/sdk'
import { describe, expect, it } from 'vitest'
import { changeOf, knownPermissions, permissionMistake } from './permissions.ts'

const role = (permissions: string[]): TokenRole => ({
  id: 'role',
  kind: 'CUSTOM',
  label: 'Role',
  description: '',
  permissions,
})

describe('permissions', () => {
  it('are suggested as other roles have them, but for those that no role of an organization can have', () => {
    const roles = [role(['scans:write', 'apps:read']), role(['apps:read', 'scim:provision', 'tokens:create-ci'])]
    expect(knownPermissions(roles)).toEqual(['apps:read', 'scans:write'])
  })

  it('change by what is added and what is taken, and not by their order', () => {
    expect(changeOf(['a:read', 'b:read'], ['b:read', 'c:read'])).toEqual({ added: ['c:read'], taken: ['a:read'] })
    expect(changeOf(['a:read', 'b:read'], ['b:read', 'a:read'])).toBeNull()
  })

  it('that are refused are named', () => {
    const message = 'A permission is written as resource:action.'
    expect(permissionMistake({ 'permissions.1': message }, ['a:read', 'Read'])).toBe(`“Read”: ${message}`)
    expect(permissionMistake({ permissions: 'At least one.' }, [])).toBe('At least one.')
    expect(permissionMistake({ label: 'Too long.' }, ['a:read'])).toBeUndefined()
  })
})
