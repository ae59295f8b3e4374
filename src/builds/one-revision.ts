import type { ImageRequest } from '../image/name.ts'
import type { Meant, PackageSets } from '../packages/sets.ts'

/**
 * Several images that must be of one revision of the package set, such as those of an index. Each of them must call
 * `pin`, and then `agree` unless that failed.
 */
export type OneRevision = {
  /** Pins once for all, which differ in their platforms only. */
  pin(
    sets: Pick<PackageSets, 'pin'>,
    request: ImageRequest,
    options: { readonly old: boolean },
  ): Promise<Meant<ImageRequest>>
  /** Whether all are known at this revision. Waits until each has said so for itself. */
  agree(known: boolean): Promise<boolean>
}

/** @param count how many images there are */
export function createOneRevision(count: number): OneRevision {
  const pins = new Map<boolean, { readonly of: ImageRequest; readonly meant: Promise<Meant<ImageRequest>> }>()
  const agreed = Promise.withResolvers<boolean>()
  let missing = count
  let all = true
  return {
    async pin(sets, request, { old }) {
      const first = pins.get(old) ?? { of: request, meant: sets.pin(request, { old }) }
      pins.set(old, first)
      const meant = await first.meant
      if (first.of === request) return meant
      const isAsWritten = meant.request === first.of
      return { ...meant, request: isAsWritten ? request : { ...meant.request, platform: request.platform } }
    },
    agree(known) {
      all &&= known
      missing -= 1
      if (missing === 0) agreed.resolve(all)
      return agreed.promise
    },
  }
}

/** For one image alone. */
export const onItsOwn = (): OneRevision => createOneRevision(1)
