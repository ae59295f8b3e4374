import type { Digest } from '../image/digest.ts'
import type { PlainEntry } from '../contents/entry.ts'
import type { PathSource } from '../contents/contents.ts'
import type { StorePath } from '../image/store-path.ts'
import type { PartialDemand } from '../queue/demand.ts'

/** A piece of a layer, as plain data: the tar entries of a store path, or entries that were made up. */
export type Piece =
  | PathSource
  | { readonly entries: readonly PlainEntry[] }
  /** A store path's member as it was compressed before, by the same compressor: bytes of a file on this machine. */
  | { readonly member: { readonly file: string; readonly offset: number; readonly length: number } }

/** The bytes of a layer are to be written to a new file. */
export type PackJob = {
  readonly pieces: readonly Piece[]
  readonly file: string
}

/** How a layer is packed. */
export type PackOptions = PartialDemand & {
  /** Bytes to read; of all layers that are equally urgent, the largest is packed first. */
  readonly size?: number
  /** Is called when a thread begins with the layer. From then on the signal has no effect. */
  readonly onBegin?: () => void
}

/**
/**
 * What a layer's making was at when it failed: `name` is when there is a name that no layer can hold, `nar` reading what a
 * binary cache gave, `thread` when the thread itself died, `late` when it took too long.
 */
export type Step = 'reading' | 'name' | 'nar' | 'compressing' | 'writing' | 'member' | 'thread' | 'late'

/** Errors cross threads as plain data: a cloned `Error` has lost its code. */
export type PackResult =
  | {
      readonly ok: true
      readonly digest: Digest
      readonly diffId: Digest
      readonly size: number
      /** Where each piece lies in the compressed bytes, in order. */
      readonly spans: readonly Span[]
      /** What lies where in each piece that was read from a store path, in order; see `contents/listing.ts`. */
      readonly listings: readonly (string | undefined)[]
    }
  | {
      readonly ok: false
      readonly step: Step
      readonly code: string | undefined
      readonly message: string
      /** The NAR that was read, where the step is `nar`. */
      readonly nar?: { readonly storePath: StorePath; readonly cache: string }
    }

export type Span = { readonly offset: number; readonly length: number }
