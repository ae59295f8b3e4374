import { open } from 'node:fs/promises'
import { addAbortSignal, Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { decodersOf } from '../contents/cache/decoders.ts'
import { digester, type Digest } from '../image/digest.ts'
import type { BaseEntry } from '../rootfs/base-entry.ts'
import { BaseProblem } from './errors.ts'
import type { LayerDescriptor } from './manifest.ts'
import { changed } from './registry.ts'
import { createScanner, type ScanRoom } from './scan.ts'

/** A layer to read, and its expected digests. */
export type WantedLayer = Pick<LayerDescriptor, 'digest' | 'size' | 'compression'> & {
  /** The digest of the uncompressed bytes. */
  readonly diffId: Digest
}

export type ReadLayerOptions = {
  readonly room: ScanRoom
  /** The maximum bytes and files of a base, for messages. */
  readonly most: { readonly bytes: number; readonly entries: number }
  /** The file to write the bytes to; undefined if they are not stored. */
  readonly file?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads a layer in one pass: verifies its bytes, writes them to a file, decompresses them, verifies the result, and
 * scans the archive.
 * @returns its entries
 * @throws BaseProblem
 */
export async function readLayer(
  bytes: AsyncIterable<Uint8Array>,
  { digest, size, compression, diffId }: WantedLayer,
  { room, most, file, signal }: ReadLayerOptions,
): Promise<readonly BaseEntry[]> {
  const whole = digester()
  const expanded = digester()
  const scanner = createScanner(room, most.entries)
  const handle = file === undefined ? undefined : await open(file, 'wx')
  let received = 0

  async function* arriving(): AsyncGenerator<Uint8Array> {
    for await (const piece of bytes) {
      received += piece.length
      if (received > size) throw changed(digest)
      whole.update(piece)
      await handle?.writeFile(piece)
      yield piece
    }
    if (received !== size || whole.digest() !== digest) throw changed(digest)
  }
  const looking = new Writable({
    write(piece: Uint8Array, _encoding, done) {
      try {
        room.bytes -= piece.length
        if (room.bytes < 0) throw tooLarge(most.bytes)
        expanded.update(piece)
        scanner.write(piece)
        done()
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)))
      }
    },
  })

  try {
    const source = Readable.from(arriving(), { objectMode: false })
    if (signal) addAbortSignal(signal, source)
    await pipeline([source, ...(await decodersOf(compression)), looking])
    if (expanded.digest() !== diffId) {
      throw new BaseProblem(`its layer ${digest} does not match its config: push the image again`)
    }
    return scanner.end()
  } catch (error) {
    throw isDamage(error)
      ? new BaseProblem(`its layer ${digest} cannot be expanded`, { cause: error })
      : error
  } finally {
    await handle?.close()
  }
}

const tooLarge = (most: number): BaseProblem =>
  new BaseProblem(
    `it has more than ${most} bytes, uncompressed: use a smaller base, or raise NIXERY_BASE_SIZE`,
  )

/** A failure of zlib or zstd. */
const isDamage = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && /^(Z_|ZSTD_|ERR_ZLIB)/.test(String(error.code))
