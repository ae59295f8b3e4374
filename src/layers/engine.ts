/** The libraries that can compress layers. */
export const engines = ['libdeflate', 'gzip', 'zstd', 'none'] as const
export type Engine = (typeof engines)[number]

/** Compresses and expands blocks on the calling thread. */
export type Codec = {
  /** Writes one member (gzip) or frame (zstd) to `into` and returns its length in bytes. Throws if it does not fit. */
  compress(block: Uint8Array, into: Uint8Array): number
  /**
   * Expands the first member or frame of `compressed` and verifies its checksum. Throws if it is damaged or truncated, or
   * if it does not fit in `into`. Undefined for `none`, which has no checksums.
   */
  readonly expand: Expand | undefined
}

/** Returns the number of bytes read and their expansion: a view of `into`, or a new buffer. */
export type Expand = (
  compressed: Uint8Array,
  into: Uint8Array,
) => { readonly read: number; readonly expanded: Uint8Array }

// Chosen by the measurements in docs/compression.md.
export const levels: Readonly<Record<Engine, number>> = { libdeflate: 1, gzip: 4, zstd: 3, none: 0 }
