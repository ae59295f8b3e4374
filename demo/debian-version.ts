/**
 * Compares two Debian version numbers (Debian policy 5.6.12): epoch, then upstream version, then revision, each
 * as alternating runs of text and digits, where `~` sorts before everything, even the end.
 * Returns a negative number, 0 or a positive number.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [split(a), split(b)]
  return (
    left.epoch - right.epoch ||
    compareParts(left.upstream, right.upstream) ||
    compareParts(left.revision, right.revision)
  )
}

/**
 * The upstream part of a Debian version, as allowed in a store path: `1:1.35.0-4+b1` → `1.35.0`. Marks of
 * repackaging (`+dfsg`, `+deb12u1`) are Debian's, and are removed too.
 */
export function upstreamVersion(version: string): string {
  const upstream = split(version).upstream.replace(/[.+~-]?(dfsg|ds|deb|really)[0-9.]*.*$/, '')
  return (upstream === '' ? version : upstream).replaceAll(/[^0-9A-Za-z+._-]/g, '-')
}

function split(version: string): { epoch: number; upstream: string; revision: string } {
  const colon = version.indexOf(':')
  const rest = version.slice(colon + 1)
  const dash = rest.lastIndexOf('-')
  return {
    epoch: colon < 0 ? 0 : Number(version.slice(0, colon)),
    upstream: dash < 0 ? rest : rest.slice(0, dash),
    revision: dash < 0 ? '' : rest.slice(dash + 1),
  }
}

function compareParts(a: string, b: string): number {
  let [left, right] = [a, b]
  while (left !== '' || right !== '') {
    const [leftText, rightText] = [leading(/^\D*/, left), leading(/^\D*/, right)]
    const text = compareText(leftText, rightText)
    if (text !== 0) return text
    left = left.slice(leftText.length)
    right = right.slice(rightText.length)
    const [leftDigits, rightDigits] = [leading(/^\d*/, left), leading(/^\d*/, right)]
    const difference = Number(leftDigits) - Number(rightDigits)
    if (difference !== 0) return difference
    left = left.slice(leftDigits.length)
    right = right.slice(rightDigits.length)
  }
  return 0
}

const leading = (pattern: RegExp, text: string): string => pattern.exec(text)?.[0] ?? ''

function compareText(a: string, b: string): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const difference = weight(a[at]) - weight(b[at])
    if (difference !== 0) return difference
  }
  return 0
}

/** Tilde before the end, the end before letters, letters before the rest. */
function weight(character: string | undefined): number {
  if (character === undefined) return 0
  if (character === '~') return -1
  return /[A-Za-z]/.test(character) ? character.charCodeAt(0) : character.charCodeAt(0) + 256
}
