import type { FileReader, OpenStream } from '../entry.ts'

// zstd.h: the structures of ZSTD_decompressStream on 64-bit machines: address, size, position.
const structureSize = 24
const [address, size, position] = [0, 8, 16]
const [inSize, outSize] = [128 * 1024, 256 * 1024]
/** The binary logarithm of the largest window that a frame may request: 128 MiB, as in `zstd` itself. */
const largestWindow = 27
const windowLogMax = 100

/**
 * libzstd, called through koffi by its documented functions.
 * @throws a plain `Error` with the reason if the library or koffi is not installed
 */
export async function openLibzstd(): Promise<OpenStream> {
  // Optional, as the library is.
  const { default: koffi } = await import('koffi')
  // Node exports the functions of its zstd: without `deep`, the library would call some of those.
  const library = koffi.load(process.platform === 'darwin' ? 'libzstd.1.dylib' : 'libzstd.so.1', {
    deep: true,
  })
  const create = library.func('void *ZSTD_createDCtx()')
  const free = library.func('size_t ZSTD_freeDCtx(void *context)')
  const set = library.func('int64_t ZSTD_DCtx_setParameter(void *context, int parameter, int value)')
  // Errors are the highest values of size_t, so they are negative here.
  const expandSome = library.func('int64_t ZSTD_decompressStream(void *context, void *output, void *input)')
  const allocate = (count: number) => {
    const pointer: unknown = koffi.alloc('uint8_t', count)
    return { pointer, address: koffi.address(pointer), bytes: new Uint8Array(koffi.view(pointer, count)) }
  }

  return (compressed: Pick<FileReader, 'read'>): FileReader => {
    const context: unknown = create()
    if (context === null) throw new Error('libzstd cannot start')
    set(context, windowLogMax, largestWindow)
    // Outside of JavaScript's heap, where nothing moves, because the structures contain addresses.
    const [from, to] = [allocate(structureSize), allocate(structureSize)]
    const [input, output] = [allocate(inSize), allocate(outSize)]
    const [source, target] = [new DataView(from.bytes.buffer), new DataView(to.bytes.buffer)]
    source.setBigUint64(address, input.address, true)
    source.setBigUint64(size, 0n, true)
    source.setBigUint64(position, 0n, true)
    target.setBigUint64(address, output.address, true)
    target.setBigUint64(size, BigInt(outSize), true)
    let isOpen = true
    let [ready, given] = [0, 0] // the number of output bytes available, and of those passed on
    let [isEnd, isOver, isFull] = [false, false, false] // of a frame, of all, and whether there is more output

    const hasNothing = () => given === ready && !isOver
    const expand = () => {
      const isUsed = source.getBigUint64(position, true) === source.getBigUint64(size, true)
      if (isUsed && !isFull) {
        const got = compressed.read(input.bytes)
        source.setBigUint64(size, BigInt(got), true)
        source.setBigUint64(position, 0n, true)
        if (got === 0) {
          if (!isEnd) throw new Error('zstd data is truncated')
          isOver = true
          return
        }
      }
      target.setBigUint64(position, 0n, true)
      const result = Number(expandSome(context, to.pointer, from.pointer))
      if (result < 0) throw new Error(`zstd data is damaged (libzstd says ${-result})`)
      isEnd = result === 0
      ready = Number(target.getBigUint64(position, true))
      given = 0
      isFull = ready === outSize && !isEnd
    }
    return {
      close() {
        if (!isOpen) return
        isOpen = false
        free(context)
        for (const { pointer } of [from, to, input, output]) koffi.free(pointer)
      },
      read(into) {
        if (!isOpen) throw new Error('a zstd file was read after it was closed')
        while (hasNothing()) expand()
        const count = Math.min(into.length, ready - given)
        into.set(output.bytes.subarray(given, given + count))
        given += count
        return count
      },
    }
  }
}
