import { NixeryError } from '../errors.ts'
import type { ByteRange } from '../store/store.ts'

/** More ranges than these in one request are ignored, which RFC 9110 §14.2 allows: the answer is the whole. */
export const maxRanges = 16

/**
 * The parts of a blob that a `Range` header asks for (RFC 9110 §14.1.2), in its order: `first-last`, `first-` and
 * `-suffix`. Ranges that overlap become one; those that begin behind the end are left out. Undefined, for the whole,
 * where a server may ignore the header: it is not there, has another unit or bad syntax, or asks for too many.
 * @param size of the blob, in bytes
 * @throws RANGE_INVALID if all ranges begin behind the end, or one ends before it begins, with the size as its detail
 */
export function parseRanges(header: string | undefined, size: number): readonly ByteRange[] | undefined {
  const set = /^\s*bytes\s*=(?<set>[\d\s,-]*)$/i.exec(header ?? '')?.groups?.['set']
  if (set === undefined) return undefined
  const specs = set.split(',').filter((spec) => spec.trim() !== '')
  if (specs.length === 0 || specs.length > maxRanges) return undefined
  const wanted = specs.map((spec) => parseSpec(spec, size))
  if (wanted.includes('bad')) return undefined
  // The RFC calls it invalid, so it could be ignored: but a client with such a range has made a mistake, which the
  // whole blob would hide, and the conformance suite of the distribution spec wants a 416.
  if (wanted.includes('backwards')) throw unsatisfiable(size)
  const ranges = wanted.filter((range) => typeof range === 'object')
  if (ranges.length > 0) return coalesce(ranges)
  // A suffix of an empty blob is satisfiable, but `Content-Range` cannot express it.
  if (wanted.includes('empty')) return undefined
  throw unsatisfiable(size)
}

const unsatisfiable = (size: number) =>
  new NixeryError('RANGE_INVALID', `the blob has ${size} bytes`, { detail: { size } })

function parseSpec(spec: string, size: number): ByteRange | 'bad' | 'backwards' | 'behind' | 'empty' {
  const { first, last } = /^\s*(?<first>\d*)-(?<last>\d*)\s*$/.exec(spec)?.groups ?? {}
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'bad'
  if (first === '') {
    if (Number(last) === 0) return 'behind'
    return size === 0 ? 'empty' : { start: Math.max(0, size - Number(last)), end: size }
  }
  if (last !== '' && Number(last) < Number(first)) return 'backwards'
  if (Number(first) >= size) return 'behind'
  return { start: Number(first), end: last === '' ? size : Math.min(size, Number(last) + 1) }
}

/** Each byte once. Ranges that only touch stay apart: some clients count the parts that they get. */
function coalesce(ranges: readonly ByteRange[]): ByteRange[] {
  const apart: ByteRange[] = []
  for (const range of ranges) {
    let { start, end } = range
    let place = apart.length
    for (let index = apart.length - 1; index >= 0; index -= 1) {
      const other = apart[index]
      if (!other || other.start >= end || start >= other.end) continue
      start = Math.min(start, other.start)
      end = Math.max(end, other.end)
      apart.splice(index, 1)
      place = index
    }
    apart.splice(place, 0, { start, end })
  }
  return apart
}
