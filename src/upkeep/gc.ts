import { stat } from 'node:fs/promises'
import { setImmediate as breathe } from 'node:timers/promises'
import type { Catalog, ImageName } from '../catalog/catalog.ts'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { openSpool } from '../store/spool.ts'
import { storeError, type BlobStore } from '../store/store.ts'
import { decideInSteps, type Decision } from './decide.ts'
import { partsOf } from './records.ts'
import { reasonsOf, type Reasons } from './reasons.ts'
import { survey, type Survey } from './survey.ts'
import { grace, type Uses } from './uses.ts'

export type CollectDeps = {
  readonly catalog: Pick<Catalog, 'upkeep' | 'rememberImage'>
  readonly store: BlobStore
  /** What builds and pulls of this process use; not given by a process that has none. */
  readonly uses?: Pick<Uses, 'isUsed' | 'remove'> | undefined
  /** Is told of each blob before it is deleted. */
  readonly deleting?: ((digest: Digest) => void) | undefined
}

export type CollectOptions = {
  /** Days for which an image is kept after its last pull; for ever, if not given. */
  readonly keepDays?: number | undefined
  /** Bytes of all blobs above which images go that were not pulled for longest. */
  readonly sizeLimit?: number | undefined
  /** Nothing is changed. */
  readonly dryRun: boolean
  /** Seconds since 1970. */
  readonly now: number
  readonly signal?: AbortSignal | undefined
}

/** What went, or would go. Sizes in bytes, times in seconds since 1970. */
export type Collected = {
  /** The images that go, those first that were not used for longest. */
  readonly images: readonly GoneImage[]
  readonly imagesKept: number
  readonly blobs: { readonly count: number; readonly size: number }
  readonly blobsKept: { readonly count: number; readonly size: number }
  /** Why the images and blobs stay that do. */
  readonly reasons: Reasons
  /** Files of builds that were interrupted. */
  readonly leftovers: number
}
export type GoneImage = {
  /** Under which it was pulled; none if it never was. */
  readonly names: readonly ImageName[]
  readonly lastUsed: number
  /** Bytes of all that it consists of, also of what other images need. */
  readonly size: number
}

/** Another process, or this one, cleans up the same catalog at this moment. */
export class OtherGc extends NixeryError {
  constructor() {
    super('STORE_UNAVAILABLE', 'another garbage collection is running on this catalog', {
      hint: 'wait until it has finished: a server runs one every NIXERY_GC_INTERVAL',
    })
  }
}

const daySeconds = 86_400
const imagesAtOnce = 100
const blobsAtOnce = 50

/**
 * Removes images that are not pulled any more, blobs that nothing refers to, and what interrupted builds have left.
 * Everything is forgotten before it is deleted, manifests before what they refer to. So it may be interrupted
 * anywhere, and other processes may pull and build meanwhile: what they find gone they make again.
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, OtherGc, and the signal's reason
 */
export async function collect(deps: CollectDeps, options: CollectOptions): Promise<Collected> {
  const release = await deps.catalog.upkeep.lock()
  if (!release) throw new OtherGc()
  try {
    return await collectAlone(deps, options)
  } finally {
    release()
  }
}

async function collectAlone(deps: CollectDeps, options: CollectOptions): Promise<Collected> {
  const { catalog, store, uses } = deps
  const { keepDays, sizeLimit, dryRun, now, signal } = options
  const isUsed = (digest: Digest) => uses?.isUsed(digest) ?? false
  const found = await survey({ catalog, store, signal }, isUsed, now)
  const inUse = (place: number) => {
    const blob = found.blobs[place]
    return blob !== undefined && isUsed(blob.digest)
  }
  const decision = await unhurried(
    decideInSteps({
      ...found,
      inUse,
      now,
      grace,
      keep: keepDays === undefined ? undefined : keepDays * daySeconds,
      limit: sizeLimit,
    }),
  )
  const reasons = reasonsOf(found, decision, { inUse, now, grace })
  const told = { ...(await describe(catalog, found, decision)), reasons }
  if (dryRun) return { ...told, leftovers: 0 }

  await forgetImages(deps, found, decision, options)
  const { deleted, size } = await deleteBlobs(deps, found, decision, options)
  const leftovers = await openSpool(store.spoolDirectory).catch((error: unknown) => {
    throw storeError(error, 'cleaning the folder of unfinished files')
  })
  const { blobs, blobsKept } = told
  return {
    ...told,
    blobs: { count: deleted, size },
    blobsKept: {
      count: blobsKept.count + blobs.count - deleted,
      size: blobsKept.size + blobs.size - size,
    },
    leftovers,
  }
}

