import { constants, openSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemErrorCode } from '../errors.ts'
import { flow, replaceFile, type Chunks } from './replace-file.ts'

/**
 * Writes to a path that the user has chosen. A regular file is replaced atomically. Pipes and devices are written
 * directly, because renaming a file to `/dev/null` would replace the device.
 * @throws the failed system call, an AbortError, or the error of the chunks
 */
export async function writeOutput(path: string, chunks: Chunks, signal?: AbortSignal): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isFIFO()) return writePipe(path, chunks, signal)
  if (stats && !stats.isFile()) {
    const handle = await open(path, constants.O_WRONLY)
    return flow(chunks, handle.createWriteStream(), { signal })
  }
  return replaceFile(path, chunks, { signal })
}

const ownStdout = '/proc/self/fd/1'

/**
 * Writes to standard output. Node blocks while a pipe there is not read, and cannot be interrupted. So a pipe is opened
 * again in non-blocking mode, which does not affect other programs that share the descriptor.
 * @throws the failed system call, an AbortError, or the error of the chunks
 */
export async function writeStdout(chunks: Chunks, signal?: AbortSignal): Promise<void> {
  const stats = await stat(ownStdout).catch(() => undefined)
  if (stats?.isFIFO()) return writePipe(ownStdout, chunks, signal)
  return flow(chunks, process.stdout, { end: false, signal })
}

/** Writes to a pipe without blocking a thread, waiting for a reader if there is none. */
async function writePipe(path: string, chunks: Chunks, signal?: AbortSignal): Promise<void> {
  for (;;) {
    const fd = openPipe(path)
    if (fd !== undefined) return flow(chunks, new Socket({ fd, readable: false }), { signal })
    await sleep(50, undefined, { ...(signal && { signal }) })
  }
}

/** @returns undefined while no process has opened the pipe for reading */
function openPipe(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (systemErrorCode(error) === 'ENXIO') return undefined
    throw error
  }
}
