import { open, realpath, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { systemErrorCode } from '../errors.ts'
import { partOf } from './part.ts'

/** The bytes of a file, in chunks. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export type ReplaceOptions = {
  /** Whether to sync file and folder, so that the file survives a power failure; true by default. */
  readonly durable?: boolean
  /** The folder for the unfinished file, on the same file system; by default the file's own. */
  readonly staging?: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Creates or replaces a file atomically: readers see either the old contents or all of the new ones, also after a crash.
 * Follows symbolic links. When it fails, it leaves the old contents and no unfinished file; if the process is killed, it
 * leaves an unfinished file (see `part.ts`).
 * @throws the failed system call, an AbortError, or the error of the chunks
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array | Chunks,
  { durable = true, staging, signal }: ReplaceOptions = {},
): Promise<void> {
  const target = await realpath(path).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return path
    throw error
  })
  const part = partOf(target, staging)
  try {
    const handle = await open(part, 'wx')
    const chunks = typeof content === 'string' ? [Buffer.from(content)] : content
    await flow(
      chunks instanceof Uint8Array ? [chunks] : chunks,
      handle.createWriteStream({ flush: durable }),
      {
        signal,
      },
    )
    await rename(part, target)
  } catch (error) {
    await rm(part, { force: true }).catch(() => {}) // report the first error
    throw error
  }
  if (durable) await syncDirectory(dirname(target))
}

/** Writes chunks to a stream at its pace, and ends it unless `end` is false. */
export const flow = (
  chunks: Chunks,
  out: Writable,
  { end, signal }: { end?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<void> =>
  pipeline(Readable.from(chunks, bytewise), out, {
    ...(end !== undefined && { end }),
    ...(signal && { signal }),
  })

// By default the stream counts chunks, not bytes, and would read ahead sixteen chunks of a megabyte.
const bytewise = { objectMode: false, highWaterMark: 1024 * 1024 }

/** Syncs a folder. Without this, renames and removals in it may not survive a power failure. */
export async function syncDirectory(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
