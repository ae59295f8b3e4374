import type { StoredBlob } from '../store/store.ts'

/**
 * What keeps blobs: an image, or a blob that nobody knows what it is for. Blobs are named by their places in
 * `Situation.blobs`; what the store does not have is left out.
 */
export type Root = {
  /** When it was last given, or made, in seconds since 1970. */
  readonly at: number
  readonly parts: Uint32Array
  /** So many of the parts, the first ones, are manifests: while one of them is in use, the image is. */
  readonly heads: number
}

/** A manifest list. It stays for as long as all that it lists does, and keeps nothing itself. */
export type Index = { readonly blob: number; readonly manifests: readonly (number | undefined)[] }

/** All that the decision depends on. Times in seconds, sizes in bytes. */
export type Situation = {
  readonly blobs: readonly StoredBlob[]
  readonly roots: readonly Root[]
  readonly indexes: readonly Index[]
  /** Whether a build or a pull uses the blob. */
  readonly inUse: (blob: number) => boolean
  readonly now: number
  /** What was stored or used within this time stays. */
  readonly grace: number
  /** Roots go that were not used for so long; none do if it is not given. */
  readonly keep: number | undefined
  /** The roots that were not used for longest go until all blobs take no more than this. */
  readonly limit: number | undefined
}

/** Places in `roots` and `blobs`. */
export type Decision = { readonly roots: readonly number[]; readonly blobs: readonly number[] }

/**
 * What goes. A root goes when its time is over, or for the limit, the one that was not used for longest first; never
 * one that is in use or was within the grace. A blob goes when no root that stays refers to it, unless it is in use
 * or was stored within the grace.
 */
export function decide(situation: Situation): Decision {
  const steps = decideInSteps(situation)
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

// With 70 parts to an image, a few milliseconds.
const rootsAtOnce = 2_000

/** The same, a little at a time, for a thread that has other things to do: 100,000 images take a second. */
export function* decideInSteps(situation: Situation): Generator<void, Decision> {
  const { blobs, roots, indexes, inUse, now, grace, keep, limit } = situation
  const references = new Uint32Array(blobs.length)
  const mayGo = new Uint8Array(blobs.length)
  for (const [blob, { modified }] of blobs.entries()) {
    if (modified + grace <= now && !inUse(blob)) mayGo[blob] = 1
  }
  const goes = (blob: number) => references[blob] === 0 && mayGo[blob] === 1
  const refer = (blob: number, more: number) => {
    references[blob] = (references[blob] ?? 0) + more
  }

  for (const [place, { parts }] of roots.entries()) {
    for (const part of parts) refer(part, 1)
    if (place % rootsAtOnce === 0) yield
  }
  // An index that is whole refers to itself.
  const whole = new Set<number>()
  const listed = new Map<number, number[]>()
  for (const { blob, manifests } of indexes) {
    if (manifests.some((manifest) => manifest === undefined || goes(manifest))) continue
    refer(blob, 1)
    whole.add(blob)
    for (const manifest of manifests as readonly number[]) {
      listed.set(manifest, [...(listed.get(manifest) ?? []), blob])
    }
  }

  let bytes = 0
  for (const [blob, { size }] of blobs.entries()) if (!goes(blob)) bytes += size
  yield
  const release = (blob: number) => {
    refer(blob, -1)
    if (!goes(blob)) return
    bytes -= blobs[blob]?.size ?? 0
    for (const index of listed.get(blob) ?? []) {
      if (whole.delete(index)) release(index)
    }
  }

  const going: number[] = []
  const oldestFirst = [...roots.entries()]
    .filter(([, { at, parts, heads }]) => at + grace <= now && !parts.subarray(0, heads).some(inUse))
    .sort(([a, one], [b, other]) => one.at - other.at || a - b)
  yield
  for (const [place, { at, parts }] of oldestFirst) {
    const isOver = keep !== undefined && at + keep <= now
    if (!isOver && (limit === undefined || bytes <= limit)) break // those after it are younger
    going.push(place)
    for (const part of parts) release(part)
    if (going.length % rootsAtOnce === 0) yield
  }
  return { roots: going, blobs: [...blobs.keys()].filter(goes) }
}
