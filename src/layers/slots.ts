import type { Codec } from './engine.ts'
import type { Framing } from './format.ts'

/**
 * Memory shared by the packing threads. It consists of slots, each with space for a block and its compressed form. The
 * thread that packs a layer fills slots, and it or an idle thread compresses them. So one layer can use all cores, no
 * data is copied between threads, and the number of slots bounds the memory.
 */
export type SlotMemory = {
  readonly threads: number
  readonly framing: Framing
  readonly control: SharedArrayBuffer
  readonly bytes: SharedArrayBuffer
}

const slotSize = ({ block, room }: Framing): number => block + room

/** Each thread owns two slots, so that no thread waits for another. Threads with helpers share the rest. */
const ownSlots = 2
const countOf = (threads: number): number => (ownSlots + 1) * threads + 2

// The control words: whether idle threads should help, a counter of offers to wait on, then four words for each slot,
// then one for each thread: whether its layer is a background layer.
const helping = 0
const offers = 1
const firstSlot = 4
const words = 4
const [stateWord, lengthWord, orderWord, ownerWord] = [0, 1, 2, 3]

/**
 * The states of a slot. The number of the compressing thread is added to `claimed` and `abandoned`. `abandoned` means
 * that the owner died: the slot becomes free when the compressing thread is done.
 */
const states = { idle: 0, offered: 1, done: 2, failed: 3, claimed: 16, abandoned: 2 ** 20 }
/** The owner of a slot: a thread's number plus 1. A slot is taken by setting this word, and freed by clearing it last. */
const nobody = 0
const abandoned = -1

/** Added to the order of offers for blocks of background layers. */
const backgroundOffset = 2 ** 30
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

/** The slots as seen by the main thread. */
export type SlotControl = {
  /** Tells idle threads to help, or to stop helping. */
  letHelp(yes: boolean): void
  /** Marks the layer of a thread as a background layer: helpers compress its blocks last, including those already offered. */
  setBackground(thread: number, yes: boolean): void
  /** Frees the slots of a thread that has died. */
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
    // Set the owner first: the compressing thread may free the slot at any moment.
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

/** The slots as seen by a packing thread. All methods block, so use them only in worker threads. */
export type Slots = {
  /** Takes a free slot, if there is one. */
  take(): number | undefined
  /** The buffer for the slot's block. */
  block(slot: number): Uint8Array
  /** Offers the first `length` bytes of the slot's block to be compressed by any thread. */
  offer(slot: number, length: number): void
  /**
   * Returns the compressed form of the first slot's block, valid until the slot is released. Compresses the other blocks
   * while another thread compresses the first.
   */
  settle(slots: readonly number[]): Uint8Array
  release(slot: number): void
  /** Compresses offered blocks until the main thread calls `letHelp(false)`. */
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

  /** Compresses an offered block, unless another thread has claimed it. */
  function compress(slot: number): boolean {
    const state = at(slot, stateWord)
    if (Atomics.compareExchange(word, state, states.offered, mine) !== states.offered) return false
    let end = states.failed
    try {
      const length = Atomics.load(word, at(slot, lengthWord))
      Atomics.store(word, at(slot, lengthWord), codec.compress(input(slot).subarray(0, length), output(slot)))
      end = states.done
    } catch {
      // `settle` throws on the thread that packs the layer.
    }
    const now = Atomics.compareExchange(word, state, mine, end)
    if (now === states.abandoned + thread) free(word, firstSlot + slot * words)
    Atomics.notify(word, state)
    return true
  }

  /** The offered slot to compress next. */
  function nextOffer(): number | undefined {
    let best: number | undefined
    let first = Infinity
    for (let slot = 0; slot < count; slot++) {
      if (Atomics.load(word, at(slot, stateWord)) !== states.offered) continue
      const owner = Atomics.load(word, at(slot, ownerWord)) - 1
      const isBackground = owner < 0 || Atomics.load(word, backgroundWord(owner, threads)) === 1
      const order = Atomics.load(word, at(slot, orderWord)) + (isBackground ? backgroundOffset : 0)
      if (order < first) [best, first] = [slot, order]
    }
    return best
  }

  let offerCount = 0
  return {
    block: input,
    take: () =>
      [...own, ...shared].find(
        (slot) => Atomics.compareExchange(word, at(slot, ownerWord), nobody, thread + 1) === nobody,
      ),
    offer(slot, length) {
      offerCount = (offerCount + 1) % backgroundOffset
      Atomics.store(word, at(slot, lengthWord), length)
      Atomics.store(word, at(slot, orderWord), offerCount)
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
        if (now === states.failed) throw new Error('cannot compress a block')
        if (!slots.some(compress)) Atomics.wait(word, state, now, 1000)
      }
    },
    release(slot) {
      const state = at(slot, stateWord)
      for (;;) {
        const now = Atomics.load(word, state)
        // The compressing thread is done within a few milliseconds.
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
