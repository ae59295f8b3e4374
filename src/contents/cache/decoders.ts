import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib'
import { openXzPackage } from './xz-package.ts'
import { expandWithProgram } from './xz-program.ts'
import { cutZstdFrames } from './zstd-frames.ts'

/** Compressions of NARs that can be read; all others are left to Nix. */
export const compressions = ['none', 'xz', 'zstd', 'gzip', 'br'] as const
export type NarCompression = (typeof compressions)[number]

export const isNarCompression = (text: string): text is NarCompression =>
  (compressions as readonly string[]).includes(text)

let xzPackage: ReturnType<typeof openXzPackage> | undefined

// Node's own 16 KiB cost more than the decoders: each piece passes through streams and is written by itself.
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
