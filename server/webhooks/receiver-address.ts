import { lookup as systemLookup } from 'node:dns/promises'
import { type BlockList, isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Why an address is not sent to, in words for the organization's admins. */
export class AddressRefused extends Error {}

const notHttps = 'The address has to begin with https://.'
/** One for both, so that nobody learns by it which names the operator's own network knows. */
const notPublic = 'The address is not on the public internet: its host is not found, or leads into a private network.'

export interface ReceiverAddress {
  address: string
  family: 4 | 6
}

/** Where the messages of a webhook may go. */
export interface ReceiverAddresses {
  /**
   * Every address that the host of the URL has now. Whoever connects has to connect to one of these, since the next look-up
   * may say another. Throws `AddressRefused` where even one leads into a network that is not the public internet, unless
   * the operator allows it.
   */
  resolve(url: URL): Promise<[ReceiverAddress, ...ReceiverAddress[]]>
}

export type Lookup = (hostname: string) => Promise<{ address: string; family: number }[]>

export function createReceiverAddresses({
  allowedNetworks,
  lookup = (hostname) => systemLookup(hostname, { all: true }),
}: {
  /** Of the operator's own, where messages may go nevertheless, also by http://. */
  allowedNetworks: BlockList
  lookup?: Lookup | undefined
}): ReceiverAddresses {
  const isAllowed = ({ address, family }: ReceiverAddress) =>
    allowedNetworks.check(address, family === 6 ? 'ipv6' : 'ipv4')

  async function find(url: URL): Promise<{ address: string }[]> {
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    if (isIP(host) !== 0) return [{ address: host }]
    try {
      return await lookup(host)
    } catch {
      return []
    }
  }

  return {
    async resolve(url) {
      if (url.protocol !== 'https:' && url.protocol !== 'http:') throw new AddressRefused(notHttps)
      const [first, ...others] = (await find(url)).map(({ address }) => plain(address))
      if (!first) throw new AddressRefused(notPublic)
      const all: [ReceiverAddress, ...ReceiverAddress[]] = [first, ...others]
      if (all.every(isAllowed)) return all
      if (url.protocol !== 'https:') throw new AddressRefused(notHttps)
      if (!all.every((one) => isAllowed(one) || isPublic(one))) throw new AddressRefused(notPublic)
      return all
    },
  }
}

/** An IPv4 address that is written as an IPv6 one is what it is. */
function plain(text: string): ReceiverAddress {
  const address = ipaddr.process(text)
  return { address: address.toString(), family: address.kind() === 'ipv6' ? 6 : 4 }
}

const globalUnicast = ipaddr.parseCIDR('2000::/3')

/** By IANA's registries of special-purpose addresses, and of IPv6 only what IANA gives out for the public internet. */
function isPublic({ address }: ReceiverAddress): boolean {
  const parsed = ipaddr.parse(address)
  return parsed.range() === 'unicast' && (parsed.kind() === 'ipv4' || parsed.match(globalUnicast))
}
