import type { Decision } from './decide.ts'
import type { Survey } from './survey.ts'

/** How many images and blobs stay, by the first reason that holds. */
export type Reasons = {
  readonly images: {
    /** Made or pulled within the grace. */
    readonly recent: number
    /** A build or a pull uses it. */
    readonly inUse: number
    /** Neither too old nor too much. */
    readonly notDue: number
  }
  readonly blobs: {
    /** Part of an image that stays. */
    readonly ofImages: number
    readonly inUse: number
    /** Stored within the grace. */
    readonly recent: number
    /** Lists of images all of which stay, and blobs that others have put there. */
    readonly others: number
  }
}

export function reasonsOf(
  { blobs, roots }: Pick<Survey, 'blobs' | 'roots'>,
  going: Decision,
  { inUse, now, grace }: { inUse: (place: number) => boolean; now: number; grace: number },
): Reasons {
  const images = { recent: 0, inUse: 0, notDue: 0 }
  const ofImages = new Uint8Array(blobs.length)
  const goingRoots = new Set(going.roots)
  for (const [place, { key, at, parts, heads }] of roots.entries()) {
    // Without a key it is not an image, but an unknown blob.
    if (goingRoots.has(place) || key === undefined) continue
    for (const part of parts) ofImages[part] = 1
    if (parts.subarray(0, heads).some(inUse)) images.inUse += 1
    else if (at + grace > now) images.recent += 1
    else images.notDue += 1
  }
  const counts = { ofImages: 0, inUse: 0, recent: 0, others: 0 }
  const goingBlobs = new Set(going.blobs)
  for (const [place, { modified }] of blobs.entries()) {
    if (goingBlobs.has(place)) continue
    if (ofImages[place] === 1) counts.ofImages += 1
    else if (inUse(place)) counts.inUse += 1
    else if (modified + grace > now) counts.recent += 1
    else counts.others += 1
  }
  return { images, blobs: counts }
}
