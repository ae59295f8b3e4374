import { closeSync, openSync, writeSync } from 'node:fs'
import { digester, type Digest } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'
import { systemErrorCode } from '../errors.ts'
import { storePathEntries, tarBlocks, trailer, type Entry } from './archive.ts'
import { gzipCompressor } from './compressor.ts'

/** A piece of a layer: the tar entries of a store path, or entries that were made up. */
export type Piece = { readonly storePath: StorePath } | { readonly entries: readonly Entry[] }

/** The bytes of a layer are to be written to a new file. */
export type PackJob = { readonly pieces: readonly Piece[]; readonly file: string }

/** Errors cross threads as plain data: a cloned `Error` has lost its code. */
export type PackResult =
  | {
      readonly ok: true
      readonly digest: Digest
      readonly diffId: Digest
      readonly size: number
      /** Where each piece lies in the compressed bytes, in order. */
      readonly spans: readonly Span[]
    }
  | {
      readonly ok: false
      readonly step: 'reading' | 'writing'
      readonly code: string | undefined
      readonly message: string
    }

export type Span = { offset: number; length: number }

// More than the cores that a layer can use; bounds a worker's memory to a few blocks.
const blocksInFlight = 4

/**
 * Packs one layer in one pass: tar → diffId → compress → digest → file. Compression runs in Node's thread pool
 * while this thread reads and hashes on.
 */
// oxlint-disable-next-line import/no-default-export -- what the thread pool calls
export default async function pack(job: PackJob): Promise<PackResult> {
  let step: 'reading' | 'writing' = 'writing'
  try {
    const descriptor = openSync(job.file, 'wx')
    try {
      const diffId = digester()
      const digest = digester()
      const spans: Span[] = job.pieces.map(() => ({ offset: 0, length: 0 }))
      const inFlight: { index: number; compressed: Promise<Uint8Array> }[] = []
      let size = 0

      const writeOldest = async () => {
        const oldest = inFlight.shift()
        if (!oldest) return
        const bytes = await oldest.compressed
        step = 'writing'
        for (let from = 0; from < bytes.length;) from += writeSync(descriptor, bytes, from)
        digest.update(bytes)
        const span = spans[oldest.index]
        if (span) {
          if (span.length === 0) span.offset = size
          span.length += bytes.length
        }
        size += bytes.length
        step = 'reading'
      }

      step = 'reading'

      for (const [index, block] of blocksOf(job.pieces)) {
        diffId.update(block)
        inFlight.push({ index, compressed: gzipCompressor.compress(block) })
        if (inFlight.length >= blocksInFlight) await writeOldest()
      }
      while (inFlight.length > 0) await writeOldest()
      return { ok: true, digest: digest.digest(), diffId: diffId.digest(), size, spans }
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    return {
      ok: false,
      step,
      code: systemErrorCode(error),
      message: error instanceof Error ? error.message : String(error),
    }
  }
}

/** All blocks of a layer with the index of their piece, the archive's end last. */
function* blocksOf(pieces: readonly Piece[]): Generator<[number, Uint8Array]> {
  for (const [index, piece] of pieces.entries()) {
    const entries = 'storePath' in piece ? storePathEntries(piece.storePath) : piece.entries
    for (const block of tarBlocks(entries)) yield [index, block]
  }
  yield [pieces.length, trailer]
}
