// Keys of one statement; PostgreSQL takes 65,535 values.
const most = 5_000

/**
 * Combines the lookups of one turn of the event loop, such as those of all blobs of an image, into one. Equal keys share a
 * result.
 * @param load looks up many keys; those that do not exist are missing in the result
 */
export function atOnce<K extends string, V>(
  load: (keys: readonly K[]) => Promise<ReadonlyMap<K, V>>,
): (key: K) => Promise<V | undefined> {
  let waiting = new Map<K, PromiseWithResolvers<V | undefined>>()

  const loadAll = async () => {
    const batch = waiting
    waiting = new Map()
    try {
      const found = await load([...batch.keys()])
      for (const [key, { resolve }] of batch) resolve(found.get(key))
    } catch (error) {
      for (const { reject } of batch.values()) reject(error)
    }
  }
  return (key) => {
    const { promise } = waiting.get(key) ?? add(key)
    return promise
  }

  function add(key: K): PromiseWithResolvers<V | undefined> {
    if (waiting.size === 0) setImmediate(() => waiting.size > 0 && void loadAll())
    const added = Promise.withResolvers<V | undefined>()
    waiting.set(key, added)
    if (waiting.size >= most) void loadAll()
    return added
  }
}
