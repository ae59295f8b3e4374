import type { PackageSource, PinnedSet } from '../packages/source.ts'

/**
 * Several images that must be of one revision of the package set, such as those of an index. Each of them must call
 * `pin`, and then `agree` unless that failed.
 */
export type OneRevision = {
  /** Pins once for all. */
  pin(source: PackageSource, tag: string, options: { readonly old: boolean }): Promise<PinnedSet>
  /** Whether all are known at this revision. Waits until each has said so for itself. */
  agree(known: boolean): Promise<boolean>
}

/** @param count how many images there are */
export function createOneRevision(count: number): OneRevision {
  const pins = new Map<boolean, Promise<PinnedSet>>()
  const agreed = Promise.withResolvers<boolean>()
  let missing = count
  let all = true
  return {
    pin(source, tag, { old }) {
      const pinned = pins.get(old) ?? source.pin(tag, { old })
      pins.set(old, pinned)
      return pinned
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
