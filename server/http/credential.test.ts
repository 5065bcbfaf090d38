import { describe, expect, it } from 'vitest'
import { Fault } from '../fault.ts'
import { createSessionCookies, isAmbiguous, readBearer, readCredential } from './credential.ts'

const plain = createSessionCookies({ publicUrl: new URL('http://localhost:4000'), corsOrigins: [] })
const secure = createSessionCookies({
  publicUrl: new URL('https://tokens.example.com/somewhere'),
  corsOrigins: ['https://app.example.com'],
})

const read = (headers: Record<string, string>, cookies = plain) =>
  readCredential({ headers: new Headers(headers) }, cookies)

function faultOf(headers: Record<string, string>, cookies = plain): string {
  try {
    read(headers, cookies)
  } catch (error) {
    if (error instanceof Fault) return error.code
    throw error
  }
  throw new Error('The credential was read.')
}

describe('a bearer', () => {
  it('is read as RFC 6750 writes it, whatever the case of the scheme', () => {
    for (const authorization of ['Bearer lki_x', 'bearer lki_x', 'BEARER   lki_x', 'Bearer lki_x  ']) {
      expect(readBearer(authorization)).toBe('lki_x')
    }
    expect(readBearer('Bearer a-._~+/b==')).toBe('a-._~+/b==')
  })

  it('is none in any other form', () => {
    for (const authorization of [
      '',
      'Bearer',
      'Bearer ',
      'lki_x',
      'Basic bGtp',
      'Bearerlki_x',
      'Bearer a b',
      'Bearer a,b',
      'Bearer "a"',
      'Bearer é',
      'Bearer a\n',
      ' Bearer a',
      'Token a',
      'Bearer a, Bearer b',
    ]) {
      expect(readBearer(authorization)).toBeNull()
    }
  })
})

describe('the credential of a request', () => {
  it('is the bearer’s before the cookie’s, and null where there is neither', () => {
    expect(read({ authorization: 'Bearer one', cookie: 'latchkey_session=two' })).toBe('one')
    expect(read({ cookie: 'latchkey_session=two' })).toBe('two')
    expect(read({})).toBeNull()
    expect(read({ cookie: '' })).toBeNull()
  })

  it('is a fault in an Authorization of another scheme, also where there is a good cookie', () => {
    for (const authorization of ['', 'Basic eDp5', 'Bearer', 'Bearer a, Basic eDp5']) {
      expect(faultOf({ authorization, cookie: 'latchkey_session=two' })).toBe('BAD_REQUEST')
    }
  })

  it('is ambiguous in several headers, which Node and whatever stands in front of it may read differently', () => {
    expect(isAmbiguous({ rawHeaders: ['Host', 'x', 'Authorization', 'Bearer a'] })).toBe(false)
    expect(isAmbiguous({ rawHeaders: ['Host', 'authorization', 'X-Authorization', 'Bearer a'] })).toBe(false)
    expect(isAmbiguous({ rawHeaders: ['AUTHORIZATION', 'Bearer a', 'authorization', 'Basic b'] })).toBe(true)
  })

  it('is read from the cookie of exactly that name', () => {
    const cookies: [header: string, secret: string | null][] = [
      ['a=1; latchkey_session=two; b=3', 'two'],
      ['latchkey_session = two ', 'two'],
      ['a=latchkey_session=no; latchkey_session=two', 'two'],
      ['latchkey_session=first; latchkey_session=second', 'first'],
      ['latchkey_session=a=b', 'a=b'],
      ['latchkey_session=', null],
      ['latchkey_session', null],
      ['xlatchkey_session=no', null],
      ['latchkey_sessionx=no', null],
      ['LATCHKEY_SESSION=no', null],
      ['__Host-latchkey_session=no', null],
      ['=latchkey_session', null],
    ]
    for (const [cookie, expected] of cookies) expect(read({ cookie })).toBe(expected)
    expect(read({ cookie: 'latchkey_session=no' }, secure)).toBeNull()
    expect(read({ cookie: '__Host-latchkey_session=two' }, secure)).toBe('two')
  })

  it('is a cookie’s for pages of the server itself and of listed origins, and for clients that are no browser', () => {
    const cookie = '__Host-latchkey_session=two'
    const host = 'tokens.example.com'
    const good: Record<string, string>[] = [
      {},
      { host },
      { 'sec-fetch-site': 'same-origin' },
      { 'sec-fetch-site': 'none' },
      { origin: 'https://tokens.example.com', host },
      { origin: 'https://tokens.example.com', host: 'behind-a-proxy:4000' },
      { origin: 'https://app.example.com', host },
      { origin: 'https://app.example.com', host, 'sec-fetch-site': 'cross-site' },
      { origin: 'https://app.example.com', host, 'sec-fetch-site': 'same-site' },
    ]
    for (const headers of good) expect(read({ cookie, ...headers }, secure)).toBe('two')
  })

  it('is no cookie’s for another site’s page, but a bearer’s wherever it comes from', () => {
    const cookie = '__Host-latchkey_session=two'
    const host = 'tokens.example.com'
    const foreign: Record<string, string>[] = [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'anything' },
      { origin: 'https://evil.example', host },
      { origin: 'https://evil.example' },
      { origin: 'null', host },
      { origin: 'https://app.example.com.evil.example', host },
      { origin: 'https://app.example.com:8443', host },
      { origin: 'http://app.example.com', host },
      { origin: 'https://evil.example', host, 'sec-fetch-site': 'cross-site' },
      { origin: 'not an address', host },
    ]
    for (const headers of foreign) {
      expect(faultOf({ cookie, ...headers }, secure)).toBe('FORBIDDEN')
      expect(read({ authorization: 'Bearer one', cookie, ...headers }, secure)).toBe('one')
      expect(read(headers, secure)).toBeNull()
    }
  })
})

describe('the session’s cookie', () => {
  const expiresAt = new Date('2026-11-23T20:49:15Z')

  it('is out of reach of scripts and other sites, ends when the session does, and is taken away on signing out', () => {
    expect(plain.set('lks_x', expiresAt)).toBe(
      'latchkey_session=lks_x; Path=/; HttpOnly; SameSite=Lax; Expires=Mon, 23 Nov 2026 20:49:15 GMT',
    )
    expect(plain.clear()).toBe('latchkey_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0')
  })

  it('is bound to HTTPS and to this host by its name, where the server is reached over HTTPS', () => {
    expect(secure.set('lks_x', expiresAt)).toBe(
      '__Host-latchkey_session=lks_x; Path=/; HttpOnly; SameSite=Lax; Secure; Expires=Mon, 23 Nov 2026 20:49:15 GMT',
    )
    expect(secure.clear()).toBe('__Host-latchkey_session=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0')
  })
})
