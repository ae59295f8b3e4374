import type { OpenStream } from '../entry.ts'
import { openLiblzma } from './liblzma.ts'
import { openLibzstd } from './libzstd.ts'

/** Compressions that a thread can expand while it reads, each with what does. */
export type ThreadDecoders = ReadonlyMap<'xz' | 'zstd', OpenStream>

/** Loads the libraries that are there; what they would expand is expanded on its way by streams otherwise. */
export async function openThreadDecoders(): Promise<ThreadDecoders> {
  const decoders = new Map<'xz' | 'zstd', OpenStream>()
  for (const [name, open] of [
    ['xz', openLiblzma],
    ['zstd', openLibzstd],
  ] as const) {
    await open().then(
      (decoder) => decoders.set(name, decoder),
      () => {},
    )
  }
  return decoders
}
