import type { Catalog } from '../catalog/catalog.ts'
import { factsOf } from '../contents/cache/cached.ts'
import type { InCache } from '../contents/cache/caches.ts'
import { memberKey } from './layers.ts'

/**
 * Passes on the paths that will probably be downloaded: no layer has been packed from them yet. Paths that arrive during
 * a query of the catalog share the next query, and are passed on largest first.
 */
export function passToFetch(
  {
    catalog,
    compressorId,
  }: { readonly catalog: Pick<Catalog, 'listings' | 'members'>; compressorId: string },
  pass: (found: InCache) => void,
): (found: InCache) => void {
  let batch: InCache[] = []
  let isQuerying = false

  const query = async () => {
    while (batch.length > 0) {
      const current = batch.map((found) => ({ found, facts: factsOf(found) }))
      batch = []
      const keyed = current.map((one) => ({ ...one, key: memberKey(one.facts, compressorId) }))
      const [listings, members] = await Promise.all([
        catalog.listings(keyed.map(({ facts }) => facts)),
        catalog.members(keyed.map(({ key }) => key)),
      ])
      const wanted = keyed.filter(({ facts, key }) => !listings.has(facts.storePath) && !members.has(key))
      wanted.sort((one, other) => other.facts.narSize - one.facts.narSize)
      for (const { found } of wanted) pass(found)
    }
  }
  return (found) => {
    batch.push(found)
    if (isQuerying) return
    isQuerying = true
    setImmediate(() => {
      // If the query fails, downloads only start later.
      query()
        .catch(() => {})
        .finally(() => (isQuerying = false))
    })
  }
}
