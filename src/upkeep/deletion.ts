import { stat } from 'node:fs/promises'
import { setImmediate as breathe } from 'node:timers/promises'
import { batchesOf } from '../catalog/batches.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { systemErrorCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { storeError, type BlobStore } from '../store/store.ts'
import type { Decision } from './decide.ts'
import { parseParts } from './records.ts'
import type { Survey } from './survey.ts'
import type { Uses } from './uses.ts'

export type DeletionDeps = {
  readonly catalog: Pick<Catalog, 'upkeep' | 'searchIndexes'>
  readonly store: BlobStore
  /** The blobs that builds and pulls of this process use, if it has any. */
  readonly uses?: Pick<Uses, 'isUsed' | 'remove'> | undefined
  /** Called before each blob is deleted. */
  readonly deleting?: ((digest: Digest) => void) | undefined
}

const blobsAtOnce = 50

/**
 * Deletes blobs, except those that have come into use since the decision.
 * @returns the number of deleted blobs, and their size in bytes
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, and the signal's reason
 */
export async function deleteBlobs(
  { catalog, store, uses, deleting }: DeletionDeps,
  survey: Survey,
  decision: Decision,
  { now, signal }: { readonly now: number; readonly signal?: AbortSignal | undefined },
): Promise<{ deleted: number; size: number }> {
  const { blobs } = survey
  const inOrder = inOrderOfDeletion(survey, decision)
  const isNeeded = neededNow({ catalog, uses }, survey, decision, now)
  for (const batch of batchesOf(survey.deleted, blobsAtOnce)) await catalog.upkeep.forgetBlobs(batch)
  let deleted = 0
  let size = 0
  for (const batch of batchesOf(inOrder, blobsAtOnce)) {
    signal?.throwIfAborted()
    const unneeded: { readonly place: number; readonly digest: Digest; readonly size: number }[] = []
    for (const place of batch) {
      const blob = blobs[place]
      if (blob && !(await isNeeded(place, blob.digest))) unneeded.push({ ...blob, place })
    }
    if (unneeded.length === 0) continue
    const digests = unneeded.map(({ digest }) => digest)
    // From now on a request for one of them hashes it, so it either finds it missing or brings it into use.
    await catalog.upkeep.withdrawBlobs(digests)
    for (const blob of unneeded) {
      signal?.throwIfAborted()
      if (await isNeeded(blob.place, blob.digest)) continue
      const remove = async () => {
        deleting?.(blob.digest)
        if (await wasStoredSince(store, blob.digest, now)) return
        await store.delete(blob.digest)
        deleted += 1
        size += blob.size
      }
      // `remove` ensures that this process does not start to use the blob between the check and the deletion.
      await (uses ? uses.remove(blob.digest, remove) : remove())
    }
    await catalog.upkeep.forgetBlobs(digests)
    await breathe()
  }
  return { deleted, size }
}

/** The blobs to delete: indexes, then manifests, then what they refer to. */
export function inOrderOfDeletion({ blobs, roots, indexes }: Survey, decision: Decision): number[] {
  const rank = new Uint8Array(blobs.length).fill(2)
  for (const { parts, heads } of roots) for (const head of parts.subarray(0, heads)) rank[head] = 1
  for (const { blob } of indexes) rank[blob] = 0
  return decision.blobs.toSorted((a, b) => (rank[a] ?? 0) - (rank[b] ?? 0))
}

/** Returns a check for right before a blob is deleted, because it or its image may have just been pulled. */
export function neededNow(
  { catalog, uses }: Pick<DeletionDeps, 'catalog' | 'uses'>,
  survey: Survey,
  decision: Decision,
  now: number,
): (place: number, digest: Digest) => Promise<boolean> {
  const manifestsOf = manifestsByPart(survey, decision)
  const isUsedElsewhere = usedSince(catalog, survey, now)
  return async (place, digest) => {
    if (uses?.isUsed(digest) || manifestsOf.get(place)?.some((one) => uses?.isUsed(one))) return true
    return isUsedElsewhere(place)
  }
}

/** The manifests of the removed images, by the indexes of their parts. */
function manifestsByPart({ blobs, roots }: Survey, decision: Decision): Map<number, Digest[]> {
  const manifests = new Map<number, Digest[]>()
  for (const root of decision.roots) {
    const { parts, heads } = roots[root] ?? { parts: new Uint32Array(), heads: 0 }
    const own = [...parts.subarray(0, heads)].flatMap((head) => blobs[head]?.digest ?? [])
    for (const part of parts) {
      const others = manifests.get(part)
      manifests.set(part, others ? [...others, ...own] : own)
    }
  }
  return manifests
}

// Seconds: pulls are recorded in the catalog with this delay at most.
const recordingDelay = 10

/** Returns a function that checks whether any process has built or served an image with the blob since `now`. */
function usedSince(
  { upkeep }: DeletionDeps['catalog'],
  { roots, places }: Survey,
  now: number,
): (place: number) => Promise<boolean> {
  const start = performance.now()
  const known = new Set(roots.map(({ key }) => key))
  const seen = new Set<string>()
  const used = new Set<number>()
  const since = Math.floor(now)
  let from = since
  return async (place) => {
    const next = Math.floor(now + (performance.now() - start) / 1000) - recordingDelay
    for (const { key, image, pulledAt = 0 } of await upkeep.imagesSince(from, parseParts)) {
      if (seen.has(key) || (known.has(key) && pulledAt < since)) continue
      seen.add(key)
      if (!image || 'index' in image) continue
      for (const digest of [...image.manifests, ...image.others]) used.add(places.get(digest) ?? -1)
    }
    from = Math.max(since, next)
    return used.has(place)
  }
}

/** Whether another process has just stored the same blob again. Only stores of files can tell. */
async function wasStoredSince(store: BlobStore, digest: Digest, since: number): Promise<boolean> {
  const file = store.file?.(digest)
  if (file === undefined) return false
  try {
    return (await stat(file)).mtimeMs / 1000 > since
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw storeError(error, 'looking for a blob')
  }
}
