import { createReadStream, createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createZstdCompress, createZstdDecompress } from 'node:zlib'
import { systemErrorCode } from '../errors.ts'
import { digester, type Digest } from '../image/digest.ts'
import { messageOf, UnusableIndex } from './set-index.ts'

// The maximum sizes in bytes of a compressed index and of its file.
const [largestPacked, largestFile] = [256e6, 2e9]

/** The digest and size of a compressed file. */
export type Packed = { readonly digest: Digest; readonly size: number }

/** Compresses an index to another file. @throws errors of the files, the signal's reason */
export async function packIndex(file: string, to: string, signal: AbortSignal): Promise<Packed> {
  const hash = digester()
  let size = 0
  const hashed = upTo(largestPacked, (chunk) => {
    hash.update(chunk)
    size += chunk.length
  })
  await pipeline(createReadStream(file), createZstdCompress(), hashed, createWriteStream(to), { signal })
  return { digest: hash.digest(), size }
}

/**
 * Writes an index to a new file. Nothing is decompressed before its digest was verified.
 * @param source the compressed bytes
 * @returns false if the bytes have another digest or size
 * @throws UnusableIndex if they are no complete compressed file, or one that is too large; errors of the source and of
 * the files, the signal's reason
 */
export async function unpackIndex(
  source: Readable,
  { digest, size }: Packed,
  file: string,
  signal: AbortSignal,
): Promise<boolean> {
  const packed = `${file}.zst.part`
  const hash = digester()
  let received = 0
  const hashed = upTo(Math.min(size, largestPacked), (chunk) => {
    hash.update(chunk)
    received += chunk.length
  })
  try {
    await pipeline(source, hashed, createWriteStream(packed), { signal })
    if (received !== size || hash.digest() !== digest) return false
    await decompress(packed, file, signal)
    return true
  } catch (error) {
    if (error instanceof TooLarge) return false
    throw error
  } finally {
    await rm(packed, { force: true })
  }
}

async function decompress(packed: string, file: string, signal: AbortSignal): Promise<void> {
  const whole = upTo(largestFile, () => {})
  try {
    await pipeline(createReadStream(packed), createZstdDecompress(), whole, createWriteStream(file), {
      signal,
    })
  } catch (error) {
    // Node's codes of zlib and of zstd.
    const isInvalid = /^Z(?:STD|_)/.test(systemErrorCode(error) ?? '')
    if (isInvalid || error instanceof TooLarge) throw new UnusableIndex(messageOf(error))
    throw error
  }
}

class TooLarge extends Error {}

/** Passes chunks on, up to a number of bytes. */
const upTo = (most: number, see: (chunk: Buffer) => void) =>
  async function* (source: AsyncIterable<Buffer>) {
    let size = 0
    for await (const chunk of source) {
      size += chunk.length
      if (size > most) throw new TooLarge(`the search index has more than ${most} bytes`)
      see(chunk)
      yield chunk
    }
  }
