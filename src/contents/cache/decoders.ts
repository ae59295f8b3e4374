import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'
import { openXzPackage } from './xz-package.ts'
import { expandWithProgram } from './xz-program.ts'
import { cutZstdFrames } from './zstd-frames.ts'

/** The supported compressions of NARs; all others are left to Nix. */
export const compressions = ['none', 'xz', 'zstd', 'gzip', 'br'] as const
export type NarCompression = (typeof compressions)[number]

export const isNarCompression = (text: string): text is NarCompression =>
  (compressions as readonly string[]).includes(text)

let xzPackage: ReturnType<typeof openXzPackage> | undefined

// Node's default of 16 KiB costs more than the decoders: each chunk passes through streams and is written separately.
const chunkSize = 256 * 1024

/** Streams that expand what goes through them in this order; none for `none`. They work beside this thread. */
export async function decodersOf(compression: NarCompression): Promise<Duplex[]> {
  switch (compression) {
    case 'none':
      return []
    case 'xz':
      xzPackage ??= openXzPackage()
      return (await xzPackage)?.() ?? [expandWithProgram()]
    case 'zstd':
      return [cutZstdFrames(), createZstdDecompress({ chunkSize })]
    case 'gzip':
      return [createGunzip({ chunkSize })]
    case 'br':
      return [createBrotliDecompress({ chunkSize })]
  }
}
