import { Transform, type TransformCallback } from 'node:stream'

/**
 * Splits a stream of zstd frames into chunks that end at frame boundaries. Nix writes large NARs as many concatenated
 * frames, and Node's decoder drops data that follows a frame in the same chunk (Node 24.21). Lengths are those of RFC
 * 8878, §3.1; the decoder detects damage.
 */
export function cutZstdFrames(): Transform {
  /** The bytes of an incomplete header. */
  let held = Buffer.alloc(0)
  let at: 'frame' | 'block' | 'bytes' = 'frame'
  /** The number of bytes up to the next header, and whether the frame ends there. */
  let left = 0
  let isLast = false
  let hasChecksum = false

  return new Transform({
    transform(piece: Buffer, _encoding, done: TransformCallback) {
      let bytes = held.length > 0 ? Buffer.concat([held, piece]) : piece
      held = Buffer.alloc(0)
      let used = 0
      const isShort = (size: number): boolean => bytes.length - used < size
      for (;;) {
        if (at === 'bytes') {
          const count = Math.min(left, bytes.length - used)
          used += count
          left -= count
          if (left > 0) break
          at = isLast ? 'frame' : 'block'
          if (!isLast) continue
          // The frame ends here.
          if (used > 0) this.push(bytes.subarray(0, used))
          bytes = bytes.subarray(used)
          used = 0
        } else if (at === 'frame') {
          if (isShort(8)) break
          const magic = bytes.readUInt32LE(used)
          if ((magic & 0xfffffff0) >>> 0 === skippable) {
            left = 8 + bytes.readUInt32LE(used + 4)
            isLast = true
            at = 'bytes'
          } else {
            const size = headerSize(bytes.readUInt8(used + 4))
            if (isShort(size)) break
            hasChecksum = (bytes.readUInt8(used + 4) & 4) !== 0
            used += size
            at = 'block'
          }
        } else {
          if (isShort(3)) break
          const header = bytes.readUIntLE(used, 3)
          isLast = (header & 1) === 1
          // A run has one byte.
          left = 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3) + (isLast && hasChecksum ? 4 : 0)
          at = 'bytes'
        }
      }
      if (at === 'bytes') this.push(bytes)
      else {
        if (used > 0) this.push(bytes.subarray(0, used))
        held = Buffer.from(bytes.subarray(used))
      }
      done()
    },
    flush(done: TransformCallback) {
      if (held.length > 0) this.push(held)
      done()
    },
  })
}

const skippable = 0x184d2a50

/** The size of a frame's header in bytes, including the magic number, from the frame header descriptor. */
function headerSize(descriptor: number): number {
  const isSingle = (descriptor & 0x20) !== 0
  const contentSize = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0
  return 5 + (isSingle ? 0 : 1) + dictionary + contentSize
}
