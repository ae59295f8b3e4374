/** Runs tests with every compressor that this machine has. */
import { describe, it } from 'node:test'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { blockSize } from './archive.ts'
import { openCodec } from './codec.ts'
import { openCompressor, type Compressor } from './compressor.ts'
import { engines, type Codec } from './engine.ts'

export type Opened = { readonly compressor: Compressor; readonly codec: Codec }

const all = await Promise.all(
  engines.map(async (engine) => {
    try {
      const codec = await openCodec(engine)
      const compressor = await openCompressor(engine, () => {})
      return { engine, opened: { codec, compressor } }
    } catch (error) {
      return { engine, missing: String(error) }
    }
  }),
)

/** Runs a suite for every compressor, and skips those whose library is not installed. */
export function describeEach(what: string, suite: (opened: Opened) => void): void {
  for (const { engine, opened, missing } of all) {
    describe(`${what}: ${engine}`, () => {
      if (opened) suite(opened)
      else it('is not installed', { skip: missing })
    })
  }
}

/** Decompresses all members of a layer: gzip at once, zstd frame by frame because Node reads only one. */
export function decompress({ compressor, codec }: Opened, bytes: Uint8Array): Buffer {
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
