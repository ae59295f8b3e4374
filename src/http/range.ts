import { NixeryError } from '../errors.ts'
import type { ByteRange } from '../store/store.ts'

/**
 * The maximum number of ranges in a request. If there are more, all are ignored and the whole blob is sent, which RFC
 * 9110 §14.2 allows.
 */
export const maxRanges = 16

/**
 * Parses the parts of a blob that a `Range` header requests (RFC 9110 §14.1.2), in its order: `first-last`, `first-`
 * and `-suffix`. Overlapping ranges are merged; those that begin beyond the end are omitted. Undefined, for the whole
 * blob, if a server may ignore the header: it is missing, has another unit or bad syntax, or requests too many ranges.
 * @param size the size of the blob in bytes
 * @throws RANGE_INVALID if all ranges begin beyond the end, or one ends before it begins, with the size as its detail
 */
export function parseRanges(header: string | undefined, size: number): readonly ByteRange[] | undefined {
  const set = /^\s*bytes\s*=(?<set>[\d\s,-]*)$/i.exec(header ?? '')?.groups?.['set']
  if (set === undefined) return undefined
  const specs = set.split(',').filter((spec) => spec.trim() !== '')
  if (specs.length === 0 || specs.length > maxRanges) return undefined
  const wanted = specs.map((spec) => parseSpec(spec, size))
  if (wanted.includes('bad')) return undefined
  // The RFC calls it invalid, so it could be ignored. But such a range is a mistake of the client, which the whole blob
  // would hide, and the conformance suite of the distribution spec expects a 416.
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

/** Merges overlapping ranges. Adjacent ranges stay separate, because some clients count the parts. */
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
