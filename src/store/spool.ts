import { createReadStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { abandonedAfter, removeOld } from '../fs/remove-old.ts'

/**
 * Makes a folder for files that are to become blobs. What an earlier process left in it is removed, if nothing
 * has written to it for an hour: another process may be using the same folder.
 * @returns how much was removed
 * @throws the failed system call
 */
export async function openSpool(directory: string): Promise<number> {
  await mkdir(directory, { recursive: true })
  return removeOld(directory, { olderThan: abandonedAfter })
}

/** A spooled file's bytes. The stream fails at its end if they are not `size`, so that nobody takes it for whole. */
export function readSpooled(file: string, size: number): Readable {
  const source = createReadStream(file, { highWaterMark: 1024 * 1024 })
  return Readable.from(exactly(source, size), { objectMode: false })
}

async function* exactly(source: AsyncIterable<Buffer>, size: number): AsyncGenerator<Buffer> {
  let length = 0
  for await (const chunk of source) {
    length += chunk.length
    if (length > size) break
    yield chunk
  }
  if (length !== size) throw notWhole(length, size)
}

export const notWhole = (found: number, size: number): Error =>
  new Error(`a spooled file has ${found} bytes instead of ${size}`)
