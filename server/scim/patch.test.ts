import { describe, expect, it } from 'vitest'
import { scopeOfResource } from './attribute-path.ts'
import { applyPatch } from './patch.ts'
import { enterpriseUrn, type Json, userSchema } from './schemas.ts'
import { ScimError } from './scim-error.ts'

const scope = scopeOfResource(userSchema)
const work = { type: 'work', value: 'w@example.com', primary: true }
const home = { type: 'home', value: 'h@example.com' }
const before: Json = {
  id: 'mem_1',
  userName: 'bjensen@example.com',
  active: true,
  title: 'Guide',
  name: { givenName: 'Barbara', familyName: 'Jensen' },
  emails: [work, home],
  addresses: [{ type: 'work', locality: 'Hollywood' }],
  [enterpriseUrn]: { department: 'Tours', costCenter: '4130' },
}

const patch = (...operations: unknown[]) =>
  applyPatch(before, { schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations: operations }, scope)

/** What is another after the operations. */
function changes(...operations: unknown[]): Json {
  const after = patch(...operations)
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return Object.fromEntries(
    [...names]
      .filter((name) => after[name] !== before[name] && JSON.stringify(after[name]) !== JSON.stringify(before[name]))
      .map((name) => [name, after[name]]),
  )
}

describe('an operation', () => {
  it.each<[string, unknown, Json]>([
    ['sets an attribute', { op: 'add', path: 'title', value: 'Boss' }, { title: 'Boss' }],
    ['sets it whatever the case', { op: 'REPLACE', path: 'TITLE', value: 'Boss' }, { title: 'Boss' }],
    [
      'sets it by its URN',
      { op: 'add', path: 'urn:ietf:params:scim:schemas:core:2.0:User:title', value: 'B' },
      { title: 'B' },
    ],
    ['removes it', { op: 'remove', path: 'title' }, { title: undefined }],
    ['removes it by null', { op: 'replace', path: 'title', value: null }, { title: undefined }],
    ['reads a text as false', { op: 'Replace', path: 'active', value: 'FALSE' }, { active: false }],
    ['adds a part', { op: 'add', path: 'name.middleName', value: 'J' }, { name: { ...name(), middleName: 'J' } }],
    [
      'adds parts, and leaves the others',
      { op: 'replace', path: 'name', value: { givenName: 'B' } },
      { name: { ...name(), givenName: 'B' } },
    ],
    [
      'adds a value',
      { op: 'add', path: 'emails', value: [{ type: 'other', value: 'o@example.com' }] },
      { emails: [work, home, { type: 'other', value: 'o@example.com' }] },
    ],
    ['adds no value twice', { op: 'add', path: 'emails', value: home }, {}],
    ['replaces all values', { op: 'replace', path: 'emails', value: [home] }, { emails: [home] }],
    ['removes the selected', { op: 'remove', path: 'emails[type eq "work"]' }, { emails: [home] }],
    ['removes all values, and the attribute', { op: 'remove', path: 'emails[value pr]' }, { emails: undefined }],
    [
      'removes a part of the selected',
      { op: 'remove', path: 'emails[type eq "work"].primary' },
      { emails: [{ type: 'work', value: 'w@example.com' }, home] },
    ],
    [
      'sets a part of the selected',
      { op: 'replace', path: 'emails[type eq "home"].value', value: 'n@example.com' },
      { emails: [work, { ...home, value: 'n@example.com' }] },
    ],
    [
      'replaces the selected',
      { op: 'replace', path: 'addresses[type eq "work"]', value: { type: 'work', region: 'CA' } },
      { addresses: [{ type: 'work', region: 'CA' }] },
    ],
    [
      'adds one of which the filter tells',
      { op: 'add', path: 'phoneNumbers[type eq "work" and primary eq true].value', value: '1' },
      { phoneNumbers: [{ type: 'work', primary: true, value: '1' }] },
    ],
    [
      'leaves one primary',
      { op: 'add', path: 'emails', value: [{ type: 'other', value: 'o', primary: true }] },
      { emails: [{ ...work, primary: false }, home, { type: 'other', value: 'o', primary: true }] },
    ],
    [
      'leaves one primary among the selected',
      { op: 'replace', path: 'emails[type eq "home"].primary', value: true },
      {
        emails: [
          { ...work, primary: false },
          { ...home, primary: true },
        ],
      },
    ],
    [
      'sets a part of the extension',
      { op: 'add', path: `${enterpriseUrn}:manager`, value: 'm1' },
      { [enterpriseUrn]: { department: 'Tours', costCenter: '4130', manager: { value: 'm1' } } },
    ],
    [
      'sets a deeper part of it',
      { op: 'add', path: `${enterpriseUrn}:manager.value`, value: 'm1' },
      { [enterpriseUrn]: { department: 'Tours', costCenter: '4130', manager: { value: 'm1' } } },
    ],
    [
      'adds to the extension',
      { op: 'add', value: { [enterpriseUrn]: { department: 'Sales' } } },
      { [enterpriseUrn]: { department: 'Sales', costCenter: '4130' } },
    ],
    [
      'takes dotted keys without a path',
      { op: 'add', value: { 'name.givenName': 'B', [`${enterpriseUrn}:department`]: 'Sales' } },
      { name: { ...name(), givenName: 'B' }, [enterpriseUrn]: { department: 'Sales', costCenter: '4130' } },
    ],
    [
      'keeps what only the identity provider knows',
      { op: 'add', path: 'urn:acme:scim:2.0:User:badge', value: '7' },
      { 'urn:acme:scim:2.0:User': { badge: '7' } },
    ],
    [
      'ignores what cannot be changed, without a path',
      { op: 'replace', value: { id: 'mem_2', meta: {}, nosuch: 'x', title: 'B' } },
      { title: 'B' },
    ],
    ['removes nothing where nothing is selected', { op: 'remove', path: 'emails[type eq "none"]' }, {}],
  ])('%s', (_, operation, due) => {
    expect(changes(operation)).toEqual(due)
  })

  it('follows on the one before it', () => {
    const operations = [
      { op: 'add', path: 'phoneNumbers', value: [{ type: 'fax', value: '1' }] },
      { op: 'replace', path: 'phoneNumbers[type eq "fax"].value', value: '2' },
    ]
    expect(changes(...operations)).toEqual({ phoneNumbers: [{ type: 'fax', value: '2' }] })
  })

  it.each<[string, unknown, string]>([
    ['without a name', { path: 'title', value: 'x' }, 'invalidSyntax'],
    ['with another name', { op: 'move', path: 'title', value: 'x' }, 'invalidSyntax'],
    ['that is none', 'add', 'invalidSyntax'],
    ['without a value', { op: 'add', path: 'title' }, 'invalidValue'],
    ['that removes everything', { op: 'remove' }, 'noTarget'],
    [
      'that selects nothing to replace',
      { op: 'replace', path: 'emails[type eq "none"].value', value: 'x' },
      'noTarget',
    ],
    ['on the id', { op: 'replace', path: 'id', value: 'x' }, 'mutability'],
    ['on when it was made', { op: 'replace', path: 'meta.created', value: 'x' }, 'mutability'],
    ['on the groups', { op: 'add', path: 'groups', value: [{ value: 'grp_1' }] }, 'mutability'],
    ['on what no schema has', { op: 'add', path: 'nosuch', value: 'x' }, 'invalidPath'],
    ['on a path that is none', { op: 'add', path: '..', value: 'x' }, 'invalidPath'],
    ['on a number', { op: 'add', path: 7, value: 'x' }, 'invalidPath'],
    ['on a path with a bad filter', { op: 'remove', path: 'emails[type is "x"]' }, 'invalidFilter'],
    ['that selects from one value', { op: 'remove', path: 'name[givenName eq "x"]' }, 'invalidPath'],
    ['with neither true nor false', { op: 'replace', path: 'active', value: 'no' }, 'invalidValue'],
    ['with a text where parts are', { op: 'replace', path: 'name', value: 'Barbara' }, 'invalidValue'],
    ['with parts where a text is', { op: 'replace', path: 'title', value: {} }, 'invalidValue'],
    ['without a path, of a text', { op: 'add', value: 'x' }, 'invalidValue'],
    ['on a prototype', { op: 'add', path: '__proto__.polluted', value: 'x' }, 'invalidPath'],
  ])('%s is refused', (_, operation, scimType) => {
    expect(() => patch(operation)).toThrow(ScimError)
    expect(() => patch({ op: 'replace', path: 'title', value: 'Changed' }, operation)).toThrow(
      expect.objectContaining({ status: 400, scimType }),
    )
    expect(before.title).toBe('Guide')
    expect({}).not.toHaveProperty('polluted')
  })
})

function name() {
  return { givenName: 'Barbara', familyName: 'Jensen' }
}
