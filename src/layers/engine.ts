/** A program or library that compresses, at the level that is used. */
export const engines = ['libdeflate', 'gzip', 'zstd', 'none'] as const
export type Engine = (typeof engines)[number]

/** Compresses and expands blocks, on the thread that calls. */
export type Codec = {
  /** Puts one member (gzip) or frame (zstd) into `into` and returns its length in bytes. Throws if it has no room. */
  compress(block: Uint8Array, into: Uint8Array): number
  /**
   * Expands the member or frame that `compressed` begins with. Throws when it is damaged or cut off, or holds more
   * than `into` has room for; checksums are checked. Not of `none`, which has none.
   */
  readonly expand: Expand | undefined
}

/** How many bytes were read, and what they expand to: a view of `into` or bytes of its own. */
export type Expand = (
  compressed: Uint8Array,
  into: Uint8Array,
) => { readonly read: number; readonly expanded: Uint8Array }

// docs/compression.md has the measurements that these were chosen by.
export const levels: Readonly<Record<Engine, number>> = { libdeflate: 1, gzip: 4, zstd: 3, none: 0 }
