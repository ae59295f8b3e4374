import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Codec } from './engine.ts'
import { layerFormats } from './format.ts'
import { createSlotMemory, openSlots, slotControl } from './slots.ts'

/** A codec that compresses a block to its first byte, and calls `meanwhile` first. */
const codec = (meanwhile: () => void = () => {}): Codec => ({
  compress(block, into) {
    meanwhile()
    if (block[0] === 255) throw new Error('cannot')
    into[0] = block[0] ?? 0
    return 1
  },
  expand: undefined,
})

const opened = (
  threads: number,
  thread: number,
  memory = createSlotMemory(threads, layerFormats.gzip.framing),
) => ({
  memory,
  control: slotControl(memory),
  slots: openSlots(memory, thread, codec()),
})

/** Takes all slots that a thread can get. */
function takeAll(slots: ReturnType<typeof openSlots>): number[] {
  const taken: number[] = []
  for (let slot = slots.take(); slot !== undefined; slot = slots.take()) taken.push(slot)
  return taken
}

function offer(slots: ReturnType<typeof openSlots>, slot: number, byte: number) {
  slots.block(slot)[0] = byte
  slots.offer(slot, 1)
}

describe('slots', () => {
  it('leave two for every thread', () => {
    const { memory, slots } = opened(3, 0)
    assert.equal(takeAll(slots).length, 2 + 3 + 2)
    for (const thread of [1, 2]) assert.equal(takeAll(openSlots(memory, thread, codec())).length, 2)
  })

  it('return the compressed form of each block, in any order', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(254)), fc.nat(6), (bytes, rotate) => {
        const { slots } = opened(3, 1)
        const blocks = takeAll(slots).map((slot) => ({ slot, byte: bytes.next().value }))
        for (const { slot, byte } of blocks) offer(slots, slot, byte)
        const rotated = [...blocks.slice(rotate), ...blocks.slice(0, rotate)]
        for (const { slot, byte } of rotated) {
          assert.deepEqual([...slots.settle([slot])], [byte])
          slots.release(slot)
        }
        assert.equal(takeAll(slots).length, blocks.length)
      }),
    )
  })

  it('fail for a block that cannot be compressed, and can be reused', () => {
    const { slots } = opened(1, 0)
    const [slot = 0] = takeAll(slots)
    offer(slots, slot, 255)
    assert.throws(() => slots.settle([slot]), /cannot compress/)
    slots.release(slot)
    assert.equal(slots.take(), slot)
  })

  it('are compressed by helpers in the order of offers, background layers last', () => {
    const { memory, control, slots } = opened(3, 0)
    const background = openSlots(memory, 2, codec())
    const [a = 0, d = 0] = [background.take(), background.take()]
    const [b = 0, c = 0] = takeAll(slots)
    offer(background, a, 1)
    offer(slots, b, 2)
    offer(slots, c, 3)
    offer(background, d, 4)
    control.setBackground(2, true)
    const seen: number[] = []
    let left = 4
    const helper = openSlots(memory, 1, {
      compress(block, into) {
        seen.push(block[0] ?? 0)
        into[0] = block[0] ?? 0
        if (--left === 0) control.letHelp(false)
        // A client waits for the layer now, so its earlier offers are urgent, too.
        if (left === 3) control.setBackground(2, false)
        return 1
      },
      expand: undefined,
    })
    helper.help() // returns at once, since no help is wanted
    control.letHelp(true)
    helper.help()
    assert.deepEqual(seen, [2, 1, 3, 4])
    assert.deepEqual([...background.settle([a])], [1])
    for (const [slot, byte] of [
      [b, 2],
      [c, 3],
    ] as const)
      assert.deepEqual([...slots.settle([slot])], [byte])
  })

  it('of a thread that died become free, immediately or when the compressing thread is done', () => {
    const { memory, control, slots } = opened(2, 0)
    const all = takeAll(slots)
    for (const slot of all.slice(0, 3)) offer(slots, slot, 7)
    let died = false
    const helper = openSlots(
      memory,
      1,
      codec(() => {
        if (!died) control.recover(0)
        died = true
        // The slot that is being compressed is not free: its memory is in use.
        assert.equal(takeAll(openSlots(memory, 0, codec())).length, all.length - 1)
        control.letHelp(false)
      }),
    )
    control.letHelp(true)
    helper.help()
    assert.ok(died)
    const restarted = openSlots(memory, 0, codec())
    assert.equal(takeAll(restarted).length, 1)
  })

  it('are compressed by their owner when the helper dies', () => {
    const { memory, control, slots } = opened(2, 0)
    const [slot = 0] = takeAll(slots)
    offer(slots, slot, 9)
    const dying = openSlots(memory, 1, {
      compress() {
        control.letHelp(false)
        control.recover(1) // as the main thread does when this thread has exited
        assert.deepEqual([...slots.settle([slot])], [9])
        throw new Error('gone')
      },
      expand: undefined,
    })
    control.letHelp(true)
    dying.help()
    assert.deepEqual([...slots.settle([slot])], [9])
  })

  it('become free when both owner and helper die', () => {
    const { memory, control, slots } = opened(2, 0)
    const all = takeAll(slots)
    offer(slots, all[0] ?? 0, 1)
    const dying = openSlots(memory, 1, {
      compress() {
        control.letHelp(false)
        control.recover(0)
        control.recover(1)
        assert.equal(takeAll(openSlots(memory, 0, codec())).length, all.length)
        return 1
      },
      expand: undefined,
    })
    control.letHelp(true)
    assert.doesNotThrow(() => dying.help())
  })
})
