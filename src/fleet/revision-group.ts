import type { Pin } from './pins.ts'

/** Images that must be of one revision, such as those of an index. Each goes through the same rounds. */
export type RevisionGroup = {
  /**
   * What the tag stands for, found out once for all of them. An image alone that is known at a revision of a few seconds
   * ago is served; what is not known is made from a current one.
   */
  pin(find: (old: boolean) => Promise<Pin>, isKnown: (pin: Pin) => Promise<boolean>): Promise<Pin>
  /**
   * One of them is known at the revision of this round, or the set has moved on. Waits for the others.
   * @returns the revision of the next round, if any of them has moved
   */
  settle(moved: string | undefined): Promise<string | undefined>
  /** One of them has failed, and takes part in no further round. */
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
