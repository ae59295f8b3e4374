import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { BadPath } from '../contents/cache/trouble.ts'
import { NixeryError } from '../errors.ts'
import type { Layer } from '../image/oci.ts'
import { storeError } from '../store/store.ts'
import type { Compressor } from './compressor.ts'
import type { PackOptions, PackResult, Piece, Span } from './piece.ts'
import { createThreads } from './threads.ts'

export type { PackOptions, Piece } from './piece.ts'

/** A layer's bytes in a file of the spool folder, which is the caller's to store or remove. */
export type PackedLayer = {
  readonly layer: Layer
  readonly file: string
  /** Where each piece's member lies, in order. None of what is not compressed: it has no checksum to copy it by. */
  readonly spans: readonly Span[]
  /** What lies where in each piece that is a store path, in order; undefined for others, and what is too large. */
  readonly listings: readonly (string | undefined)[]
}

/** Packs layers in a bounded pool of threads. */
export type Packer = {
  /** What the bytes depend on besides the contents; part of every key. */
  readonly compressorId: string
  /**
   * Equal pieces give equal bytes, a path's member the same as the path. Fails with STORE_FULL, STORE_UNAVAILABLE or
   * BUILD_FAILED (see `MemberGone`, `BadPath`), BUILD_TIMEOUT, and leaves no file; with CANCELLED when the signal fires before a
   * thread begins, and once the packer is closed.
   */
  pack(pieces: readonly Piece[], options?: PackOptions): Promise<PackedLayer>
  /** Reads the urgency of all layers again, of those that are being packed, too. */
  reconsider(): void
  close(): Promise<void>
}

export type PackerOptions = {
  /** All cores if not said. */
  readonly threads?: number
  /** Megabytes that a thread's JavaScript may take; Node's own bound if not said. */
  readonly heap?: number
  /** Seconds that packing one layer may take once it is begun; no bound if not said. */
  readonly limit?: number
}

/** @param spoolDirectory where the files are written */
export function createPacker(
  spoolDirectory: string,
  compressor: Compressor,
  { threads: count = availableParallelism(), heap, limit }: PackerOptions = {},
): Packer {
  const threads = createThreads({
    engine: compressor.engine,
    format: { framing: compressor.format.framing, kept: compressor.format.kept },
    count,
    heap,
    limit: limit === undefined ? undefined : limit * 1000,
  })
  let closed = false
  return {
    compressorId: compressor.id,
    reconsider: () => threads.reconsider(),
    async pack(pieces, options = {}) {
      if (closed) throw stopping()
      const file = join(spoolDirectory, randomUUID())
      const result = await threads.run({ pieces, file }, options)
      if (!result.ok) {
        await rm(file, { force: true }).catch(() => {}) // the first error is the one to tell
        throw closed ? stopping() : failure(result)
      }
      const { digest, diffId, size: packed, spans, listings } = result
      const layer = { digest, diffId, size: packed, compression: compressor.format.name }
      return { layer, file, spans, listings }
    },
    close() {
      closed = true
      return threads.close()
    },
  }
}

const stopping = () => new NixeryError('CANCELLED', 'the registry is stopping')

/** A member's bytes are gone or damaged: its store path is to be packed instead. */
export class MemberGone extends NixeryError<'BUILD_FAILED'> {
  constructor(cause?: unknown) {
    const message = 'a layer cannot be packed: what was packed of a store path before is gone or damaged'
    super('BUILD_FAILED', message, { cause })
  }
}

function failure({ step, code, message, nar }: Extract<PackResult, { ok: false }>): NixeryError {
  const cause = Object.assign(new Error(message), { code, step })
  if (nar) return new BadPath(nar.storePath, nar.cache, message, cause)
  if (step === 'late') {
    return new NixeryError('BUILD_TIMEOUT', 'packing a layer took too long', {
      cause,
      hint: 'the operator can allow more time by NIXERY_PACK_TIMEOUT',
    })
  }
  if (step === 'name') {
    const path = JSON.stringify(Buffer.from(message, 'latin1').toString().slice(0, 500))
    return new NixeryError('PACKAGE_INVALID', `an image cannot hold ${path}`, {
      cause,
      hint: 'container runtimes take a name that begins with .wh. for a deletion: the package must name it otherwise',
    })
  }
  if (step === 'member') return new MemberGone(cause)
  if (step === 'writing') return storeError(cause, 'packing a layer')
  const why = {
    reading: 'a store path cannot be read',
    nar: 'what a binary cache gave cannot be read',
    compressing: 'a block cannot be compressed',
    thread: 'the thread that packed it ended',
  }[step]
  return new NixeryError('BUILD_FAILED', `a layer could not be packed: ${why}`, {
    cause,
    hint: 'the operator finds the cause in the log',
  })
}
