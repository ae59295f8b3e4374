import type { Codec } from './engine.ts'
import type { Framing } from './format.ts'

/**
 * Memory that the packing threads share: slots, each with room for a block and for what it is compressed to. The
 * thread that packs a layer fills slots; it compresses them, or another thread that has nothing to pack does. So one
 * layer uses all cores, nothing is copied from thread to thread, and memory is bounded by the number of slots.
 */
export type SlotMemory = {
  readonly threads: number
  readonly framing: Framing
  readonly control: SharedArrayBuffer
  readonly bytes: SharedArrayBuffer
}

const slotSize = ({ block, room }: Framing): number => block + room

/** Each thread has two slots of its own, so that none waits for another; the rest is for whoever has helpers. */
const ownSlots = 2
const countOf = (threads: number): number => (ownSlots + 1) * threads + 2

// The control words: whether there is something to help with, a count of offers to wait on, then four for each slot,
// then one for each thread: whether its layer is in the background.
const helping = 0
const offers = 1
const firstSlot = 4
const words = 4
const [stateWord, lengthWord, orderWord, ownerWord] = [0, 1, 2, 3]

/**
 * What is done with a slot's block: nothing yet, or one of these. To `claimed` the number of the thread is added that
 * compresses it, and to `abandoned` as well: the thread died that owned the slot, which is free once it is compressed.
 */
const states = { idle: 0, offered: 1, done: 2, failed: 3, claimed: 16, abandoned: 2 ** 20 }
/** Whose a slot is: a thread's number and 1. It is taken by this word alone, and last of all given back by it. */
const nobody = 0
const abandoned = -1

/** Where the blocks of a layer in the background stand in the order of offers. */
const behindAll = 2 ** 30
const backgroundWord = (thread: number, threads: number): number =>
  firstSlot + words * countOf(threads) + thread

export function createSlotMemory(threads: number, framing: Framing): SlotMemory {
  const count = countOf(threads)
  return {
    threads,
    framing,
    control: new SharedArrayBuffer(4 * (firstSlot + words * count + threads)),
    bytes: new SharedArrayBuffer(slotSize(framing) * count),
  }
}

/** What the main thread does with the slots. */
export type SlotControl = {
  /** Lets threads without a layer help, or calls them back. */
  letHelp(yes: boolean): void
  /** Whether other layers' blocks go before those of the layer that this thread packs; also those offered already. */
  setBackground(thread: number, yes: boolean): void
  /** Gives back what a thread held that has died. */
  recover(thread: number): void
}

export function slotControl({ control, threads }: SlotMemory): SlotControl {
  const word = new Int32Array(control)
  return {
    letHelp(yes) {
      Atomics.store(word, helping, yes ? 1 : 0)
      Atomics.add(word, offers, 1)
      Atomics.notify(word, offers)
    },
    setBackground(thread, yes) {
      Atomics.store(word, backgroundWord(thread, threads), yes ? 1 : 0)
    },
    recover(thread) {
      for (let slot = 0; slot < countOf(threads); slot++) recoverSlot(word, firstSlot + slot * words, thread)
    },
  }
}

function recoverSlot(word: Int32Array, at: number, thread: number) {
  const [state, owner] = [at + stateWord, at + ownerWord]
  const owned = Atomics.load(word, owner) === thread + 1
  let was = Atomics.load(word, state)
  if (was === states.abandoned + thread || (owned && was === states.claimed + thread)) free(word, at)
  else if (was === states.claimed + thread) Atomics.store(word, state, states.offered)
  else if (owned) {
    // First: whoever compresses it now may free it at any moment.
    Atomics.store(word, owner, abandoned)
    for (let now; ; was = now) {
      const isClaimed = was >= states.claimed
      const next = isClaimed ? was - states.claimed + states.abandoned : states.idle
      now = Atomics.compareExchange(word, state, was, next)
      if (now !== was) continue
      if (!isClaimed) Atomics.store(word, owner, nobody)
      break
    }
  }
  Atomics.notify(word, state)
}

function free(word: Int32Array, at: number) {
  Atomics.store(word, at + stateWord, states.idle)
  Atomics.store(word, at + ownerWord, nobody)
}

