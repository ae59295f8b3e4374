import { open, realpath, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { systemErrorCode } from '../errors.ts'
import { partOf } from './part.ts'
import { syncDirectory } from './sync.ts'

/** The bytes of a file, in pieces. */
export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

export type ReplaceOptions = {
  /** Whether the file survives a power failure, which costs two syncs; by default it does. */
  readonly durable?: boolean
  /** The folder for the unfinished file, on the same file system; by default the file's own. */
  readonly staging?: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Creates or replaces a file in one step: readers, and whoever comes after a crash, see the old contents or all of the
 * new ones. Through a symbolic link, the file that it leads to. A failure leaves the old contents and no unfinished
 * file; a kill leaves one with a name of `part.ts`.
 * @throws the failed system call, an AbortError, or what the chunks throw
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
    await rm(part, { force: true }).catch(() => {}) // the first error is the one to report
    throw error
  }
  if (durable) await syncDirectory(dirname(target))
}

/** Sends chunks into a stream, at the stream's pace, and closes it unless `end` is false. */
export const flow = (
  chunks: Chunks,
  out: Writable,
  { end, signal }: { end?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<void> =>
  pipeline(Readable.from(chunks, bytewise), out, {
    ...(end !== undefined && { end }),
    ...(signal && { signal }),
  })

// Without this, chunks would be counted and not bytes, and sixteen of a megabyte be read ahead.
const bytewise = { objectMode: false, highWaterMark: 1024 * 1024 }
