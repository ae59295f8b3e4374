import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { blockSize } from './archive.ts'
import { expandWithZlib, openCodec } from './codec.ts'
import { openCompressor } from './compressor.ts'
import { decompress, describeEach } from './engines-testing.ts'
import type { Codec, Expand } from './engine.ts'

const buffer = new Uint8Array(blockSize)

/** Compresses in shared memory, like the packing threads, at an offset. */
function compress(codec: Codec, block: Uint8Array, offset = 0): Buffer {
  const input = new Uint8Array(new SharedArrayBuffer(offset + block.length), offset)
  const output = new Uint8Array(new SharedArrayBuffer(2 * blockSize))
  input.set(block)
  return Buffer.from(output.slice(0, codec.compress(input, output)))
}

const block: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 3000 }),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.integer({ min: 0, max: blockSize }))
    .map(([bytes, length]) => Buffer.alloc(length, bytes)),
  fc.constantFrom(0, 1, 65_535, 65_536, blockSize - 1, blockSize).map((length) => randomBytes(length)),
)

describeEach('a compressed block', (opened) => {
  const { codec, compressor } = opened

  it('decompresses to the block, alone or after others', () => {
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 4 }), (blocks) => {
        const compressed = Buffer.concat(blocks.map((bytes) => compress(codec, bytes)))
        assert.ok(decompress(opened, compressed).equals(Buffer.concat(blocks)))
      }),
      { numRuns: 30 },
    )
  })

  it('does not depend on its address or on earlier blocks', async () => {
    const fresh = await openCodec(compressor.engine)
    fc.assert(
      fc.property(block, fc.nat(5000), (bytes, offset) => {
        assert.ok(compress(codec, bytes, offset).equals(compress(fresh, bytes)))
        compress(codec, randomBytes(1000))
      }),
      { numRuns: 30 },
    )
  })

  it('fits in a slot when its contents are incompressible', () => {
    assert.ok(compress(codec, randomBytes(blockSize)).length < blockSize + 1024)
  })

  it('is refused when it does not fit in the buffer', () => {
    assert.throws(() => codec.compress(randomBytes(5000), new Uint8Array(1000)))
  })

  const implementations: [suffix: string, expand: Expand | undefined][] = [
    ['', codec.expand],
    [', with zlib', compressor.format.name === 'gzip' ? expandWithZlib : undefined],
  ]
  for (const [suffix, expand] of implementations) {
    if (!expand) continue
    it(`expands without what follows it${suffix}`, () => {
      fc.assert(
        fc.property(block, fc.uint8Array({ maxLength: 100 }), (bytes, following) => {
          const compressed = compress(codec, bytes)
          const { read, expanded } = expand(Buffer.concat([compressed, following]), buffer)
          assert.equal(read, compressed.length)
          assert.ok(Buffer.from(expanded).equals(bytes))
        }),
        { numRuns: 40 },
      )
    })

    it(`is refused when it is truncated or one of its bytes has changed${suffix}`, () => {
      const original = Buffer.from('the contents of a block, '.repeat(3000))
      const compressed = compress(codec, original)
      for (const end of [0, 1, 9, 12, compressed.length - 9, compressed.length - 1]) {
        assert.throws(() => expand(compressed.subarray(0, end), buffer), `truncated at ${end}`)
      }
      for (let at = 0; at < compressed.length; at++) {
        const damaged = Buffer.from(compressed)
        damaged[at] = damaged.readUInt8(at) ^ 0x10
        // The time and operating system in the header have no checksum and no effect.
        let bytes: Buffer
        try {
          bytes = Buffer.from(expand(damaged, buffer).expanded)
        } catch {
          continue
        }
        assert.ok(bytes.equals(original), `byte ${at}`)
      }
    })

    it(`is refused when it is larger than a block${suffix}`, () => {
      const bytes = Buffer.alloc(blockSize + 1)
      const large = compressor.format.name === 'gzip' ? gzipSync(bytes) : zstdCompressSync(bytes)
      assert.throws(() => expand(large, buffer))
    })
  }
})

describe('a compressor', () => {
  it('has an id with everything that its output depends on', async () => {
    const { id } = await openCompressor('gzip', assert.fail)
    const [format, program, level, size, probe, ...others] = id.split('/')
    assert.deepEqual([format, level, size, others], ['gzip', '4', String(blockSize), []])
    assert.equal(program, `gzip-${process.versions.zlib}`)
    assert.match(probe ?? '', /^[0-9a-f]{16}$/)
    assert.equal((await openCompressor('gzip', assert.fail)).id, id)
    const compressors = await Promise.all(
      (['zstd', 'none'] as const).map((one) => openCompressor(one, assert.fail)),
    )
    assert.equal(new Set([id, ...compressors.map((one) => one.id)]).size, 3)
  })

  /** The output of a process in which the native libraries cannot be loaded. */
  const withoutLibraries = (choice: string): string => {
    const script = `
      import { openCompressor } from ${JSON.stringify(new URL('compressor.ts', import.meta.url).href)}
      import { registerHooks } from 'node:module'
      registerHooks({ resolve: (name, context, next) => {
        if (name === 'koffi') throw new Error('koffi is not installed')
        return next(name, context)
      } })
      const notes = []
      const opened = await openCompressor(process.argv[1], (line) => notes.push(line)).catch((error) => error)
      console.log(JSON.stringify({ engine: opened.engine, code: opened.code, hint: opened.hint, notes }))`
    return execFileSync(process.execPath, ['--input-type=module', '-e', script, choice]).toString()
  }

  it('falls back to zlib, with a note, when auto cannot load libdeflate', () => {
    const { engine, notes } = JSON.parse(withoutLibraries('auto')) as { engine: string; notes: string[] }
    assert.equal(engine, 'gzip')
    assert.equal(notes.length, 1)
    assert.match(notes[0] ?? '', /cannot load libdeflate; using zlib.*apt-get install libdeflate0/)
  })

  it('is refused when it is named and cannot be loaded', () => {
    const output = JSON.parse(withoutLibraries('libdeflate')) as {
      code: string
      hint: string
      notes: string[]
    }
    assert.equal(output.code, 'CONFIG_INVALID')
    assert.match(output.hint, /apt-get install libdeflate0$/)
    assert.deepEqual(output.notes, [])
  })
})