/** Runs the steps with time between them for others. */
async function unhurried<T>(steps: Generator<void, T>): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    await breathe()
  }
}

/** Only images have heads; what else goes shows in the count of blobs. */
async function describe(
  { upkeep }: CollectDeps['catalog'],
  { blobs, roots }: Survey,
  going: Decision,
): Promise<Omit<Collected, 'leftovers' | 'reasons'>> {
  const sizeOf = (places: Iterable<number>) => {
    let size = 0
    for (const place of places) size += blobs[place]?.size ?? 0
    return size
  }
  const isImage = ({ name }: { name: string }) => !name.startsWith('sha256:')
  const gone = going.roots.flatMap((place) => roots[place] ?? []).filter(isImage)
  const images: GoneImage[] = []
  for (const batch of batchesOf(gone, imagesAtOnce)) {
    const names = await upkeep.names(batch.map(({ name }) => name))
    for (const { name, at, parts } of batch) {
      images.push({ names: names.get(name) ?? [], lastUsed: Math.floor(at), size: sizeOf(parts) })
    }
  }
  const size = sizeOf(going.blobs)
  const all = sizeOf(blobs.keys())
  return {
    images,
    imagesKept: roots.filter(isImage).length - images.length,
    blobs: { count: going.blobs.length, size },
    blobsKept: { count: blobs.length - going.blobs.length, size: all - size },
  }
}

async function forgetImages(
  { catalog }: CollectDeps,
  { roots, indexes, lost, found }: Survey,
  going: Decision,
  { now, signal }: CollectOptions,
): Promise<void> {
  const blobs = new Set(going.blobs)
  const keys = new Set([
    ...going.roots.flatMap((place) => roots[place]?.name ?? []),
    ...indexes.filter(({ blob }) => blobs.has(blob)).map(({ key }) => key),
    ...lost,
  ])
  for (const { key, image, at } of found) {
    if (!keys.has(key)) await catalog.rememberImage(key, image, at)
  }
  for (const batch of batchesOf([...keys], imagesAtOnce)) {
    signal?.throwIfAborted()
    await catalog.upkeep.forgetImages(batch, Math.floor(now))
    await breathe()
  }
}

async function deleteBlobs(
  { catalog, store, uses, deleting }: CollectDeps,
  seen: Survey,
  going: Decision,
  { now, signal }: CollectOptions,
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
  { upkeep }: CollectDeps['catalog'],
  { roots, places }: Survey,
  now: number,
): (place: number) => Promise<boolean> {
  const start = performance.now()
  const known = new Set(roots.map(({ name }) => name))
  const told = new Set<string>()
  const wanted = new Set<number>()
  const since = Math.floor(now)
  let from = since
  return async (place) => {
    const next = Math.floor(now + (performance.now() - start) / 1000) - toldWithin
    for (const { key, image, pulledAt = 0 } of await upkeep.imagesSince(from)) {
      if (told.has(key) || (known.has(key) && pulledAt < since)) continue
      told.add(key)
      const parts = partsOf(image)
      if (!parts || 'index' in parts) continue
      for (const digest of [...parts.manifests, ...parts.others]) wanted.add(places.get(digest) ?? -1)
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

function* batchesOf<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size)
}
