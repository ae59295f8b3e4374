import { BlockList, isIP, isIPv4 } from 'node:net'
import type { HttpRequest } from './request.ts'

// Loopback, private, shared and link-local addresses (RFC 1918, 6598, 3927, 4193, 4291).
const privateRanges = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10',
  '169.254.0.0/16',
  '::1',
  'fc00::/7',
  'fe80::/10',
]

/**
 * Distinguishes clients by their addresses.
 * @param peer the other end of the connection
 * @param forwarded the `X-Forwarded-For` header
 * @returns an IPv4 address or the /64 prefix of an IPv6 address; undefined if the client cannot be distinguished from
 * others, because the connection comes from a trusted proxy without a usable header
 */
export type ClientOf = (peer: string | undefined, forwarded: string | undefined) => string | undefined

/** @param trusted addresses and CIDR ranges of proxies; `private` means loopback and private addresses, `none` means no address */
export function createClientOf(trusted: readonly string[]): ClientOf {
  const proxies = new BlockList()
  for (const range of trusted.flatMap((each) =>
    each === 'private' ? privateRanges : each === 'none' ? [] : [each],
  )) {
    const [address = '', prefix] = range.split('/')
    const family = isIPv4(address) ? 'ipv4' : 'ipv6'
    if (prefix === undefined) proxies.addAddress(address, family)
    else proxies.addSubnet(address, Number(prefix), family)
  }
  const isProxy = (address: string) => proxies.check(address, isIPv4(address) ? 'ipv4' : 'ipv6')

  return (peer, forwarded) => {
    // Each proxy appends the address that it sees: addresses before the first untrusted one may be forged.
    const hops = [...(forwarded?.split(',') ?? []), peer ?? ''].reverse()
    for (const hop of hops) {
      const address = addressIn(hop)
      if (address === undefined) return undefined
      if (!isProxy(address)) return networkOf(address)
    }
    return undefined
  }
}

/** The same for a request. */
export type RequestAddress = (request: HttpRequest) => string | undefined

/** Decides to which address usage is attributed: the client's, or else the nearest known address. */
export type AddressOf = (peer: string | undefined, forwarded: string | undefined) => string | undefined

/**
 * Like `ClientOf`, but clients that it cannot distinguish, such as those in a trusted private network, are identified
 * by the address that the nearest proxy saw, or by their own; private IPv6 addresses by their /64 prefix, too.
 */
export function createAddressOf(clientOf: ClientOf): AddressOf {
  return (peer, forwarded) => {
    const client = clientOf(peer, forwarded)
    if (client !== undefined) return client
    const nearest = forwarded?.slice(forwarded.lastIndexOf(',') + 1)
    const address = addressIn(nearest ?? '') ?? addressIn(peer ?? '')
    return address === undefined ? peer : networkOf(address)
  }
}

/** The longest text with an address: an IPv6 address with the name of an interface, brackets and a port. */
const longestHop = 100

/**
 * The address in `192.0.2.1`, `192.0.2.1:5000`, `2001:db8::1` and `[2001:db8::1]:5000`. Clients can send any text, also
 * without a proxy: a single expression for all forms took minutes for 8 kB of colons.
 */
function addressIn(hop: string): string | undefined {
  const text = hop.trim()
  if (text.length > longestHop) return undefined
  const [, inBrackets = text] = /^\[([^\]]*)\](?::\d+)?$/.exec(text) ?? []
  const [plain = ''] = inBrackets.split('%')
  const [, v4] = /^([\d.]+)(?::\d+)?$/.exec(plain) ?? []
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain) ?? []
  const address = mapped ?? v4 ?? plain
  return isIP(address) === 0 ? undefined : address
}

/** An IPv4 address, or the /64 prefix of an IPv6 address: providers give each customer a /64 at least. */
function networkOf(address: string): string {
  if (isIPv4(address)) return address
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::')
  const [first, last] = [head, tail ?? ''].map((half) => half.split(':').filter((group) => group !== ''))
  const missing = Array.from({ length: 8 - (first?.length ?? 0) - (last?.length ?? 0) }, () => '0')
  return `${[...(first ?? []), ...missing, ...(last ?? [])].slice(0, 4).join(':')}::/64`
}
