import { setImmediate as breathe } from 'node:timers/promises'
import { batchesOf } from '../catalog/batches.ts'
import type { Digest } from '../image/digest.ts'
import type { StoredBlob } from '../store/store.ts'
import type { Decision } from './decide.ts'
import { inOrderOfDeletion, neededNow, type DeletionDeps } from './deletion.ts'
import type { Survey } from './survey.ts'

export type DelayOptions = {
  /** Seconds since 1970. */
  readonly now: number
  /** Seconds for which a blob is marked before it is deleted. */
  readonly delay: number
  readonly signal?: AbortSignal | undefined
}

// The number of blobs whose rows one transaction locks while they are deleted.
const blobsAtOnce = 20

/**
 * Marks the blobs that are not needed, and deletes those that an earlier collection has marked long enough ago, except
 * those that have come into use since. Blobs that are needed again lose their marks.
 * @returns the number of deleted blobs, and their size in bytes
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, and the signal's reason
 */
export async function deleteMarked(
  { catalog, store, uses, deleting }: DeletionDeps,
  survey: Survey,
  decision: Decision,
  { now, delay, signal }: DelayOptions,
): Promise<{ deleted: number; size: number }> {
  const { blobs, marked } = survey
  const { upkeep } = catalog
  const { marks } = upkeep
  const isNeeded = neededNow({ catalog, uses }, survey, decision, now)
  const unneeded = new Set(decision.blobs)
  const blobsOf = (places: readonly number[]) => places.flatMap((place) => blobs[place] ?? [])
  const digestsOf = (places: readonly number[]) => blobsOf(places).map(({ digest }) => digest)

  for (const batch of batchesOf(survey.deleted, blobsAtOnce)) await upkeep.forgetBlobs(batch)
  const neededAgain = [...marked].filter((place) => !unneeded.has(place))
  for (const batch of batchesOf(neededAgain, blobsAtOnce)) await marks.remove(digestsOf(batch))
  const fresh = decision.blobs.filter((place) => !marked.has(place))
  for (const batch of batchesOf(fresh, blobsAtOnce)) {
    signal?.throwIfAborted()
    await marks.add(blobsOf(batch))
    await breathe()
  }

  const deleted = new Map<Digest, number>()
  const earlier = inOrderOfDeletion(survey, decision).filter((place) => marked.has(place))
  for (const batch of batchesOf(earlier, blobsAtOnce)) {
    signal?.throwIfAborted()
    const due: StoredBlob[] = []
    for (const place of batch) {
      const blob = blobs[place]
      if (blob && !(await isNeeded(place, blob.digest))) due.push(blob)
    }
    const sizes = new Map(due.map(({ digest, size }) => [digest, size]))
    let failure: { readonly error: unknown } | undefined
    const remove = async (digest: Digest) => {
      deleting?.(digest)
      await store.delete(digest)
      deleted.set(digest, sizes.get(digest) ?? 0)
    }
    await marks.delete([...sizes.keys()], delay, async (digest) => {
      if (failure || signal?.aborted) return false
      try {
        // This process does not start to use the blob in the meantime.
        if (uses) return await uses.remove(digest, () => remove(digest))
        await remove(digest)
        return true
      } catch (error) {
        failure = { error } // of the store, not of the catalog
        return false
      }
    })
    if (failure) throw failure.error
    await breathe()
  }
  return { deleted: deleted.size, size: [...deleted.values()].reduce((sum, size) => sum + size, 0) }
}
