import { describe, expect, it } from 'vitest'
import { scopeOfResource } from './attribute-path.ts'
import { parseFilter } from './filter.ts'
import { enterpriseUrn, type Json, userSchema, userUrn } from './schemas.ts'
import { ScimError } from './scim-error.ts'

const scope = scopeOfResource(userSchema)

const barbara: Json = {
  schemas: [userUrn, enterpriseUrn],
  id: 'mem_1',
  externalId: 'bjensen',
  userName: 'bjensen@example.com',
  displayName: 'Babs "B." Jensen',
  name: { givenName: 'Barbara', familyName: "O'Malley" },
  title: 'Tour Guide',
  userType: 'Employee',
  active: true,
  emails: [
    { value: 'bjensen@example.com', type: 'work', primary: true },
    { value: 'babs@jensen.example.org', type: 'home' },
  ],
  ims: [{ type: 'xmpp', value: 'babs@foo.example' }],
  [enterpriseUrn]: { employeeNumber: '701984', manager: { value: '26118915' } },
  meta: { resourceType: 'User', lastModified: '2011-05-13T04:42:34.500Z' },
}

const matches = (filter: string, resource = barbara) => parseFilter(filter, scope).matches(resource)

describe('a filter', () => {
  it.each([
    // The forms of RFC 7644, section 3.4.2.2.
    ['userName eq "bjensen@example.com"', true],
    ['name.familyName co "O\'Malley"', true],
    ['userName sw "B"', true],
    ['urn:ietf:params:scim:schemas:core:2.0:User:userName sw "B"', true],
    ['title pr', true],
    ['nickName pr', false],
    ['meta.lastModified gt "2011-05-13T04:42:34Z"', true],
    ['meta.lastModified ge "2011-05-13T06:42:34.500+02:00"', true],
    ['meta.lastModified lt "2011-05-13T04:42:34Z"', false],
    ['meta.lastModified le "2011-05-13T04:42:34.5Z"', true],
    ['title pr and userType eq "Employee"', true],
    ['title pr or userType eq "Intern"', true],
    ['schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"', true],
    ['userType eq "Employee" and (emails co "example.com" or emails.value co "example.net")', true],
    ['userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")', false],
    ['userType eq "Employee" and (emails.type eq "work")', true],
    ['userType eq "Employee" and emails[type eq "work" and value co "@example.com"]', true],
    ['emails[type eq "work" and value co "@jensen"] or ims[type eq "xmpp" and value co "@foo"]', true],
    ['emails[type eq "home" and value co "@example.com"]', false],
    // One value has to have it all, where brackets say so, and any may have each, where not.
    ['emails.type eq "home" and emails.value co "@example.com"', true],
    ['emails[type eq "work"].value eq "bjensen@example.com"', true],
    ['emails[type eq "home"].value eq "bjensen@example.com"', false],
    ['emails[not (type eq "work")]', true],
    // Names, operators and words in whichever case; values only where the attribute says so.
    ['USERNAME EQ "BJENSEN@EXAMPLE.COM"', true],
    ['Name.GIVENNAME Eq "barbara" AND Active EQ TRUE', true],
    ['externalId eq "BJENSEN"', false],
    ['externalId eq "bjensen"', true],
    ['id eq "MEM_1"', false],
    ['URN:IETF:params:scim:schemas:extension:ENTERPRISE:2.0:User:employeeNumber eq "701984"', true],
    ['urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "26118915"', true],
    ['urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "26118915"', true],
    ['urn:ietf:params:scim:schemas:extension:acme:2.0:User:badge eq "1"', false],
    // Escapes, and signs of the grammar within a text.
    ['displayName eq "Babs \\"B.\\" Jensen"', true],
    ['displayName eq "\\u0042abs \\"B.\\" Jensen"', true],
    ['displayName co ")" or displayName co "]" or displayName co " and "', false],
    ['(((displayName co "\\" Jen")))', true],
    // “and” before “or”, and “not” before both.
    ['title eq "x" or title pr and active eq true', true],
    ['title pr or title eq "x" and title eq "y"', true],
    ['(title pr or title eq "x") and title eq "y"', false],
    ['not (title eq "x") and active eq true', true],
    ['not (title pr and active eq false)', true],
    ['not(title pr)', false],
    ['nickName eq null', true],
    ['title ne null', true],
    ['nickName ne "x"', true],
    ['userName ew "EXAMPLE.com"', true],
    ['title gt "Tour" and title lt "Tous"', true],
    ['active eq "True"', true],
    ['emails.primary eq true', true],
    ['nothing.such eq "x"', false],
  ])('%s: %s', (filter, due) => {
    expect(matches(filter)).toBe(due)
  })

  it.each([
    '',
    ' ',
    'userName',
    'userName eq',
    'userName eq "x',
    'userName eq "x\\q"',
    'userName eq x',
    'userName is "x"',
    'userName eq "x" and',
    'userName eq "x" userName eq "y"',
    'and userName eq "x"',
    '(userName eq "x"',
    'userName eq "x")',
    'not userName eq "x"',
    'emails[type eq "work"',
    'emails[type eq "work"]]',
    'emails[]',
    'name eq "Barbara"',
    'active gt true',
    'active co "t"',
    'title gt null',
    'meta.lastModified gt "yesterday"',
    '1 eq 1',
    '"userName" eq "x"',
    'userName.. eq "x"',
    `${'('.repeat(60)}title pr${')'.repeat(60)}`,
    `title eq "${'x'.repeat(10_001)}"`,
  ])('that is none is refused: %s', (filter) => {
    expect(() => matches(filter)).toThrow(ScimError)
    expect(() => matches(filter)).toThrow(expect.objectContaining({ status: 400, scimType: 'invalidFilter' }))
  })

  it('tells what an index can find, and only where the whole of it is that', () => {
    const equality = (filter: string) => parseFilter(filter, scope).equality
    expect(equality('UserName eq "A@b.example"')).toEqual({ attribute: 'userName', value: 'A@b.example' })
    expect(equality('not (userName eq "a")')).toBeNull()
    expect(equality('userName eq "a" or title pr')).toBeNull()
    expect(equality('userName eq "a" and title pr')).toBeNull()
    expect(equality('emails[value eq "a"]')).toBeNull()
    expect(equality('userName sw "a"')).toBeNull()
  })

  it('takes no longer for one that is made to take long', () => {
    const filter = Array.from({ length: 300 }, () => 'emails[value co "nobody"]').join(' or ')
    const begun = performance.now()
    expect(matches(filter)).toBe(false)
    expect(performance.now() - begun).toBeLessThan(500)
  })
})
