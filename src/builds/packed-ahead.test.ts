import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createAhead } from '../contents/cache/ahead.ts'
import { createBudget } from '../contents/cache/budget.ts'
import { factsOf } from '../contents/cache/cached.ts'
import type { InCache } from '../contents/cache/caches.ts'
import { createDownloads, fetchNar, type CacheRoom } from '../contents/cache/fetch.ts'
import { inCache, pathOf } from '../contents/cache/testing.ts'
import { BadPath } from '../contents/cache/trouble.ts'
import { openCompressor } from '../layers/compressor.ts'
import { createPacker, type Packer } from '../layers/pack.ts'
import { dir, file, link, type Tree } from '../layers/testing.ts'
import { memberKey } from './layers.ts'
import { openMembers } from './members.ts'
import { createPackedAhead } from './packed-ahead.ts'

let spoolDirectory: string
let packer: Packer
before(async () => {
  spoolDirectory = mkdtempSync(join(tmpdir(), 'nixery-packed-ahead-'))
  packer = createPacker(spoolDirectory, await openCompressor('gzip', assert.fail), { threads: 2 })
})
after(async () => {
  await packer.close()
  rmSync(spoolDirectory, { recursive: true })
})

const files = () => readdirSync(spoolDirectory)
const tree: Tree = dir({
  bin: dir({ tool: file(randomBytes(1_500_000), 0o755), sh: link('tool') }),
  text: file('line\n'.repeat(100_000)),
})
const noise = (size: number): Tree => file(randomBytes(size))

/** Paths that are downloaded, and packed as soon as they have arrived. */
function open(budgetAhead = 1e8, lie?: (nar: Buffer) => Buffer) {
  const room: CacheRoom = {
    spoolDirectory,
    budget: createBudget(1e8),
    budgetAhead: createBudget(budgetAhead),
    memory: createBudget(0),
    downloads: createDownloads(),
    inThreads: new Set(),
    ahead: new Set(),
  }
  const listener = { onBytes() {}, onDownloaded() {} }
  const came = Promise.withResolvers<void>()
  const ahead = createAhead(room, listener, {
    onCome(found) {
      packed.offer(found)
      came.resolve()
    },
  })
  const packed = createPackedAhead({ packer, ahead, room, atOnce: 2 })
  const foundOf = (name: string, what: Tree): InCache => inCache(pathOf(name), what, lie)[1]
  const keyOf = (found: InCache) => memberKey(factsOf(found), packer.compressorId)
  return {
    room,
    packed,
    foundOf,
    keyOf,
    /** Starts with a path, and waits until it has arrived. */
    begin: async (found: InCache) => {
      ahead.begin(found)
      await came.promise
    },
    ahead,
    fetch: (found: InCache) => fetchNar(found, room, listener, {}),
    isAllGivenBack: () => room.budgetAhead.takeNow(budgetAhead) !== undefined,
    close: async () => {
      await packed.close()
      await ahead.close()
    },
  }
}

/** What a layer is, without the file that it is in. */
const factsOfLayer = ({ layer, spans }: Awaited<ReturnType<Packer['pack']>>) => ({ layer, spans })

describe('paths that are packed before the layers are planned', () => {
  it('give the layer that the plan gives, alone and among others', async () => {
    const { foundOf, keyOf, begin, packed, fetch, isAllGivenBack, close } = open()
    const [found, other] = [foundOf('a', tree), foundOf('b', noise(300_000))]
    await begin(found)
    const members = await openMembers(
      { blobs: {} as never, packedAhead: packed },
      [keyOf(found), keyOf(other)],
      new Map(),
    )
    const member = members.members.get(keyOf(found)) ?? assert.fail('it was not packed')
    assert.ok(members.ahead.get(keyOf(found)))
    assert.equal(await packed.take(keyOf(found)), undefined)

    const spooled = [await fetch(found), await fetch(other)] as const
    const [nar, otherNar] = [{ nar: spooled[0].source }, { nar: spooled[1].source }]
    const planned = [await packer.pack([nar, otherNar]), await packer.pack([nar])] as const
    const copied = await packer.pack([{ member }, otherNar])
    assert.deepEqual(factsOfLayer(copied), factsOfLayer(planned[0]))
    assert.equal(member.length, planned[1].spans[0]?.length)
    for (const one of [...planned, copied]) rmSync(one.file)
    for (const one of spooled) await one.release()
    await members.release()

    const again = open()
    await again.begin(found)
    const ready = (await again.packed.take(keyOf(found))) ?? assert.fail('it was not packed')
    assert.deepEqual(factsOfLayer(ready.packed), factsOfLayer(planned[1]))
    await ready.release()
    await close()
    await again.close()
    assert.deepEqual([files(), isAllGivenBack(), again.isAllGivenBack()], [[], true, true])
  })

  it('are not started without room, for small paths, or after the plan', async () => {
    const found = inCache(pathOf('a'), tree)[1]
    const tight = open(found.narinfo.narSize + 1000)
    await tight.begin(found)
    assert.equal(await tight.packed.take(tight.keyOf(found)), undefined)
    assert.equal(files().length, 1) // its NAR is for others
    await tight.close()
    const wide = open()
    const small = wide.foundOf('s', noise(50_000))
    await wide.begin(small)
    assert.equal(await wide.packed.take(wide.keyOf(small)), undefined)
    wide.packed.stop()
    wide.packed.offer(found)
    assert.equal(await wide.packed.take(wide.keyOf(found)), undefined)
    await wide.close()
    assert.deepEqual([files(), tight.isAllGivenBack(), wide.isAllGivenBack()], [[], true, true])
  })

  it('stay within their room, and release it if no build takes them', async () => {
    const size = 2_000_000
    const budget = 5 * size
    const { foundOf, ahead, room, packed, close, isAllGivenBack } = open(budget)
    const all = Array.from({ length: 6 }, (_, index) => foundOf(`n${index}`, noise(size)))
    for (const one of all) ahead.begin(one)
    const keyed = all.map((one) => memberKey(factsOf(one), packer.compressorId))
    // More than is held is free: together they are all there is.
    const free = () => {
      let [low, high] = [0, budget]
      while (high - low > 1000) {
        const middle = (low + high) / 2
        const giveBack = room.budgetAhead.takeNow(middle)
        giveBack?.()
        if (giveBack) low = middle
        else high = middle
      }
      return low
    }
    const taken = (await Promise.all(keyed.map((key) => packed.take(key)))).filter((one) => one !== undefined)
    const held = taken.reduce((sum, { packed: { layer } }) => sum + layer.size, 0)
    assert.ok(held + free() <= budget)
    await Promise.all(taken.map(({ release }) => release()))
    await close()
    assert.deepEqual([files(), isAllGivenBack()], [[], true])
  })

  it('fail where their hash is wrong, and leave nothing', async () => {
    const { foundOf, keyOf, begin, packed, close, isAllGivenBack } = open(1e8, (nar) => {
      const other = Buffer.from(nar)
      other[1_000_000] = 1 + (other[1_000_000] ?? 0)
      return other
    })
    const found = foundOf('a', tree)
    await begin(found)
    await assert.rejects(
      packed.take(keyOf(found)),
      (error) => error instanceof BadPath && /hash/.test(error.message),
    )
    await close()
    assert.deepEqual([files(), isAllGivenBack()], [[], true])
  })
})
