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
 * The codec of an engine, for one thread.
 * @throws the reason as a plain `Error` when the engine's library is not there
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

// Node collects output in chunks of this size; at its 16 KiB a block costs forty allocations.
const outputChunk = 512 * 1024

const params = {
  [constants.ZSTD_c_compressionLevel]: levels.zstd,
  [constants.ZSTD_c_checksumFlag]: 1,
}

function put(bytes: Uint8Array, into: Uint8Array): number {
  into.set(bytes)
  return bytes.length
}

/** libdeflate, where it is there, takes a third of zlib's time. */
async function expandGzip(): Promise<Expand> {
  try {
    return (await openLibdeflate(levels.libdeflate)).expand
  } catch {
    return expandWithZlib
  }
}

/** The header that all of the engines write: no name, no extra field (RFC 1952 §2.3). */
const headerSize = 10
const trailerSize = 8

/** What stands in where libdeflate is not there; exported for its tests. */
export const expandWithZlib: Expand = (compressed, into) => {
  const [id1, id2, method, flags] = compressed
  if (id1 !== 0x1f || id2 !== 0x8b || method !== 8 || flags !== 0) throw new Error('no gzip member')
  const options = { info: true, maxOutputLength: into.length, chunkSize: outputChunk }
  const { buffer: expanded, engine } = inflateRawSync(
    compressed.subarray(headerSize),
    options,
  ) as unknown as {
    buffer: Buffer
    engine: { bytesWritten: number }
  }
  const end = headerSize + engine.bytesWritten
  const rest = Buffer.from(compressed.subarray(end, end + trailerSize))
  const whole = rest.length === trailerSize && rest.readUInt32LE(4) === expanded.length
  if (!whole || rest.readUInt32LE(0) !== crc32(expanded)) throw new Error('a gzip member is damaged')
  return { read: end + trailerSize, expanded }
}

const expandZstd: Expand = (compressed, into) => {
  const read = zstdFrameLength(Buffer.from(compressed.buffer, compressed.byteOffset, compressed.length))
  const frame: InputType = compressed.subarray(0, read)
  return { read, expanded: zstdDecompressSync(frame, { maxOutputLength: into.length }) }
}

/** Bytes of the frame at the start (RFC 8878 §3.1.1): its header, blocks up to the one marked last, checksum. */
function zstdFrameLength(bytes: Buffer): number {
  if (bytes.length < 5 || bytes.readUInt32LE(0) !== 0xfd2fb528) throw new Error('no zstd frame')
  const descriptor = bytes.readUInt8(4)
  const singleSegment = (descriptor & 0x20) !== 0
  const contentSize = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  let end = 5 + (singleSegment ? 0 : 1) + dictionary + contentSize
  for (let last = false; !last;) {
    if (end + 3 > bytes.length) throw new Error('a zstd frame is cut off')
    const header = bytes.readUIntLE(end, 3)
    last = (header & 1) === 1
    end += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3) // a run is one byte
  }
  end += (descriptor & 4) === 0 ? 0 : 4
  if (end > bytes.length) throw new Error('a zstd frame is cut off')
  return end
}
