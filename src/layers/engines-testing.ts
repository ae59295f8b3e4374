/** The compressors that this machine has, for tests that hold for all of them. */
import { describe, it } from 'node:test'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { blockSize } from './archive.ts'
import { openCodec } from './codec.ts'
import { openCompressor, type Compressor } from './compressor.ts'
import { engines, type Codec } from './engine.ts'

export type Present = { readonly compressor: Compressor; readonly codec: Codec }

const all = await Promise.all(
  engines.map(async (engine) => {
    try {
      const codec = await openCodec(engine)
      const compressor = await openCompressor(engine, () => {})
      return { engine, present: { codec, compressor } }
    } catch (error) {
      return { engine, missing: String(error) }
    }
  }),
)

/** Describes what holds for every compressor; one whose library is not here is said to be skipped. */
export function describeEach(what: string, suite: (present: Present) => void): void {
  for (const { engine, present, missing } of all) {
    describe(`${what}: ${engine}`, () => {
      if (present) suite(present)
      else it('is not here', { skip: missing })
    })
  }
}

/** Decompresses all that stands one behind another: gzip as any reader does, zstd frame by frame, for Node takes one. */
export function decompressed({ compressor, codec }: Present, bytes: Uint8Array): Buffer {
  if (compressor.format.name === 'none') return Buffer.from(bytes)
  if (compressor.format.name === 'gzip') return gunzipSync(bytes)
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + (codec.expand?.(bytes.subarray(at), new Uint8Array(blockSize)).read ?? 0)
    frames.push(zstdDecompressSync(bytes.subarray(at, end)))
    at = end
  }
  return Buffer.concat(frames)
}
