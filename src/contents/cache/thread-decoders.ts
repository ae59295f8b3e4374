import type { OpenStream } from '../entry.ts'
import { openLiblzma } from './liblzma.ts'
import { openLibzstd } from './libzstd.ts'

/** Decoders for the compressions that a thread can expand while it reads. */
export type ThreadDecoders = ReadonlyMap<'xz' | 'zstd', OpenStream>

/** Loads the installed libraries; otherwise streams expand the files during the download. */
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
