import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { addressBlock, clientAddress, readNetworks } from './client-address.ts'

function requestFrom(remoteAddress: string | undefined, forwarded?: string): IncomingMessage {
  const socket = new Socket()
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress })
  const request = new IncomingMessage(socket)
  if (forwarded !== undefined) request.headers['x-forwarded-for'] = forwarded
  return request
}

const proxies = readNetworks(['10.0.0.0/8', '192.0.2.1', 'fd00::/8', '::1'])
const seen = (remote: string | undefined, forwarded?: string) => clientAddress(requestFrom(remote, forwarded), proxies)

describe('the address of a client', () => {
  it('is the connection’s, where no trusted proxy is in between, whatever the request says', () => {
    expect(seen('203.0.113.5')).toBe('203.0.113.5')
    expect(seen('203.0.113.5', '198.51.100.7')).toBe('203.0.113.5')
    expect(seen('192.0.2.2', '198.51.100.7')).toBe('192.0.2.2')
    expect(clientAddress(requestFrom('10.0.0.1', '198.51.100.7'), readNetworks([]))).toBe('10.0.0.1')
    expect(seen(undefined, '198.51.100.7')).toBeNull()
  })

  it('is what the trusted proxy nearest to it saw, and not what the client wrote to the left of that', () => {
    expect(seen('10.0.0.1', '198.51.100.7')).toBe('198.51.100.7')
    expect(seen('10.0.0.1', '1.2.3.4, 198.51.100.7')).toBe('198.51.100.7')
    expect(seen('10.0.0.1', '1.2.3.4, 198.51.100.7, 10.0.0.2')).toBe('198.51.100.7')
    expect(seen('10.0.0.1', '10.9.9.9, 198.51.100.7')).toBe('198.51.100.7')
    expect(seen('10.0.0.1', '1.2.3.4,198.51.100.7 ,  192.0.2.1')).toBe('198.51.100.7')
    expect(seen('::1', '2001:db8::7')).toBe('2001:db8::7')
    expect(seen('fd00::1', '2001:db8::7, fd00::2')).toBe('2001:db8::7')
  })

  it('is the proxy’s own where that says nothing that is an address', () => {
    for (const forwarded of [
      undefined,
      '',
      ' ',
      'unknown',
      '_hidden',
      '198.51.100.7:4711',
      '[2001:db8::7]:80',
      '1.2.3',
      'a, ',
      '198.51.100.7,',
    ]) {
      expect(seen('10.0.0.1', forwarded)).toBe('10.0.0.1')
    }
    expect(seen('10.0.0.1', '198.51.100.7, unknown, 10.0.0.2')).toBe('10.0.0.2')
    expect(seen('10.0.0.1', '10.0.0.3, 10.0.0.2')).toBe('10.0.0.3')
  })

  it('is written as IPv4 where it arrived over an IPv6 socket', () => {
    expect(seen('::ffff:203.0.113.5')).toBe('203.0.113.5')
    expect(seen('::ffff:10.0.0.1', '::ffff:198.51.100.7')).toBe('198.51.100.7')
    expect(seen('::FFFF:10.0.0.1', '::FFFF:198.51.100.7')).toBe('198.51.100.7')
    expect(seen('::ffff:203.0.113.5', '198.51.100.7')).toBe('203.0.113.5')
  })
})

describe('the trusted proxies', () => {
  it('are addresses and CIDR blocks, of either version', () => {
    const list = readNetworks(['10.0.0.0/8', '203.0.113.1', '2001:db8::/32', '0.0.0.0/0'])
    expect(list.check('203.0.113.1')).toBe(true)
    expect(list.check('2001:db8:1::1', 'ipv6')).toBe(true)
    expect(list.check('2001:db9::1', 'ipv6')).toBe(false)
  })

  it('are refused in any other form, in words that do not hold it', () => {
    for (const block of [
      '',
      'proxy.example',
      '10.0.0.0/33',
      '::1/129',
      '10.0.0.0/999',
      '10.0.0.0/8/8',
      '10.0.0.0/',
      '10.0.0.0/-1',
      '10.0.0.0/8 ',
      '10.0.0',
      '1.2.3.4:80',
      '*',
      'true',
    ]) {
      expect(() => readNetworks([block])).toThrow(
        new Error('is not a list of addresses or CIDR blocks, such as 10.0.0.0/8,::1'),
      )
    }
  })
})

describe('what an address counts as', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:DB8:0:0:ffff:ffff:ffff:ffff', '2001:db8:0:0::/64'],
    ['2001:0db8:0000:0001::', '2001:db8:0:1::/64'],
    ['::', '0:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['1:2:3:4:5:6:192.0.2.1', '1:2:3:4::/64'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:FFFF:C000:0201', '192.0.2.1'],
    ['no address', 'no address'],
  ])('is for %s: %s', (address, block) => {
    expect(addressBlock(address)).toBe(block)
  })
})
