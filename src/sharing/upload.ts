import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createZstdCompress } from 'node:zlib'
import type { CacheRoom } from '../contents/cache/fetch.ts'
import { encodeNix32, sriOf } from '../contents/cache/nix32.ts'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { unwanted } from '../queue/demand.ts'
import type { Objects } from '../store/objects.ts'
import { storeError } from '../store/store.ts'

export type UploadDeps = Pick<CacheRoom, 'spoolDirectory' | 'budget'> & {
  readonly objects: Objects
  /** Reads the NAR of a path. */
  readonly read: (path: StorePath) => AsyncIterable<Uint8Array>
}

/** A NAR in the shared cache. */
export type Uploaded = { readonly url: string; readonly fileHash: string; readonly fileSize: number }

const chunkSize = 256 * 1024
/** The maximum compressed size of a NAR in bytes: incompressible data grows a little. */
const largest = (narSize: number): number => narSize + Math.ceil(narSize / 64) + 64 * 1024

/** Passes bytes on, and reports their hash and number at the end. */
function measure(): { stream: Transform; hash: () => Buffer; size: () => number } {
  const hash = createHash('sha256')
  let size = 0
  const stream = new Transform({
    transform(piece: Buffer, _encoding, done) {
      hash.update(piece)
      size += piece.length
      done(null, piece)
    },
  })
  return { stream, hash: () => hash.digest(), size: () => size }
}

/**
 * Compresses the NAR of a path of the local store by zstd, and stores it under the hash of the file, as Nix does. The
 * NAR must match Nix's facts.
 * @throws BUILD_FAILED for a damaged path, STORE_UNAVAILABLE, STORE_FULL, CANCELLED
 */
export async function uploadNar(
  { storePath, narHash, narSize }: PathFacts,
  { objects, read, spoolDirectory, budget }: UploadDeps,
  signal: AbortSignal,
): Promise<Uploaded> {
  const giveBack = await budget.take(largest(narSize), signal)
  const file = join(spoolDirectory, randomUUID())
  try {
    const [nar, compressed] = [measure(), measure()]
    const spooling = pipeline(
      Readable.from(read(storePath), { objectMode: false, highWaterMark: chunkSize }),
      nar.stream,
      createZstdCompress({ chunkSize, pledgedSrcSize: narSize }),
      compressed.stream,
      createWriteStream(file, { flags: 'wx' }),
      { signal },
    )
    await spooling.catch((error: unknown) => {
      if (signal.aborted) throw unwanted(signal.reason)
      // The compressor refuses more or fewer bytes than were announced.
      if (systemErrorCode(error) === 'ZSTD_error_srcSize_wrong') throw damaged(storePath, error)
      throw storeError(error, 'spooling a store path')
    })
    if (nar.size() !== narSize || sriOf(nar.hash()) !== narHash) throw damaged(storePath)
    const hash = compressed.hash()
    const [url, fileSize] = [`nar/${encodeNix32(hash)}.nar.zst`, compressed.size()]
    await objects.upload(url, { size: fileSize, mediaType: 'application/x-nix-nar' }, file)
    return { url, fileHash: sriOf(hash), fileSize }
  } finally {
    await rm(file, { force: true }).catch(() => {}) // report the first error
    giveBack()
  }
}

const damaged = (storePath: string, cause?: unknown): NixeryError =>
  new NixeryError(
    'BUILD_FAILED',
    `${storePath} is damaged: its contents are not those that Nix has registered`,
    {
      cause,
      hint: 'the operator can repair the store with: nix-store --verify --check-contents --repair',
    },
  )
