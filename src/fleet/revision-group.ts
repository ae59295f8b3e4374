import type { Pin } from './pins.ts'

/** Images that must be built from one revision, such as those of an index. Each goes through the same rounds. */
export type RevisionGroup = {
  /**
   * The revision of the tag, determined once for all of them. A single known image may be served at a revision that is
   * a few seconds old; an unknown one is built from the current revision.
   */
  pin(find: (old: boolean) => Promise<Pin>, isKnown: (pin: Pin) => Promise<boolean>): Promise<Pin>
  /**
   * Reports that an image is known at the revision of this round, or that the set has changed, and waits for the
   * others.
   * @returns the revision of the next round, if the set has changed for any of them
   */
  settle(moved: string | undefined): Promise<string | undefined>
  /** Reports that an image has failed and takes part in no further round. */
  leave(): void
}

/** @param size the number of images */
export function createRevisionGroup(size: number): RevisionGroup {
  let pinned: Promise<Pin> | undefined
  let members = size
  let settled = 0
  let next: string | undefined
  let round = Promise.withResolvers<string | undefined>()
  const endRound = () => {
    if (settled < members) return
    round.resolve(next)
    round = Promise.withResolvers()
    settled = 0
    next = undefined
  }
  return {
    async pin(find, isKnown) {
      if (size > 1) return (pinned ??= find(false))
      const pin = await find(true)
      return (await isKnown(pin)) ? pin : find(false)
    },
    settle(moved) {
      settled += 1
      next ??= moved
      const { promise } = round
      endRound()
      return promise
    },
    leave() {
      members -= 1
      if (members > 0) endRound()
    },
  }
}
