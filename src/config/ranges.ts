import { isIP } from 'node:net'
import { valueOf } from './values.ts'

/** Whether this is an address, a range of addresses, or a known word. */
function isTrustedRange(text: string): boolean {
  if (text === 'private' || text === 'none') return true
  const [address = '', prefix, ...more] = text.split('/')
  const family = isIP(address)
  if (family === 0 || more.length > 0) return false
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128))
}

export const trustedProxies = valueOf('a list of addresses and CIDR ranges, private or none', (value) => {
  const ranges = value.split(/[\s,]+/).filter((range) => range !== '')
  return ranges.length > 0 && ranges.every(isTrustedRange) ? ranges : undefined
})
