import { open, type FileHandle } from 'node:fs/promises'

/** Bytes that are written together: a write is a round trip to another thread, and costs as much as several of them. */
const batchSize = 256 * 1024
/** Buffers that are kept for the next files: two for each of as many files as are downloaded at once. */
const mostSpare = 16

const spare: Buffer[] = []
const takeBuffer = (): Buffer => spare.pop() ?? Buffer.allocUnsafeSlow(batchSize)

/**
 * Writes pieces into a new file. Two batches are in memory at most, and a slow disk slows the sender down.
 * @param pieces nobody else uses them: their memory is given back at once
 * @throws the failed system call, and the errors of the pieces
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
        writing.catch(() => {}) // told to who waits for it
        ;[batch, other] = [other, batch]
        used = 0
      }
      giveBack(piece)
    }
    await writing
    await writeAll(handle, batch, used)
  } finally {
    // A batch may still be on its way.
    await writing?.catch(() => {})
    if (spare.length < mostSpare) spare.push(batch, other)
    await handle.close()
  }
}

/**
 * Frees the memory of a piece, if all of it is the piece's. Left to the garbage collector, thousands of pieces outside of
 * its heap have it look through the whole heap again and again: half of the CPU time of a download.
 */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

async function writeAll(handle: FileHandle, bytes: Buffer, size: number): Promise<void> {
  for (let done = 0; done < size;) done += (await handle.write(bytes, done, size - done)).bytesWritten
}
