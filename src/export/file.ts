import { randomUUID } from 'node:crypto'
import { constants, openSync } from 'node:fs'
import { open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { partPrefix, partSuffix } from './destination.ts'

export type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/**
 * Writes a file that is there whole or not at all: under another name beside it, made durable, then renamed. What
 * is no regular file (a pipe, a device) is written to as it is: to rename over `/dev/null` would be a pity.
 * @throws STORE_FULL, STORE_UNAVAILABLE, CANCELLED, and what `chunks` throws
 */
export async function writeWholeFile(path: string, chunks: Chunks, signal?: AbortSignal): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFIFO()) return writePipe(path, chunks, signal)
  if (found && !found.isFile()) {
    return saying(path, async () => {
      const handle = await open(path, constants.O_WRONLY)
      await flow(chunks, handle.createWriteStream(), signal)
    })
  }
  // Through a symbolic link: the file that it leads to is meant, not the link.
  const target = found ? await realpath(path) : path
  const part = `${partPrefix(target)}${randomUUID()}${partSuffix}`
  await saying(path, async () => {
    try {
      const handle = await open(part, 'wx')
      await flow(chunks, handle.createWriteStream({ flush: true }), signal)
      await rename(part, target)
      await syncDirectory(dirname(target))
    } finally {
      await rm(part, { force: true })
    }
  })
}

const ownStdout = '/proc/self/fd/1'

/**
 * Writes to standard output. Node blocks on a pipe there while nobody reads, and would not even be interrupted:
 * so it is opened anew, which leaves alone the settings that it shares with other programs.
 */
export async function writeStdout(chunks: Chunks, signal?: AbortSignal): Promise<void> {
  const found = await stat(ownStdout).catch(() => undefined)
  if (found?.isFIFO()) return writePipe(ownStdout, chunks, signal)
  return saying('standard output', () => flow(chunks, process.stdout, signal, { end: false }))
}

/** Waits for a reader, and for a slow one, without a thread that could not be interrupted. */
async function writePipe(path: string, chunks: Chunks, signal?: AbortSignal): Promise<void> {
  await saying(path === ownStdout ? 'standard output' : path, async () => {
    for (;;) {
      const fd = openPipe(path)
      if (fd !== undefined) return flow(chunks, new Socket({ fd, readable: false }), signal)
      await sleep(50, undefined, { ...(signal && { signal }) })
    }
  })
}

/** @returns undefined while nobody has opened the pipe for reading */
function openPipe(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (systemErrorCode(error) === 'ENXIO') return undefined
    throw error
  }
}

const flow = (chunks: Chunks, out: Writable, signal?: AbortSignal, options: { end?: boolean } = {}) =>
  pipeline(Readable.from(chunks, bytewise), out, { ...options, ...(signal && { signal }) })

// Without this, pieces would be counted and not bytes, and sixteen of a megabyte be read ahead.
const bytewise = { objectMode: false, highWaterMark: 1024 * 1024 }

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
