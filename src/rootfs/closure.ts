import { byText, type PathFacts, type StorePath } from '../image/store-path.ts'

/** All paths that a path of a closure reaches, including itself, in byte order. */
export function storePathsOf(closure: readonly PathFacts[], root: StorePath): StorePath[] {
  const references = new Map(closure.map((facts) => [facts.storePath, facts.references]))
  // Iterating over a set also visits elements added during the iteration.
  const reached = new Set([root])
  for (const path of reached) for (const reference of references.get(path) ?? []) reached.add(reference)
  return [...reached].sort(byText)
}
