/**
 * Combines the writes of one turn of the event loop, such as those of layers that were synced to the disk together, into
 * one statement or transaction: building and running a statement takes longer than a row of it.
 * @param write writes many items; when it fails, all callers of that turn fail
 */
export function writeAtOnce<T>(write: (items: readonly T[]) => Promise<void>): (item: T) => Promise<void> {
  let waiting: { readonly items: T[]; readonly written: Promise<void> } | undefined

  const begin = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const items: T[] = []
    setImmediate(() => {
      waiting = undefined
      write(items).then(resolve, reject)
    })
    return { items, written: promise }
  }
  return (item) => {
    waiting ??= begin()
    waiting.items.push(item)
    return waiting.written
  }
}
