import type { Codec, Expand } from './engine.ts'

/** Loads libdeflate under its name on Linux or macOS. */
async function load() {
  // koffi is an optional dependency.
  const { default: koffi } = await import('koffi')
  try {
    return koffi.load('libdeflate.so.0')
  } catch {
    return koffi.load('libdeflate.dylib')
  }
}

/**
 * Opens libdeflate at this level. koffi calls its documented functions (the ABI of libdeflate.so.0). The output depends
 * only on its version and the block.
 * @throws a plain `Error` with the reason when the library or koffi is not installed
 */
export async function openLibdeflate(level: number): Promise<Codec & { readonly expand: Expand }> {
  const library = await load()
  const allocate = library.func('void *libdeflate_alloc_compressor(int level)')
  const compress = library.func(
    'size_t libdeflate_gzip_compress(void *state, const void *in, size_t length, void *out, size_t room)',
  )
  const allocateDecompressor = library.func('void *libdeflate_alloc_decompressor()')
  const decompress = library.func(
    'int libdeflate_gzip_decompress_ex(void *state, const void *in, size_t length, void *out, size_t room, void *read, void *written)',
  )
  // Never freed: a thread allocates one of each, and lives as long as the process.
  const compressor: unknown = allocate(level)
  const decompressor: unknown = allocateDecompressor()
  const counts = new BigUint64Array(2)
  const [read, written] = [counts.subarray(0, 1), counts.subarray(1, 2)]
  return {
    compress(block, into) {
      const length = Number(compress(compressor, block, block.length, into, into.length))
      if (length === 0) throw new Error('libdeflate: the compressed block does not fit in the buffer')
      return length
    },
    expand(compressed, into) {
      const args = [compressed, compressed.length, into, into.length, read, written]
      const result: unknown = decompress(decompressor, ...args)
      if (result !== 0) throw new Error(`libdeflate: the gzip member is damaged (code ${String(result)})`)
      return { read: Number(counts[0]), expanded: into.subarray(0, Number(counts[1])) }
    },
  }
}
