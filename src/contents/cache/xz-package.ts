import { Duplex } from 'node:stream'
import { limitXzMemory } from './xz-memory.ts'

/**
 * Loads `@napi-rs/lzma`, which expands xz where liblzma cannot be loaded: on a thread of its own, in bounded memory.
 * @returns makes the streams that expand a file; undefined if the package is not installed or not for this machine
 */
export async function openXzPackage(): Promise<(() => Duplex[]) | undefined> {
  // Optional, and its parts for each kind of machine are, too.
  const loaded = await import('@napi-rs/lzma/xz').catch(() => undefined)
  if (!loaded) return undefined
  // Not the package's own createDecompressStream: if it is destroyed early, it never closes.
  const { decompressStream } = loaded
  async function* expand(compressed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const reader = decompressStream(ReadableStream.from(compressed)).getReader()
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
    } catch (error) {
      throw new Error(`xz data is damaged (${error instanceof Error ? error.message : String(error)})`, {
        cause: error,
      })
    } finally {
      // Ends its thread, unless it has ended: then the failure was thrown already.
      reader.cancel().catch(() => {})
    }
  }
  return () => [limitXzMemory(), Duplex.from(expand)]
}
