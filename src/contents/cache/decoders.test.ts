import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { before, describe, it } from 'node:test'
import { brotliCompressSync, constants, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { compressions, decodersOf, type NarCompression } from './decoders.ts'
import { openLiblzma } from './liblzma.ts'
import { openLibzstd } from './libzstd.ts'
import type { OpenStream } from '../entry.ts'
import { reader } from './testing.ts'

const text = Buffer.concat([Buffer.alloc(70_000, 'words that repeat '), randomBytes(70_000), Buffer.alloc(3)])
const xzOf = (bytes: Buffer): Buffer => execFileSync('xz', ['-1', '--stdout'], { input: bytes })
const checked = { params: { [constants.ZSTD_c_checksumFlag]: 1 } }
const compress: Readonly<Record<NarCompression, (bytes: Buffer) => Buffer>> = {
  none: (bytes) => bytes,
  xz: xzOf,
  zstd: (bytes) => zstdCompressSync(bytes, checked),
  gzip: (bytes) => gzipSync(bytes),
  br: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
}

/** A zstd frame that needs a window of 2^n bytes (RFC 8878 §3.1.1), which contains `text` in one block. */
const withWindow = (log: number): Buffer => {
  const block = text.subarray(0, 1000)
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 0, 0, 0])
  header.writeUIntLE((block.length << 3) | 1, 6, 3)
  return Buffer.concat([header, block])
}

/** Expands data in chunks of a given size. */
async function expanded(compression: NarCompression, bytes: Buffer, size: number): Promise<Buffer> {
  const parts: Buffer[] = []
  const pieces = function* () {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }
  await pipeline([
    Readable.from(pieces(), { objectMode: false }),
    ...(await decodersOf(compression)),
    async (source: AsyncIterable<Buffer>) => {
      for await (const part of source) parts.push(part)
    },
  ] as never)
  return Buffer.concat(parts)
}

describe('a file of a cache', () => {
  for (const compression of compressions) {
    it(`compressed by ${compression} is expanded`, async () => {
      const bytes = compress[compression](text)
      assert.ok((await expanded(compression, bytes, 10_000)).equals(text))
    })
    if (compression === 'none') continue
    it(`compressed by ${compression} is refused if it is damaged or truncated`, async () => {
      const bytes = compress[compression](text)
      const damaged = Buffer.from(bytes)
      damaged.fill(0xff, 20, 40)
      await assert.rejects(expanded(compression, damaged, 10_000))
      await assert.rejects(expanded(compression, bytes.subarray(0, 60_000), 10_000))
    })
  }

  it('compressed by zstd is refused if it needs a window of more than 128 MiB', async () => {
    assert.ok((await expanded('zstd', withWindow(27), 100)).equals(text.subarray(0, 1000)))
    for (const log of [28, 31, 41]) await assert.rejects(expanded('zstd', withWindow(log), 100))
  })

  it('of many zstd frames is expanded, however they are split', async () => {
    const parts = fc.array(fc.nat(5000), { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(
        parts,
        fc.integer({ min: 1, max: 9000 }),
        fc.boolean(),
        async (sizes, piece, marked) => {
          const skippable = Buffer.from('502a4d1803000000aabbcc', 'hex')
          const frames = sizes.map((size, index) =>
            zstdCompressSync(text.subarray(0, size), index % 2 ? checked : {}),
          )
          const whole = Buffer.concat(marked ? frames.flatMap((frame) => [frame, skippable]) : frames)
          const wanted = Buffer.concat(sizes.map((size) => text.subarray(0, size)))
          assert.ok((await expanded('zstd', whole, piece)).equals(wanted))
        },
      ),
      { numRuns: 60 },
    )
  })
})

for (const [name, openLibrary, compressed] of [
  ['liblzma', openLiblzma, xzOf],
  ['libzstd', openLibzstd, compress.zstd],
] as const)
  describe(name, () => {
    let open: OpenStream
    before(async () => {
      open = await openLibrary()
    })
    const read = (bytes: Uint8Array, room: number): Buffer => {
      const file = open(reader(bytes, 7000))
      try {
        const parts: Buffer[] = []
        for (;;) {
          const into = Buffer.alloc(room)
          const got = file.read(into)
          if (got === 0) return Buffer.concat(parts)
          parts.push(into.subarray(0, got))
        }
      } finally {
        file.close()
      }
    }

    it('expands files, also concatenated ones', () => {
      const bytes = compressed(text)
      for (const room of [1000, 1_000_000]) assert.ok(read(bytes, room).equals(text))
      assert.ok(read(Buffer.concat([bytes, bytes]), 50_000).equals(Buffer.concat([text, text])))
    })

    it('refuses damaged or truncated data at any position', () => {
      const small = compressed(Buffer.alloc(500, 'text'))
      fc.assert(
        fc.property(fc.nat(small.length - 1), (at) => {
          const damaged = Buffer.from(small)
          damaged[at] = (damaged[at] ?? 0) ^ 0x41
          assert.throws(() => read(damaged, 1000))
          assert.throws(() => read(small.subarray(0, at), 1000))
        }),
      )
    })

    it('refuses bytes after the end', () => {
      assert.throws(() => read(Buffer.concat([compressed(text), Buffer.from('rest of it')]), 1000))
    })

    it('can be closed at any time, and frees its memory', () => {
      const bytes = compressed(text)
      const usual = process.memoryUsage.rss()
      for (let count = 0; count < 200; count++) {
        const file = open(reader(bytes))
        file.read(Buffer.alloc(10))
        file.close()
        file.close()
        assert.throws(() => file.read(Buffer.alloc(10)))
      }
      assert.ok(process.memoryUsage.rss() - usual < 150e6)
    })
  })

describe('libzstd', () => {
  it('refuses frames that need a window of more than 128 MiB', async () => {
    const open = await openLibzstd()
    const read = (bytes: Buffer): Buffer => {
      const file = open(reader(bytes))
      try {
        const into = Buffer.alloc(2000)
        return into.subarray(0, file.read(into))
      } finally {
        file.close()
      }
    }
    assert.ok(read(withWindow(27)).equals(text.subarray(0, 1000)))
    for (const log of [28, 31, 41]) assert.throws(() => read(withWindow(log)), /libzstd says/)
  })
})
