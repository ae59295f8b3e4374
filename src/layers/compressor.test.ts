import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { blockSize } from './archive.ts'
import { expandWithZlib, openCodec } from './codec.ts'
import { openCompressor } from './compressor.ts'
import { decompressed, describeEach } from './engines-testing.ts'
import type { Codec, Expand } from './engine.ts'

const room = new Uint8Array(blockSize)

/** Compresses in shared memory, as packing does, at some offset. */
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

describeEach('a block compressed', (present) => {
  const { codec, compressor } = present

  it('is the block again, for every reader, in whatever row it stands', () => {
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 4 }), (blocks) => {
        const row = Buffer.concat(blocks.map((bytes) => compress(codec, bytes)))
        assert.ok(decompressed(present, row).equals(Buffer.concat(blocks)))
      }),
      { numRuns: 30 },
    )
  })

  it('is the same bytes wherever it lay, whatever was compressed before', async () => {
    const fresh = await openCodec(compressor.engine)
    fc.assert(
      fc.property(block, fc.nat(5000), (bytes, offset) => {
        assert.ok(compress(codec, bytes, offset).equals(compress(fresh, bytes)))
        compress(codec, randomBytes(1000))
      }),
      { numRuns: 30 },
    )
  })

  it('grows by less than a slot has room for when it cannot be compressed', () => {
    assert.ok(compress(codec, randomBytes(blockSize)).length < blockSize + 1024)
  })

  it('fails when there is no room for it', () => {
    assert.throws(() => codec.compress(randomBytes(5000), new Uint8Array(1000)))
  })

  const ways: [what: string, expand: Expand | undefined][] = [
    ['', codec.expand],
    [' by zlib', compressor.format.name === 'gzip' ? expandWithZlib : undefined],
  ]
  for (const [by, expand] of ways) {
    if (!expand) continue
    it(`tells where it ends${by}`, () => {
      fc.assert(
        fc.property(block, fc.uint8Array({ maxLength: 100 }), (bytes, behind) => {
          const made = compress(codec, bytes)
          const { read, expanded } = expand(Buffer.concat([made, behind]), room)
          assert.equal(read, made.length)
          assert.ok(Buffer.from(expanded).equals(bytes))
        }),
        { numRuns: 40 },
      )
    })

    it(`is not taken when it is cut off, or another byte stands in it${by}`, () => {
      const whole = Buffer.from('what stands in a block, '.repeat(3000))
      const made = compress(codec, whole)
      for (const end of [0, 1, 9, 12, made.length - 9, made.length - 1]) {
        assert.throws(() => expand(made.subarray(0, end), room), `cut off at ${end}`)
      }
      for (let at = 0; at < made.length; at++) {
        const damaged = Buffer.from(made)
        damaged[at] = damaged.readUInt8(at) ^ 0x10
        // What says when and where it was compressed has no checksum, and means nothing.
        let bytes: Buffer
        try {
          bytes = Buffer.from(expand(damaged, room).expanded)
        } catch {
          continue
        }
        assert.ok(bytes.equals(whole), `byte ${at}`)
      }
    })

    it(`is not taken when it holds more than a block${by}`, () => {
      const bytes = Buffer.alloc(blockSize + 1)
      const large = compressor.format.name === 'gzip' ? gzipSync(bytes) : zstdCompressSync(bytes)
      assert.throws(() => expand(large, room))
    })
  }
})

describe('a compressor', () => {
  it('has an id of its own for everything that its bytes depend on', async () => {
    const { id } = await openCompressor('gzip', assert.fail)
    const [format, program, level, size, probe, ...rest] = id.split('/')
    assert.deepEqual([format, level, size, rest], ['gzip', '4', String(blockSize), []])
    assert.equal(program, `gzip-${process.versions.zlib}`)
    assert.match(probe ?? '', /^[0-9a-f]{16}$/)
    assert.equal((await openCompressor('gzip', assert.fail)).id, id)
    const others = await Promise.all(
      (['zstd', 'none'] as const).map((one) => openCompressor(one, assert.fail)),
    )
    assert.equal(new Set([id, ...others.map((other) => other.id)]).size, 3)
  })

  /** What a process says in which libraries are not found. */
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

  it('is zlib, with a note, where auto finds no library', () => {
    const { engine, notes } = JSON.parse(withoutLibraries('auto')) as { engine: string; notes: string[] }
    assert.equal(engine, 'gzip')
    assert.equal(notes.length, 1)
    assert.match(notes[0] ?? '', /libdeflate is not there.*apt-get install libdeflate0/)
  })

  it('is refused where it is named and not there', () => {
    const said = JSON.parse(withoutLibraries('libdeflate')) as { code: string; hint: string; notes: string[] }
    assert.equal(said.code, 'CONFIG_INVALID')
    assert.match(said.hint, /apt-get install libdeflate0$/)
    assert.deepEqual(said.notes, [])
  })
})
