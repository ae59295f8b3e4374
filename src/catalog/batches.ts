/** Splits a list into batches of at most `size` items, in order. */
export function* batchesOf<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}

/**
 * Rows by their keys, in the order of the keys. PostgreSQL refuses a statement with a key twice, and two processes that
 * write the same rows in different orders wait for each other.
 */
export const inOrder = <T>(rows: ReadonlyMap<string, T>): T[] =>
  [...rows.keys()].sort().map((key) => rows.get(key) as T)
