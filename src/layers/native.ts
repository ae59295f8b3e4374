import type { Codec, Expand } from './engine.ts'

/**
 * Compressors of the system's libraries, called through koffi, which is optional as they are. The functions and the
 * layout of what they take are those of the libraries' ABI: libdeflate.so.0 and libisal.so.2.
 */
type Native = Pick<Codec, 'compress'>

async function load(...names: string[]) {
  const { default: koffi } = await import('koffi')
  for (const [index, name] of names.entries()) {
    try {
      return { koffi, library: koffi.load(name) }
    } catch (error) {
      if (index === names.length - 1) throw error
    }
  }
  throw new Error('no name of a library')
}

/** libdeflate at this level. Its bytes depend on nothing but its version and the block. */
export async function openLibdeflate(level: number): Promise<Native & { readonly expand: Expand }> {
  const { library } = await load('libdeflate.so.0', 'libdeflate.dylib')
  const allocate = library.func('void *libdeflate_alloc_compressor(int level)')
  const compress = library.func(
    'size_t libdeflate_gzip_compress(void *state, const void *in, size_t length, void *out, size_t room)',
  )
  const allocateDecompressor = library.func('void *libdeflate_alloc_decompressor()')
  const decompress = library.func(
    'int libdeflate_gzip_decompress_ex(void *state, const void *in, size_t length, void *out, size_t room, void *read, void *written)',
  )
  // Never freed: a thread makes one of each, and lives as long as the process.
  const compressor: unknown = allocate(level)
  const decompressor: unknown = allocateDecompressor()
  const counts = new BigUint64Array(2)
  const [read, written] = [counts.subarray(0, 1), counts.subarray(1, 2)]
  return {
    compress(block, into) {
      const length = Number(compress(compressor, block, block.length, into, into.length))
      if (length === 0) throw new Error('libdeflate: the block does not fit')
      return length
    },
    expand(compressed, into) {
      const args = [compressed, compressed.length, into, into.length, read, written]
      const result: unknown = decompress(decompressor, ...args)
      if (result !== 0) throw new Error(`libdeflate: a gzip member is damaged (${String(result)})`)
      return { read: Number(counts[0]), expanded: into.subarray(0, Number(counts[1])) }
    },
  }
}

// `struct isal_zstream` (igzip_lib.h): where its fields lie; with its state it has 82,384 bytes in 2.30.
const stream = {
  size: 256 * 1024,
  nextIn: 0,
  availIn: 8,
  nextOut: 16,
  availOut: 24,
  totalOut: 28,
  level: 40,
  levelBufferSize: 44,
  levelBuffer: 48,
  endOfStream: 56,
  gzip: 60,
}

// ISAL_DEF_LVL3_SMALL. Its smaller Huffman blocks make 2 % less than the default's, at the same speed.
const levelBufferSize = 151_552

/** ISA-L at this level. Its bytes depend on what the CPU has, too: AVX2's are others than AVX-512's. */
export async function openIgzip(level: number): Promise<Native> {
  const { koffi, library } = await load('libisal.so.2', 'libisal.dylib')
  const start = library.func('void isal_deflate_init(void *stream)')
  const deflate = library.func('int isal_deflate(void *stream)')
  const state = Buffer.alloc(stream.size)
  const levelBuffer = Buffer.alloc(levelBufferSize)
  return {
    compress(block, into) {
      start(state)
      state.writeBigUInt64LE(koffi.address(block), stream.nextIn)
      state.writeUInt32LE(block.length, stream.availIn)
      state.writeBigUInt64LE(koffi.address(into), stream.nextOut)
      state.writeUInt32LE(into.length, stream.availOut)
      state.writeUInt32LE(level, stream.level)
      state.writeUInt32LE(levelBufferSize, stream.levelBufferSize)
      state.writeBigUInt64LE(koffi.address(levelBuffer), stream.levelBuffer)
      state.writeUInt16LE(1, stream.endOfStream)
      state.writeUInt16LE(1, stream.gzip)
      const result: unknown = deflate(state)
      if (result !== 0 || state.readUInt32LE(stream.availOut) === 0)
        throw new Error(`ISA-L: the block does not fit (${String(result)})`)
      return state.readUInt32LE(stream.totalOut)
    },
  }
}
