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
  /** Whether to return the bytes instead of writing a file. */
  readonly inMemory?: boolean
  /** Called with the number of bytes as they arrive from the network. */
  readonly onBytes: (count: number) => void
}

/**
 * Downloads the NAR of a path to a file or into memory: expanded, or compressed for threads to expand. Verifies the size
 * and hash of the file if the narinfo has them; the reader verifies those of the NAR.
 * @param file created, unless it is in memory, and removed on failure
 * @throws BadPath, CANCELLED, and the failed system call when the file cannot be written
 */
export async function download(
  { cache, narinfo, compression }: InCache,
  file: string,
  { inThreads, inMemory = false, onBytes, ...demand }: DownloadOptions,
): Promise<NarSource> {
  const { storePath, narHash, narSize, fileSize, fileHash } = narinfo
  const kept = isAmong(inThreads, compression) ? compression : 'none'
  const hash = createHash('sha256')
  const most = Math.min(fileSize ?? Infinity, largestFile(narSize))
  let size = 0
  let content: NarSource['content'] = { file }
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
      if (inMemory) content = { bytes: await collect(nar) }
      else await writeSpoolFile(file, nar)
    })
  } catch (error) {
    if (!inMemory) await rm(file, { force: true }).catch(() => {}) // report the first error
    if (demand.signal?.aborted) throw unwanted(demand.signal.reason)
    if (isOfDisk(error)) throw error
    throw new BadPath(storePath, cache.name, reasonOf(error), error)
  }
  return { storePath, content, compression: kept, narHash, narSize, cache: cache.name }
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

/** The bytes in one buffer of their own, so that sending it to a thread copies nothing else. */
async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = []
  let size = 0
  for await (const piece of pieces) {
    all.push(piece)
    size += piece.length
  }
  const bytes = new Uint8Array(size)
  let at = 0
  for (const piece of all) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
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
