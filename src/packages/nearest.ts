import { distance } from 'fastest-levenshtein'
import { byText } from '../image/store-path.ts'

const most = 3
// A shorter beginning says nothing.
const leastInCommon = 3

/**
 * The names that were probably meant: those with few letters different, and those of which one begins with the
 * other. Best first; ties in byte order. A hundred thousand names take some 10 ms.
 * @param permits tells which names may be given; called for near ones only
 */
export function nearestNames(
  wanted: string,
  names: readonly string[],
  permits: (name: string) => boolean = () => true,
): string[] {
  const asked = wanted.toLowerCase()
  const tolerance = Math.max(1, Math.floor(asked.length / 3))
  const near: { name: string; score: number }[] = []
  for (const name of names) {
    const candidate = name.toLowerCase()
    const shorter = Math.min(asked.length, candidate.length)
    const begins = shorter >= leastInCommon && (candidate.startsWith(asked) || asked.startsWith(candidate))
    if (!begins && Math.abs(candidate.length - asked.length) > tolerance) continue
    const score = distance(asked, candidate)
    if (begins || (score <= tolerance && score < shorter)) near.push({ name, score })
  }
  near.sort((a, b) => a.score - b.score || byText(a.name, b.name))
  return near
    .values()
    .map(({ name }) => name)
    .filter(permits)
    .take(most)
    .toArray()
}
