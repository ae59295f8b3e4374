import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { partPrefix, partSuffix } from './destination.ts'

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/**
 * Writes a file that is there whole or not at all: under another name beside it, made durable, then renamed. What
 * is no regular file (a pipe, a device) is written to as it is: to rename over `/dev/null` would be a pity.
 * @throws STORE_FULL, STORE_UNAVAILABLE, CANCELLED, and what `chunks` throws
 */
export async function writeWholeFile(path: string, chunks: Chunks, signal?: AbortSignal): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found && !found.isFile()) {
    return saying(path, async () => {
      const handle = await open(path, constants.O_WRONLY)
      await pipeline(Readable.from(chunks, bytewise), handle.createWriteStream(), {
        ...(signal && { signal }),
      })
    })
  }
  // Through a symbolic link: the file that it leads to is meant, not the link.
  const target = found ? await realpath(path) : path
  const part = `${partPrefix(target)}${randomUUID()}${partSuffix}`
  await saying(path, async () => {
    try {
      const handle = await open(part, 'wx')
      const out = handle.createWriteStream({ flush: true })
      await pipeline(Readable.from(chunks, bytewise), out, { ...(signal && { signal }) })
      await rename(part, target)
      await syncDirectory(dirname(target))
    } finally {
      await rm(part, { force: true })
    }
  })
}

// Without this, pieces would be counted and not bytes, and sixteen of a megabyte be read ahead.
const bytewise = { objectMode: false, highWaterMark: 1024 * 1024 }

/** Writes to a stream that stays open, as standard output. */
export const writeStream = (out: Writable, chunks: Chunks, signal?: AbortSignal): Promise<void> =>
  saying('standard output', () =>
    pipeline(Readable.from(chunks, bytewise), out, { end: false, ...(signal && { signal }) }),
  )

/** A rename is durable only when its folder is. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Says a failed system call in this project's words. */
export async function saying<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof NixeryError) throw error
    if (error instanceof Error && error.name === 'AbortError') {
      throw new NixeryError('CANCELLED', 'interrupted', { cause: error })
    }
    const code = systemErrorCode(error)
    if (code === undefined) throw error
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
    throw new NixeryError(isFull ? 'STORE_FULL' : 'STORE_UNAVAILABLE', `writing ${what} failed: ${code}`, {
      cause: error,
      ...(isFull && { hint: 'free or add disk space' }),
    })
  }
}

/** What processes that were killed have left in a folder; one that is being written has changed lately. */
export async function removeLeftovers(folder: string, prefix: string): Promise<void> {
  const anHourAgo = Date.now() - 3_600_000
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(prefix) || !name.endsWith(partSuffix)) continue
    const path = join(folder, name)
    const found = await stat(path).catch(() => undefined)
    if (found && found.mtimeMs < anHourAgo) await rm(path, { recursive: true, force: true })
  }
}
