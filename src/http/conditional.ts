import { NixeryError } from '../errors.ts'
import type { HttpRequest } from './request.ts'

/**
 * Evaluates the preconditions of a request for an existing resource (RFC 9110 §13.2.2). Resources have no modification
 * date, so conditions on it are ignored, as §13.1.3 and §13.1.4 require.
 * @param etag the entity tag with its quotes; a strong one
 * @returns whether the client has the current version and gets a 304
 * @throws PRECONDITION_FAILED
 */
export function isKnown(request: HttpRequest, etag: string): boolean {
  const wanted = request.header('if-match')
  if (wanted !== undefined && !matches(wanted, etag, 'strong')) {
    throw new NixeryError('PRECONDITION_FAILED', 'the entity tag does not match', { detail: { etag } })
  }
  const had = request.header('if-none-match')
  return had !== undefined && matches(had, etag, 'weak')
}

/** Whether the requested range may be sent: `If-Range` is absent or names the same bytes (§13.1.5). */
export function mayGivePart(request: HttpRequest, etag: string): boolean {
  const wanted = request.header('if-range')
  return wanted === undefined || wanted.trim() === etag
}

// An entity tag, or any other text between commas.
const member = /\s*(?<weak>W\/)?(?<tag>"[^"]*"|[^",\s]*)[^,]*(?:,|$)/y

/** Whether a list of entity tags, or `*`, names this one. `weak` takes `W/"x"` for `"x"` (§8.8.3.2). */
function matches(list: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (list === etag) return true
  if (list.trim() === '*') return true
  member.lastIndex = 0
  while (member.lastIndex < list.length) {
    const { weak, tag } = member.exec(list)?.groups ?? {}
    if (tag === etag && (weak === undefined || comparison === 'weak')) return true
    if (member.lastIndex === 0) return false // not a list
  }
  return false
}
