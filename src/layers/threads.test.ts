import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { execa } from 'execa'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import { urgencies, type Urgency } from '../queue/demand.ts'
import type { PlainEntry as Entry } from '../contents/entry.ts'
import { blockSize } from './archive.ts'
import { openCompressor, type Compressor } from './compressor.ts'
import { layerFormats } from './format.ts'
import { describeEach } from './engines-testing.ts'
import { createPacker, MemberGone, type Packer, type PackOptions, type Piece } from './pack.ts'
import { dir, file, make } from './testing.ts'

let directory: string
let large: Piece
let many: Piece[]
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-threads-'))
  const create = (name: string, tree: Parameters<typeof make>[1]): Piece => {
    const storePath = join(directory, name) as StorePath
    make(storePath, tree)
    return { storePath }
  }
  const text = Buffer.alloc(3 * blockSize, Array.from({ length: 5000 }, (_, i) => `line ${i * i}\n`).join(''))
  large = create('large', dir({ text: file(text), noise: file(randomBytes(2 * blockSize)) }))
  many = Array.from({ length: 20 }, (_, i) => create(`small-${i}`, file(randomBytes(i * 4000))))
})
after(() => rmSync(directory, { recursive: true }))

const background = () => urgencies.background
const spool = () => mkdtempSync(join(directory, 'spool-'))
const noise = (name: string, blocks: number): Piece => ({
  entries: [{ kind: 'file', path: name, mode: 0o444, content: { bytes: randomBytes(blocks * blockSize) } }],
})
/** Packs a layer and removes its file. */
async function digestOf(packer: Packer, pieces: readonly Piece[], options?: PackOptions): Promise<string> {
  const { layer, file: spooled } = await packer.pack(pieces, options)
  rmSync(spooled)
  return layer.digest
}

describeEach('layers', ({ compressor }) => {
  it('have the same bytes with any number of threads, alone or concurrently with others', async () => {
    const layers = [[large], many, [many[3], large, many[9]] as Piece[], [], [large, ...many]]
    const results = await Promise.all(
      [1, 3].map(async (threads) => {
        const packer = createPacker(spool(), compressor, { threads })
        const atOnce = await Promise.all(layers.map((pieces) => digestOf(packer, pieces)))
        if (threads === 3)
          for (const [i, pieces] of layers.entries()) assert.equal(await digestOf(packer, pieces), atOnce[i])
        await packer.close()
        return atOnce
      }),
    )
    for (const digests of results) assert.deepEqual(digests, results[0])
  })
})

