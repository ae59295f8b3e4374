import { NixeryError } from '../errors.ts'
import type { ByteRange } from '../store/store.ts'

/**
 * The part of a blob that a `Range` header asks for (RFC 9110 §14): `first-last`, `first-` or `-suffix` bytes.
 * Undefined for what a server may ignore: no header, another unit, several ranges, or bad syntax.
 * @throws RANGE_INVALID for a range that begins behind the end
 */
export function parseRange(header: string | undefined, size: number): ByteRange | undefined {
  const groups = /^bytes=\s*(?<first>\d*)-(?<last>\d*)\s*$/i.exec(header ?? '')?.groups
  if (!groups) return undefined
  const { first = '', last = '' } = groups
  if (first === '' && last === '') return undefined
  if (first === '') return checked({ start: Math.max(0, size - Number(last)), end: size }, size)
  const end = last === '' ? size : Math.min(size, Number(last) + 1)
  if (last !== '' && Number(last) < Number(first)) return undefined
  return checked({ start: Number(first), end }, size)
}

function checked(range: ByteRange, size: number): ByteRange {
  if (range.start < range.end) return range
  throw new NixeryError('RANGE_INVALID', `the blob has ${size} bytes`, { detail: { size } })
}
