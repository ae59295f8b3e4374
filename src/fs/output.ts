import { constants, openSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemErrorCode } from '../errors.ts'
import { flow, replaceFile, type Chunks } from './replace-file.ts'

/**
 * Writes a file that a user has named. A regular file is replaced in one step; a pipe or a device is written to, since
 * renaming a file over `/dev/null` would replace the device.
 * @throws the failed system call, an AbortError, or what the chunks throw
 */
export async function writeOutput(path: string, chunks: Chunks, signal?: AbortSignal): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFIFO()) return writePipe(path, chunks, signal)
  if (found && !found.isFile()) {
    const handle = await open(path, constants.O_WRONLY)
    return flow(chunks, handle.createWriteStream(), { signal })
  }
  return replaceFile(path, chunks, { signal })
}

const ownStdout = '/proc/self/fd/1'

/**
 * Writes to standard output. Node blocks on a pipe there while nobody reads, and could not even be interrupted. So the
 * pipe is opened again, which leaves alone the settings that it shares with other programs.
 * @throws the failed system call, an AbortError, or what the chunks throw
 */
export async function writeStdout(chunks: Chunks, signal?: AbortSignal): Promise<void> {
  const found = await stat(ownStdout).catch(() => undefined)
  if (found?.isFIFO()) return writePipe(ownStdout, chunks, signal)
  return flow(chunks, process.stdout, { end: false, signal })
}

/** Waits for a reader, and for a slow one, without a thread that could not be interrupted. */
async function writePipe(path: string, chunks: Chunks, signal?: AbortSignal): Promise<void> {
  for (;;) {
    const fd = openPipe(path)
    if (fd !== undefined) return flow(chunks, new Socket({ fd, readable: false }), { signal })
    await sleep(50, undefined, { ...(signal && { signal }) })
  }
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
