import type { Decision } from './decide.ts'
import type { Survey } from './survey.ts'

/** The numbers of kept images and blobs, by the first reason that applies. */
export type Reasons = {
  readonly images: {
    /** Built or pulled within the grace period. */
    readonly recent: number
    /** A build or a pull uses it. */
    readonly inUse: number
    /** Not expired, and within the size limit. */
    readonly notDue: number
  }
  readonly blobs: {
    /** Part of a kept image. */
    readonly ofImages: number
    readonly inUse: number
    /** Stored within the grace period. */
    readonly recent: number
    /** Indexes whose images are all kept, search indexes, and blobs that other programs have stored. */
    readonly others: number
  }
}

export function reasonsOf(
  { blobs, roots }: Pick<Survey, 'blobs' | 'roots'>,
  decision: Decision,
  { inUse, now, grace }: { inUse: (place: number) => boolean; now: number; grace: number },
): Reasons {
  const images = { recent: 0, inUse: 0, notDue: 0 }
  const ofImages = new Uint8Array(blobs.length)
  const removedRoots = new Set(decision.roots)
  for (const [place, { key, at, parts, heads }] of roots.entries()) {
    // Without a key it is a search index, or an unknown blob.
    if (removedRoots.has(place) || key === undefined) continue
    for (const part of parts) ofImages[part] = 1
    if (parts.subarray(0, heads).some(inUse)) images.inUse += 1
    else if (at + grace > now) images.recent += 1
    else images.notDue += 1
  }
  const counts = { ofImages: 0, inUse: 0, recent: 0, others: 0 }
  const removedBlobs = new Set(decision.blobs)
  for (const [place, { modified }] of blobs.entries()) {
    if (removedBlobs.has(place)) continue
    if (ofImages[place] === 1) counts.ofImages += 1
    else if (inUse(place)) counts.inUse += 1
    else if (modified + grace > now) counts.recent += 1
    else counts.others += 1
  }
  return { images, blobs: counts }
}
