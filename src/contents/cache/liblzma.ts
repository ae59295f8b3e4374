import type { OpenStream } from '../entry.ts'
import { xzMemory } from './xz-memory.ts'

// lzma/base.h and lzma/container.h: values and layout of liblzma's ABI 5 on 64-bit machines.
const streamSize = 136
const [nextIn, availIn, nextOut, availOut] = [0, 8, 24, 32]
const concatenated = 0x08
const [run, finish] = [0, 3]
const [ok, streamEnd] = [0, 1]
const [inSize, outSize] = [64 * 1024, 256 * 1024]

/**
 * liblzma, called through koffi by its documented functions.
 * @throws a plain `Error` with the reason if the library or koffi is not installed
 */
export async function openLiblzma(): Promise<OpenStream> {
  // Optional, as the library is.
  const { default: koffi } = await import('koffi')
  const library = (() => {
    try {
      return koffi.load('liblzma.so.5')
    } catch {
      return koffi.load('liblzma.5.dylib')
    }
  })()
  const open = library.func('int lzma_stream_decoder(void *stream, uint64_t memlimit, uint32_t flags)')
  const code = library.func('int lzma_code(void *stream, int action)')
  const end = library.func('void lzma_end(void *stream)')
  const allocate = (size: number) => {
    const pointer: unknown = koffi.alloc('uint8_t', size)
    return { pointer, address: koffi.address(pointer), bytes: new Uint8Array(koffi.view(pointer, size)) }
  }

  return (compressed) => {
    // Outside of JavaScript's heap, where nothing moves, because the structure contains addresses.
    const [stream, input, output] = [allocate(streamSize), allocate(inSize), allocate(outSize)]
    const fields = new DataView(stream.bytes.buffer)
    const count = (field: number): number => Number(fields.getBigUint64(field, true))
    stream.bytes.fill(0)
    let isOpen = true
    const close = () => {
      if (!isOpen) return
      isOpen = false
      end(stream.pointer)
      for (const { pointer } of [stream, input, output]) koffi.free(pointer)
    }
    const opened: unknown = open(stream.pointer, BigInt(xzMemory), concatenated)
    if (opened !== ok) {
      close()
      throw new Error(`liblzma cannot start (${String(opened)})`)
    }
    let [ready, given] = [0, 0] // the number of output bytes available, and of those passed on
    let [isLast, isOver] = [false, false]

    const hasNothing = () => given === ready && !isOver
    const expand = () => {
      if (count(availIn) === 0 && !isLast) {
        const got = compressed.read(input.bytes)
        isLast = got === 0
        fields.setBigUint64(nextIn, input.address, true)
        fields.setBigUint64(availIn, BigInt(got), true)
      }
      fields.setBigUint64(nextOut, output.address, true)
      fields.setBigUint64(availOut, BigInt(outSize), true)
      const result: unknown = code(stream.pointer, isLast ? finish : run)
      ready = outSize - count(availOut)
      given = 0
      if (result === streamEnd) isOver = true
      else if (result !== ok) throw new Error(`xz data is damaged (liblzma says ${String(result)})`)
    }
    return {
      close,
      read(into) {
        if (!isOpen) throw new Error('an xz file was read after it was closed')
        while (hasNothing()) expand()
        const size = Math.min(into.length, ready - given)
        into.set(output.bytes.subarray(given, given + size))
        given += size
        return size
      },
    }
  }
}
