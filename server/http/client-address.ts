import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

/** Networks, each an address or a CIDR block. Throws for anything else. */
export function readNetworks(blocks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const block of blocks) {
    const [address = '', bits, ...others] = block.split('/')
    const version = isIP(address)
    const isSize = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 6 ? 128 : 32))
    if (version === 0 || !isSize || others.length > 0) {
      throw new Error('is not a list of addresses or CIDR blocks, such as 10.0.0.0/8,::1')
    }
    const family = version === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

/** The nearest address that is no trusted proxy's: what stands further left, the client could have written itself. */
export function clientAddress(request: IncomingMessage, proxies: BlockList): string | null {
  let address = plain(request.socket.remoteAddress ?? '')
  const header = request.headers['x-forwarded-for']
  if (header === undefined) return address || null
  const forwarded = [header].flat().join(',').split(',')
  while (isTrusted(address, proxies)) {
    const next = plain(forwarded.pop()?.trim() ?? '')
    if (isIP(next) === 0) break
    address = next
  }
  return address || null
}

/**
 * Whose an address is, for what is counted by it: an IPv4 address, and of IPv6 its first 64 bits, of which whoever has one
 * address has all the others too.
 */
export function addressBlock(address: string): string {
  const groups = isIP(address) === 6 ? ipv6Groups(address) : []
  if (groups.length !== 8) return address
  if (groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff') return ipv4Of(groups)
  return `${groups.slice(0, 4).join(':')}::/64`
}

/** All eight of them, in hexadecimal without leading zeros. */
function ipv6Groups(address: string): string[] {
  const [plain = ''] = address.toLowerCase().split('%', 1)
  const [left = '', right] = plain.split('::')
  const [before, after] = [readGroups(left), readGroups(right ?? '')]
  const missing = right === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  return [...before, ...Array.from({ length: missing }, () => '0'), ...after]
}

function readGroups(text: string): string[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return Number.parseInt(group, 16).toString(16)
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [(a * 256 + b).toString(16), (c * 256 + d).toString(16)]
  })
}

function ipv4Of(groups: string[]): string {
  return groups
    .slice(6)
    .map((group) => Number.parseInt(group, 16))
    .flatMap((group) => [group >> 8, group & 255])
    .join('.')
}

function isTrusted(address: string, proxies: BlockList): boolean {
  const family = isIP(address)
  return family !== 0 && proxies.check(address, family === 6 ? 'ipv6' : 'ipv4')
}

/** An IPv4 address that arrived over an IPv6 socket is written as what it is. */
function plain(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  return mapped !== undefined && isIP(mapped) === 4 ? mapped : address
}
