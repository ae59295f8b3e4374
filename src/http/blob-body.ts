import { open, type FileHandle } from 'node:fs/promises'
import type { Blobs } from '../builds/blobs.ts'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { storeError, type ByteRange } from '../store/store.ts'
import type { OpenBody, StreamBody } from './reply.ts'

/** A part of a body, in order: bytes in memory, or a range of the blob. There is at least one range. */
export type Piece = Uint8Array | ByteRange

export const isRange = (piece: Piece): piece is ByteRange => 'start' in piece

/** The source of bytes, and the receiver of reports about truncated blobs. */
export type BlobSource = Pick<Blobs, 'read' | 'file' | 'doubt'>

/** The body of these pieces of a blob. Nothing is opened before `open` is called. */
export function blobBody(blobs: BlobSource, digest: Digest, pieces: readonly Piece[]): StreamBody {
  return {
    async open() {
      const path = blobs.file(digest)
      if (path === undefined) return fromStore(blobs, digest, pieces)
      return fromFile(await openBlob(path), pieces, () => blobs.doubt(digest))
    },
  }
}

async function openBlob(path: string): Promise<FileHandle> {
  try {
    return await open(path)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') {
      throw new NixeryError('BLOB_UNKNOWN', 'no such blob', { cause: error })
    }
    throw storeError(error, 'reading a blob')
  }
}

// Two such blocks a stream: while one is sent, the other is read. Processor time by size, with the sockets: 0.44 ms a
// megabyte with 64 KiB, 0.33 with 256 KiB, 0.31 with 1 MiB, which is four times the memory.
const blockSize = 256 * 1024
// The number of blocks that are kept for later streams, 16 MiB.
const maxSpare = 64
const spare: Buffer[] = []

/**
 * Reads into memory that is reused. A stream, whose buffers are new, takes 1.1 ms a megabyte: three times as long, for
 * making their pages.
 */
function fromFile(file: FileHandle, pieces: readonly Piece[], doubt: () => Promise<void>): OpenBody {
  const largest = Math.max(...pieces.map((piece) => (isRange(piece) ? piece.end - piece.start : 0)))
  const take = () =>
    largest < blockSize ? Buffer.allocUnsafe(largest) : (spare.pop() ?? Buffer.allocUnsafeSlow(blockSize))
  const blocks = [take(), take()] as const
  let reading: Promise<unknown> = Promise.resolve()

  async function* chunks(): AsyncGenerator<Uint8Array> {
    let turn = 0
    const fill = (at: number, end: number): Promise<Buffer> => {
      const block = blocks[turn % 2 === 0 ? 0 : 1]
      turn += 1
      const filled = fillBlock(file, block, at, Math.min(block.length, end - at), doubt)
      reading = filled.catch(() => {}) // handled by the reader, if any
      return filled
    }
    for (const piece of pieces) {
      if (!isRange(piece)) {
        yield piece
        continue
      }
      let next = fill(piece.start, piece.end)
      for (let at = piece.start; at < piece.end;) {
        const chunk = await next
        at += chunk.length
        if (at < piece.end) next = fill(at, piece.end)
        yield chunk
      }
    }
  }
  return {
    chunks,
    async close() {
      await reading // the system may still be writing into a block
      if (largest >= blockSize && spare.length < maxSpare) spare.push(...blocks)
      await file.close()
    },
  }
}

async function fillBlock(
  file: FileHandle,
  block: Buffer,
  at: number,
  length: number,
  doubt: () => Promise<void>,
): Promise<Buffer> {
  for (let filled = 0; filled < length;) {
    const { bytesRead } = await file.read(block, filled, length - filled, at + filled)
    if (bytesRead === 0) {
      await doubt()
      throw new NixeryError('STORE_UNAVAILABLE', 'a blob ends before its size')
    }
    filled += bytesRead
  }
  return block.length === length ? block : block.subarray(0, length)
}

/**
 * Reads from a store that only has streams. The first range is opened at once, so that a failure can still become the
 * response.
 */
async function fromStore(blobs: BlobSource, digest: Digest, pieces: readonly Piece[]): Promise<OpenBody> {
  const first = pieces.findIndex(isRange)
  const range = pieces[first]
  let current = await blobs.read(digest, range && isRange(range) ? range : undefined)

  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (const [index, piece] of pieces.entries()) {
      if (!isRange(piece)) {
        yield piece
        continue
      }
      if (index !== first) current = await blobs.read(digest, piece)
      let length = 0
      for await (const chunk of current as AsyncIterable<Uint8Array>) {
        length += chunk.length
        yield chunk
      }
      if (length !== piece.end - piece.start) await blobs.doubt(digest) // the sender detects it, too
    }
  }
  return {
    chunks,
    close() {
      current.destroy()
      return Promise.resolve()
    },
  }
}
