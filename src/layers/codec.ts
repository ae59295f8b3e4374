import {
  constants,
  crc32,
  gzipSync,
  type InputType,
  inflateRawSync,
  zstdCompressSync,
  zstdDecompressSync,
} from 'node:zlib'
import { levels, type Codec, type Engine, type Expand } from './engine.ts'
import { openLibdeflate } from './native.ts'

/**
 * Opens the codec of an engine, for use in one thread.
 * @throws a plain `Error` with the reason when the engine's library cannot be loaded
 */
export async function openCodec(engine: Engine): Promise<Codec> {
  switch (engine) {
    case 'libdeflate': {
      return openLibdeflate(levels.libdeflate)
    }
    case 'gzip':
      return {
        compress: (block, into) => put(gzipSync(block, { level: levels.gzip, chunkSize: outputChunk }), into),
        expand: await expandGzip(),
      }
    case 'zstd':
      return { compress: (block, into) => put(zstdCompressSync(block, { params }), into), expand: expandZstd }
    case 'none':
      return { compress: put, expand: undefined }
  }
}

// Node collects output in chunks of this size. With its default of 16 KiB a block takes forty allocations.
const outputChunk = 512 * 1024

const params = {
  [constants.ZSTD_c_compressionLevel]: levels.zstd,
  [constants.ZSTD_c_checksumFlag]: 1,
}

function put(bytes: Uint8Array, into: Uint8Array): number {
  into.set(bytes)
  return bytes.length
}

/** libdeflate takes a third of zlib's time, so it is used if it is installed. */
async function expandGzip(): Promise<Expand> {
  try {
    return (await openLibdeflate(levels.libdeflate)).expand
  } catch {
    return expandWithZlib
  }
}

/** The size of the header that all engines write: no name, no extra field (RFC 1952 §2.3). */
const headerSize = 10
const trailerSize = 8

/** Expands gzip members where libdeflate is not installed. Exported for its tests. */
export const expandWithZlib: Expand = (compressed, into) => {
  const [id1, id2, method, flags] = compressed
  if (id1 !== 0x1f || id2 !== 0x8b || method !== 8 || flags !== 0) throw new Error('not a gzip member')
  const options = { info: true, maxOutputLength: into.length, chunkSize: outputChunk }
  const { buffer: expanded, engine } = inflateRawSync(
    compressed.subarray(headerSize),
    options,
  ) as unknown as {
    buffer: Buffer
    engine: { bytesWritten: number }
  }
  const end = headerSize + engine.bytesWritten
  const checksums = Buffer.from(compressed.subarray(end, end + trailerSize))
  const isComplete = checksums.length === trailerSize && checksums.readUInt32LE(4) === expanded.length
  if (!isComplete || checksums.readUInt32LE(0) !== crc32(expanded))
    throw new Error('the gzip member is damaged')
  return { read: end + trailerSize, expanded }
}

const expandZstd: Expand = (compressed, into) => {
  const read = zstdFrameLength(Buffer.from(compressed.buffer, compressed.byteOffset, compressed.length))
  const frame: InputType = compressed.subarray(0, read)
  return { read, expanded: zstdDecompressSync(frame, { maxOutputLength: into.length }) }
}

/** The length in bytes of the first frame (RFC 8878 §3.1.1): header, blocks up to the one marked last, checksum. */
function zstdFrameLength(bytes: Buffer): number {
  if (bytes.length < 5 || bytes.readUInt32LE(0) !== 0xfd2fb528) throw new Error('not a zstd frame')
  const descriptor = bytes.readUInt8(4)
  const singleSegment = (descriptor & 0x20) !== 0
  const contentSize = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  let end = 5 + (singleSegment ? 0 : 1) + dictionary + contentSize
  for (let last = false; !last;) {
    if (end + 3 > bytes.length) throw new Error('the zstd frame is truncated')
    const header = bytes.readUIntLE(end, 3)
    last = (header & 1) === 1
    end += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3) // an RLE block is one byte
  }
  end += (descriptor & 4) === 0 ? 0 : 4
  if (end > bytes.length) throw new Error('the zstd frame is truncated')
  return end
}