/** What a packing thread does with the slots. All of it blocks: for worker threads only. */
export type Slots = {
  /** A slot to fill, if there is one. */
  take(): number | undefined
  /** Where the slot's block is to be put. */
  block(slot: number): Uint8Array
  /** Lets the first `length` bytes of the slot's block be compressed, by whoever comes first. */
  offer(slot: number, length: number): void
  /**
   * What the first of these slots was compressed to, valid until it is released. Compresses the others while another
   * thread is at the first.
   */
  settle(slots: readonly number[]): Uint8Array
  release(slot: number): void
  /** Compresses what is offered until the main thread calls back. */
  help(): void
}

export function openSlots(memory: SlotMemory, thread: number, codec: Codec): Slots {
  const { control, bytes, threads, framing } = memory
  const size = slotSize(framing)
  const word = new Int32Array(control)
  const count = countOf(threads)
  const at = (slot: number, which: number): number => firstSlot + slot * words + which
  const input = (slot: number): Uint8Array => new Uint8Array(bytes, slot * size, framing.block)
  const output = (slot: number): Uint8Array =>
    new Uint8Array(bytes, slot * size + framing.block, framing.room)
  const own = Array.from({ length: ownSlots }, (_, index) => thread * ownSlots + index)
  const shared = Array.from({ length: count - threads * ownSlots }, (_, index) => threads * ownSlots + index)
  const mine = states.claimed + thread

  /** Compresses an offered slot, if no other thread has begun. */
  function compress(slot: number): boolean {
    const state = at(slot, stateWord)
    if (Atomics.compareExchange(word, state, states.offered, mine) !== states.offered) return false
    let end = states.failed
    try {
      const length = Atomics.load(word, at(slot, lengthWord))
      Atomics.store(word, at(slot, lengthWord), codec.compress(input(slot).subarray(0, length), output(slot)))
      end = states.done
    } catch {
      // `settle` fails, on the thread whose layer it is.
    }
    const now = Atomics.compareExchange(word, state, mine, end)
    if (now === states.abandoned + thread) free(word, firstSlot + slot * words)
    Atomics.notify(word, state)
    return true
  }

  /** The offered slot that is to be compressed first. */
  function nextOffer(): number | undefined {
    let best: number | undefined
    let first = Infinity
    for (let slot = 0; slot < count; slot++) {
      if (Atomics.load(word, at(slot, stateWord)) !== states.offered) continue
      const owner = Atomics.load(word, at(slot, ownerWord)) - 1
      const behind = owner < 0 || Atomics.load(word, backgroundWord(owner, threads)) === 1
      const order = Atomics.load(word, at(slot, orderWord)) + (behind ? behindAll : 0)
      if (order < first) [best, first] = [slot, order]
    }
    return best
  }

  let made = 0
  return {
    block: input,
    take: () =>
      [...own, ...shared].find(
        (slot) => Atomics.compareExchange(word, at(slot, ownerWord), nobody, thread + 1) === nobody,
      ),
    offer(slot, length) {
      made = (made + 1) % behindAll
      Atomics.store(word, at(slot, lengthWord), length)
      Atomics.store(word, at(slot, orderWord), made)
      Atomics.store(word, at(slot, stateWord), states.offered)
      if (Atomics.load(word, helping) === 0) return
      Atomics.add(word, offers, 1)
      Atomics.notify(word, offers, 1)
    },
    settle(slots) {
      const [first = 0] = slots
      const state = at(first, stateWord)
      for (;;) {
        const now = Atomics.load(word, state)
        if (now === states.done) return output(first).subarray(0, Atomics.load(word, at(first, lengthWord)))
        if (now === states.failed) throw new Error('a block could not be compressed')
        if (!slots.some(compress)) Atomics.wait(word, state, now, 1000)
      }
    },
    release(slot) {
      const state = at(slot, stateWord)
      for (;;) {
        const now = Atomics.load(word, state)
        // Whoever compresses it is done in a few milliseconds.
        if (now >= states.claimed) Atomics.wait(word, state, now, 1000)
        else if (Atomics.compareExchange(word, state, now, states.idle) === now) break
      }
      Atomics.store(word, at(slot, ownerWord), nobody)
    },
    help() {
      while (Atomics.load(word, helping) === 1) {
        const seen = Atomics.load(word, offers)
        const slot = nextOffer()
        if (slot === undefined) Atomics.wait(word, offers, seen, 1000)
        else compress(slot)
      }
    },
  }
}
