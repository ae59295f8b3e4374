import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Codec } from './engine.ts'
import { layerFormats } from './format.ts'
import { createSlotMemory, openSlots, slotControl } from './slots.ts'

/** Compresses a block to its first byte, and calls back meanwhile. */
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

/** Takes all slots that a thread gets. */
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
  it('leave every thread two, whatever the others took', () => {
    const { memory, slots } = opened(3, 0)
    assert.equal(takeAll(slots).length, 2 + 3 + 2)
    for (const thread of [1, 2]) assert.equal(takeAll(openSlots(memory, thread, codec())).length, 2)
  })

  it('give what was offered, each block its own, in whatever order it is asked for', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat(254)), fc.nat(6), (bytes, rotate) => {
        const { slots } = opened(3, 1)
        const blocks = takeAll(slots).map((slot) => ({ slot, byte: bytes.next().value }))
        for (const { slot, byte } of blocks) offer(slots, slot, byte)
        const asked = [...blocks.slice(rotate), ...blocks.slice(0, rotate)]
        for (const { slot, byte } of asked) {
          assert.deepEqual([...slots.settle([slot])], [byte])
          slots.release(slot)
        }
        assert.equal(takeAll(slots).length, blocks.length)
      }),
    )
  })

  it('fail for a block that cannot be compressed, and can be used again', () => {
    const { slots } = opened(1, 0)
    const [slot = 0] = takeAll(slots)
    offer(slots, slot, 255)
    assert.throws(() => slots.settle([slot]), /could not be compressed/)
    slots.release(slot)
    assert.equal(slots.take(), slot)
  })

  it('are helped with in the order of offers, until it is called back; those of a background layer last', () => {
    const { memory, control, slots } = opened(3, 0)
    const behind = openSlots(memory, 2, codec())
    const [a = 0, d = 0] = [behind.take(), behind.take()]
    const [b = 0, c = 0] = takeAll(slots)
    offer(behind, a, 1)
    offer(slots, b, 2)
    offer(slots, c, 3)
    offer(behind, d, 4)
    control.setBackground(2, true)
    const seen: number[] = []
    let left = 4
    const helper = openSlots(memory, 1, {
      compress(block, into) {
        seen.push(block[0] ?? 0)
        into[0] = block[0] ?? 0
        if (--left === 0) control.letHelp(false)
        // Somebody waits for it now, also for what was offered before.
        if (left === 3) control.setBackground(2, false)
        return 1
      },
      expand: undefined,
    })
    helper.help() // not asked for: comes back
    control.letHelp(true)
    helper.help()
    assert.deepEqual(seen, [2, 1, 3, 4])
    assert.deepEqual([...behind.settle([a])], [1])
    for (const [slot, byte] of [
      [b, 2],
      [c, 3],
    ] as const)
      assert.deepEqual([...slots.settle([slot])], [byte])
  })

  it('of a thread that died are free again, at once or when another is done with them', () => {
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
        // The one that is compressed is not: its memory is still in use.
        assert.equal(takeAll(openSlots(memory, 0, codec())).length, all.length - 1)
        control.letHelp(false)
      }),
    )
    control.letHelp(true)
    helper.help()
    assert.ok(died)
    const anew = openSlots(memory, 0, codec())
    assert.equal(takeAll(anew).length, 1)
  })

  it('that a thread died over are offered again to their owner', () => {
    const { memory, control, slots } = opened(2, 0)
    const [slot = 0] = takeAll(slots)
    offer(slots, slot, 9)
    const dying = openSlots(memory, 1, {
      compress() {
        control.letHelp(false)
        control.recover(1) // as the main thread does when this one is gone
        assert.deepEqual([...slots.settle([slot])], [9])
        throw new Error('gone')
      },
      expand: undefined,
    })
    control.letHelp(true)
    dying.help()
    assert.deepEqual([...slots.settle([slot])], [9])
  })

  it('that both their owner and their helper died over are free', () => {
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
