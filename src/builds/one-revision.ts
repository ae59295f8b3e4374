import type { ImageRequest } from '../image/name.ts'
import type { PinnedRequest, PackageSets } from '../packages/sets.ts'

/**
 * The revision shared by several images, such as those of an index. Each image must call `pin`, and then `agree` unless
 * `pin` failed.
 */
export type OneRevision = {
  /** Pins the package set once for all images, which differ only in their platforms. */
  pin(
    sets: Pick<PackageSets, 'pin'>,
    request: ImageRequest,
    options: { readonly old: boolean },
  ): Promise<PinnedRequest<ImageRequest>>
  /** Waits until all images have called it, and returns whether all are known at this revision. */
  agree(known: boolean): Promise<boolean>
}

/** @param count the number of images */
export function createOneRevision(count: number): OneRevision {
  const pins = new Map<
    boolean,
    { readonly of: ImageRequest; readonly pinnedRequest: Promise<PinnedRequest<ImageRequest>> }
  >()
  const agreed = Promise.withResolvers<boolean>()
  let missing = count
  let all = true
  return {
    async pin(sets, request, { old }) {
      const first = pins.get(old) ?? { of: request, pinnedRequest: sets.pin(request, { old }) }
      pins.set(old, first)
      const pinnedRequest = await first.pinnedRequest
      if (first.of === request) return pinnedRequest
      const isAsWritten = pinnedRequest.request === first.of
      return {
        ...pinnedRequest,
        request: isAsWritten ? request : { ...pinnedRequest.request, platform: request.platform },
      }
    },
    agree(known) {
      all &&= known
      missing -= 1
      if (missing === 0) agreed.resolve(all)
      return agreed.promise
    },
  }
}

/** For a single image. */
export const onItsOwn: OneRevision = {
  pin: (sets, request, options) => sets.pin(request, options),
  agree: (known) => Promise.resolve(known),
}

/** For a single image whose package set is already pinned. */
export const alreadyPinned = (pinnedRequest: PinnedRequest<ImageRequest>): OneRevision => ({
  pin: () => Promise.resolve(pinnedRequest),
  agree: () => Promise.resolve(true),
})
