import { open, type FileHandle } from 'node:fs/promises'

/**
 * The number of bytes written together: a write is a round trip to another thread, which costs as much as writing
 * several chunks.
 */
const batchSize = 256 * 1024
/** The number of buffers kept for the next files: two for each concurrent download. */
const mostSpare = 16

const spare: Buffer[] = []
const takeBuffer = (): Buffer => spare.pop() ?? Buffer.allocUnsafeSlow(batchSize)

/**
 * Writes chunks to a new file. At most two batches are in memory, and a slow disk slows down the sender.
 * @param pieces must not be used by others: their memory is freed at once
 * @throws the failed system call, and the errors of the chunks
 */
export async function writeSpoolFile(file: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const handle = await open(file, 'wx')
  let [batch, other] = [takeBuffer(), takeBuffer()]
  let writing: Promise<void> | undefined
  let used = 0
  try {
    for await (const piece of pieces) {
      for (let from = 0; from < piece.length;) {
        const count = Math.min(piece.length - from, batchSize - used)
        batch.set(piece.subarray(from, from + count), used)
        from += count
        used += count
        if (used < batchSize) continue
        await writing
        writing = writeAll(handle, batch, used)
        writing.catch(() => {}) // reported to the caller that waits for it
        ;[batch, other] = [other, batch]
        used = 0
      }
      giveBack(piece)
    }
    await writing
    await writeAll(handle, batch, used)
  } finally {
    // A batch may still be pending.
    await writing?.catch(() => {})
    if (spare.length < mostSpare) spare.push(batch, other)
    await handle.close()
  }
}

/**
 * Frees the memory of a chunk, if it is not shared. Otherwise thousands of chunks outside of the heap would make the
 * garbage collector scan the whole heap repeatedly, which takes half of the CPU time of a download.
 */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

async function writeAll(handle: FileHandle, bytes: Buffer, size: number): Promise<void> {
  for (let done = 0; done < size;) done += (await handle.write(bytes, done, size - done)).bytesWritten
}
