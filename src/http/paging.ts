import { NixeryError } from '../errors.ts'
import { byText } from '../image/store-path.ts'

/** The requested part of a list: at most `limit` items, only those after `after` if it is set. */
export type Page = { readonly after?: string; readonly limit: number }

// The maximum length of a list in one response; its `Link` leads to the rest.
const mostAtOnce = 10_000
const longestItem = 255

/**
 * Reads `n` and `last` (distribution spec, "Listing Tags"); other parameters are ignored.
 * @param query the part after the question mark
 * @throws QUERY_INVALID
 */
export function parsePage(query: string): Page {
  const parameters = new URLSearchParams(query)
  const count = parameters.get('n')
  if (count !== null && !/^\d{1,15}$/.test(count)) {
    throw new NixeryError('QUERY_INVALID', '"n" must be a whole number of items, or zero')
  }
  const after = parameters.get('last') ?? ''
  if (after.length > longestItem)
    throw new NixeryError('QUERY_INVALID', '"last" is longer than anything listed')
  return { limit: Math.min(Number(count ?? mostAtOnce), mostAtOnce), ...(after !== '' && { after }) }
}

/**
 * Merges several lists into a page, sorted by code units, each item once.
 * @param lists complete, or the items after `after`: `limit + 1` of each are enough
 */
export function pageOf(
  lists: readonly (readonly string[])[],
  { after, limit }: Page,
): { items: string[]; more: boolean } {
  const all = [...new Set(lists.flat())].filter((item) => after === undefined || byText(item, after) > 0)
  const items = all.sort(byText)
  return { items: items.slice(0, limit), more: limit > 0 && items.length > limit }
}

/** The `Link` to the next page (RFC 8288), if any: relative, so that it works behind any proxy. */
export function nextLink(
  path: string,
  { items, more }: { items: readonly string[]; more: boolean },
  { limit }: Page,
): Record<string, string> {
  const last = items.at(-1)
  if (!more || last === undefined) return {}
  return { Link: `<${path}?n=${limit}&last=${encodeURIComponent(last)}>; rel="next"` }
}
