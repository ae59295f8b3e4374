import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import type { NarSource } from '../contents.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import { unwanted } from '../../queue/demand.ts'
import type { InCache } from './caches.ts'
import { decodersOf, type NarCompression } from './decoders.ts'
import { sriOf } from './nix32.ts'
import { writeSpoolFile } from './spool-file.ts'
import { BadPath, CacheTrouble, reasonOf } from './trouble.ts'

type InThreads = Exclude<NarSource['compression'], 'none'>

/** Whether threads expand a compression. */
export const isAmong = (inThreads: ReadonlySet<InThreads>, compression: string): compression is InThreads =>
  (inThreads as ReadonlySet<string>).has(compression)

export type DownloadOptions = PartialDemand & {
  /** Compressions that packing threads expand; other files are expanded during the download. */
  readonly inThreads: ReadonlySet<InThreads>
  /** Called with the number of bytes as they arrive from the network. */
  readonly onBytes: (count: number) => void
}

/**
 * Downloads the NAR of a path: expanded, or compressed for threads to expand. Verifies the size and hash of the file if
 * the narinfo has them; the reader verifies those of the NAR.
 * @param file created, and removed on failure
 * @throws BadPath, CANCELLED, and the failed system call when the file cannot be written
 */
export async function download(
  { cache, narinfo, compression }: InCache,
  file: string,
  { inThreads, onBytes, ...demand }: DownloadOptions,
): Promise<NarSource> {
  const { storePath, narHash, narSize, fileSize, fileHash } = narinfo
  const kept = isAmong(inThreads, compression) ? compression : 'none'
  const hash = createHash('sha256')
  const most = Math.min(fileSize ?? Infinity, largestFile(narSize))
  let size = 0
  async function* measured(bytes: AsyncIterable<Uint8Array>) {
    for await (const piece of bytes) {
      size += piece.length
      if (size > most) throw new CacheTrouble('the file is larger than its narinfo says')
      if (fileHash !== undefined) hash.update(piece)
      onBytes(piece.length)
      yield piece
    }
    // Before the last chunk is expanded, so that it is reported before a decoder reports truncation.
    if (fileSize !== undefined && size < fileSize)
      throw new CacheTrouble('the file is smaller than its narinfo says')
    if (fileHash !== undefined && sriOf(hash.digest()) !== fileHash)
      throw new CacheTrouble('the hash of the file does not match its narinfo')
  }
  try {
    await cache.reading(narinfo, demand, async (bytes) => {
      const pieces = measured(bytes)
      const nar = kept === 'none' ? bounded(await expanded(pieces, compression), narSize) : pieces
      await writeSpoolFile(file, nar)
    })
  } catch (error) {
    await rm(file, { force: true }).catch(() => {}) // report the first error
    if (demand.signal?.aborted) throw unwanted(demand.signal.reason)
    if (isOfDisk(error)) throw error
    throw new BadPath(storePath, cache.name, reasonOf(error), error)
  }
  return { storePath, file, compression: kept, narHash, narSize, cache: cache.name }
}

/** Failures of chunks and decoders are thrown to the reader. */
async function expanded(
  pieces: AsyncIterable<Uint8Array>,
  compression: NarCompression,
): Promise<AsyncIterable<Uint8Array>> {
  const decoders = await decodersOf(compression)
  const last = decoders.at(-1)
  if (!last) return pieces
  pipeline([Readable.from(pieces, { objectMode: false }), ...decoders], () => {})
  return last
}

async function* bounded(pieces: AsyncIterable<Uint8Array>, narSize: number) {
  let total = 0
  for await (const piece of pieces) {
    total += piece.length
    if (total > narSize) throw new CacheTrouble('the NAR is larger than its narinfo says')
    yield piece
  }
}

/** The largest size of a file, since the size in the narinfo is not signed: incompressible data grows a little. */
export const largestFile = (narSize: number): number => narSize + Math.ceil(narSize / 8) + 1024 * 1024

/** A failure to write the file. Failures to read are the cache's, and are reported as such. */
const isOfDisk = (error: unknown): boolean =>
  error instanceof Error && 'syscall' in error && ['open', 'write'].includes(String(error.syscall))