describe('packing threads', () => {
  let compressor: Compressor
  before(async () => {
    compressor = await openCompressor('zstd', assert.fail)
  })

  /** The order in which layers are packed that are submitted at once. */
  async function order(
    threads: number,
    layers: readonly (readonly [name: string, blocks: number, options: PackOptions])[],
  ): Promise<string[]> {
    const packer = createPacker(spool(), compressor, { threads })
    const finished: string[] = []
    await Promise.all(
      layers.map(async ([name, blocks, options]) => {
        await digestOf(packer, [noise(name, blocks)], options)
        finished.push(name)
      }),
    )
    await packer.close()
    return finished
  }

  it('pack the largest waiting layer first, and background layers last', async () => {
    assert.deepEqual(
      await order(1, [
        ['running', 1, { size: 1 }],
        ['background, small', 1, { size: 7, urgency: background }],
        ['small', 1, { size: 2 }],
        ['background, large', 1, { size: 9, urgency: background }],
        ['large', 1, { size: 3 }],
        ['of unknown size', 1, {}],
        ['small too', 1, { size: 2 }],
      ]),
      ['running', 'of unknown size', 'large', 'small', 'small too', 'background, large', 'background, small'],
    )
  })

  it('are never all used for background layers', async () => {
    const others = Array.from(
      { length: 4 },
      (_, i) => [`background ${i}`, 15, { size: 15e6, urgency: background }] as const,
    )
    const finished = await order(2, [...others, ['urgent', 1, { size: 1e6 }]])
    // It begins together with the first of them, which may finish earlier on a busy machine.
    assert.ok(finished.indexOf('urgent') <= 1, finished.join(', '))
  })

  it('give up a layer that takes too long, leave no file, and continue', async () => {
    const folder = spool()
    const packer = createPacker(folder, compressor, { threads: 2, limit: 0.001 })
    for (let round = 0; round < 2; round++) {
      const packed = packer.pack([noise('slow', 60)])
      await assert.rejects(packed, (error) => hasCode(error, 'BUILD_TIMEOUT'))
    }
    assert.deepEqual(readdirSync(folder), [])
    await packer.close()
  })

  it('pack a layer first that has become urgent', async () => {
    const packer = createPacker(spool(), compressor, { threads: 2 })
    const finished: string[] = []
    let urgency: Urgency = urgencies.background
    const pack = async (name: string, blocks: number, options: PackOptions) => {
      await digestOf(packer, [noise(name, blocks)], options)
      finished.push(name)
    }
    // One of the two threads takes no background layers.
    const started = Promise.withResolvers<void>()
    const all = [pack('first', 60, { urgency: background, onBegin: started.resolve })]
    all.push(pack('large', 2, { urgency: background, size: 9 }))
    all.push(pack('urgent', 1, { urgency: () => urgency, size: 1 }))
    await started.promise
    urgency = urgencies.waiting
    packer.reconsider()
    await Promise.all(all)
    // The first may finish earlier on a busy machine.
    assert.ok(finished.indexOf('urgent') < finished.indexOf('large'), finished.join(', '))
    await packer.close()
  })

  it('skip cancelled layers unless they have started', async () => {
    const folder = spool()
    const packer = createPacker(folder, compressor, { threads: 1 })
    const [first, second] = [new AbortController(), new AbortController()]
    const packing = digestOf(packer, [noise('begun', 20)], { signal: first.signal })
    const left = packer.pack([noise('left', 1)], { signal: second.signal, onBegin: assert.fail })
    first.abort()
    second.abort()
    await assert.rejects(left, (error) => hasCode(error, 'CANCELLED'))
    await assert.rejects(packer.pack([], { signal: second.signal }), (error) => hasCode(error, 'CANCELLED'))
    await packing
    assert.deepEqual(readdirSync(folder), [])
    await packer.close()
  })

  it('pack any number of layers of any size', async () => {
    const packer = createPacker(spool(), compressor, { threads: 3 })
    const sizes = fc.array(
      fc.record({
        blocks: fc.nat(4),
        urgency: fc.constantFrom(() => urgencies.waiting, background),
        size: fc.nat(5e6),
        later: fc.boolean(),
      }),
      { maxLength: 12 },
    )
    await fc.assert(
      fc.asyncProperty(sizes, async (layers) => {
        const submitted: Promise<string>[] = []
        for (const { blocks, later, ...options } of layers) {
          if (later) await setImmediate()
          submitted.push(digestOf(packer, [noise('any', blocks)], options))
        }
        await Promise.all(submitted)
      }),
      { numRuns: 20 },
    )
    await packer.close()
  })

  it('that die fail only their layer, leave no file, and are replaced', async () => {
    const folder = spool()
    const packer = createPacker(folder, compressor, { threads: 2, heap: 12 })
    // More than the heap limit: the thread exits.
    const entry: Entry = { kind: 'symlink', path: 'x'.repeat(200), target: 'y'.repeat(200) }
    const deadly: Piece = { entries: Array.from({ length: 200_000 }, () => ({ ...entry })) }
    const fine = await digestOf(packer, [large])
    for (let round = 0; round < 3; round++) {
      const alive = digestOf(packer, [large])
      await assert.rejects(packer.pack([deadly]), (error) => {
        assert.ok(hasCode(error, 'BUILD_FAILED') && !(error instanceof MemberGone))
        assert.match(String(error.cause), /memory/)
        return true
      })
      assert.equal(await alive, fine)
    }
    assert.deepEqual(readdirSync(folder), [])
    await packer.close()
  })

  it('keep the process alive only while they pack a layer', () => {
    const script = `
      import { openCompressor } from ${JSON.stringify(new URL('compressor.ts', import.meta.url).href)}
      import { createPacker } from ${JSON.stringify(new URL('pack.ts', import.meta.url).href)}
      const packer = createPacker(process.argv[1], await openCompressor('gzip', console.error))
      const pieces = JSON.parse(process.argv[2])
      await packer.pack(pieces)
      packer.pack(pieces).then(({ layer }) => console.log(layer.digest))`
    const folder = spool()
    const args = ['--input-type=module', '-e', script, folder, JSON.stringify([large])]
    const output = execFileSync(process.execPath, args, { timeout: 60_000 }).toString()
    assert.match(output, /^sha256:[0-9a-f]{64}\n$/)
    const [one, other] = readdirSync(folder).map((name) => readFileSync(join(folder, name)))
    assert.ok(one && other?.equals(one))
  })
})

describe('closing', () => {
  // In processes without other work: if the threads did not keep them alive, they would exit early.
  const pool = `
    import { mkdtempSync, rmSync } from 'node:fs'
    import { createThreads } from ${JSON.stringify(join(import.meta.dirname, 'threads.ts'))}
    const content = { bytes: new Uint8Array(${4 * blockSize}) }
    const pieces = [{ entries: [{ kind: 'file', path: 'x', mode: 0o444, content }] }]
    const folder = process.argv[1]
    for (let round = 0; round < 4; round++) {
      const threads = createThreads({ engine: 'zstd', format: ${JSON.stringify(layerFormats.zstd)}, count: 3 })
      const file = folder + '/' + process.pid + '-' + round
      const packed = threads.run({ pieces, file, background: false }, content.bytes.length)
      if (round % 2 === 0) await packed
      await threads.close()
    }
    console.log('closed')`
  it('waits for every thread', async () => {
    const ends = Array.from({ length: 2 }, async () => {
      const args = ['--input-type=module', '--eval', pool, spool()]
      const { stdout, stderr, exitCode } = await execa(process.execPath, args, { reject: false })
      assert.deepEqual({ stdout, stderr, exitCode }, { stdout: 'closed', stderr: '', exitCode: 0 })
    })
    await Promise.all(ends)
  })
})
