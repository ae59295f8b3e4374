import { createReadStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { abandonedAfter, removeOld } from '../fs/remove-old.ts'

/**
 * Creates a folder for files that will become blobs, and removes files in it that have not changed for an hour. Newer
 * files can belong to another process.
 * @returns the number of removed files
 * @throws the failed system call
 */
export async function openSpool(directory: string): Promise<number> {
  await mkdir(directory, { recursive: true })
  return removeOld(directory, { olderThan: abandonedAfter })
}

/** Reads a spooled file. The stream fails at its end if the file does not have `size` bytes. */
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
  if (length !== size) throw incompleteFile(length, size)
}

export const incompleteFile = (actual: number, size: number): Error =>
  new Error(`a spooled file has ${actual} bytes instead of ${size}`)
