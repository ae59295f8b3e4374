/**
 * Whether a text matches a pattern in which `*` stands for anything, `/` and nothing included. Takes time
 * proportional to the product of both lengths at most, whatever the pattern: refs are named by others.
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
