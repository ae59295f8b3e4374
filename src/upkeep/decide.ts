import type { StoredBlob } from '../store/store.ts'

/**
 * A root keeps blobs: an image, a search index, or an unknown blob. Blobs are referred to by their index in `Situation.blobs`; blobs that
 * are missing in the store are left out.
 */
export type Root = {
  /** When it was last pulled or built, in seconds since 1970. */
  readonly at: number
  readonly parts: Uint32Array
  /** The number of manifests, which come first in `parts`. While one of them is in use, the image is in use. */
  readonly heads: number
}

/** A manifest list. It is kept as long as all its manifests are kept, and keeps no blobs itself. */
export type Index = { readonly blob: number; readonly manifests: readonly (number | undefined)[] }

/** The input of the decision. Times are in seconds, sizes in bytes. */
export type Situation = {
  readonly blobs: readonly StoredBlob[]
  readonly roots: readonly Root[]
  readonly indexes: readonly Index[]
  /** Whether a build or a pull uses the blob. */
  readonly inUse: (blob: number) => boolean
  readonly now: number
  /** Blobs and roots that were stored or used within this time are kept. */
  readonly grace: number
  /** Roots that were not used for this time are removed; none if undefined. */
  readonly keep: number | undefined
  /** The least recently used roots are removed until the total size of the blobs is at most this. */
  readonly limit: number | undefined
}

/** The roots and blobs to remove, as indexes in `roots` and `blobs`. */
export type Decision = { readonly roots: readonly number[]; readonly blobs: readonly number[] }

/**
 * Decides what to remove. A root is removed when it has expired, or, to stay within the limit, in order of last use. It is
 * kept if it is in use or was used within the grace period. A blob is removed when no kept root refers to it, unless it is
 * in use or was stored within the grace period.
 */
export function decide(situation: Situation): Decision {
  const steps = decideInSteps(situation)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

// A few milliseconds for images of 70 parts.
const rootsAtOnce = 2_000

/** The same in steps, so that the thread can do other work: 100,000 images take a second. */
export function* decideInSteps(situation: Situation): Generator<void, Decision> {
  const { blobs, roots, indexes, inUse, now, grace, keep, limit } = situation
  const references = new Uint32Array(blobs.length)
  const removable = new Uint8Array(blobs.length)
  for (const [blob, { modified }] of blobs.entries()) {
    if (modified + grace <= now && !inUse(blob)) removable[blob] = 1
  }
  const isUnneeded = (blob: number) => references[blob] === 0 && removable[blob] === 1
  const addReferences = (blob: number, count: number) => {
    references[blob] = (references[blob] ?? 0) + count
  }

  for (const [place, { parts }] of roots.entries()) {
    for (const part of parts) addReferences(part, 1)
    if (place % rootsAtOnce === 0) yield
  }
  // A complete index refers to itself.
  const complete = new Set<number>()
  const indexesOf = new Map<number, number[]>()
  for (const { blob, manifests } of indexes) {
    if (manifests.some((manifest) => manifest === undefined || isUnneeded(manifest))) continue
    addReferences(blob, 1)
    complete.add(blob)
    for (const manifest of manifests as readonly number[]) {
      indexesOf.set(manifest, [...(indexesOf.get(manifest) ?? []), blob])
    }
  }

  let bytes = 0
  for (const [blob, { size }] of blobs.entries()) if (!isUnneeded(blob)) bytes += size
  yield
  const release = (blob: number) => {
    addReferences(blob, -1)
    if (!isUnneeded(blob)) return
    bytes -= blobs[blob]?.size ?? 0
    for (const index of indexesOf.get(blob) ?? []) {
      if (complete.delete(index)) release(index)
    }
  }

  const removedRoots: number[] = []
  const oldestFirst = [...roots.entries()]
    .filter(([, { at, parts, heads }]) => at + grace <= now && !parts.subarray(0, heads).some(inUse))
    .sort(([a, one], [b, other]) => one.at - other.at || a - b)
  yield
  for (const [place, { at, parts }] of oldestFirst) {
    const hasExpired = keep !== undefined && at + keep <= now
    if (!hasExpired && (limit === undefined || bytes <= limit)) break // the following roots are younger
    removedRoots.push(place)
    for (const part of parts) release(part)
    if (removedRoots.length % rootsAtOnce === 0) yield
  }
  return { roots: removedRoots, blobs: [...blobs.keys()].filter(isUnneeded) }
}
