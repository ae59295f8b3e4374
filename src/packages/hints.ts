import type { Resolution } from './resolution.ts'

// Names that are suggested instead of one that does not exist.
const mostSuggested = 3

/**
 * Adds hints to what is suggested instead of names that do not exist. A package with a program of the name, or a package
 * of a nested set with the name, is likelier to be meant than one with a similar name.
 * @param names those that were asked for
 */
export function withHints(
  names: readonly string[],
  resolutions: ReadonlyMap<string, Resolution>,
  hints: (name: string) => readonly string[],
): ReadonlyMap<string, Resolution> {
  const changed = new Map<string, Resolution>()
  for (const name of names) {
    const found = resolutions.get(name)
    if (found?.status !== 'missing' || name.includes('.')) continue
    const nearest = [...new Set([...hints(name), ...found.nearest])].slice(0, mostSuggested)
    changed.set(name, { ...found, nearest })
  }
  return changed.size === 0 ? resolutions : new Map([...resolutions, ...changed])
}
