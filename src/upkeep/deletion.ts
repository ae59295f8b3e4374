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
  readonly catalog: Pick<Catalog, 'upkeep'>
  readonly store: BlobStore
  /** What builds and pulls of this process use; not given by a process that has none. */
  readonly uses?: Pick<Uses, 'isUsed' | 'remove'> | undefined
  /** Is told of each blob before it is deleted. */
  readonly deleting?: ((digest: Digest) => void) | undefined
}

const blobsAtOnce = 50

/**
 * Deletes the blobs that are to go and that nobody has begun to use since that was decided.
 * @returns how many were deleted, and their size in bytes
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, and the signal's reason
 */
export async function deleteBlobs(
  { catalog, store, uses, deleting }: DeletionDeps,
  seen: Survey,
  going: Decision,
  { now, signal }: { readonly now: number; readonly signal?: AbortSignal | undefined },
): Promise<{ deleted: number; size: number }> {
  const { blobs, roots, indexes } = seen
  const rank = new Uint8Array(blobs.length).fill(2)
  for (const { parts, heads } of roots) for (const head of parts.subarray(0, heads)) rank[head] = 1
  for (const { blob } of indexes) rank[blob] = 0
  const inOrder = going.blobs.toSorted((a, b) => (rank[a] ?? 0) - (rank[b] ?? 0))
  const manifestsOf = manifestsByPart(seen, going)
  const isWanted = wantedSince(catalog, seen, now)
  /** Asked right before each blob is deleted: it, or an image that it is part of, may just have been pulled. */
  const isNeeded = async (place: number, digest: Digest) => {
    if (uses?.isUsed(digest) || manifestsOf.get(place)?.some((one) => uses?.isUsed(one))) return true
    return isWanted(place)
  }

  for (const batch of batchesOf(seen.deleted, blobsAtOnce)) await catalog.upkeep.forgetBlobs(batch)
  let deleted = 0
  let size = 0
  for (const batch of batchesOf(inOrder, blobsAtOnce)) {
    signal?.throwIfAborted()
    const gone: { readonly place: number; readonly digest: Digest; readonly size: number }[] = []
    for (const place of batch) {
      const blob = blobs[place]
      if (blob && !(await isNeeded(place, blob.digest))) gone.push({ ...blob, place })
    }
    if (gone.length === 0) continue
    const digests = gone.map(({ digest }) => digest)
    // From here on a request that looks for one hashes it, and finds it gone or takes it into use.
    await catalog.upkeep.withdrawBlobs(digests)
    for (const blob of gone) {
      signal?.throwIfAborted()
      if (await isNeeded(blob.place, blob.digest)) continue
      const remove = async () => {
        deleting?.(blob.digest)
        if (await wasStoredSince(store, blob.digest, now)) return
        await store.delete(blob.digest)
        deleted += 1
        size += blob.size
      }
      // Nobody of this process takes it into use between that look and the end of deleting.
      await (uses ? uses.remove(blob.digest, remove) : remove())
    }
    await catalog.upkeep.forgetBlobs(digests)
    await breathe()
  }
  return { deleted, size }
}

/** The manifests of the images that go, by the places of what they consist of. */
function manifestsByPart({ blobs, roots }: Survey, going: Decision): Map<number, Digest[]> {
  const manifests = new Map<number, Digest[]>()
  for (const root of going.roots) {
    const { parts, heads } = roots[root] ?? { parts: new Uint32Array(), heads: 0 }
    const own = [...parts.subarray(0, heads)].flatMap((head) => blobs[head]?.digest ?? [])
    for (const part of parts) {
      const others = manifests.get(part)
      manifests.set(part, others ? [...others, ...own] : own)
    }
  }
  return manifests
}

// Seconds: a pull may be told to the catalog so long after it.
const toldWithin = 10

/** Whether a blob is of an image that any process has made or given since `now`; what is new is looked for each time. */
function wantedSince(
  { upkeep }: DeletionDeps['catalog'],
  { roots, places }: Survey,
  now: number,
): (place: number) => Promise<boolean> {
  const start = performance.now()
  const known = new Set(roots.map(({ key }) => key))
  const told = new Set<string>()
  const wanted = new Set<number>()
  const since = Math.floor(now)
  let from = since
  return async (place) => {
    const next = Math.floor(now + (performance.now() - start) / 1000) - toldWithin
    for (const { key, image, pulledAt = 0 } of await upkeep.imagesSince(from, parseParts)) {
      if (told.has(key) || (known.has(key) && pulledAt < since)) continue
      told.add(key)
      if (!image || 'index' in image) continue
      for (const digest of [...image.manifests, ...image.others]) wanted.add(places.get(digest) ?? -1)
    }
    from = Math.max(since, next)
    return wanted.has(place)
  }
}

/** Whether another process has just stored the same blob again. Files alone tell. */
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
