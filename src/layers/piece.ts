import type { Digest } from '../image/digest.ts'
import type { PlainEntry } from '../contents/entry.ts'
import type { PathSource } from '../contents/contents.ts'
import type { StorePath } from '../image/store-path.ts'
import type { PartialDemand } from '../queue/demand.ts'

/** A piece of a layer, as plain data: a store path, generated entries, or the member of a stored layer. */
export type Piece =
  | PathSource
  | { readonly entries: readonly PlainEntry[] }
  /** A store path that the same compressor has packed before: a range of a local file. */
  | { readonly member: { readonly file: string; readonly offset: number; readonly length: number } }

/** Pack these pieces into a new file. */
export type PackJob = {
  readonly pieces: readonly Piece[]
  readonly file: string
}

/** Options for packing a layer. */
export type PackOptions = PartialDemand & {
  /** The size of the pieces in bytes; of equally urgent layers, the largest is packed first. */
  readonly size?: number
  /** Called when a thread starts to pack the layer. From then on the signal has no effect. */
  readonly onBegin?: () => void
}

/**
 * The step that failed. `name`: an entry has a name that no layer can contain; `nar`: a NAR from a binary cache cannot be
 * read; `thread`: the thread itself died; `late`: packing took too long.
 */
export type Step = 'reading' | 'name' | 'nar' | 'compressing' | 'writing' | 'member' | 'thread' | 'late'

/** The result of a thread. Errors cross threads as plain data, because a cloned `Error` loses its code. */
export type PackResult =
  | {
      readonly ok: true
      readonly digest: Digest
      readonly diffId: Digest
      readonly size: number
      /** The position of each piece in the compressed bytes, in order. */
      readonly spans: readonly Span[]
      /** The listing of each piece that was read from a store path, in order; see `contents/listing.ts`. */
      readonly listings: readonly (string | undefined)[]
    }
  | {
      readonly ok: false
      readonly step: Step
      readonly code: string | undefined
      readonly message: string
      /** The NAR, if the step is `nar`. */
      readonly nar?: { readonly storePath: StorePath; readonly cache: string }
    }

export type Span = { readonly offset: number; readonly length: number }
