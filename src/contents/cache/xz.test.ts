import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { Readable, type Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { before, describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import type { OpenStream } from '../entry.ts'
import { openLiblzma } from './liblzma.ts'
import { reader } from './testing.ts'
import { limitXzMemory } from './xz-memory.ts'
import { openXzPackage } from './xz-package.ts'
import { expandWithProgram } from './xz-program.ts'

const xz = (bytes: Buffer, ...options: string[]): Buffer =>
  execFileSync('xz', ['-1', '--stdout', ...options], { input: bytes })
const pieces = function* (bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** Expands a file that comes in pieces of a size. */
type Expand = (bytes: Buffer, size?: number) => Promise<Buffer>

const byStreams =
  (streams: () => readonly Duplex[]): Expand =>
  async (bytes, size = 10_000) => {
    const parts: Buffer[] = []
    const source = Readable.from(pieces(bytes, size), { objectMode: false })
    await pipeline([
      source,
      ...streams(),
      async (expanded: AsyncIterable<Buffer>) => {
        for await (const part of expanded) parts.push(part)
      },
    ] as never)
    return Buffer.concat(parts)
  }

const byLibrary =
  (open: OpenStream): Expand =>
  async (bytes, size) => {
    const file = open(reader(bytes, size))
    const parts: Buffer[] = []
    try {
      for (let got = -1; got !== 0;) {
        const into = Buffer.alloc(50_000)
        got = file.read(into)
        parts.push(into.subarray(0, got))
      }
    } finally {
      file.close()
    }
    return Buffer.concat(parts)
  }

const text = Buffer.concat([
  Buffer.alloc(300_000, 'words that repeat '),
  randomBytes(70_000),
  Buffer.alloc(3),
])
const one = xz(text)
const twice = Buffer.concat([text, text])

const whole: readonly (readonly [what: string, file: Buffer, expanded: Buffer])[] = [
  ['one stream', one, text],
  ['two streams', Buffer.concat([one, one]), twice],
  ['padded streams', Buffer.concat([one, Buffer.alloc(8), one, Buffer.alloc(4)]), twice],
  ['many blocks', xz(text, '--block-size=20000'), text],
  ['many threads', xz(text, '--threads=2', '--block-size=100000'), text],
  ['a filter', xz(text, '--x86', '--lzma2=preset=1'), text],
  ['crc32', xz(text, '--check=crc32'), text],
  ['sha256', xz(text, '--check=sha256'), text],
  ['no check', xz(text, '--check=none'), text],
  ['the largest preset', xz(text, '-9e'), text],
  ['nothing', xz(Buffer.alloc(0)), Buffer.alloc(0)],
]
/** A file whose first block requires a dictionary of another size, by the code of the format. */
const withDictionary = (file: Buffer, code: number): Buffer => {
  const bytes = Buffer.from(file)
  const size = 4 * (bytes.readUInt8(12) + 1)
  assert.deepEqual([...bytes.subarray(14, 16)], [0x21, 1])
  bytes[16] = code
  bytes.writeUInt32LE(crc32(bytes.subarray(12, 12 + size - 4)), 12 + size - 4)
  return bytes
}
const [kib4, kib6, mib64, mib96, gib1] = [0, 1, 28, 29, 36]
const flipped = (bytes: Buffer, at: number): Buffer => {
  const damaged = Buffer.from(bytes)
  damaged[at] = (damaged[at] ?? 0) ^ 0x41
  return damaged
}
const bad: readonly (readonly [what: string, file: Buffer])[] = [
  ['nothing at all', Buffer.alloc(0)],
  ['a page', Buffer.from('<html>Sign in to our network</html>')],
  ['padding of a wrong size', Buffer.concat([one, Buffer.alloc(3)])],
  ['something after the end', Buffer.concat([one, Buffer.from('rest')])],
  ['half of a second stream', Buffer.concat([one, one.subarray(0, one.length / 2)])],
  ['a dictionary of 1 GiB', withDictionary(one, gib1)],
  [
    'such a dictionary in the second stream',
    Buffer.concat([one, Buffer.alloc(4), withDictionary(one, gib1)]),
  ],
]

const ways: readonly (readonly [name: string, open: () => Promise<Expand>])[] = [
  ['liblzma', async () => byLibrary(await openLiblzma())],
  ['the package', async () => byStreams((await openXzPackage()) ?? assert.fail('it is not installed'))],
  ['the program', async () => byStreams(() => [expandWithProgram()])],
]
for (const [name, open] of ways) {
  describe(`xz, expanded by ${name}`, () => {
    let expand: Expand
    before(async () => {
      expand = await open()
    })

    it('is what was compressed', async () => {
      for (const [what, file, expanded] of whole) assert.ok((await expand(file)).equals(expanded), what)
    })

    it('is refused when it is damaged, cut, or wants too much memory', async () => {
      for (const [what, file] of bad) await assert.rejects(expand(file), Error, what)
      const small = xz(Buffer.alloc(500, 'text'))
      // Each time, the program is a process.
      const step = name === 'the program' ? 16 : 1
      for (let at = 0; at < small.length; at += step) {
        await assert.rejects(expand(flipped(small, at)), Error, `changed at ${at}`)
        await assert.rejects(expand(small.subarray(0, at)), Error, `cut at ${at}`)
      }
    })
  })
}

describe('the package for xz', () => {
  it('takes no more memory for more data, and ends when what it gives is not read', async () => {
    const streams = (await openXzPackage()) ?? assert.fail('it is not installed')
    const huge = xz(Buffer.alloc(200_000_000))
    let most = 0
    let size = 0
    const usual = process.memoryUsage.rss()
    await pipeline([
      Readable.from(pieces(huge, 64 * 1024), { objectMode: false }),
      ...streams(),
      async (expanded: AsyncIterable<Buffer>) => {
        for await (const part of expanded) {
          size += part.length
          most = Math.max(most, process.memoryUsage.rss() - usual)
        }
      },
    ] as never)
    assert.equal(size, 200_000_000)
    assert.ok(most < 150e6, `${most}`)

    const left = pipeline([
      Readable.from(pieces(huge, 1024), { objectMode: false }),
      ...streams(),
      async (expanded: AsyncIterable<Buffer>) => {
        for await (const _ of expanded) throw new Error('enough')
      },
    ] as never)
    await assert.rejects(left, /enough/)
  })
})

describe('limitXzMemory', () => {
  const limited = (most?: number) => byStreams(() => [limitXzMemory(most)])

  it('passes everything on that is within the limit, however it comes', async () => {
    for (const [what, file] of whole) {
      for (const size of [1000, 50_000]) assert.ok((await limited()(file, size)).equals(file), what)
    }
    const blocks = xz(Buffer.alloc(50_000, 'text'), '--block-size=10000', '--x86', '--lzma2')
    for (const size of [1, 2, 7]) assert.ok((await limited()(blocks, size)).equals(blocks))
  })

  it('refuses dictionaries from the limit on, in any block', async () => {
    const small = withDictionary(xz(Buffer.alloc(9), '--check=none'), kib4)
    for (const [code, most, isRefused] of [
      [kib4, 4096, true],
      [kib4, 4097, false],
      [kib6, 6144, true],
      [kib6, 6145, false],
      [mib64, 64 << 20, true],
      [mib64, 65 << 20, false],
      [mib96, 96 << 20, true],
      [mib96, 97 << 20, false],
      [gib1, undefined, true],
      [41, undefined, true], // no size
    ] as const) {
      const bytes = withDictionary(one, code)
      if (!isRefused) assert.ok((await limited(most)(bytes)).equals(bytes), `${code}`)
      else
        for (const file of [bytes, Buffer.concat([small, bytes])])
          await assert.rejects(limited(most)(file), /needs a dictionary of/, `${code}`)
    }
  })

  it('never hangs or throws on anything else', async () => {
    const random = fc
      .uint8Array({ maxLength: 300 })
      .map((bytes) => Buffer.concat([one.subarray(0, 12), bytes]))
    await fc.assert(
      fc.asyncProperty(random, fc.integer({ min: 1, max: 50 }), async (bytes, size) => {
        const passed = await limited()(bytes, size).catch((error: unknown) => error)
        assert.ok(passed instanceof Error || (Buffer.isBuffer(passed) && passed.equals(bytes)))
      }),
    )
  })
})
