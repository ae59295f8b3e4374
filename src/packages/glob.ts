/**
 * Whether a text matches a pattern in which `*` matches any text, including `/` and the empty text. The time is at most
 * proportional to the product of both lengths, because others choose the names of refs.
 */
export function matchesGlob(pattern: string, text: string): boolean {
  let [at, from] = [0, 0]
  let star = -1
  let matched = 0
  while (at < text.length) {
    if (from < pattern.length && pattern[from] === '*') {
      star = from
      matched = at
      from += 1
    } else if (from < pattern.length && pattern[from] === text[at]) {
      at += 1
      from += 1
    } else if (star >= 0) {
      matched += 1
      at = matched
      from = star + 1
    } else return false
  }
  while (pattern[from] === '*') from += 1
  return from === pattern.length
}
